"""What happens around a stage: cancels, full disks, secrets in what a tool complains of, races with other processes."""

import asyncio
import errno
import os
import resource
import signal
import threading
import time
from pathlib import Path

import pytest
from patience import PATIENCE, until
from synced import synced_names
from workshop import FILE_TEMPLATE, Workshop, role

from core import process
from core.engine.dispatcher import Dispatcher
from core.engine.execution import Execution, Pipeline
from core.engine.holds import end_tool, holds_of, tool_directory
from core.engine.job import Job, LostError
from core.engine.slots import Slots
from core.errors import NoRoomError, ToolError
from core.holding import Hold, ToolSpec
from core.model.machine import Machine, MachineState
from core.model.run import Run, RunState, StageState
from core.stages import built, checkout, evidence
from core.stages.artifacts import Made
from core.stages.pace import Pace
from core.stages.stage import StageJob
from core.stages.work import in_thread
from core.store.index import Index

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def run(workshop: Workshop) -> Run:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    return workshop.new_run(role())


def job_of(workshop: Workshop, run: Run, key: str) -> Job:
    stage = run.stage(key)
    assert stage is not None
    workshop.index.update_stage(run.uid, key, state=StageState.RUNNING)
    return Job(workshop.around, run, stage)


class CancelledMeanwhile(Index):
    """Somebody in another process cancels each run right after it was looked at."""

    def runs(
        self, workspace_id: str | None = None, *, active_only: bool = False, limit: int | None = None
    ) -> list[Run]:
        found = super().runs(workspace_id, active_only=active_only, limit=limit)
        for run in found:
            self.ask_cancel(run.uid, "Bob")
        return found


async def test_a_run_that_is_cancelled_in_the_moment_it_begins_keeps_no_slot(workshop: Workshop, run: Run) -> None:
    workshop.index.set_run_state(run.uid, RunState.FAILED)
    index = CancelledMeanwhile(workshop.places.index)
    queued = [index.add_run(run.request, ("checkout",)) for _ in range(2)]
    slots, begun = Slots(2), list[Run]()
    execution = Execution(workshop.around, Pipeline({}, lambda _run, _succeeded: None), lambda: None)
    Dispatcher(index, slots, execution, begun.append).look()
    assert [workshop.again(one).state for one in queued] == [RunState.CANCELLED] * 2
    assert (slots.free, begun) == (2, [])
    index.close()


async def test_a_machine_that_cannot_be_noted_as_kept_is_ended_with_its_stage(
    workshop: Workshop, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Machine) -> None:
        raise NoRoomError("The index cannot be written: the disk is full.")

    job = job_of(workshop, run, "checkout")
    script = "echo ready; exec sleep 1000"
    tool = asyncio.create_task(
        job.tool("sh", ["sh", "-c", script], cwd=workshop.root, environment=process.environment())
    )
    await until(lambda: "ready" in workshop.log(run, "checkout"), "the tool runs")
    with monkeypatch.context() as patch:
        patch.setattr(workshop.index, "save_machine", full)
        with pytest.raises(NoRoomError):
            await job.let_go("sh", Machine(run.uid, "checkout", "qemu.web", "qemu"), 600.0, "a test")
    tool.cancel()
    await asyncio.wait({tool})
    left = await holds_of(workshop.places, run.uid)
    for hold in left:
        await end_tool(hold)
    job.close()
    assert left == []


async def test_a_cancelled_stage_ends_after_its_thread(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        go_on.wait(PATIENCE)
        (tmp_path / "made").touch()

    stage = asyncio.create_task(in_thread(work))
    await until(begun.is_set, "its thread has begun")
    stage.cancel()
    await asyncio.sleep(0.05)
    assert not stage.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await stage
    assert (tmp_path / "made").exists()


async def test_a_run_that_is_cancelled_while_it_reserves_gives_the_version_back(workshop: Workshop, run: Run) -> None:
    """Wherever in the stage the cancel comes."""
    for number in range(6):
        run = workshop.new_run(role())
        job = job_of(workshop, run, "checkout")
        stage = asyncio.ensure_future(checkout.carry_out(job))
        await asyncio.wait({stage}, timeout=0.05 * number)
        stage.cancel()
        await asyncio.wait({stage})
        job.close()
        workshop.end(run, succeeded=False)
        assert workshop.ledger.read().reservations == ()


async def test_progress_that_cannot_be_written_ends_nothing(workshop: Workshop, run: Run) -> None:
    job = job_of(workshop, run, "checkout")
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
    try:
        job.progress("doing it")
        job.say("a line that waits")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)
    job.say("and the next")
    job.close()
    job.say("too late")
    assert workshop.log(run, "checkout") == "a line that waits\nand the next\n"


async def test_a_secret_in_a_complaint_is_not_in_the_index(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role(), secrets={"PKR_VAR_token": "correct-horse-battery"})

    async def fails(job: StageJob) -> dict[str, object]:
        raise ToolError(f"web.pkr.hcl:3: {job.secrets['PKR_VAR_token']} is no number.", "Not correct-horse-battery.")

    pipeline = Pipeline({"checkout": fails}, lambda _run, _succeeded: None)
    execution = Execution(workshop.around, pipeline, lambda: None)
    assert await execution.carry_out(run.uid, "checkout") == "failed"
    await execution.finish(run.uid)
    assert workshop.again(run).reason == "checkout: web.pkr.hcl:3: «redacted» is no number."
    for file in workshop.places.home.rglob("*"):
        assert not file.is_file() or b"correct-horse" not in file.read_bytes(), file


async def test_a_cancelled_run_says_what_a_stage_that_was_lost_may_have_left(workshop: Workshop, run: Run) -> None:
    async def vanishes(job: StageJob) -> dict[str, object]:
        workshop.index.ask_cancel(job.run.uid, "Bob")
        raise LostError("packer and its holder vanished.", "What it made carries the run's id: look for it there.")

    pipeline = Pipeline({"checkout": vanishes}, lambda _run, _succeeded: None)
    execution = Execution(workshop.around, pipeline, lambda: None)
    assert await execution.carry_out(run.uid, "checkout") == "lost"
    await execution.finish(run.uid)
    ended = workshop.again(run)
    assert ended.state is RunState.CANCELLED
    assert ended.reason == (
        "cancelled by Bob. packer and its holder vanished. What it made carries the run's id: look for it there."
    )


async def test_a_cancel_that_finds_a_dead_holder_says_what_may_be_left(workshop: Workshop, run: Run) -> None:
    """No worker lived when the cancel was asked for, nor when what held the tool was killed."""
    key = "build/file.hello"
    workshop.index.update_stage(run.uid, key, state=StageState.RUNNING)
    spec = ToolSpec(
        ("sleep", "600"), cwd=workshop.root, environment=dict(os.environ), log=workshop.places.log(run.uid, key),
        run_uid=run.uid,
    )  # fmt: skip
    hold = await Hold.start(tool_directory(workshop.places, run.uid, key, "packer"), spec)
    assert hold.tool_pid is not None
    os.kill(hold.pid, signal.SIGKILL)
    await hold.wait_gone()
    workshop.index.ask_cancel(run.uid, "Bob")
    execution = Execution(workshop.around, Pipeline({}, lambda _run, _succeeded: None), lambda: None)
    assert await execution.carry_out(run.uid, "checkout") == "cancelled"
    assert await execution.carry_out(run.uid, key) == "lost"
    await execution.finish(run.uid)
    ended = workshop.again(run)
    assert ended.state is RunState.CANCELLED
    assert ended.reason.startswith("cancelled by Bob. packer and its holder vanished")
    assert f"carries the run's id {run.uid}: look for it there." in ended.reason
    await until(lambda: not Path(f"/proc/{hold.tool_pid}").exists(), "what it had left running is ended")


@pytest.mark.parametrize("killed_before", [False, True])
async def test_a_cancel_that_finds_or_leaves_a_killed_tool_looks_for_its_machine_in_the_cloud(
    workshop: Workshop, killed_before: bool
) -> None:
    """No worker lived when the cancel was asked for. The tool was killed before that, or it has to be now."""
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role(build="amazon-ebs.web"))
    key = "build/amazon-ebs.web"
    workshop.index.update_stage(run.uid, "checkout", state=StageState.SUCCEEDED)
    workshop.index.update_stage(run.uid, key, state=StageState.RUNNING)
    workshop.index.save_machine(Machine(run.uid, key, "amazon-ebs.web", "amazon-ebs", instance="i-0123456789abcdef0"))
    script = "trap '' INT TERM; echo ready; while :; do sleep 0.1; done"
    spec = ToolSpec(
        ("sh", "-c", script), cwd=workshop.root, environment=dict(os.environ), log=workshop.places.log(run.uid, key),
        run_uid=run.uid, grace=0.1,
    )  # fmt: skip
    hold = await Hold.start(tool_directory(workshop.places, run.uid, key, "packer"), spec)
    await until(lambda: "ready" in workshop.log(run, key), "the tool runs")
    if killed_before:
        assert hold.tool_pid is not None
        os.kill(hold.tool_pid, signal.SIGKILL)
        await hold.wait_gone()
    workshop.index.ask_cancel(run.uid, "Bob")
    execution = Execution(workshop.around, Pipeline({}, lambda _run, _succeeded: None), lambda: None)
    assert await execution.carry_out(run.uid, key) == "cancelled"
    await execution.finish(run.uid)
    assert hold.exit is not None
    assert hold.exit.signal == signal.SIGKILL
    assert workshop.again(run).state is RunState.CANCELLED
    machine = workshop.index.machine(run.uid, key)
    assert machine is not None
    assert machine.state is MachineState.KEPT
    assert machine.until is not None
    assert machine.until <= time.time()


async def test_a_stage_that_fills_the_disk_says_so_and_what_to_do(workshop: Workshop, run: Run) -> None:
    async def proves(job: StageJob) -> dict[str, object]:
        await in_thread(Path("/dev/full").write_bytes, b"nothing was found")
        return {}

    execution = Execution(workshop.around, Pipeline({"checkout": proves}, lambda _run, _succeeded: None), lambda: None)
    assert await execution.carry_out(run.uid, "checkout") == "failed"
    stage = workshop.again(run).stages[0]
    assert "A disk is full, and stage checkout writes to it" in stage.error
    assert "No space left on device" in stage.error
    assert "Make room (ingot sweep, ingot cache, ingot prune), then start the run again." in stage.next_step
    assert "✗ A disk is full" in workshop.log(run, "checkout")


async def test_what_a_stage_notes_for_another_outlives_a_power_cut(
    workshop: Workshop, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def built_a_file(job: StageJob) -> built.Built:
        file = job.directory / "hello.txt"
        file.write_text("hello")
        return built.Built([Made("file", str(file))], 1.0, 0)

    workshop.index.update_stage(run.uid, "checkout", state=StageState.SUCCEEDED, result={"path": str(workshop.root)})
    job = job_of(workshop, run, "build/file.hello")
    pace = Pace.of(job, "file.hello")
    pace.reached("a step")
    (job.directory / "evidence").mkdir()
    safe = synced_names(monkeypatch)
    await evidence.write(job, "seal-web", {"found": "nothing"})
    await built.once(job, built_a_file)
    pace.keep()
    kept = next((workshop.places.cache / "pace").iterdir()).name
    assert safe >= {"seal-web.json.part", "hello.txt", "file.hello.json.part", f"{kept}.part", "evidence", "results"}


@pytest.mark.parametrize(("number", "named"), [(errno.EDQUOT, "A disk is full"), (errno.EIO, "a defect in Ingot")])
async def test_only_a_disk_without_room_is_called_full(workshop: Workshop, run: Run, number: int, named: str) -> None:
    async def fails(_: StageJob) -> dict[str, object]:
        raise OSError(number, os.strerror(number), "/srv/disk.qcow2")

    execution = Execution(workshop.around, Pipeline({"checkout": fails}, lambda _run, _succeeded: None), lambda: None)
    assert await execution.carry_out(run.uid, "checkout") == "failed"
    error = workshop.again(run).stages[0].error
    assert named in error
    assert ("writes to it: /srv/disk.qcow2. Disk quota exceeded." in error) == (number == errno.EDQUOT)


async def test_a_tool_whose_output_has_no_room_shows_the_run_as_waiting(workshop: Workshop, run: Run) -> None:
    job = job_of(workshop, run, "checkout")
    gate = workshop.root.parent / "gate"
    script = f"echo ready; until [ -e {gate} ]; do sleep 0.1; echo x; done"
    environment = process.environment()
    tool = asyncio.create_task(job.tool("sh", ["sh", "-c", script], cwd=workshop.root, environment=environment))
    await until(lambda: "ready" in workshop.log(run, "checkout"), "the tool runs")
    (hold,) = await holds_of(workshop.places, run.uid)
    resource.prlimit(hold.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
    await workshop.waits(run, tool)
    assert "disk space" in workshop.again(run).reason
    resource.prlimit(hold.pid, resource.RLIMIT_FSIZE, UNLIMITED)
    await until(lambda: workshop.again(run).state is RunState.RUNNING, "the run goes on")
    gate.touch()
    assert (await tool).code == 0
    job.close()


async def test_a_secret_that_becomes_known_while_a_tool_runs_is_hidden_in_what_it_says_then(
    workshop: Workshop, run: Run, tmp_path: Path
) -> None:
    """A template's password is read while Packer starts already."""
    job = job_of(workshop, run, "validate")
    script = f"until [ -e {tmp_path}/go ]; do sleep 0.05; echo it is hunter2hunter2; done"
    environment = process.environment()
    ended = asyncio.ensure_future(job.tool("sh", ["sh", "-c", script], cwd=tmp_path, environment=environment))
    await until(lambda: "hunter2" in workshop.log(run, "validate"), "it says what nobody knows to be secret")
    job.add_secrets(["hunter2hunter2"])
    await until(lambda: "«redacted»" in workshop.log(run, "validate"), "its holder knows")
    (tmp_path / "go").touch()
    assert (await ended).code == 0
    job.close()
    _, _, since = workshop.log(run, "validate").partition("«redacted»")
    assert "hunter2" not in since
