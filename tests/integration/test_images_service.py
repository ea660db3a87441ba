"""Listing image versions and caches, and deleting them: by name, nothing that is needed, nothing elsewhere."""

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.errors import LedgerError, RefusedError, StoreError
from core.model.channels import ChannelMove
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.role import Build, Role, Syntax, Upstream, UpstreamKind
from core.model.run import Run, RunRequest, RunState, StageState
from core.model.states import Act, StateChange
from core.places import Places
from core.services import cache, catalogue, deleting, disk, images
from core.stages import file_manifest
from core.stages.leftovers import workspace_key
from core.store.index import Index
from core.store.ledger import Ledger
from tests.support.stages import plain_stages

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

ADA = "Ada Moreau <ada@example.org>"


class Shop:
    """A workspace, a home, and images that are on the ledger, in the index and on the disk."""

    def __init__(self, place: Path) -> None:
        self.root = place / "shop"
        self.root.mkdir()
        subprocess.run(("git", "init", "-q"), cwd=self.root, check=True)
        self.places = Places(place / "state")
        self.places.create()
        self.workspace = catalogue.identify(self.root)
        self.ledger = Ledger(self.root)
        self.index = Index(self.places.index)

    def directory(self, role: str, version: str) -> Path:
        return self.places.images / workspace_key(self.workspace) / role / version

    def image(self, role: str, version: str, *, on: str = "", **changes: object) -> ImageVersion:
        place = self.directory(role, version)
        place.mkdir(parents=True)
        file = place / "qemu.web.qcow2"
        file.write_bytes(b"x" * 8192)
        file.chmod(0o400)
        (place / "qemu.web.qcow2.manifest.json").write_text("{}")
        parent, _, parent_version = on.partition(" ")
        made = ImageVersion(
            role=role,
            version=version,
            commit="c" * 40,
            created=time.time(),
            run=f"run-of-{role}-{version}",
            built_by=ADA,
            upstream=UpstreamRecord("role" if on else "file", on or "debian", role=parent, version=parent_version),
            artifacts=(Artifact("qemu.web", "qcow2", str(file), "sha256:1", 8192, host=socket.gethostname()),),
            template=role,
        )
        made = replace(made, **changes)  # pyright: ignore[reportArgumentType] - checked by the dataclass
        self.ledger.register(made, ADA, "")
        self.refresh()
        return made

    def refresh(self) -> None:
        self.index.replace_images(self.workspace.id, self.ledger.images(), self.ledger.head() or "")

    def run(self, role: str, *, on: str = "", state: RunState = RunState.RUNNING) -> Run:
        upstream = Upstream(UpstreamKind.ROLE, role=on) if on else Upstream()
        about = Role(role, role, Syntax.HCL2, builds=(Build("qemu.web", "qemu"),), upstream=upstream)
        request = RunRequest(self.workspace, about, "c" * 40, "HEAD", ("qemu.web",), ADA, time.time())
        run = self.index.add_run(request, plain_stages(("qemu.web",)))
        if state is not RunState.QUEUED:
            self.index.set_run_state(run.uid, RunState.RUNNING)
        if state.ended:
            self.index.set_run_state(run.uid, state)
        self.places.run(run.uid).joinpath("logs").mkdir(parents=True)
        return run

    def chose(self, run: Run, path: str) -> None:
        self.index.update_stage(run.uid, "upstream", state=StageState.SUCCEEDED, result={"path": path})

    def delete(self, role: str, version: str, typed: str | None = None) -> int:
        return deleting.delete(
            self.places, self.root, role, version, typed=f"{role} {version}" if typed is None else typed, who=ADA
        ).disk

    def listed(self, role: str = "") -> dict[str, images.ListedImage]:
        return {
            f"{one.image.role} {one.image.version}": one for one in images.listing(self.places, self.workspace, role)
        }


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return Shop(tmp_path)


def test_images_are_listed_with_what_is_really_there(shop: Shop) -> None:
    base = shop.image("base", "1")
    web = shop.image("web", "2", on="base 1")
    Path(web.artifacts[0].location).unlink()
    listed = shop.listed()
    assert listed["base 1"].on_disk == (base.artifacts[0].location,)
    assert listed["base 1"].children == ("web 2",)
    assert (listed["base 1"].size or 0) >= 8192
    assert (listed["web 2"].on_disk, listed["web 2"].missing) == ((), (web.artifacts[0].location,))
    assert list(shop.listed("web")) == ["web 2"]


def test_what_a_channel_has_is_not_deleted(shop: Shop) -> None:
    web = shop.image("web", "1")
    takes = (ImageState.CANDIDATE,)
    move = ChannelMove("web", "try", "1", web.run, "", ADA, time.time(), takes=takes)
    shop.ledger.decide([move], ADA, "promote")
    assert shop.listed()["web 1"].channels == ("try",)
    with pytest.raises(RefusedError, match="web 1 is what try of web has"):
        shop.delete("web", "1")
    assert Path(web.artifacts[0].location).is_file()


def test_everything_that_needs_an_image_is_told_before_it_is_deleted(shop: Shop) -> None:
    web = shop.image("web", "1")
    shop.image("shop", "1", on="web 1")
    move = ChannelMove("web", "try", "1", web.run, "", ADA, time.time(), takes=(ImageState.CANDIDATE,))
    shop.ledger.decide([move], ADA, "promote")
    needs = shop.run("shop", on="web", state=RunState.QUEUED)
    with pytest.raises(RefusedError) as refused:
        deleting.going(shop.places, shop.root, "web", "1")
    assert refused.value.what == (
        f"web 1 is what shop 1 is built on. web 1 is what try of web has. web 1 is needed by run {needs.id}."
    )
    assert refused.value.next_step.splitlines() == [
        "Delete those first.",
        "Move that first: ingot promote web VERSION try",
        "Wait for the end, or cancel it.",
    ]


def test_the_state_that_counts_is_listed_with_what_makes_it(shop: Shop) -> None:
    base = shop.image("base", "1")
    shop.image("web", "1", on="base 1")
    revoked = StateChange("base", "1", base.run, Act.REVOKED, ADA, time.time(), "no TLS")
    shop.ledger.decide([revoked], ADA, "revoke")
    web = shop.listed("web")["web 1"]
    assert (web.image.state, web.effective.inherited, web.effective.because) == (ImageState.REVOKED, "base 1", revoked)
    (shop.root / ".git" / "refs" / "ingot" / "ledger").write_text("damaged")
    assert set(shop.listed()) == {"base 1", "web 1"}, "the last that is known is still listed"


def test_deleting_frees_the_disk_and_the_ledger_remembers(shop: Shop) -> None:
    shop.image("web", "1")
    assert shop.delete("web", "1") >= 8192
    assert not shop.directory("web", "1").exists()
    assert [found.artifacts for found in shop.ledger.images()] == [()]
    assert shop.ledger.manifest("web", "1").artifacts
    assert shop.ledger.history()[0].what == "remove files of web 1"
    assert shop.listed()["web 1"].image.artifacts == ()
    with pytest.raises(RefusedError, match="no files on this machine"):
        shop.delete("web", "1")


def test_files_at_the_same_path_on_another_machine_are_not_this_ones_to_delete(shop: Shop) -> None:
    web = shop.image("web", "1")
    there = replace(web.artifacts[0], host="elsewhere", digest="sha256:2")
    shop.ledger.add_artifacts(web, [there], ADA)
    assert shop.listed()["web 1"].on_disk == (there.location,)
    shop.delete("web", "1")
    assert shop.ledger.image("web", "1").artifacts == (there,)
    assert shop.listed()["web 1"].missing == ()
    with pytest.raises(RefusedError, match="no files on this machine") as refused:
        shop.delete("web", "1")
    assert "elsewhere" in refused.value.next_step


def beside(image: ImageVersion) -> None:
    """What lies beside a file when a stage made it."""
    artifact = image.artifacts[0]
    file_manifest.write_beside(Path(artifact.location), file_manifest.manifest_of(image, artifact, {}, ""))


def test_the_file_of_a_version_that_lost_its_name_is_not_that_of_the_winner(shop: Shop) -> None:
    file = str(shop.directory("web", "1") / "qemu.web.qcow2")
    theirs = Artifact("qemu.web", "qcow2", file, "sha256:2", 8192, host="elsewhere")
    winner = shop.image("web", "1", artifacts=(theirs,))
    beside(replace(winner, run="ours", artifacts=(replace(theirs, digest="sha256:1", host=socket.gethostname()),)))
    assert (shop.listed()["web 1"].on_disk, shop.listed()["web 1"].missing) == ((), ())
    with pytest.raises(RefusedError, match=r"no files on this machine: what lies in .* is of another image") as refused:
        shop.delete("web", "1")
    assert "elsewhere" in refused.value.next_step
    assert Path(file).is_file()
    assert shop.ledger.image("web", "1").artifacts == (theirs,)


def test_a_machine_that_was_renamed_still_has_its_files(shop: Shop) -> None:
    file = str(shop.directory("web", "1") / "qemu.web.qcow2")
    beside(shop.image("web", "1", artifacts=(Artifact("qemu.web", "qcow2", file, "sha256:1", host="as-it-was"),)))
    assert shop.listed()["web 1"].on_disk == (file,)
    assert shop.delete("web", "1") >= 8192
    assert shop.ledger.image("web", "1").artifacts == ()


@pytest.mark.parametrize("typed", ["", "web", "1", "web 1.2", "WEB 1", "web  1", "y"])
def test_only_the_name_deletes(shop: Shop, typed: str) -> None:
    shop.image("web", "1")
    with pytest.raises(RefusedError, match="web 1"):
        shop.delete("web", "1", typed)
    assert shop.listed()["web 1"].on_disk


def test_what_another_image_is_built_on_stays(shop: Shop) -> None:
    shop.image("base", "1")
    shop.image("web", "2", on="base 1")
    with pytest.raises(RefusedError, match="web 2 is built on"):
        shop.delete("base", "1")
    assert shop.directory("base", "1").is_dir()
    shop.delete("web", "2")
    shop.delete("base", "1")
    assert not shop.directory("base", "1").exists()


def test_what_a_run_needs_stays(shop: Shop) -> None:
    first, second = shop.image("base", "1"), shop.image("base", "2")
    run = shop.run("web", on="base", state=RunState.QUEUED)
    for version in ("1", "2"):
        with pytest.raises(RefusedError, match=f"run {run.id}"):
            shop.delete("base", version)
    shop.index.set_run_state(run.uid, RunState.RUNNING)
    shop.chose(run, second.artifacts[0].location)
    with pytest.raises(RefusedError, match=f"run {run.id}"):
        shop.delete("base", "2")
    shop.delete("base", "1")
    assert not Path(first.artifacts[0].location).exists()
    shop.index.set_run_state(run.uid, RunState.FAILED, "x")
    shop.delete("base", "2")


def test_the_image_of_a_run_that_is_not_over_stays(shop: Shop) -> None:
    run = shop.run("web")
    shop.image("web", "1", run=run.uid)
    with pytest.raises(RefusedError, match=f"run {run.id}"):
        shop.delete("web", "1")


def between(shop: Shop, monkeypatch: pytest.MonkeyPatch, happens: Callable[[], object]) -> None:
    """Let something happen after the ledger was told that files are deleted, and before they are."""
    told = Ledger.remove_artifacts

    def then(*arguments: object, **more: object) -> None:
        told(*arguments, **more)  # pyright: ignore[reportArgumentType] - as they came
        happens()

    monkeypatch.setattr(Ledger, "remove_artifacts", then)


def test_what_came_to_be_needed_while_it_was_deleted_is_on_the_ledger_as_it_was(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    base = shop.image("base", "1")
    (shop.directory("base", "1") / "qemu.web.raw").write_bytes(b"x" * 8192)
    raw = replace(base.artifacts[0], format="raw", location=str(shop.directory("base", "1") / "qemu.web.raw"))
    shop.ledger.add_artifacts(base, [raw], ADA)
    before = shop.ledger.images()
    between(shop, monkeypatch, lambda: shop.run("web", on="base", state=RunState.QUEUED))
    with pytest.raises(RefusedError, match="is needed by run"):
        shop.delete("base", "1")
    assert shop.ledger.images() == before, "the disk that was made first is still the first"
    assert shop.ledger.history()[0].what == "keep files of base 1"
    assert all(Path(artifact.location).is_file() for artifact in before[0].artifacts)


def test_what_somebody_else_deleted_meanwhile_is_not_put_back(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    base = shop.image("base", "1")

    def both() -> None:
        shop.run("web", on="base", state=RunState.QUEUED)
        shutil.rmtree(shop.directory("base", "1"))

    between(shop, monkeypatch, both)
    with pytest.raises(RefusedError, match="is needed by run"):
        shop.delete("base", "1")
    assert not Path(base.artifacts[0].location).exists()
    assert shop.ledger.image("base", "1").artifacts == ()


@pytest.mark.parametrize(
    "location", ["/etc/passwd", "{home}/../elsewhere/file", "{home}/index.sqlite", "eu-central-1:ami-1"]
)
def test_a_manifest_cannot_lead_elsewhere(shop: Shop, tmp_path: Path, location: str) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_text("precious")
    there = location.format(home=shop.places.home)
    shop.image("web", "1", artifacts=(Artifact("q", "qcow2", there, host="build-9"),))
    shutil.rmtree(shop.directory("web", "1"))
    assert shop.listed()["web 1"].on_disk == ()
    with pytest.raises(RefusedError, match=r"no files on this machine"):
        shop.delete("web", "1")
    assert (tmp_path / "elsewhere/file").exists()
    assert shop.ledger.images()[0].artifacts


def test_a_link_in_the_place_of_an_image_is_not_followed(shop: Shop, tmp_path: Path) -> None:
    shop.image("web", "1")
    precious = tmp_path / "precious"
    place = shop.directory("web", "1")
    shutil.move(place, precious)
    place.symlink_to(precious)
    shop.delete("web", "1")
    assert (precious / "qemu.web.qcow2").exists()
    assert not place.exists()
    shop.image("web", "2")
    role = shop.directory("web", "2").parent
    shutil.move(role, tmp_path / "moved")
    role.symlink_to(tmp_path / "moved")
    with pytest.raises(RefusedError, match="is not below"):
        shop.delete("web", "2")
    assert shop.ledger.image("web", "2").artifacts


def test_when_the_ledger_cannot_be_told_nothing_is_deleted(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    shop.image("web", "1")
    monkeypatch.setattr("core.store.ledger_sharing.PATIENCE", 0.2)
    (shop.root / ".git/refs/ingot/ledger.lock").write_text("")
    with pytest.raises(LedgerError):
        shop.delete("web", "1")
    assert shop.listed()["web 1"].on_disk


def test_what_was_left_can_be_deleted_again(shop: Shop) -> None:
    shop.image("web", "1")
    shop.ledger.remove_artifacts(
        "web", "1", [shop.ledger.image("web", "1").artifacts[0].location], ADA, "then it crashed"
    )
    assert shop.delete("web", "1") >= 8192
    assert not shop.directory("web", "1").exists()


def test_files_that_somebody_removed_by_hand_are_taken_off_the_ledger(shop: Shop) -> None:
    shop.image("web", "1")
    shutil.rmtree(shop.directory("web", "1"))
    assert shop.delete("web", "1") == 0
    assert shop.ledger.image("web", "1").artifacts == ()


def test_an_unknown_image_is_said(shop: Shop) -> None:
    with pytest.raises(LedgerError, match="no image web 9"):
        shop.delete("web", "9")


# Caches


def test_caches_are_listed_with_size_and_deleted_by_name(shop: Shop) -> None:
    store = shop.places.cache / "upstreams"
    store.mkdir()
    sha = "a" * 64
    for name in (f"{sha}.iso", f"{sha}.fetched.json", f"{sha}.lock", "archive-1-2.qcow2", "archive-1-2.json"):
        (store / name).write_bytes(b"x" * 5000)
    (shop.places.cache / "packer").mkdir()
    (shop.places.cache / "packer/a.iso").write_bytes(b"x" * 50000)
    listed = {entry.name: entry for entry in cache.listing(shop.places)}
    assert list(listed) == ["packer", f"upstreams/{sha}.iso", "upstreams/archive-1-2.qcow2"]
    assert listed["packer"].size >= 50000
    assert time.time() - 600 < listed["packer"].used <= time.time() + 600
    assert cache.delete(shop.places, f"upstreams/{sha}.iso") >= 10000
    cache.delete(shop.places, "upstreams/archive-1-2.qcow2")
    cache.delete(shop.places, "packer")
    assert [path.name for path in store.iterdir()] == [f"{sha}.lock"]
    assert cache.listing(shop.places) == []


@pytest.mark.parametrize(
    "name", ["../../etc", "/etc/passwd", "", "upstreams", "upstreams/../../index.sqlite", "packr", "runs"]
)
def test_what_is_not_listed_cannot_be_deleted(shop: Shop, name: str) -> None:
    (shop.places.cache / "packer").mkdir()
    with pytest.raises(RefusedError):
        cache.delete(shop.places, name)
    assert shop.places.index.exists()
    assert (shop.places.cache / "packer").is_dir()


def test_upstreams_of_a_run_that_is_not_over_stay(shop: Shop) -> None:
    store = shop.places.cache / "upstreams"
    store.mkdir()
    for name in ("a.iso", "b.iso"):
        (store / name).write_text("x")
    run = shop.run("web")
    assert {entry.name: entry.used_by for entry in cache.listing(shop.places) if entry.name.startswith("up")} == {
        "upstreams/a.iso": f"run {run.id}",
        "upstreams/b.iso": f"run {run.id}",
    }
    shop.chose(run, str(store / "a.iso"))
    with pytest.raises(RefusedError, match=f"used by run {run.id}"):
        cache.delete(shop.places, "upstreams/a.iso")
    cache.delete(shop.places, "upstreams/b.iso")
    assert [path.name for path in store.iterdir()] == ["a.iso"]


def test_what_a_run_left_goes_apart_from_its_logs(shop: Shop) -> None:
    run, living = shop.run("web", state=RunState.FAILED), shop.run("web")
    for one in (run, living):
        directory = shop.places.run(one.uid)
        (directory / "checkout").mkdir()
        (directory / "checkout/file").write_bytes(b"x" * 9000)
        (directory / "logs/build.qemu.web.log").write_text("it failed")
    with pytest.raises(RefusedError, match=f"used by run {living.id}"):
        cache.delete(shop.places, f"runs/{living.id}/work")
    with pytest.raises(RefusedError, match=f"used by run {living.id}"):
        cache.delete(shop.places, f"runs/{living.id}/logs")
    assert cache.delete(shop.places, f"runs/{run.id}/work") >= 9000
    assert shop.places.log(run.uid, "build/qemu.web").read_text() == "it failed"
    cache.delete(shop.places, f"runs/{run.id}/logs")
    assert not any(entry.name.startswith(f"runs/{run.id}/") for entry in cache.listing(shop.places))


def test_what_a_killed_client_was_reading_goes_and_what_one_reads_now_stays(shop: Shop, tmp_path: Path) -> None:
    reading = shop.places.home / "reading"
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("x")
    for name in ("killed", "living"):
        (reading / name / ".git").mkdir(parents=True)
        (reading / name / ".git/pack").write_bytes(b"x" * 9000)
        (reading / name / "link").symlink_to(tmp_path / "precious")
    (reading / "killed/.git").chmod(0o500)
    long_ago = time.time() - cache.READING - 60
    os.utime(reading / "killed", (long_ago, long_ago))
    catalogue.refresh(shop.places, shop.root)
    assert [path.name for path in reading.iterdir()] == ["living"]
    assert (reading / "living/.git/pack").exists()
    assert (tmp_path / "precious/file").exists()


def test_a_link_in_the_cache_is_removed_and_not_followed(shop: Shop, tmp_path: Path) -> None:
    (shop.places.cache / "upstreams").mkdir()
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/file").write_text("x")
    (shop.places.cache / "upstreams/link").symlink_to(tmp_path / "precious")
    (shop.places.cache / "packer").symlink_to(tmp_path / "precious")
    cache.delete(shop.places, "upstreams/link")
    cache.delete(shop.places, "packer")
    assert (tmp_path / "precious/file").exists()


@pytest.mark.skipif(os.getuid() == 0, reason="root may remove anything")
def test_what_cannot_be_removed_says_what_is_left(shop: Shop) -> None:
    place = shop.places.cache / "packer"
    place.mkdir()
    (place / "file").write_text("x")
    shop.places.cache.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="cannot be removed"):
            disk.remove(place, shop.places.home)
    finally:
        shop.places.cache.chmod(0o700)


@pytest.mark.parametrize("path", ["{home}", "{home}/", "{home}/..", "{home}/cache/../..", "/etc", "{home}x/file"])
def test_nothing_outside_the_home_is_ever_removed(shop: Shop, path: str) -> None:
    with pytest.raises(RefusedError):
        disk.remove(Path(path.format(home=shop.places.home)), shop.places.home)
    assert shop.places.index.exists()
