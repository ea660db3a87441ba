"""The notices: what was said since the start, newest first, in full."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from tui.actions import Action, bindings
from tui.cells import when
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

if TYPE_CHECKING:
    from tui.app import Notice

LEAVING = (Action("leave", "Back", ("q", "N", "escape"), internal=True),)
_SIGNS = {
    "information": (UNICODE.dot, Tone.FAINT),
    "warning": (UNICODE.attention, Tone.STALE),
    "error": (UNICODE.bad, Tone.BAD),
}


def _text(notice: "Notice") -> Cell:
    sign, tone = _SIGNS[notice.severity]
    words = f"{notice.title}: {notice.text}" if notice.title else notice.text
    return (Piece(f"{sign} ", tone), Piece(words.replace("\n", " ")))


class Notices(ModalScreen[None]):
    """The list, and below it the whole text of the one that the cursor is on."""

    ACTIONS: ClassVar[tuple[Action, ...]] = LEAVING
    BINDINGS: ClassVar[list[BindingType]] = bindings(LEAVING)

    def __init__(self, notices: "Sequence[Notice]", clock: Callable[[], float], *, ascii_only: bool = False) -> None:
        super().__init__()
        self._notices = {str(at): notice for at, notice in reversed(list(enumerate(notices)))}
        columns: tuple[Column[Notice], ...] = (
            Column("text", "WHAT", _text, None, "left", 1, 20, 400, "end", grow=True),
            Column("age", "AGE", lambda notice: when(notice.at, clock()), lambda notice: -notice.at, "right", 2, 4),
        )
        self.table: Table[Notice] = Table(
            columns,
            title="Notices",
            empty="Nothing was said yet.",
            id="notices",
            ascii_only=ascii_only,
            copied=lambda notice: f"{notice.title}\n{notice.text}".strip().replace("\n", " "),
        )
        self.whole = Static("", id="whole", markup=False)
        self.too_small = TooSmall(ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.whole
        yield self.too_small

    def on_mount(self) -> None:
        self.table.set_rows(self._notices.items())
        self.table.focus()

    def on_resize(self, event: events.Resize) -> None:
        if self.too_small.fit(event.size):
            self.set_focus(self.table)

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        chosen = self.table.chosen
        self.whole.update(Content(f"{chosen.title}\n{chosen.text}".strip() if chosen else ""))

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        self.dismiss(None)

    def action_act(self, _: str) -> None:
        self.dismiss(None)
