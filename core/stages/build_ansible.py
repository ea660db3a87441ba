"""The stage that makes one image without Packer: a machine is booted from the upstream, a playbook runs in it, and what
it leaves is the disk.

The program that does it (core/ansible_tool) runs under a holder as Packer does, its machine below it: a worker that
dies changes nothing, and a pause, a kept machine and its end are the same. Gives what the stage of Packer's gives.
"""

import asyncio
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from core import text
from core.adapters import ansible_prompts, formats, qemu
from core.adapters.formats import Source
from core.adapters.packer_output import OutputReader
from core.ansible_tool.plan import VARIABLES, Ended
from core.errors import ToolError
from core.hold import Held
from core.holding import Exit
from core.model.machine import Login, Machine
from core.model.pause import Pause, PauseKind
from core.model.tasks import HostTask, Task
from core.stages import built, file_manifest, space
from core.stages.artifacts import Made
from core.stages.built import Built
from core.stages.convert import run_qemu_img
from core.stages.pace import Pace
from core.stages.paused import end_by_pause
from core.stages.playbook import Playbook, prepare
from core.stages.stage import StageJob
from core.stages.work import in_thread
from core.store import tasks

_NAMED = 5
"""Tasks that a sentence names."""


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Raises ToolError with what went wrong in one sentence when the playbook, or the machine, fails."""
    done = await built.once(job, _build)
    # Not before the note of `once` is written: of this the disk is made.
    await asyncio.to_thread(shutil.rmtree, _guest(job), ignore_errors=True)
    return done


def _guest(job: StageJob) -> Path:
    """Of the machine: its overlay, which is the disk of what was built, and its console."""
    return job.directory / "output" / job.stage.build / "machine"


async def _build(job: StageJob) -> Built:
    prepared = await prepare(job, job.stage.build)
    await space.for_build(job, prepared.build, prepared.role.name)
    build = _Watched(job, prepared)
    plan = await prepared.plan(job, asks=bool(build.rules))
    job.progress("booting the machine")
    ended = await job.tool(
        "ansible",
        [sys.executable, "-P", "-m", "core.ansible_tool", str(plan)],
        cwd=prepared.checkout,
        environment={**prepared.environment, VARIABLES: prepared.variables},
        on_line=build.look,
        prompts=build.rules,
        prompt_limit=job.run.request.pausing.limit,
        on_held=build.held,
        events=True,
    )
    if ended.code != Ended.GOOD:
        raise end_by_pause(job, ended) or _failure(job, prepared, ended, build.last_error)
    disk = prepared.output / f"{prepared.role.name}.qcow2"
    if not disk.exists():
        await _take(job, disk)
    if not job.pauses():  # how long a person took to answer is no measure
        await in_thread(build.pace.keep)
    seconds = ended.ended - ended.started
    job.say(f"Built in {text.duration(seconds)}: {disk.name}.")
    return Built([Made("qcow2", path=str(disk))], seconds, build.reader.tasks)


async def _take(job: StageJob, disk: Path) -> None:
    """Have what the machine left as one whole disk; until it is that it has another name.

    That qemu-img ended well is on record for good, so what it wrote is, too: after a power cut the disk is found whole.
    Raises ToolError, SpaceError.
    """
    part = disk.with_name(f".{disk.name}.part")
    overlay = Source(_guest(job) / "overlay.qcow2", "qcow2")
    await qemu.check(overlay.path, overlay.of_qemu)
    argv = formats.convert(overlay, part, "qcow2", (), lasting=True)
    await run_qemu_img(job, "qemu-img", argv, f"taking {disk.name}", part)
    if not part.exists():
        # An attempt before this took it away as the room ran out, and died before it said so.
        job.say(f"{disk.name} was written before the interruption, and is gone: once more.")
        await run_qemu_img(job, "qemu-img-again", argv, f"taking {disk.name}", part)
    part.rename(disk)
    await asyncio.to_thread(file_manifest.flush, disk.parent)


class _Watched:
    """What the program says, understood as it comes."""

    def __init__(self, job: StageJob, prepared: Playbook) -> None:
        self._job = job
        self._prepared = prepared
        self.reader = OutputReader()
        self.pace = Pace.of(job, prepared.build.name)
        self.rules = ansible_prompts.rules(job.run.request.pausing)
        self.last_error = ""
        self._connected = False

    def look(self, line: str) -> None:
        # What the playbook prints is indented by the program: nothing in the machine can say these.
        if found := ansible_prompts.read_machine(line):
            self._job.save_machine(replace(self._machine(*found), connected=self._connected))
        elif ansible_prompts.is_connected(line):
            self._connected = True
            if (machine := self._job.machine()) is not None:
                self._job.save_machine(replace(machine, connected=True))
        begin = f"==> {self._prepared.build.name}: Error: "
        if line.startswith(begin):
            self.last_error = line.removeprefix(begin).strip()
        if step := self.reader.feed(line):
            self._job.progress(step.text, self.pace.reached(step.marker))

    def _machine(self, pid: int, port: int) -> Machine:
        prepared = self._prepared
        record = self._job.result("upstream").get("record")
        image = str(record.get("description") or "") if isinstance(record, dict) else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]
        return Machine(
            run_uid=self._job.run.uid,
            stage_key=self._job.stage.key,
            build=prepared.build.name,
            kind="qemu",
            host="127.0.0.1",
            port=port,
            login=Login(user=prepared.settings.user, key_files=(str(prepared.key_file),)),
            known_hosts=str(prepared.known_hosts),
            pid=pid,
            console=str(prepared.output / "machine" / "console.log"),
            image=image,
        )

    async def held(self, held: Held) -> Pause:
        """A task failed: which, where, and why."""
        task = ansible_prompts.failed_task(held.text)
        found = await asyncio.to_thread(_failed, self._job)
        return Pause(
            run_uid=self._job.run.uid,
            stage_key=self._job.stage.key,
            number=held.number,
            kind=PauseKind.TASK,
            step=task,
            why=_in_a_sentence(*found) if found else "The playbook failed.",  # of what is kept: without secrets
            since=held.since,
            until=None,
        )


def _failed(job: StageJob) -> tuple[Task, HostTask] | None:
    return tasks.read(job.places.tasks(job.run.uid, job.stage.key)).failed


def _in_a_sentence(task: Task, on: HostTask) -> str:
    lines = [line for line in on.message.splitlines() if line.strip()]
    # A module that ran a program says first only that it failed, and what the program said after it.
    telling = lines[1] if len(lines) > 1 and lines[0].startswith("non-zero return code") else next(iter(lines), "")
    why = f": {telling.strip().rstrip('.')}" if telling else " failed"
    status = f", exit status {on.code}" if on.code else ""
    return f"TASK [{task.title}]{why} ({task.path}){status}."


def _failure(job: StageJob, prepared: Playbook, ended: Exit, error: str) -> ToolError:
    name = prepared.build.name
    table = tasks.read(job.places.tasks(job.run.uid, job.stage.key))
    if ended.code == Ended.CHANGES and table.last is not None and not table.failed:
        changed = table.last.changes
        named = ", ".join(f"{task.title} ({task.path})" for task in changed[:_NAMED]) or "the log has them"
        more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
        return ToolError(
            f"{name}: {prepared.settings.playbook} is not idempotent, tasks changed something when it was run a second "
            f"time: {named}{more}.",
            "Make these tasks find out what is there already (changed_when, creates), or set idempotent = false.",
        )
    next_step = "Look at the first error in the log, mend it, commit, and build again."
    if ended.code in (Ended.FAILED, Ended.CHANGES) and table.failed is not None:
        return ToolError(f"{name}: {_in_a_sentence(*table.failed)}", next_step)
    if ended.signal:
        return ToolError(f"{name}: the build was ended by signal {ended.signal}.", next_step)
    if ended.code == Ended.MACHINE:
        return ToolError(
            f"{name}: {(error or 'the machine failed').rstrip('.')}.",
            "The log, and the machine's console in it, tell more. Then build again.",
        )
    return ToolError(f"{name}: the playbook failed before any of its tasks.", next_step)
