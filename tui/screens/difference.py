"""The difference screen: what has one image version that another has not? One list, by sections, with a filter."""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType

from core.model.image import ImageVersion
from core.model.standing import Standing
from tui.actions import Acting, Action, bindings
from tui.cells import effective_state, when
from tui.loading import Loading
from tui.theme import UNICODE, Piece, Tone
from tui.widgets.changes import Changes
from tui.widgets.footer import Footer
from tui.widgets.line import Line, Part
from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

ACTIONS = (
    Action(
        "next_section", "Next section", ("right_square_bracket", "tab"), "To the next section", "Difference", rank=1
    ),
    Action(
        "previous_section",
        "Section before",
        ("left_square_bracket", "shift+tab"),
        "To the section before",
        "Difference",
    ),
    Action("swap", "Other way round", ("x",), "What the first has that the second has not", "Difference", rank=3),
    Action("image", "Image", ("i",), "All that is known of the second", "Difference", rank=4),
    Action("leave", "Back", ("escape", "q"), "Back to where you came from", "Difference", rank=2, last=True),
)


class DifferenceScreen(Acting):
    """What `new` has that `old` has not."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(self, old: ImageVersion, new: ImageVersion) -> None:
        super().__init__()
        self._old, self._new = old, new

    def compose(self) -> ComposeResult:
        plain = self.house.ascii_only
        self.reading = Loading(self, self._show)
        self.header = Line(ascii_only=plain, id="header")
        self.parts = Line(ascii_only=plain, id="sections")
        self.changes = Changes(
            title="What differs", id="difference", ascii_only=plain, patch=True, changed=self._show_parts
        )
        self.too_small = TooSmall(ascii_only=plain)
        self.footer = Footer(ascii_only=plain, id="footer")
        yield self.header
        yield self.parts
        yield self.changes
        yield self.too_small
        yield self.footer

    def on_mount(self) -> None:
        self.changes.focus()
        self._show()

    def stands(self, standing: Standing) -> None:
        """What was decided is known anew."""
        self._show()

    def _show(self) -> None:
        if not self.is_attached:
            return
        old, new, now = self._old, self._new, self.house.clock()
        standing = self.house.standing
        role = new.role if old.role == new.role else f"{old.role}, {new.role}"
        self.header.set_parts(
            [
                Part((Piece("difference", Tone.ACCENT), Piece(f" {UNICODE.into} "), Piece(role, Tone.STRONG))),
                Part((Piece(old.version), Piece(f" {when(old.created, now)}", Tone.FAINT))),
                Part(effective_state(standing.effective(old, now)), 3),
                Part("→"),
                Part((Piece(new.version, Tone.STRONG), Piece(f" {when(new.created, now)}", Tone.FAINT))),
                Part(effective_state(standing.effective(new, now)), 3),
                *self.reading.part(),
            ]
        )
        self.changes.compare(old, new, self.reading)
        self._show_parts()
        self.call_after_refresh(self.show_footer)

    def _show_parts(self) -> None:
        """The sections, the one of the cursor in colour; a click goes there."""
        here = self.changes.chosen.section if self.changes.chosen is not None else ""
        self.parts.set_parts(
            [
                Part(
                    (
                        Piece(one.title, Tone.ACCENT if one.id == here else Tone.PLAIN),
                        Piece(f" {len(one.rows):,}", Tone.FAINT),
                    ),
                    1 if one.id == here else 2,
                    clicked=partial(self._go_to, one.id),
                )
                for one in self.changes.sections
            ]
        )

    def show_footer(self) -> None:
        if self.is_attached and self.is_active:
            self.footer.set_offers(self.house.offers_here())

    def on_screen_resume(self) -> None:
        self.show_footer()

    def on_resize(self, event: events.Resize) -> None:
        if self.too_small.fit(event.size):
            self.set_focus(self.changes)

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        self._show_parts()

    def on_table_typing(self, message: Table.Typing) -> None:
        self.show_footer()

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        self.dismiss()

    def why_not(self, action: Action) -> str:
        if action.id in ("next_section", "previous_section") and len(self.changes.sections) < 2:
            return "There is no other section."
        return super().why_not(action)

    def _go_to(self, section: str) -> None:
        if not self.changes.move_to(f"{section} "):
            self.changes.filter_by("")
            self.changes.move_to(f"{section} ")

    def _step(self, by: int) -> None:
        names = [one.id for one in self.changes.sections]
        here = self.changes.chosen.section if self.changes.chosen is not None else ""
        at: Mapping[str, int] = {name: number for number, name in enumerate(names)}
        self._go_to(names[(at.get(here, -1) + by) % len(names)])

    def do_next_section(self, _: str) -> None:
        self._step(1)

    def do_previous_section(self, _: str) -> None:
        self._step(-1)

    def do_swap(self, _: str) -> None:
        self._old, self._new = self._new, self._old
        self._show()

    def do_image(self, _: str) -> None:
        self.house.opening.image(self._new)

    def do_leave(self, _: str) -> None:
        self.dismiss()
