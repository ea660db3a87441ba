"""The way out of the workbench: nobody leaves unawares, and what a person asked for is carried out before it ends."""

import asyncio
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tui.app import Ingot
    from tui.screens.questions import Question

_R = TypeVar("_R")


class Leaving:
    """For one app."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house
        self._asked: list[str] = []
        self._under_way: set[asyncio.Task[Any]] = set()
        self._question: Question | None = None

    def asked_for(self, words: str) -> None:
        """A person waits for this: who leaves before it is `over` is asked first."""
        self._asked.append(words)

    def over(self, words: str) -> None:
        if words in self._asked:
            self._asked.remove(words)

    async def see_through(self, work: Coroutine[Any, Any, _R]) -> _R:
        """What this gives. It comes to its end also where whoever waits for it does not."""
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._came)
        return await asyncio.shield(task)

    def _came(self, task: asyncio.Task[Any]) -> None:
        self._under_way.discard(task)
        if not task.cancelled():
            task.exception()  # else Python complains where nobody waits for it any more

    async def last(self) -> None:
        """Wait for what is under way. The terminal is given back by then."""
        while self._under_way:
            await asyncio.wait(self._under_way)

    def leave(self) -> None:
        """Asks where a person would not hear any more what came of what they asked for; asked again, it goes."""
        from tui.screens.questions import quit_question

        def answered(yes: bool | None) -> None:
            if yes:
                self._house.exit()

        if self._asked and self._question not in self._house.screen_stack:
            self._question = quit_question(self._asked)
            self._house.push_screen(self._question, answered)
        else:
            self._house.exit()
