"""The last minute of a build by Ansible: what its machine left becomes one whole disk, however often the worker dies.
The stage is the real one, and so is qemu-img; only the machine is a file that a script writes."""

import asyncio
import os
import shutil
import signal
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
import pytest
from leaving_worker import worker_leaves
from workshop import Workshop, role

from core import process, text
from core.adapters import qemu, ssh_keys
from core.engine.holds import tool_directory
from core.engine.job import Job
from core.errors import SpaceError, ToolError
from core.hold import Exit
from core.holding import Hold
from core.model.ansible_build import KIND, AnsibleBuild
from core.model.role import Build, Role, Syntax
from core.model.run import Run, StageState
from core.stages import build, build_ansible
from core.stages.artifacts import Made
from core.stages.convert import run_qemu_img
from tests.support.leaking_disk import damage

pytestmark = [
    pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")
    for program in ("qemu-img", "qemu-io", "ssh-keygen")
]
BUILD = "ansible.web"
KEY = f"build/{BUILD}"
WEB = role(
    "web", "site.yml", BUILD, syntax=Syntax.ANSIBLE, builds=(Build(BUILD, KIND),), ansible=AnsibleBuild("site.yml")
)


class Killed(BaseException):
    """Stands for the end of the worker: nothing catches it."""


class WithoutMachine(Job):
    """The playbook went well: an overlay lies where the machine was. Dies after `lives` things that it says or did."""

    lives = 1_000_000

    async def tool(self, name: str, argv: object, **more: object) -> Exit:
        if name == "ansible":
            guest, upstream = self.directory / "output" / BUILD / "machine", self.result("upstream")["path"]
            script = (
                f"mkdir {guest} && cd {guest} && qemu-img create -q -f qcow2 -b {upstream} -F qcow2 overlay.qcow2"
                " && qemu-io -c 'write -P 7 1M 64k' overlay.qcow2"
            )
            argv = ["sh", "-c", script]
        ended = await super().tool(name, argv, **more)  # pyright: ignore[reportArgumentType] - as they came
        self._around.memory.forget(self.run.uid)  # as a new worker has: what comes after the playbook needs no secret
        self._live()
        return ended

    def say(self, line: str) -> None:
        self._live()
        super().say(line)

    def progress(self, text: str, fraction: float | None = None) -> None:
        if not text.startswith("taking"):  # shown beside the tool: its end is no death of the worker
            self._live()
        super().progress(text, fraction)

    def _live(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise Killed


class Site(Workshop):
    """A run that has come to its build; `begun` has a line for each time that a disk was begun to be written, which
    ends only when `gate` is there: with what that says, if anything, in the middle."""

    def __init__(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        super().__init__(place)
        self.begun, self.asked, self.gate = place / "begun", place / "asked", place / "gate"
        programs = place / "bin"
        programs.mkdir()
        (programs / "qemu-img").write_text(
            f'#!/bin/sh\nif [ "$1" = convert ]; then echo x >> {self.begun}; echo "$@" > {self.asked}\n'
            f"until [ -e {self.gate} ]; do sleep 0.05; done\n"
            f"[ ! -s {self.gate} ] || {{ for last; do :; done; echo half > $last; cat {self.gate}; exit 1; }}; fi\n"
            f'exec {shutil.which("qemu-img")} "$@"\n'
        )
        (programs / "qemu-img").chmod(0o755)
        monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
        self.commit({"site.yml": "- hosts: all\n"})

    async def run(self, of: Role = WEB, secrets: Mapping[str, str] | None = None) -> Run:
        run = self.new_run(of, secrets=secrets)
        await self.until(run, "checkout")
        upstream = self.places.home / "upstream.qcow2"
        await process.run(["qemu-img", "create", "-q", "-f", "qcow2", str(upstream), "8M"], check=True)
        result: dict[str, object] = {"path": str(upstream), "size": 1, "record": None}
        self.index.update_stage(run.uid, "upstream", state=StageState.SUCCEEDED, result=result)
        return run

    async def attempt(self, run: Run, lives: int = 1_000_000) -> dict[str, object]:
        stage = self.again(run).stage(KEY)
        assert stage is not None
        self.index.update_stage(run.uid, KEY, state=StageState.RUNNING)
        job = WithoutMachine(self.around, self.again(run), stage)
        job.lives = lives
        try:
            return dict(await asyncio.wait_for(build.carry_out(job), 120))
        finally:
            job.close()

    def tool(self, run: Run) -> Path:
        return tool_directory(self.places, run.uid, KEY, "qemu-img")

    def output(self, run: Run) -> Path:
        return self.places.run(run.uid) / "output" / BUILD


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    made = Site(tmp_path, monkeypatch)
    yield made
    made.close()


async def whole(site: Site, run: Run) -> None:
    """The disk is there, alone, and has what was written in the machine."""
    (disk,) = site.output(run).iterdir()
    assert disk.name == "web.qcow2"
    (site.places.home / "upstream.qcow2").unlink()
    read = await process.run(["qemu-io", "-r", "-c", "read -P 7 1M 64k", str(disk)])
    assert read.code == 0, read
    assert b"failed" not in read.out


async def until_it_is_written(site: Site, attempt: "asyncio.Task[dict[str, object]]", times: int = 1) -> None:
    async with asyncio.timeout(60):
        while not site.begun.exists() or site.begun.read_text() != "x\n" * times:
            assert not attempt.done(), attempt.result()
            await asyncio.sleep(0.05)


async def test_a_worker_that_leaves_while_the_disk_is_written_finds_that_again(site: Site) -> None:
    run = await site.run()
    first = asyncio.create_task(site.attempt(run))
    await until_it_is_written(site, first)
    await worker_leaves(site.around, first)
    second = asyncio.create_task(site.attempt(run))
    await asyncio.sleep(1.0)
    site.gate.touch()
    await second
    assert site.begun.read_text() == "x\n", "it went on by itself, and was not begun again"
    await whole(site, run)


async def test_a_worker_that_dies_anywhere_in_the_build_ends_in_one_whole_disk(site: Site) -> None:
    site.gate.touch()
    run = await site.run(secrets={"INGOT_VAR_password": "sesame-4711-0815"})
    deaths = 0
    for lives in range(100):
        try:
            result = await site.attempt(run, lives)
        except Killed:
            deaths += 1
            continue
        break
    else:
        raise AssertionError("it never ends")
    assert deaths >= 4, "it died several times before"
    (made,) = msgspec.convert(result["made"], list[Made])
    assert made == Made("qcow2", path=str(site.output(run) / "web.qcow2"))
    assert site.begun.read_text() == "x\n"
    await whole(site, run)


async def test_what_the_machine_left_goes_when_the_disk_is_noted_and_not_before(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.gate.touch()
    run = await site.run()

    def killed(*_: object, **__: object) -> None:
        raise Killed

    note = site.places.run(run.uid) / "results" / f"{BUILD}.json"
    # At the first thing after the disk is whole, and at the first after the note.
    for module, name, noted in ((text, "duration", False), (ssh_keys, "remove", True)):
        with monkeypatch.context() as patched:
            patched.setattr(module, name, killed)
            with pytest.raises(Killed):
                await site.attempt(run)
        assert note.exists() == noted
        assert (site.output(run) / "machine" / "overlay.qcow2").exists()
    await site.attempt(run)
    await whole(site, run)


async def test_a_disk_that_was_written_and_is_gone_is_written_again(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.gate.touch()
    run = await site.run()

    async def killed_behind_it(*arguments: object) -> None:
        await run_qemu_img(*arguments)  # pyright: ignore[reportArgumentType] - as they came
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(build_ansible, "run_qemu_img", killed_behind_it)
        with pytest.raises(Killed):
            await site.attempt(run)
    (part,) = site.output(run).glob(".*.part")
    part.unlink()
    await site.attempt(run)
    assert site.begun.read_text() == "x\nx\n"
    await whole(site, run)


async def test_the_disk_is_safe_before_it_is_on_record_that_it_was_written(site: Site) -> None:
    """No power is cut here: what is asked of qemu-img is all that can be seen of it."""
    site.gate.touch()
    await site.attempt(await site.run())
    assert "-t writeback" in site.asked.read_text()


async def test_of_a_machine_whose_disk_is_damaged_none_is_taken(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    site.gate.touch()
    run = await site.run()
    check = qemu.check

    async def damaged_first(disk: Path, disk_format: str) -> bool:
        damage(disk)
        return await check(disk, disk_format)

    monkeypatch.setattr(qemu, "check", damaged_first)
    with pytest.raises(ToolError, match=r"overlay\.qcow2 is damaged"):
        await site.attempt(run)
    assert not site.begun.exists()


async def test_when_the_holder_that_writes_the_disk_is_killed_only_that_is_done_again(site: Site) -> None:
    run = await site.run()
    attempt = asyncio.create_task(site.attempt(run))
    await until_it_is_written(site, attempt)
    hold = await Hold.adopt(site.tool(run))
    assert hold is not None
    os.kill(hold.pid, signal.SIGKILL)
    await until_it_is_written(site, attempt, times=2)
    site.gate.touch()
    await attempt
    await whole(site, run)


async def test_a_disk_that_fills_while_the_image_is_written_is_called_full_and_nothing_half_is_left(site: Site) -> None:
    site.gate.write_text("qemu-img: error while writing at byte 5: No space left on device\n")
    run = await site.run()
    with pytest.raises(SpaceError, match="is full: error while writing at byte 5: No space left on device") as raised:
        await site.attempt(run)
    assert raised.value.next_step == "Make room (ingot sweep, ingot cache, ingot prune), then build again."
    assert {path.name for path in site.output(run).iterdir()} == {"machine"}
