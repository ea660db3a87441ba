"""A run that waits for a thing, such as disk space or a lock: shown with what it waits for, until that is there.

What waits for a person's answer is paused instead (pausing.py).
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path

from core.engine.surroundings import Surroundings
from core.errors import EngineError, RefusedError, StoreError
from core.holding import Hold
from core.model.run import Run, RunState, Stage, StageState

_DISK_LOOKED_AT_EVERY = 2.0
"""Seconds between two looks at whether a tool's output can be written."""


class Waiting:
    """The waiting of one stage of one run."""

    def __init__(self, around: Surroundings, run: Run, stage: Stage) -> None:
        self._around = around
        self._uid = run.uid
        self._key = stage.key

    async def until(
        self, reason: str, there: Callable[[], Awaitable[bool]], every: float, say: Callable[[str], None]
    ) -> None:
        """Wait until it is there, and look every so many seconds. Meanwhile nothing works: the slot is another's."""
        if await there():
            return
        self._show(reason)
        self._around.slots.give_back(self._uid)
        say(f"Waiting: {reason}")
        while not await there():  # noqa: ASYNC110 - of a condition only the stage knows how to look
            await asyncio.sleep(every)
        await self._around.slots.have(self._uid)
        self._show("")

    async def for_disk(self, hold: Hold, log: Path) -> None:
        """Show the run as waiting while what its tool says has no room in the log. The tool goes on, and keeps its
        slot. Ends when it is cancelled."""
        full = False
        try:
            while True:
                await asyncio.sleep(_DISK_LOOKED_AT_EVERY)
                with contextlib.suppress(EngineError):  # no answer now, or the tool has ended
                    if full != bool((await hold.status()).unwritten):
                        full = not full
                        self._show_full_disk(log, full=full)
        finally:
            if full:
                self._show_full_disk(log, full=False)

    def _show_full_disk(self, log: Path, *, full: bool) -> None:
        # The index may be on the same disk; and a run that is being cancelled, or is paused, says that instead.
        with contextlib.suppress(StoreError, RefusedError):
            run = self._around.index.run(self._uid)
            if run is not None and run.state is RunState.PAUSED:
                return
            self._show(f"disk space: the log in {log.parent} cannot be written" if full else "")

    def _show(self, reason: str) -> None:
        """The run waits, and for what; without a reason it goes on."""
        state, stage = (RunState.WAITING, StageState.WAITING) if reason else (RunState.RUNNING, StageState.RUNNING)
        self._around.index.set_run_state(self._uid, state, reason)
        self._around.index.update_stage(self._uid, self._key, state=stage, progress=reason)
