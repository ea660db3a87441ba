"""One line of pieces: what the header, the footer and the row of pages are made of.

Pieces that do not fit are left out, the least important first; what is on the right stays on the right.
"""

from collections.abc import Callable, Sequence

import msgspec
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from core.text import cut_middle
from tui.actions import app_of
from tui.ascii import in_ascii
from tui.theme import Cell, Piece, Tone, pieces_of, tone_style


class Part(msgspec.Struct, frozen=True):
    """A few words on the line."""

    cell: Cell
    priority: int = 1
    """1 is left out last."""
    right: bool = False
    clicked: Callable[[], None] | None = None


class Line(Widget):
    """A line of parts, with a gap between each two."""

    GAP = 2

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002 - as Textual names it
        super().__init__(id=id)
        self._parts: tuple[Part, ...] = ()
        self._ascii = ascii_only
        self._places: list[tuple[int, int, Part]] = []

    def set_parts(self, parts: Sequence[Part]) -> None:
        """Show these, from left to right."""
        self._parts = tuple(parts)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        base = self.rich_style
        if y or not width:
            return Strip.blank(width, base)
        laid = [(part, self._pieces(part)) for part in self._parts]
        while len(laid) > 1 and self._taken(laid) > width:
            laid.remove(max(laid, key=lambda one: (one[0].priority, self._parts.index(one[0]))))
        left = [one for one in laid if not one[0].right]
        right = [one for one in laid if one[0].right]
        segments: list[Segment] = []
        self._places = []
        x = self._add(segments, left, 1, width)
        gap = width - 1 - sum(_width(pieces) for _, pieces in right) - self.GAP * max(len(right) - 1, 0) - x
        if right:
            segments.append(Segment(" " * max(gap, 0), base))
            self._add(segments, right, x + max(gap, 0), width)
        return Strip([Segment(" ", base), *segments]).adjust_cell_length(width, base)

    def _add(self, segments: list[Segment], parts: list[tuple[Part, tuple[Piece, ...]]], x: int, width: int) -> int:
        for at, (part, pieces) in enumerate(parts):
            if at:
                segments.append(Segment(" " * self.GAP, self.rich_style))
                x += self.GAP
            taken = _width(pieces)
            if taken > width - x - 1:
                pieces = (
                    Piece(cut_middle("".join(text for text, _ in pieces), max(width - x - 1, 1)), pieces[0].tone),
                )
            if self._ascii:
                pieces = tuple(Piece(in_ascii(text), tone) for text, tone in pieces)
            segments.extend(Segment(text, self._tone(tone)) for text, tone in pieces)
            self._places.append((x, x + taken, part))
            x += taken
        return x

    def _pieces(self, part: Part) -> tuple[Piece, ...]:
        return pieces_of(part.cell)

    def _taken(self, laid: list[tuple[Part, tuple[Piece, ...]]]) -> int:
        return sum(_width(pieces) for _, pieces in laid) + self.GAP * (len(laid) - 1) + 2

    def _tone(self, tone: Tone) -> Style:
        return Style(bgcolor=self.rich_style.bgcolor) + tone_style(tone, app_of(self).theme_variables)

    def on_click(self, event: events.Click) -> None:
        for first, end, part in self._places:
            if first <= event.x < end and part.clicked is not None:
                part.clicked()
                return


def _width(pieces: tuple[Piece, ...]) -> int:
    return sum(cell_len(text) for text, _ in pieces)
