"""The way out of the workbench: nobody leaves unawares, and what a person asked for comes to its end before that."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tui.app import Ingot


class Leaving:
    """For one app."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house
        self._asked: list[str] = []
        self._goes = False
        """A person said that they leave, and it waits for what is under way."""

    def asked_for(self, words: str) -> None:
        """A person waits for this: who leaves before it is `over` is asked first, and leaves when it is."""
        self._asked.append(words)

    def over(self, words: str) -> None:
        """It has come to its end, whatever that was; also for what nobody was told of yet."""
        if words in self._asked:
            self._asked.remove(words)
        if self._goes and not self._asked:
            self._house.exit()

    def leave(self) -> None:
        """At once, where nobody waits for anything, and where somebody who knows what is under way asks again."""
        from tui.screens.questions import quit_question

        if self._goes or not self._asked:
            self._house.exit()
        else:
            self._house.push_screen(quit_question(self._asked), self._answered)

    def _answered(self, yes: bool | None) -> None:
        if not yes:
            return
        self._goes = True
        if self._asked:
            self._house.now_busy("leaving…")
        else:
            self._house.exit()
