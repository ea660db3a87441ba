"""What stands beside the shell on the debug screen: what went wrong, the machine, and what can be done next."""

from collections.abc import Sequence

from textual.app import ComposeResult
from textual.containers import Vertical

from core.services.debugging import DebugView
from tui.debug_cells import can_do, facts
from tui.debug_story import least, mood, story, title
from tui.widgets.panel import Panel, PanelRow

_LEAST_TALL = 34
"""Rows of the terminal from which there is room for explanations."""


class DebugSide(Vertical):
    """Three panels, one below the other."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__(id="debug-side")
        self.wrong = Panel(ascii_only=ascii_only, id="debug-wrong")
        self.facts = Panel(ascii_only=ascii_only, id="debug-facts")
        self.can = Panel(ascii_only=ascii_only, id="debug-can")

    def compose(self) -> ComposeResult:
        yield self.wrong
        yield self.facts
        yield self.can

    def show(self, view: DebugView, measured: Sequence[tuple[str, str]], checkout: str) -> None:
        """Tell how it stands; `measured` and `checkout` as `facts` takes them."""
        brief = self.screen.size.height < _LEAST_TALL
        for name in ("-now", "-good"):
            self.wrong.set_class(mood(view) == name, name)
        self.wrong.set_rows(
            title(view), lambda width: story(view, width=width, height=self.wrong.content_size.height or 12)
        )
        self.facts.set_rows(
            "The machine",
            lambda width: facts(
                view.machine,
                measured,
                width=width,
                since=view.since,
                checkout=checkout,
                proof=view.key_proof,
                brief=brief,
            ),
        )
        self.can.set_rows(
            "What can be done",
            lambda width: self._can(view, width, brief=brief),
        )

    def _can(self, view: DebugView, width: int, *, brief: bool) -> list[PanelRow]:
        """What can be done, explained as far as that takes no room from what went wrong."""
        edges = 2 * 3
        room = self.size.height - least(view, width=width) - len(self.facts.rows(width)) - edges
        most = 0 if brief else max(len(view.choices), 1)
        told = [
            can_do(view.choices, view.pause, view.machine, width=width, explained=explained)
            for explained in range(most, -1, -1)
        ]
        return next((rows for rows in told if len(rows) <= room), told[-1])

    def set_here(self, here: bool) -> None:
        """Keys are for what can be done, and not for the shell."""
        self.can.set_class(here, "-here")
