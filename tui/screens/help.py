"""The help: every key that works here, what it does, why it does not now; Enter carries it out."""

from collections.abc import Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui.actions import Action, Offer, bindings, key_name
from tui.screens.modal_list import ModalList
from tui.theme import Cell, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.table import Table

LEAVING = (Action("leave", "Back", ("q", "question_mark", "escape"), internal=True),)


def _what(offer: Offer) -> Cell:
    return Piece(offer.action.title, Tone.FAINT if offer.why_not else Tone.PLAIN)


def _about(offer: Offer) -> Cell:
    if offer.why_not:
        return Piece(f"not now: {offer.why_not}", Tone.STALE)
    return Piece(offer.action.about, Tone.FAINT)


def _keys(offer: Offer) -> Cell:
    return Piece(" ".join(key_name(key) for key in offer.action.keys), Tone.ACCENT)


def _command(offer: Offer) -> Cell:
    action = offer.action
    return Piece(f":{action.command} {action.argument}".rstrip() if action.command else "", Tone.FAINT)


def _whole(offer: Offer) -> str:
    """All that is said of an action; why it cannot be done now is no reason not to say what it does."""
    about = offer.action.about or offer.action.title
    return f"{about}\nNot now: {offer.why_not}" if offer.why_not else about


COLUMNS: tuple[Column[Offer], ...] = (
    Column("keys", "KEY", _keys, None, "left", 1, 8, 14, "end"),
    Column("what", "WHAT", _what, lambda offer: offer.action.title, "left", 2, 16, 24),
    Column("about", "", _about, None, "left", 3, 36, 160, "end", 64, grow=True),
    Column("command", "COMMAND", _command, None, "left", 4, 8, 16),
    Column("group", "WHERE", lambda offer: Piece(offer.action.group, Tone.FAINT), None, "left", 5, 8, 12),
)


def by_nearness(offers: Sequence[Offer]) -> list[Offer]:
    """What this screen alone can do first, then moving in lists, then what always works."""
    order = {"In lists": 1, "Everywhere": 2}
    return sorted(offers, key=lambda offer: order.get(offer.action.group, 0))


class Help(ModalList[Offer, tuple[Offer, str]]):
    """All offers of the screen below, as a list, and below it the whole text of the one that the cursor is on."""

    ACTIONS: ClassVar[tuple[Action, ...]] = LEAVING
    BINDINGS: ClassVar[list[BindingType]] = bindings(LEAVING)

    def __init__(self, offers: Sequence[Offer], *, ascii_only: bool = False) -> None:
        shown = {str(at): offer for at, offer in enumerate(by_nearness(offers)) if not offer.action.internal}
        table = Table(COLUMNS, title="Keys that work here", id="help", ascii_only=ascii_only)
        super().__init__(table, shown, ascii_only=ascii_only, whole=_whole)

    def on_table_chosen(self, message: Table.Chosen) -> None:
        message.stop()
        self.dismiss((self.shown[message.key], ""))
