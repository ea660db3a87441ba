"""A list over the screen below, that takes the keyboard until something was chosen in it or it was left."""

from collections.abc import Mapping
from typing import Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.screen import ModalScreen

from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

_Shown = TypeVar("_Shown")
_Given = TypeVar("_Given")


class ModalList(ModalScreen[_Given | None], Generic[_Shown, _Given]):
    """Gives None where it was left. Subclasses have an action that leaves, and dismiss it with what was chosen."""

    def __init__(self, table: Table[_Shown], shown: Mapping[str, _Shown], *, ascii_only: bool) -> None:
        """`shown` is what the list has, by the key of its row."""
        super().__init__()
        self.table = table
        self.shown = shown
        self.too_small = TooSmall(ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.too_small

    def on_mount(self) -> None:
        self.table.set_rows(self.shown.items())
        self.table.focus()

    def on_resize(self, event: events.Resize) -> None:
        if self.too_small.fit(event.size):
            self.set_focus(self.table)

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        self.dismiss(None)

    def action_act(self, _: str) -> None:
        """Leaving is all that the keys of such a list do."""
        self.dismiss(None)
