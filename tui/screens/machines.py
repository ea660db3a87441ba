"""Which machine: where several wait for a person, one is chosen before anything is opened. A shell marks an image."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.screen import ModalScreen

from tui.actions import Action, bindings
from tui.cells import person, until
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.waiting import Waiting
from tui.widgets.columns import Column
from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

LEAVING = (Action("leave", "Back", ("q", "escape"), internal=True),)


def _why(one: Waiting) -> Cell:
    if one.pause is not None:
        return one.pause.why
    by = f" by {person(one.machine.kept_by)}" if one.machine is not None and one.machine.kept_by else ""
    return Piece(f"kept{by}", Tone.FAINT)


def _run(one: Waiting) -> Cell:
    return (Piece(f"{UNICODE.paused} ", Tone.WAITING), Piece(f"{one.run.id}"))


class Machines(ModalScreen[Waiting | None]):
    """Gives the one that was chosen; None where nobody chose."""

    ACTIONS: ClassVar[tuple[Action, ...]] = LEAVING
    BINDINGS: ClassVar[list[BindingType]] = bindings(LEAVING)

    def __init__(self, waiting: Sequence[Waiting], clock: Callable[[], float], *, ascii_only: bool = False) -> None:
        super().__init__()
        self._waiting = {f"{one.run.uid}/{one.build}": one for one in waiting}
        columns: tuple[Column[Waiting], ...] = (
            Column("run", "RUN", _run, lambda one: -one.run.id, "left", 1, 4),
            Column("role", "ROLE", lambda one: one.run.role, None, "left", 1, 6),
            Column("build", "BUILD", lambda one: one.build, None, "left", 2, 8),
            Column("why", "WHY", _why, None, "left", 3, 12, 400, "end", grow=True),
            Column(
                "left",
                "CLEANED UP",
                lambda one: until(one.until, clock()).removeprefix("cleaned up "),
                None,
                "right",
                2,
                10,
            ),
        )
        self.table: Table[Waiting] = Table(
            columns,
            title="Which machine?",
            empty="No machine waits for anybody.",
            id="machines",
            ascii_only=ascii_only,
            copied=lambda one: f"ingot debug {one.run.id} --build {one.build}",
        )
        self.too_small = TooSmall(ascii_only=ascii_only)

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.too_small

    def on_mount(self) -> None:
        self.table.set_rows(self._waiting.items())
        self.table.focus()

    def on_resize(self, event: events.Resize) -> None:
        if self.too_small.fit(event.size):
            self.set_focus(self.table)

    def on_table_chosen(self, message: Table.Chosen) -> None:
        message.stop()
        self.dismiss(self._waiting.get(message.key))

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        self.dismiss(None)

    def action_act(self, _: str) -> None:
        self.dismiss(None)
