"""What is recorded of the machine of the debug screen and of its pause: read anew when something of it changed."""

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from core.errors import IngotError
from core.services.following import RunFollower

if TYPE_CHECKING:
    from tui.screens.debug import DebugScreen

LOOK = 0.5
"""Seconds between two looks at what became of the pause and the machine."""


class Watching:
    """For one debug screen, which takes what was read."""

    def __init__(self, screen: "DebugScreen") -> None:
        self._screen = screen
        self._follower: RunFollower | None = None
        self._reading = False
        self._touched = False
        """Somebody may have done something by hand since: that is in files, and no change of the index tells of it."""
        self.trouble = ""
        """Why what is known may be old, or why nothing is."""

    def begin(self) -> None:
        """Look from now on, until `end`."""
        try:
            self._follower = RunFollower(self._screen.house.overviews.places, self._screen.uid)
        except IngotError as error:
            self.trouble = error.what
        self._screen.set_interval(LOOK, self.look)

    def end(self) -> None:
        if self._follower is not None:
            self._follower.close()

    def look_in_any_case(self) -> None:
        """The next look reads, whether the index changed or not."""
        self._touched = True

    def look(self) -> None:
        """Look whether something was recorded; microseconds when not."""
        follower = self._follower
        if follower is None or self._reading:
            return
        try:
            if follower.changed() or self._touched:
                self._touched = False
                self._reading = True
                self._screen.run_worker(partial(self._read, follower), exit_on_error=False, group="look")
        except IngotError as error:
            self._complain(error)

    async def _read(self, follower: RunFollower) -> None:
        screen = self._screen
        try:
            view = await asyncio.to_thread(screen.house.debugging.view, screen.uid, screen.build)
            pauses = await asyncio.to_thread(follower.pauses)
        except IngotError as error:
            self._complain(error)
            return
        finally:
            self._reading = False
        self.trouble = "" if view is not None else "There is no record of this run on this machine."
        if view != screen.view or view is None:
            screen.take(view, pauses)

    def _complain(self, error: IngotError) -> None:
        self.trouble = error.what
        self._screen.show_header()
