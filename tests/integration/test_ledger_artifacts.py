"""Artifacts that are made of an image version later: recorded, deleted, made again, and by two clones at once."""

import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace
from repository import clones, git, nobodys_settings

from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.store.ledger import Ledger

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

ADA, BO = "Ada Moreau <ada@example.org>", "Bo Lind <bo@example.org>"
DISK = Artifact("qemu.web", "qcow2", "/images/web.qcow2", "sha256:1", 5, host="here")
VHD, OVA = (
    replace(DISK, format=name, location=f"/images/web.{name}", digest=f"sha256:{name}") for name in ("vhd", "ova")
)
WEB = ImageVersion("web", "1", "c" * 40, 1.5, "run-1", ADA, UpstreamRecord("file", "debian"), (DISK,), "web")


@pytest.fixture(autouse=True)
def own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    nobodys_settings(tmp_path / "home", monkeypatch)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    git(tmp_path, "init", "-q", "shop")
    made = Ledger(tmp_path / "shop")
    made.register(WEB, ADA, "")
    return made


def artifacts(ledger: Ledger) -> tuple[Artifact, ...]:
    return ledger.image("web", "1").artifacts


def test_what_was_made_later_is_shown_and_the_registered_image_stays_as_it_is(ledger: Ledger) -> None:
    path = "roles/web/images/1.json"
    before = git(ledger_root(ledger), "rev-parse", f"refs/ingot/ledger:{path}")
    ledger.add_artifacts(WEB, [VHD, OVA], BO, "made by run 7")
    assert artifacts(ledger) == (DISK, VHD, OVA)
    assert ledger.manifest("web", "1").artifacts == (DISK, VHD, OVA)
    (change, *_) = ledger.history()
    assert (change.who, change.what, change.why) == (BO, "add vhd, ova to web 1", "made by run 7")
    assert git(ledger_root(ledger), "rev-parse", f"refs/ingot/ledger:{path}") == before
    assert ledger.read().problems == ()


def ledger_root(ledger: Ledger) -> Path:
    return ledger._tree.repository.root  # pyright: ignore[reportPrivateUsage] - where it is


def test_the_same_again_changes_nothing_and_another_content_counts_from_then(ledger: Ledger) -> None:
    ledger.add_artifacts(WEB, [VHD], ADA)
    head = ledger.head()
    ledger.add_artifacts(WEB, [VHD], ADA)
    assert ledger.head() == head
    again = replace(VHD, digest="sha256:other")
    ledger.add_artifacts(WEB, [again], ADA)
    assert artifacts(ledger) == (DISK, again)
    ledger.add_artifacts(WEB, [], ADA)
    assert ledger.history()[0].what == "add vhd to web 1"


def test_deleted_and_made_again_it_is_there_again(ledger: Ledger) -> None:
    ledger.add_artifacts(WEB, [VHD, OVA], ADA)
    ledger.remove_artifacts("web", "1", [VHD.location], ADA, host="here")
    assert artifacts(ledger) == (DISK, OVA)
    assert VHD in ledger.manifest("web", "1").artifacts, "that it existed stays"
    ledger.add_artifacts(WEB, [VHD], ADA)
    assert set(artifacts(ledger)) == {DISK, VHD, OVA}
    assert ledger.read().removals == ()
    ledger.remove_artifacts("web", "1", [VHD.location], ADA)  # as an older Ingot writes it
    assert artifacts(ledger) == (DISK, OVA)
    again = replace(VHD, digest="sha256:other")
    ledger.add_artifacts(WEB, [again], ADA)
    assert set(artifacts(ledger)) == {DISK, OVA, again}


def test_deleted_on_one_machine_it_is_still_on_the_other(ledger: Ledger) -> None:
    there = replace(VHD, host="there")
    ledger.add_artifacts(WEB, [VHD, there], ADA)
    ledger.remove_artifacts("web", "1", [VHD.location], ADA, host="here")
    assert artifacts(ledger) == (DISK, there)
    ledger.remove_artifacts("web", "1", [VHD.location], BO, host="there")
    assert artifacts(ledger) == (DISK,)


def test_what_was_made_of_a_building_that_lost_its_name_is_not_of_the_winner(ledger: Ledger) -> None:
    ledger.add_artifacts(replace(WEB, run="another"), [VHD], ADA)
    assert artifacts(ledger) == (DISK,)


def test_two_clones_add_and_delete_while_apart_and_both_count(tmp_path: Path) -> None:
    one, two = (Ledger(clone, "origin") for clone in clones(tmp_path))
    one.register(WEB, ADA, "")
    one.add_artifacts(WEB, [VHD], ADA)
    two.fetch()
    assert artifacts(two) == (DISK, VHD)
    raw, there = replace(VHD, format="raw", location="/images/web.raw"), replace(VHD, host="there")
    apart = Ledger(tmp_path / "one"), Ledger(tmp_path / "two")
    apart[0].add_artifacts(WEB, [OVA], ADA)
    apart[0].remove_artifacts("web", "1", [VHD.location], ADA, host="here")
    apart[1].add_artifacts(WEB, [raw, OVA, there], BO)
    assert one.share().lost == ()
    assert two.share().lost == ()
    one.fetch()
    for ledger in (one, two):
        assert set(artifacts(ledger)) == {DISK, OVA, raw, there}
        assert ledger.read().problems == ()
    assert one.head() == two.head()


def test_made_again_in_one_clone_while_the_other_is_apart(tmp_path: Path) -> None:
    one, two = (Ledger(clone, "origin") for clone in clones(tmp_path))
    one.register(WEB, ADA, "")
    one.add_artifacts(WEB, [VHD], ADA)
    one.remove_artifacts("web", "1", [VHD.location], ADA, host="here")
    two.fetch()
    again = replace(VHD, digest="sha256:other")
    Ledger(tmp_path / "one").add_artifacts(WEB, [again], ADA)
    Ledger(tmp_path / "two").add_artifacts(WEB, [OVA], BO)
    two.share()
    one.share()
    two.fetch()
    for ledger in (one, two):
        assert set(artifacts(ledger)) == {DISK, OVA, again}
