"""What died runs left is listed and swept: all of it, and nothing that anybody needs."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from forged import forge_good
from msgspec.structs import replace

from core.cli import main
from core.living import HOLDER_MARK, RUN_MARK, Identity, boot
from core.model.machine import Machine, MachineState
from core.model.run import Run, RunState
from core.services import cache, disk, sweeping
from core.stages.convert import lock_of, run_note
from core.stages.environment import tmp_name
from core.stages.leftovers import RUN_NOTE
from core.store.ledger_tree import REF
from tests.integration.test_images_service import ADA, Shop

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    made = Shop(tmp_path)
    made.index.remember_workspace(made.workspace)
    yield made
    made.index.close()
    shutil.rmtree(made.places.runtime, ignore_errors=True)


def listed(shop: Shop) -> dict[str, sweeping.Leftover]:
    return {one.name: one for one in sweeping.listing(shop.places)}


def aged(path: Path, seconds: float) -> None:
    os.utime(path, (time.time() - seconds, time.time() - seconds))


def fill(shop: Shop, run: Run, *names: str) -> None:
    for name in names:
        place = shop.places.run(run.uid) / name / "qemu.web"
        place.mkdir(parents=True)
        (place / "disk.qcow2").write_bytes(b"x" * 20_000)
        (place / "disk.qcow2").chmod(0o400)


def test_what_a_run_that_died_left_is_listed_with_size_and_reason_and_goes(shop: Shop) -> None:
    lost, failed = shop.run("web", state=RunState.LOST), shop.run("api", state=RunState.FAILED)
    fill(shop, lost, *sweeping.WORKING, "checkout", "results")
    fill(shop, failed, "convert", "checkout")
    (shop.places.runtime / tmp_name(lost.uid)).mkdir()
    found = listed(shop)
    assert set(found) == {f"runs/{lost.id}/{name}" for name in sweeping.WORKING} | {
        f"runs/{failed.id}/convert",
        f"tmp/{lost.id}",
    }
    one = found[f"runs/{lost.id}/test"]
    assert one.what == f"disks and consoles of test machines of run {lost.id} (web), which was lost"
    assert one.size >= 20_000
    done = sweeping.remove(shop.places, list(found))
    assert all(result.error is None for result in done)
    assert sum(result.freed for result in done) >= 20_000 * (len(sweeping.WORKING) + 1)
    assert listed(shop) == {}
    left = {path.name for path in shop.places.run(lost.uid).iterdir()}
    assert left == {"logs", "checkout", "results"}, "what tells what happened stays"


def test_nothing_of_a_living_run_or_a_kept_machine_is_listed(shop: Shop) -> None:
    running, queued, kept = shop.run("web"), shop.run("api", state=RunState.QUEUED), shop.run("db")
    shop.index.save_machine(Machine(kept.uid, "test/qemu.web", "qemu.web", "qemu", state=MachineState.KEPT))
    shop.index.set_run_state(kept.uid, RunState.FAILED, "x")
    for run in (running, queued, kept):
        fill(shop, run, *sweeping.WORKING)
        (shop.places.runtime / tmp_name(run.uid)).mkdir()
    assert listed(shop) == {}
    (refused,) = sweeping.remove(shop.places, [f"runs/{running.id}/output"])
    assert "Nothing that is left is called" in str(refused.error)
    shop.index.set_run_state(running.uid, RunState.FAILED, "x")
    assert f"runs/{running.id}/output" in listed(shop)


def test_a_directory_of_no_run_on_record_is_left_unless_it_is_new(shop: Shop) -> None:
    for name in ("0000old", "0000new"):
        (shop.places.home / "runs" / name / "output").mkdir(parents=True)
    aged(shop.places.home / "runs/0000old", 7200)
    assert set(listed(shop)) == {"runs/0000old"}
    sweeping.remove(shop.places, ["runs/0000old"])
    assert [path.name for path in (shop.places.home / "runs").iterdir()] == ["0000new"]


def test_processes_of_an_ended_run_are_ended_and_before_that_its_files_stay(shop: Shop) -> None:
    lost, running = shop.run("web", state=RunState.LOST), shop.run("api")
    fill(shop, lost, "output")
    started = [
        subprocess.Popen(
            ("sleep", "600"), env={"PATH": os.environ["PATH"], RUN_MARK: run.uid, HOLDER_MARK: f"{boot()}:4194303:1"}
        )
        for run in (lost, running)
    ]
    try:
        found = listed(shop)
        assert list(found) == [f"processes/{lost.id}"], "what it has open is not taken away under it"
        assert found[f"processes/{lost.id}"].what == f"sleep ({started[0].pid}), of run {lost.id} (web), which was lost"
        sweeping.remove(shop.places, [f"processes/{lost.id}"])
        assert started[0].wait(60) != 0
        assert started[1].poll() is None
        assert set(listed(shop)) == {f"runs/{lost.id}/output"}
    finally:
        for process in started:
            process.kill()
            process.wait()


def test_what_never_came_to_the_ledger_is_left_and_what_did_is_not(shop: Shop) -> None:
    lost = shop.run("web", state=RunState.LOST)
    # The workspace of a run is where its ledger is.
    known, unknown = shop.image("web", "1"), shop.directory("web", "2")
    unknown.mkdir(parents=True)
    (unknown / "qemu.web.qcow2").write_bytes(b"x" * 9000)
    for place in (shop.directory("web", "1"), unknown):
        (place / RUN_NOTE).write_text(lost.uid)
    file = shop.directory("web", "1") / "qemu.web.vhd"
    also = shop.directory("web", "1") / "qemu.web.raw"
    for path in (file, also):
        path.write_bytes(b"x" * 9000)
        run_note(path).write_text(lost.uid)
    shop.ledger.add_artifacts(known, [replace(known.artifacts[0], format="raw", location=str(also))], ADA)
    relative = str(unknown.relative_to(shop.places.images))
    found = listed(shop)
    assert set(found) == {f"images/{relative}", f"formats/{file.relative_to(shop.places.images)}"}
    assert all(one.size >= 9000 for one in found.values())
    assert all(result.error is None for result in sweeping.remove(shop.places, list(found)))
    assert (unknown.exists(), file.exists(), run_note(file).exists(), also.exists()) == (False, False, False, True)
    assert Path(known.artifacts[0].location).is_file()


def test_where_the_ledger_cannot_be_read_no_image_counts_as_left(shop: Shop) -> None:
    lost, place = shop.run("web", state=RunState.LOST), shop.directory("web", "2")
    shop.image("web", "1")
    place.mkdir(parents=True)
    (place / RUN_NOTE).write_text(lost.uid)
    assert len(listed(shop)) == 1
    (shop.root / ".git" / "refs" / "ingot" / "ledger").write_text("damaged")
    assert listed(shop) == {}


def test_a_decision_against_the_rules_hides_nothing_that_is_left_and_is_named(
    shop: Shop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, place = shop.run("web", state=RunState.LOST), shop.directory("web", "2")
    forge_good(shop.root, "web", "1", shop.image("web", "1").run)
    place.mkdir(parents=True)
    (place / RUN_NOTE).write_text(lost.uid)
    monkeypatch.setenv("INGOT_HOME", str(shop.places.home))
    assert main(("-C", str(shop.root), "sweep", "--dry-run")) == 0
    said = capsys.readouterr()
    assert f"images/{place.relative_to(shop.places.images)}" in said.out
    assert "web 1 was good by Bo Lind" in said.err
    assert "against the rules: it does not count" in said.err


def test_an_upstream_that_was_cut_off_and_a_commit_that_was_being_read_are_left(shop: Shop) -> None:
    upstreams, reading = shop.places.cache / "upstreams", shop.places.home / "reading"
    for directory in (upstreams, reading / "old", reading / "new"):
        directory.mkdir(parents=True)
    (upstreams / "abc.qcow2").write_bytes(b"x" * 9000)
    (upstreams / "def.qcow2.part").write_bytes(b"x" * 9000)
    aged(reading / "old", cache.READING + 60)
    assert set(listed(shop)) == {"cache/upstreams/def.qcow2.part", "reading/old"}
    run = shop.run("web")
    assert set(listed(shop)) == {"reading/old"}, "the run may be fetching it"
    shop.chose(run, str(upstreams / "abc.qcow2"))
    assert sweeping.remove(shop.places, ["cache/upstreams/def.qcow2.part"])[0].freed >= 9000
    assert (upstreams / "abc.qcow2").exists()


def test_a_lock_that_a_dead_git_left_on_the_ledger_goes_when_it_is_old(shop: Shop) -> None:
    shop.image("web", "1")
    lock = shop.root / ".git" / f"{REF}.lock"
    lock.touch()
    assert listed(shop) == {}
    aged(lock, 7200)
    assert set(listed(shop)) == {f"ledger-lock/{shop.workspace.name}"}
    sweeping.remove(shop.places, list(listed(shop)))
    assert not lock.exists()


@pytest.mark.parametrize("recorded", [False, True])
def test_a_format_that_a_run_takes_over_after_the_look_stays(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, recorded: bool
) -> None:
    lost, next_one = shop.run("web", state=RunState.LOST), shop.run("web")
    shop.image("web", "1")
    file = shop.directory("web", "1") / "qemu.web.vhd"
    file.write_bytes(b"x" * 9000)
    run_note(file).write_text(lost.uid)
    (found,) = sweeping.listing(shop.places)

    def as_it_was(*_: object) -> list[sweeping.Leftover]:
        return [found]

    if recorded:
        run_note(file).unlink()
    else:
        run_note(file).write_text(next_one.uid)
    monkeypatch.setattr(sweeping, "listing", as_it_was)
    (done,) = sweeping.remove(shop.places, [found.name])
    assert "was taken over by" in str(done.error)
    assert file.is_file()


@pytest.fixture
def looked(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Looks now, and gives the names; what is swept after that is what was seen then."""

    def look() -> list[str]:
        found = sweeping.listing(shop.places)

        def as_it_was(*_: object) -> list[sweeping.Leftover]:
            return found

        monkeypatch.setattr(sweeping, "listing", as_it_was)
        return [one.name for one in found]

    return look


def errors(shop: Shop, names: list[str]) -> list[str]:
    return [str(done.error or "") for done in sweeping.remove(shop.places, names)]


def test_a_machine_that_is_kept_while_somebody_looks_is_no_leftover(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shop.run("web")
    fill(shop, run, "output", "keys")
    living = sweeping._living  # pyright: ignore[reportPrivateUsage]
    sleeping = subprocess.Popen(("sleep", "600"), env={"PATH": os.environ["PATH"], RUN_MARK: run.uid})

    def meanwhile() -> dict[str, list[Identity]]:
        found = living()
        shop.index.save_machine(Machine(run.uid, "test/qemu.web", "qemu.web", "qemu", state=MachineState.KEPT))
        shop.index.set_run_state(run.uid, RunState.FAILED, "x")
        return found

    try:
        monkeypatch.setattr(sweeping, "_living", meanwhile)
        assert listed(shop) == {}
    finally:
        sleeping.kill()
        sleeping.wait()


def test_what_somebody_needs_after_the_look_stays(shop: Shop, looked: Callable[[], list[str]]) -> None:
    lost = shop.run("web", state=RunState.LOST)
    shop.image("web", "1")
    fill(shop, lost, "output")
    lock = shop.root / ".git" / f"{REF}.lock"
    lock.touch()
    aged(lock, 7200)
    names = looked()
    assert len(names) == 2
    shop.index.save_machine(Machine(lost.uid, "test/qemu.web", "qemu.web", "qemu", state=MachineState.KEPT))
    lock.unlink()
    lock.touch()  # of a Git that is at work now
    assert all("was taken over by somebody" in error for error in errors(shop, names))
    assert (shop.places.run(lost.uid) / "output").is_dir()
    assert lock.exists()


def test_what_goes_by_itself_after_the_look_is_no_error(shop: Shop, looked: Callable[[], list[str]]) -> None:
    gone, left = shop.run("web", state=RunState.LOST), shop.run("api", state=RunState.LOST)
    for run in (gone, left):
        fill(shop, run, "output")
    names = looked()
    shutil.rmtree(shop.places.run(gone.uid) / "output")
    assert errors(shop, names) == ["", ""]
    assert not (shop.places.run(left.uid) / "output").exists()
    assert sum("Nothing that is left" in error for error in errors(shop, [*names, "runs/99/output"])) == 1


@pytest.mark.parametrize("kind", ["format", "download", "disk of an archive"])
def test_what_a_run_is_at_work_on_stays(shop: Shop, kind: str) -> None:
    """It holds its lock; what the index says of it may be older."""
    upstreams = shop.places.cache / "upstreams"
    upstreams.mkdir(parents=True)
    shop.image("web", "1")
    if kind == "format":
        file = shop.directory("web", "1") / "qemu.web.vhd"
        run_note(file).write_text(shop.run("web", state=RunState.LOST).uid)
        lock = lock_of(shop.places, file.parent)
        lock.parent.mkdir(parents=True, exist_ok=True)
    elif kind == "download":
        file, lock = upstreams / ".0abc.part", upstreams / "0abc.lock"
    else:
        file, lock = upstreams / ".archive-0abc.qcow2.making", upstreams / "archive-0abc.lock"
    file.write_bytes(b"x" * 9000)
    names = list(listed(shop))
    assert len(names) == 1
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (error,) = errors(shop, names)
        assert f"A run may be at work on {file.name} now" in error
        assert file.exists()
    assert errors(shop, names) == [""]
    assert not file.exists()


def test_two_may_remove_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "home" / "runs" / "0abc" / "output"
    (place / "qemu.web").mkdir(parents=True)
    (place / "qemu.web" / "disk.qcow2").write_bytes(b"x")
    walk = os.walk

    def meanwhile(top: Path) -> list[tuple[str, list[str], list[str]]]:
        found = list(walk(top))
        shutil.rmtree(place)
        return found

    monkeypatch.setattr(disk.os, "walk", meanwhile)
    disk.remove(place, tmp_path / "home")
    assert not place.exists()
