"""What a screen reads in the background: the newest question counts, waiting shows when the eye would notice it."""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from textual.screen import Screen

from core.errors import IngotError
from tui.theme import UNICODE, Piece, Tone
from tui.timers import once
from tui.widgets.line import Part

_R = TypeVar("_R")

VISIBLE = 0.2
"""Seconds after which waiting is shown."""


class Loading:
    """The reading of one screen. Each thing that is read has a name; asking for it again forgets the answer before."""

    def __init__(self, screen: Screen[Any], changed: Callable[[], None]) -> None:
        """`changed` is called when what `words` and `problem` say is different."""
        self._screen = screen
        self._changed = changed
        self._turns: dict[str, int] = {}
        self._words: dict[str, str] = {}
        self._problems: dict[str, IngotError] = {}

    @property
    def words(self) -> str:
        """What is being read, once it takes long enough to be told."""
        return next(iter(self._words.values()), "")

    def problem(self, name: str) -> IngotError | None:
        """Why something could not be read."""
        return self._problems.get(name)

    def part(self) -> list[Part]:
        """The same for a header."""
        return [Part(Piece(f"{UNICODE.busy} {self.words}", Tone.BUSY), 2, right=True)] if self.words else []

    def read(self, name: str, words: str, work: Callable[[], _R], done: Callable[[_R], None]) -> None:
        """Do in a thread what a service does, then `done` with what it gave."""
        turn = self._turns[name] = self._turns.get(name, 0) + 1
        self._screen.run_worker(
            partial(self._read, name, turn, words, work, done), exit_on_error=False, group=f"read-{name}"
        )

    async def _read(self, name: str, turn: int, words: str, work: Callable[[], _R], done: Callable[[_R], None]) -> None:
        late = once(self._screen, VISIBLE, partial(self._say, name, words))
        try:
            found = await asyncio.to_thread(work)
        except IngotError as error:
            self._failed(name, turn, error)
        except Exception as error:  # noqa: BLE001 - whatever a service did wrong, the screen stays and says so
            told = f"{words} failed: {type(error).__name__}: {error}"
            self._failed(name, turn, IngotError(told, "This is a bug in Ingot."))
        else:
            if turn == self._turns[name] and self._screen.is_attached:
                self._problems.pop(name, None)
                done(found)
        finally:
            late.stop()
            if turn == self._turns[name] and self._screen.is_attached:
                self._words.pop(name, None)
                self._changed()

    def _failed(self, name: str, turn: int, error: IngotError) -> None:
        if turn == self._turns[name]:
            self._problems[name] = error

    def _say(self, name: str, words: str) -> None:
        self._words[name] = words
        self._changed()
