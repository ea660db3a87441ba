"""A tool that waits for an answer: its run is shown as paused and gives its slot back until somebody has answered.

The holder of the tool decides which answer counts, whether a worker lives or not; here it is noted, then or later.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from msgspec.structs import replace

from core.engine.progress import Progress
from core.engine.surroundings import Surroundings
from core.errors import EngineError, RefusedError, StoreError
from core.hold import Answered, Held, PromptRecord
from core.holding import Hold, VanishedError
from core.model.machine import Machine, MachineState
from core.model.pause import Answer, Pause, PauseKind
from core.model.run import Run, RunState, Stage, StageState
from core.model.touch import Touch, TouchKind
from core.stages.stage import OnHeld
from core.store.touches import Touches

_LOOK_EVERY = 2.0
"""Seconds between two looks at the time that is left: anybody may give more."""
_SAME_TIME = 2.0
"""Seconds by which two times of the same limit differ, as they are told in seconds left."""
_AGAIN = 5.0
"""Seconds until another try when the index could not be written (a full disk)."""

_GOES_ON = {
    Answer.RETRY: "trying again",
    Answer.RESTART: "running the playbook again",
    Answer.CONTINUE: "going on",
    Answer.CLEAN_UP: "cleaning up",
    Answer.KEEP: "letting go of the machine",
    "cancel": "cleaning up",
    "time limit": "cleaning up: nobody answered in time",
}

_T = TypeVar("_T")

log = logging.getLogger("ingot.pausing")


class Noted:
    """What the index has of the pauses of one stage, and of its machine."""

    def __init__(self, around: Surroundings, run: Run, stage: Stage) -> None:
        self._around = around
        self._index = around.index
        self._run = run
        self._stage = stage

    def all(self) -> list[Pause]:
        """The pauses, the oldest first. Raises StoreError."""
        return [pause for pause in self._index.pauses(self._run.uid) if pause.stage_key == self._stage.key]

    def settle(self, directory: Path) -> None:
        """Note how all prompts of the hold in this directory were over that are, whoever looked on meanwhile. Raises
        StoreError."""
        known = {pause.number: pause for pause in self.all()}
        for answered in PromptRecord.read(directory).answers:
            pause = known.get(answered.number)
            if pause is None and answered.what in (Answer.RETRY, Answer.RESTART, Answer.KEEP, Answer.CLEAN_UP):
                # It came and was over while no worker lived; what was done by hand is never forgotten.
                pause = self._index.add_pause(_unseen(self._run.uid, self._stage.key, answered))
            if pause is not None and pause.open:
                self._note(pause, answered)

    def begin(self, pause: Pause) -> Pause:
        """The run is paused, and its machine: both or neither. Gives the pause as it is recorded. Raises StoreError."""
        with self._index.together():
            recorded = self._index.add_pause(pause)
            self._index.set_pause_until(pause.id, pause.until)
            self._index.update_stage(self._run.uid, self._stage.key, state=StageState.WAITING)
            self._set_machine(MachineState.PAUSED)
            with contextlib.suppress(RefusedError):  # it is being cancelled already
                self._index.set_run_state(self._run.uid, RunState.PAUSED, pause.why)
        return recorded

    def go_on(self) -> None:
        """The run works again, and so does its machine: both or neither. Raises StoreError."""
        with self._index.together():
            self._index.update_stage(self._run.uid, self._stage.key, state=StageState.RUNNING)
            self._set_machine(MachineState.BUILDING)
            with contextlib.suppress(RefusedError):
                self._index.set_run_state(self._run.uid, RunState.RUNNING)

    def _note(self, pause: Pause, answered: Answered) -> None:
        """An answer and all that follows from it are one: a worker may be killed at any moment. A touch is a file: it
        comes first, and may come twice."""
        if answered.what in (Answer.RETRY, Answer.RESTART):
            touches = Touches(self._around.places.run(self._run.uid))
            touch = Touch(TouchKind.RETRY, answered.by, answered.at, self._stage.build, pause.step)
            if touch not in touches.all():
                touches.add(touch)
        with self._index.together():
            by = answered.by
            if not by and answered.what == "cancel":
                run = self._index.run(self._run.uid)
                by = run.cancel_asked_by if run else ""
            elif answered.what == Answer.KEEP:
                self._keep(pause, by)
            elif answered.what == "cancel" or (answered.what == Answer.CLEAN_UP and not pause.kind.is_failure):
                # Nothing failed, or nobody asks whether: it ends as cancelled, also where who answered died before
                # asking for that.
                with contextlib.suppress(RefusedError):
                    self._index.ask_cancel(self._run.uid, by)
            self._index.answered(pause.id, answered.what, by, answered.at)

    def _keep(self, pause: Pause, by: str) -> None:
        """From now on the machine is nobody's but ours."""
        machine = self._index.machine(self._run.uid, self._stage.key)
        if machine is None:  # nobody could say where it is; it has to be ended all the same
            kinds = {build.name: build.kind for build in self._run.request.role.builds}
            build = self._stage.build
            machine = Machine(self._run.uid, self._stage.key, build, kinds.get(build, ""), communicator="none")
        self._index.save_machine(replace(machine, state=MachineState.KEPT, until=pause.until, kept_by=by))

    def _set_machine(self, state: MachineState) -> None:
        machine = self._index.machine(self._run.uid, self._stage.key)
        if machine is not None and machine.state in (MachineState.BUILDING, MachineState.PAUSED):
            self._index.save_machine(replace(machine, state=state))


class Waits:
    """The prompts at which one tool of one stage waits."""

    def __init__(
        self, around: Surroundings, run: Run, stage: Stage, hold: Hold, on_held: OnHeld, progress: Progress
    ) -> None:
        self._around = around
        self._index = around.index
        self._noted = Noted(around, run, stage)
        self._run = run
        self._hold = hold
        self._on_held = on_held
        self._progress = progress

    async def watch(self) -> None:
        """Until the tool has ended. A pause that an earlier worker saw begin is the same pause still. Raises only what
        `on_held` raises."""
        over = 0
        with contextlib.suppress(VanishedError):
            waits = await self._hold.held()
            await self._until_written(self.settle)
            if waits is None:
                await self._until_written(self._go_on)
            while True:
                held = await self._hold.wait_held(over)
                if held is not None:
                    pause = await self._begun(held)
                    await self._until_answered(pause)
                    over = held.number
                    await self._until_written(self.settle)
                    await self._until_written(self._go_on)
                elif self._hold.exit is not None:
                    return

    def settle(self) -> None:
        """Note how all prompts were over that are, whoever looked on meanwhile. Raises StoreError."""
        self._noted.settle(self._hold.directory)

    async def _begun(self, held: Held) -> Pause:
        """The run is paused: seen by all, its slot given to another."""
        pause = replace(await self._on_held(held), until=await self._until())
        recorded = await self._until_written(lambda: self._noted.begin(pause))
        self._progress.stay(pause.why)
        self._around.slots.give_back(self._run.uid)
        return replace(recorded, until=pause.until)

    async def _until_answered(self, pause: Pause) -> None:
        """Meanwhile the time at which the machine is cleaned up is kept right: it is the holder's."""
        answered = asyncio.ensure_future(self._hold.wait_answered(pause.number))
        shown = pause.until
        try:
            while not answered.done():
                await asyncio.wait({answered}, timeout=_LOOK_EVERY)
                if answered.done():
                    break
                until = await self._until()
                if _differ(until, shown):
                    with contextlib.suppress(StoreError):
                        self._index.set_pause_until(pause.id, until)
                        shown = until
            answered.result()
        finally:
            answered.cancel()

    async def _until(self) -> float | None:
        """When the holder ends the tool; None: never, or it does not say now."""
        try:
            left = (await self._hold.status()).seconds_left
        except EngineError:
            return None
        return None if left is None else time.time() + left

    def _go_on(self) -> None:
        """The run works again if it was paused. It takes its slot, free or not: the tool does not wait for one."""
        run = self._index.run(self._run.uid)
        if run is None or run.state is not RunState.PAUSED:
            return
        self._around.slots.take(self._run.uid)
        self._noted.go_on()
        answers = [pause.answer for pause in self._noted.all() if pause.answer]
        self._progress.go_on(_GOES_ON.get(answers[-1], "going on") if answers else "going on")

    async def _until_written(self, write: Callable[[], _T]) -> _T:
        """Write, again and again where there is no room: no pause is lost for a full disk. Gives what `write` gives."""
        while True:
            try:
                return write()
            except StoreError as error:
                log.error("run %s: what it waits for cannot be written down: %s", self._run.uid, error)
                await asyncio.sleep(_AGAIN)


def _unseen(run_uid: str, stage_key: str, answered: Answered) -> Pause:
    why = "A step failed while no worker was there to see which."
    return Pause(run_uid, stage_key, answered.number, PauseKind.FAILURE, "", why, answered.at, None)


def _differ(one: float | None, other: float | None) -> bool:
    return abs(one - other) > _SAME_TIME if one is not None and other is not None else one != other
