"""What the end of a run takes back of what it built: never the files of an image that is on the ledger, also of one
that lost its version to somebody else."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from forged import forge_good
from msgspec.structs import replace
from workshop import FILE_TEMPLATE, Workshop, role

from core import process
from core.adapters.git import GitRepository
from core.errors import LostRaceError
from core.model.image import ImageVersion, UpstreamRecord
from core.model.run import Run
from core.model.workspace import Workspace
from core.stages.leftovers import RUN_NOTE
from core.store.ledger import Ledger
from core.store.ledger_tree import LedgerTree, Signature, image_path

pytestmark = pytest.mark.skipif(process.find("packer") is None, reason="packer is not installed")

BO = "Bo Lind <bo@example.org>"


class Sharing(Workshop):
    """One that shares its ledger with another clone; the remote is away until it is told to come."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.hub, self._away = place / "hub.git", place / "away.git"
        self.other = place / "other"
        for words in (("init", "-q", "--bare", str(self._away)), ("init", "-q", str(self.other))):
            subprocess.run(("git", *words), check=True)
        for root in (self.root, self.other):
            subprocess.run(("git", "-C", str(root), "remote", "add", "origin", str(self.hub)), check=True)

    @property
    def workspace(self) -> Workspace:
        return replace(super().workspace, remote="origin")

    def come(self) -> Ledger:
        """The remote can be reached now. Gives the ledger of the other clone."""
        self._away.rename(self.hub)
        return Ledger(self.other, "origin")

    def files(self) -> set[str]:
        """What is under `images/`, but for notes."""
        return {path.name for path in self.places.images.rglob("*.txt")}


@pytest.fixture
def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sharing]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    made = Sharing(tmp_path)
    made.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    yield made
    made.close()


async def built(workshop: Workshop) -> tuple[Run, str]:
    """A run that has reserved its version and built, and the version."""
    run = workshop.new_run(role())
    await workshop.until(run, "build/file.hello")
    return run, workshop.again(run).version


async def test_an_image_that_loses_its_version_to_another_clone_keeps_its_files(workshop: Sharing) -> None:
    run, version = await built(workshop)
    theirs = ImageVersion("web", version, "c" * 40, 1.0, "another", BO, UpstreamRecord("file", "x"), (), "web")
    workshop.come().register(theirs, BO, "")
    with pytest.raises(LostRaceError, match="Bo Lind") as told:
        await workshop.stage(run, "register")
    assert "where it was built" in told.value.kept
    workshop.end(run, succeeded=False)
    (lost,) = Ledger(workshop.root).read().lost
    assert lost.run == run.uid
    assert Path(lost.artifacts[0].location).is_file()
    assert not list(workshop.places.images.rglob(RUN_NOTE)), "a sweep does not take it for what nobody knows"


async def test_who_lost_only_the_reservation_is_not_promised_that_files_stay(workshop: Sharing) -> None:
    run, version = await built(workshop)
    assert workshop.come().reserve("web", version, "another", BO) == version
    Ledger(workshop.root, "origin").fetch()
    with pytest.raises(LostRaceError, match="reserved by Bo Lind") as told:
        await workshop.stage(run, "register")
    assert not told.value.kept
    workshop.end(run, succeeded=False)
    assert workshop.files() == set()


async def test_a_decision_against_the_rules_keeps_no_version_from_being_given_back(workshop: Sharing) -> None:
    run, version = await built(workshop)
    forge_good(workshop.root, "web", "0.0.1", "nobody's")
    workshop.end(run, succeeded=False)
    contents = Ledger(workshop.root).read()
    assert (contents.reservations, len(contents.problems)) == ((), 1), f"{version} is free again"


async def test_nothing_is_taken_back_where_the_ledger_cannot_be_read_whole(workshop: Sharing) -> None:
    run, version = await built(workshop)
    await workshop.stage(run, "register")
    tree = LedgerTree(GitRepository(workshop.root))
    damaged = {image_path("web", version): tree.write(b"{")}
    tree.swap(tree.commit(tree.head(), damaged, "damaged", Signature(BO)), tree.head())
    assert (Ledger(workshop.root).images(), len(Ledger(workshop.root).read().problems)) == ([], 1)
    (place,) = (path.parent for path in workshop.places.images.rglob("*.txt"))
    (place / RUN_NOTE).write_text(run.uid)  # a worker that died before it was taken away
    workshop.end(run, succeeded=False)
    assert workshop.files() == {"file.hello.txt"}
