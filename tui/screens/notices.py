"""The notices: what was said since the start, newest first, in full."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, ClassVar

from textual.binding import BindingType

from tui.actions import Action, bindings
from tui.cells import when
from tui.screens.modal_list import ModalList
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.table import Table

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


def _whole(notice: "Notice") -> str:
    return f"{notice.title}\n{notice.text}".strip()


class Notices(ModalList["Notice", None]):
    """The list, and below it the whole text of the one that the cursor is on."""

    ACTIONS: ClassVar[tuple[Action, ...]] = LEAVING
    BINDINGS: ClassVar[list[BindingType]] = bindings(LEAVING)

    def __init__(self, notices: "Sequence[Notice]", clock: Callable[[], float], *, ascii_only: bool = False) -> None:
        shown = {str(at): notice for at, notice in reversed(list(enumerate(notices)))}
        columns: tuple[Column[Notice], ...] = (
            Column("text", "WHAT", _text, None, "left", 1, 20, 400, "end", grow=True),
            Column("age", "AGE", lambda notice: when(notice.at, clock()), lambda notice: -notice.at, "right", 2, 4),
        )
        table: Table[Notice] = Table(
            columns,
            title="Notices",
            empty="Nothing was said yet.",
            id="notices",
            ascii_only=ascii_only,
            copied=lambda notice: f"{notice.title}\n{notice.text}".strip().replace("\n", " "),
        )
        super().__init__(table, shown, ascii_only=ascii_only, whole=_whole)
