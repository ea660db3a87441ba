"""Keys that are typed faster than the screen changes.

Textual gives a key to what has the focus when the key arrives, but what an earlier key did to the focus, or the screen
that it opened, takes effect some messages later: of two keys typed at once, or over a slow line, the second would go
where the first one was. Here a key waits until all is done that the one before it did without waiting itself.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual import events
from textual.app import App
from textual.dom import DOMNode

PATIENCE = 0.3
"""Seconds that a key waits at most for what the one before it did: something that hangs must not take the keyboard."""

Typed = events.Key | events.Paste


class TypingAhead:
    """The keys of one app, one after the other."""

    def __init__(self, app: App[Any], hand_on: Callable[[Typed], Awaitable[None]]) -> None:
        """`hand_on` gives a key to what has the focus."""
        self._app = app
        self._hand_on = hand_on
        self._next: deque[Typed] = deque()
        self._turn = 0
        self._last_wait: asyncio.TimerHandle | None = None
        """Runs while something is carried out."""

    async def take(self, typed: Typed) -> None:
        """Hand a key on, now or when its turn comes."""
        if self._last_wait is not None:
            self._next.append(typed)
        else:
            await self._give(typed)

    async def _give(self, typed: Typed) -> None:
        self._turn += 1
        turn = self._turn
        loop = asyncio.get_running_loop()
        self._last_wait = loop.call_later(PATIENCE, self._app.call_later, self._done, turn)
        first = self._app.focused or self._app.screen
        await self._hand_on(typed)
        self._behind(first, turn)

    def _behind(self, node: DOMNode, turn: int) -> None:
        """Go the way of the key, from the focus up to the app, which carries out what it is bound to: behind it in
        every queue."""
        if node is self._app:
            self._app.call_later(self._carried_out, turn)
        elif (above := node.parent) is None or not node.call_later(self._behind, above, turn):
            self._app.call_later(self._carried_out, turn)  # taken off the screen meanwhile

    def _carried_out(self, turn: int) -> None:
        """The app has done what was bound to the key; a moved focus is a message of its own to it, and so is a screen
        that gets its first focus."""
        self._app.call_later(self._screen_shows, turn)

    def _screen_shows(self, turn: int) -> None:
        if self._app.screen_stack:
            self._app.screen.call_later(self._app.call_later, self._done, turn)

    async def _done(self, turn: int) -> None:
        if turn != self._turn or self._last_wait is None or not self._app.screen_stack:
            return  # it waited too long and is done already, or it was the key to quit
        self._last_wait.cancel()
        self._last_wait = None
        if self._next:
            await self._give(self._next.popleft())
