"""Keys that were meant for what has just gone: a shell that ended in the middle of a line, a pause that was answered.

Nobody stops typing in the moment in which the screen changes. What comes then would be taken for something else, so it
is swallowed until the hands have rested; Esc and the way out of the shell still do what they do.
"""

from collections.abc import Callable

from textual import events
from textual.message_pump import MessagePump
from textual.timer import Timer

from tui.timers import once

QUIET = 1.0
"""Seconds without a key after which the next one is meant for what is there now."""


class LateKeys:
    """For one node of the screen, which asks about each key."""

    def __init__(self, node: MessagePump, way_out: str, changed: Callable[[], object]) -> None:
        """`changed` is called when keys are swallowed from now on, and when they are not any more."""
        self._node = node
        self._way_out = way_out
        self._changed = changed
        self._resting: Timer | None = None
        self.why = ""
        """What has gone; empty when keys are not swallowed."""

    def begin(self, why: str) -> None:
        self.why = why
        self._rest()
        self._changed()

    def swallows(self, event: events.Key) -> bool:
        """Whether the key is for nobody; it is stopped then."""
        if self.why and event.key == self._way_out:
            self._end()  # what follows it is for the screen
        if not self.why or event.key == "escape":
            return False
        self._rest()
        event.stop()
        event.prevent_default()
        return True

    def _rest(self) -> None:
        if self._resting is not None:
            self._resting.stop()
        self._resting = once(self._node, QUIET, self._end)

    def _end(self) -> None:
        if self._resting is not None:
            self._resting.stop()
            self._resting = None
        self.why = ""
        self._changed()
