"""What the next screens are made of is loaded before somebody wants them, in threads: no key waits for it.

The first picture waits for none of it, and what leads into a machine is loaded only when there may be one to enter: it
takes memory (tests/bench/bench_start.py).

What was loaded stays until the end: it is kept from the search for garbage, which looks through all there is, and holds
the event loop for it: some thirty milliseconds at any moment.
"""

import asyncio
import contextlib
import gc
from collections.abc import Generator
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING

from core.model.pause import PauseMode
from core.services.overview import Overview
from tui.garbage import REST, Garbage
from tui.news import newest_paused
from tui.timers import once

if TYPE_CHECKING:
    from tui.app import Ingot

SETTLED = 0.5
"""Seconds after the first picture: what it brings with it is done by then."""
_SCREENS = (
    "tui.screens.run",
    "tui.screens.debug",
    "tui.screens.machines",
    "tui.screens.questions",
    "core.services.debugging",
    "tui.screens.command",
    "tui.screens.help",
    "tui.screens.image",
    "tui.screens.promote",
    "tui.screens.difference",
    "tui.screens.reasons",
    "tui.screens.notices",
)
"""In the order in which somebody in a hurry needs them."""
_TERMINAL = "tui.terminal.rehearsal"


class Ahead:
    """For one app."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house
        self._settled = False
        self._led = False

    def begin(self) -> None:
        """The first picture stands."""
        garbage = Garbage()
        garbage.begin()
        self._house.set_interval(REST, garbage.look)
        once(self._house, SETTLED, self._load)

    def look(self, overview: Overview) -> None:
        """A run may pause, or a machine waits already: soon somebody may want to enter it."""
        may_pause = any(
            not run.state.ended and run.request.pausing.mode is not PauseMode.NEVER for run in overview.runs
        )
        if self._settled and not self._led and (may_pause or newest_paused(overview)):
            self._led = True
            self._house.run_worker(self._lead, exit_on_error=False, group="ahead")

    def _load(self) -> None:
        self._settled = True
        self._house.run_worker(partial(asyncio.to_thread, _load_screens), exit_on_error=False, group="ahead")
        self.look(self._house.overview)

    async def _lead(self) -> None:
        await asyncio.to_thread(_load_screens)
        with _for_good():
            await self._house.debugging.prepare()
            await asyncio.to_thread(_load_terminal)


def _load_screens() -> None:
    """What somebody needs meanwhile is loaded all the same."""
    with _for_good():
        for name in _SCREENS:
            import_module(name)


def _load_terminal() -> None:
    import_module(_TERMINAL).load()


@contextlib.contextmanager
def _for_good() -> Generator[None]:
    """What comes into being inside stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
