"""Carries out runs, stage by stage, and ends them. Every state of a run after `queued` is written here or in job.py.

A stage may be carried out again at any point: what the index says has ended is not repeated, a tool that still runs is
adopted (job.py), and what never began begins now.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from core.engine.holds import build_directory, end_tool, holds_of, kept_stages, tools_directory
from core.engine.job import Job, LostError
from core.engine.pausing import Noted
from core.engine.surroundings import Surroundings
from core.errors import EngineError, IngotError, SpaceError, StoreError
from core.holding import sweep
from core.model.machine import MachineState
from core.model.pipeline import AFTER_BUILD
from core.model.run import Run, RunState, Stage, StageState
from core.stages import space
from core.stages.stage import StageJob

CarryOut = Callable[[StageJob], Awaitable[Mapping[str, object]]]
CleanUp = Callable[[Run, bool], None]
"""Takes away what a run must not leave; told whether it succeeded. In a thread; may be called again."""

_SUCCEEDED = StageState.SUCCEEDED.value
_GONE = "gone"
_RETRY = 5.0
"""Seconds until another try when the index could not be written (a full disk)."""
_TRIES = 3
_T = TypeVar("_T")

log = logging.getLogger("ingot.execution")


class Pipeline(msgspec.Struct, frozen=True):
    """What the stages of a run do."""

    stages: Mapping[str, CarryOut]
    """By the stage's name."""
    clean_up: CleanUp


class Execution:
    """All runs that this worker carries out. Lives on the worker's event loop."""

    def __init__(self, around: Surroundings, pipeline: Pipeline, ended: Callable[[], None]) -> None:
        self._around = around
        self._index = around.index
        self._pipeline = pipeline
        self._ended = ended
        self._attempts: dict[str, asyncio.Task[str]] = {}
        self._cancelled: set[str] = set()

    async def carry_out(self, uid: str, key: str) -> str:
        """One stage, to its end. Gives its last state as a word; anything but `succeeded` ends the run."""
        run = self._index.run(uid)
        stage = run.stage(key) if run else None
        if run is None or stage is None:
            return await self._unknown(uid)
        if run.state.ended:
            return run.state
        if stage.state.ended:
            return stage.state
        if run.cancel_asked_by:
            return await self._cancel_before(run, stage)
        attempt = asyncio.current_task()
        assert attempt is not None
        self._attempts[uid] = attempt
        try:
            await self._begin(run, stage)
            return await self._attempt(run, stage)
        except asyncio.CancelledError:
            if self._around.leaving:
                raise
            self._index.update_stage(uid, key, state=StageState.CANCELLED, ended=time.time(), fraction=None)
            return StageState.CANCELLED
        finally:
            del self._attempts[uid]

    def cancel(self, run: Run) -> None:
        """Act on a cancel that was asked for. Does nothing the second time, or between two stages."""
        attempt = self._attempts.get(run.uid)
        if attempt is None or run.uid in self._cancelled:
            return
        self._cancelled.add(run.uid)
        self._index.set_run_state(run.uid, RunState.CANCELLING, f"{run.cancel_asked_by} asked for it")
        attempt.cancel()

    async def finish(self, uid: str) -> None:
        """Bring a run into its last state and leave nothing of it behind but what it made and its logs."""
        run = self._index.run(uid)
        if run is not None and not run.state.ended:
            for stage in run.stages:  # a machine may have been kept while no worker lived
                Noted(self._around, run, stage).settle(build_directory(self._around.places, uid, stage.key))
            run = self._index.run(uid) or run
            kept = kept_stages(self._index, uid)
            for hold in await holds_of(self._around.places, uid, without=kept):
                await end_tool(hold)
            left = await sweep(uid)
            if left:
                log.warning("run %d: ended what it had left running: %s", run.id, ", ".join(left))
            state, reason = _end_of(run)
            try:
                await asyncio.to_thread(self._pipeline.clean_up, run, state is RunState.SUCCEEDED)
            except Exception as error:
                log.error("run %d: cleaning up failed", run.id, exc_info=error)
                reason = " ".join(part for part in (reason, f"Cleaning up failed: {error}") if part)
            self._close(run, state)
            self._end(run, state, reason)
        if not any(machine.state is MachineState.KEPT for machine in self._index.machines(uid)):
            self._around.memory.forget(uid)  # else whoever ends the machine needs its credentials (keeping.py)
        self._cancelled.discard(uid)
        self._around.slots.give_back(uid)
        self._ended()

    def _close(self, run: Run, state: RunState) -> None:
        """No question of a run that ends is open, and of its machines only those that are kept live on."""
        for pause in self._index.pauses(run.uid, open_only=True):
            over = "cancel" if state is RunState.CANCELLED else "the tool ended"
            self._index.answered(pause.id, over, run.cancel_asked_by, time.time())
        for machine in self._index.machines(run.uid):
            if machine.state is MachineState.KEPT or machine.state is MachineState.GONE:
                continue
            if machine.in_cloud and machine.stage_key.startswith("test/"):
                # The stage launched it by itself and could not end it: keeping.py does.
                left = replace(machine, state=MachineState.KEPT, until=time.time(), kept_by="")
                self._index.save_machine(left)
            else:
                self._index.save_machine(replace(machine, state=MachineState.GONE))

    def _end(self, run: Run, state: RunState, reason: str) -> None:
        if state is RunState.CANCELLED and run.state is not RunState.CANCELLING:
            self._index.set_run_state(run.uid, RunState.CANCELLING, reason)
        elif (state is RunState.SUCCEEDED and run.state is not RunState.RUNNING) or run.state is RunState.QUEUED:
            self._index.set_run_state(run.uid, RunState.RUNNING)
        self._index.set_run_state(run.uid, state, reason)
        log.info("run %d (%s) %s%s", run.id, run.role, state, f": {reason}" if reason else "")

    def give_up(self, uid: str, why: str) -> None:
        """The last resort when a run cannot even be ended rightly."""
        with contextlib.suppress(IngotError):
            self._index.set_run_state(uid, RunState.LOST, f"{why} in the worker: this is a defect in Ingot.")
        self._around.slots.give_back(uid)
        self._ended()

    async def let_go(self) -> None:
        """The worker ends: stop following what runs, without ending it."""
        self._around.leaving = True
        attempts = list(self._attempts.values())
        for attempt in attempts:
            attempt.cancel()
        if attempts:
            await asyncio.wait(attempts, timeout=5.0)

    async def _begin(self, run: Run, stage: Stage) -> None:
        """Have a slot and be running, unless a tool of it waits for an answer: that is seen when it is adopted."""
        if run.state is RunState.PAUSED and await holds_of(self._around.places, run.uid, stage.key):
            return
        if run.state is RunState.RUNNING or await holds_of(self._around.places, run.uid, stage.key):
            self._around.slots.take(run.uid)  # works already: nobody asks whether it may
        else:
            await self._around.slots.have(run.uid)
        if run.state is not RunState.RUNNING:
            self._index.set_run_state(run.uid, RunState.RUNNING)

    async def _attempt(self, run: Run, stage: Stage) -> str:
        uid, key = run.uid, stage.key
        run = self._index.run(uid) or run  # what `_begin` wrote, and the version that an earlier stage reserved
        state = stage.state if run.state is RunState.PAUSED else StageState.RUNNING
        self._index.update_stage(uid, key, state=state, attempt=stage.attempt + 1, started=stage.started or time.time())
        job = Job(self._around, run, stage)
        try:
            if self._needs_secrets_now(run, stage):
                await job.wait_for_secrets()
            carry_out = self._pipeline.stages.get(stage.name)
            if carry_out is None:
                raise EngineError(f"This Ingot has no stage {stage.name}.", "A newer one made the run: build again.")
            result = dict(await carry_out(job))
            self._index.update_stage(
                uid, key, state=StageState.SUCCEEDED, ended=time.time(), progress="", fraction=None, result=result
            )
        except IngotError as error:
            return self._failed(run, stage, job, error)
        except Exception as error:  # noqa: BLE001 - whatever it is, the run has to end and say so
            if isinstance(error, OSError) and space.is_full(error):
                return self._failed(run, stage, job, _full(stage, error))
            return self._broken(run, stage, job, error)
        else:
            return _SUCCEEDED
        finally:
            job.close()

    def _needs_secrets_now(self, run: Run, stage: Stage) -> bool:
        """A stage that has begun a tool already can adopt it without knowing any secret."""
        begun = tools_directory(self._around.places, run.uid, stage.key).exists()
        return stage.name not in AFTER_BUILD and not begun and bool(self._around.memory.missing(run))

    def _failed(self, run: Run, stage: Stage, job: Job, error: IngotError) -> str:
        asked = self._index.run(run.uid)
        if isinstance(error, LostError):
            state = StageState.LOST  # of a run that is cancelled, too: what may be left behind is news
        elif run.uid in self._cancelled or (asked is not None and asked.cancel_asked_by):
            state = StageState.CANCELLED  # a tool that is interrupted may well fail: that is no news
        else:
            state = StageState.FAILED
        # What a tool complained of may have a secret in it, and the index is a file like any other.
        what = job.redacted(error.what)
        next_step = job.redacted("\n".join(part for part in (error.kept, error.next_step) if part))
        job.say(f"✗ {what}")
        self._index.update_stage(
            run.uid, stage.key, state=state, ended=time.time(), error=what, next_step=next_step, fraction=None
        )
        return state

    def _broken(self, run: Run, stage: Stage, job: Job, error: Exception) -> str:
        log.error("run %d, stage %s: %s", run.id, stage.key, type(error).__name__)
        for line in "".join(traceback.format_exception(error)).splitlines():
            job.say(line)
        what = f"{type(error).__name__} in stage {stage.key}: this is a defect in Ingot."
        advice = f"The log of the stage has the traceback; please report it with that: ingot logs {run.id}"
        self._index.update_stage(
            run.uid, stage.key, state=StageState.FAILED, ended=time.time(), error=what, next_step=advice, fraction=None
        )
        return StageState.FAILED

    async def _cancel_before(self, run: Run, stage: Stage) -> str:
        """The cancel came while no worker lived, or between two stages: end what runs, begin nothing."""
        self._cancelled.add(run.uid)
        if run.state in (RunState.RUNNING, RunState.WAITING, RunState.PAUSED):
            self._index.set_run_state(run.uid, RunState.CANCELLING, f"{run.cancel_asked_by} asked for it")
        for hold in await holds_of(self._around.places, run.uid):
            await end_tool(hold)
        if stage.state is StageState.PENDING:
            return StageState.CANCELLED
        job = Job(self._around, run, stage)
        try:
            await job.tell_lost()
        except LostError as error:
            return self._failed(run, stage, job, error)
        finally:
            job.close()
        self._index.update_stage(run.uid, stage.key, state=StageState.CANCELLED, ended=time.time(), fraction=None)
        return StageState.CANCELLED

    async def _unknown(self, uid: str) -> str:
        """The index does not know the run (it was lost): nobody can see it any more, so it ends."""
        log.warning("no record of run %s: what it has running is ended", uid)
        for hold in await holds_of(self._around.places, uid):
            await end_tool(hold)
        await sweep(uid)
        return _GONE


def _full(stage: Stage, error: OSError) -> SpaceError:
    """What a stage writes by itself may go to any disk: often the system does not say which."""
    on = f": {error.filename}" if error.filename else " (df shows which)"
    what = f"A disk is full, and stage {stage.key} writes to it{on}. {error.strerror}."
    return space.full(what, kept="What is registered is whole.")


def _end_of(run: Run) -> tuple[RunState, str]:
    """The state and reason that a run ends with, from how its stages ended."""
    by = f"cancelled by {run.cancel_asked_by}"
    for stage in run.stages:
        if stage.state is StageState.LOST:
            lost = " ".join(part for part in (stage.error, stage.next_step) if part)
            return (RunState.CANCELLED, f"{by}. {lost}") if run.cancel_asked_by else (RunState.LOST, lost)
        if stage.state is StageState.FAILED:
            return RunState.FAILED, f"{stage.key}: {stage.error}"
    if any(stage.state is not StageState.SUCCEEDED for stage in run.stages):
        if run.cancel_asked_by:
            return RunState.CANCELLED, by
        return RunState.LOST, "The engine lost track of it. What it made so far is kept; build again."
    if run.state is RunState.CANCELLING:
        return RunState.CANCELLED, f"{by} when all was done already: what it made stays"
    return RunState.SUCCEEDED, ""


class FromThreads:
    """The execution as the flows see it: they run in threads, block, and never get an exception."""

    def __init__(self, execution: Execution, loop: asyncio.AbstractEventLoop) -> None:
        self._execution = execution
        self._loop = loop

    def carry_out(self, uid: str, key: str) -> str:
        return self._done(uid, lambda: self._execution.carry_out(uid, key)) or StageState.LOST

    def finish(self, uid: str) -> None:
        self._done(uid, lambda: self._execution.finish(uid))

    def _done(self, uid: str, do: Callable[[], Coroutine[None, None, _T]]) -> _T | None:
        """What could not be written down (a full disk) has not happened yet: nothing is given up for it."""
        tries = 0
        while True:
            try:
                return asyncio.run_coroutine_threadsafe(do(), self._loop).result()
            except concurrent.futures.CancelledError:
                # Only a worker that ends cancels this. Returning, or raising, would be recorded as the end of the step.
                threading.Event().wait()
            except StoreError as error:
                log.error("run %s: %s; once more in %.0f s", uid, error, _RETRY)
                time.sleep(_RETRY)
            except Exception as error:
                # A state that changed under our hands (a cancel in that very moment) is seen at the second look.
                tries += 1
                if tries == _TRIES:
                    log.error("run %s is given up", uid, exc_info=error)
                    self._loop.call_soon_threadsafe(self._execution.give_up, uid, type(error).__name__)
                    return None
                time.sleep(0.1)
