"""A list over the screen below, that takes the keyboard until something was chosen in it or it was left."""

from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from core.text import visible
from tui.ascii import in_ascii
from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

_Shown = TypeVar("_Shown")
_Given = TypeVar("_Given")


class ModalList(ModalScreen[_Given | None], Generic[_Shown, _Given]):
    """Gives None where it was left. Subclasses have an action that leaves, and dismiss it with what was chosen."""

    def __init__(
        self,
        table: Table[_Shown],
        shown: Mapping[str, _Shown],
        *,
        ascii_only: bool,
        whole: Callable[[_Shown], str] | None = None,
    ) -> None:
        """`shown` is what the list has, by the key of its row; `whole` what stands below it of the chosen row."""
        super().__init__()
        self._tell = whole
        self._ascii = ascii_only
        self.whole = Static("", id="whole", markup=False)
        self.table = table
        self.shown = shown
        self.too_small = TooSmall(ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        yield self.table
        if self._tell is not None:
            yield self.whole
        yield self.too_small

    def on_mount(self) -> None:
        self.table.set_rows(self.shown.items())
        self.table.focus()

    def on_resize(self, event: events.Resize) -> None:
        if self.too_small.fit(event.size):
            self.set_focus(self.table)

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        chosen = self.table.chosen
        told = self._tell(chosen) if self._tell is not None and chosen is not None else ""
        text = "\n".join(visible(line) for line in told.splitlines())
        self.whole.update(Content(in_ascii(text) if self._ascii else text))

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        self.dismiss(None)

    def action_act(self, _: str) -> None:
        """Leaving is all that the keys of such a list do."""
        self.dismiss(None)
