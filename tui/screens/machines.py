"""Which machine: where several wait for a person, one is chosen before anything is opened. A shell marks an image."""

from collections.abc import Callable, Sequence
from typing import ClassVar

from textual.binding import BindingType

from tui.actions import Action, bindings
from tui.cells import person, until
from tui.screens.modal_list import ModalList
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.waiting import Waiting
from tui.widgets.columns import Column
from tui.widgets.table import Table

LEAVING = (Action("leave", "Back", ("q", "escape"), internal=True),)


def _why(one: Waiting) -> Cell:
    if one.pause is not None:
        return one.pause.why
    by = f" by {person(one.machine.kept_by)}" if one.machine is not None and one.machine.kept_by else ""
    return Piece(f"kept{by}", Tone.FAINT)


def _run(one: Waiting) -> Cell:
    return (Piece(f"{UNICODE.paused} ", Tone.WAITING), Piece(f"{one.run.id}"))


class Machines(ModalList[Waiting, Waiting]):
    """Gives the one that was chosen; None where nobody chose."""

    ACTIONS: ClassVar[tuple[Action, ...]] = LEAVING
    BINDINGS: ClassVar[list[BindingType]] = bindings(LEAVING)

    def __init__(self, waiting: Sequence[Waiting], clock: Callable[[], float], *, ascii_only: bool = False) -> None:
        shown = {f"{one.run.uid}/{one.build}": one for one in waiting}
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
        table = Table(
            columns,
            title="Which machine?",
            empty="No machine waits for anybody.",
            id="machines",
            ascii_only=ascii_only,
            copied=lambda one: f"ingot debug {one.run.id} --build {one.build}",
        )
        super().__init__(table, shown, ascii_only=ascii_only)

    def on_table_chosen(self, message: Table.Chosen) -> None:
        message.stop()
        self.dismiss(self.shown.get(message.key))
