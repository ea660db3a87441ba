"""One line of pieces: what the header, the footer and the row of pages are made of.

What does not fit is left out, the least important first; names that may be long are cut before that. What is on the
right stays on the right.
"""

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace
from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.strip import Strip
from textual.widget import Widget

from core.text import cut_middle
from tui.actions import app_of
from tui.ascii import in_ascii
from tui.theme import Cell, Piece, Tone, pieces_of, plain, tone_style


class Part(msgspec.Struct, frozen=True):
    """A few words on the line."""

    cell: Cell
    priority: int = 1
    """1 is left out last."""
    right: bool = False
    clicked: Callable[[], None] | None = None
    least: int = 0
    """Cells that its longest piece may be cut to, in the middle, before another part is left out; 0 leaves it whole."""
    short: Cell = ""
    """What stays of it where it would be left out; empty for nothing."""


Laid = list[tuple[Part, tuple[Piece, ...]]]
"""What of a line is drawn, as pieces."""


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
        while (over := self._taken(laid) - width) > 0:
            if over <= sum(_spare(part, pieces) for part, pieces in laid):
                laid = _shortened(laid, over)
            elif len(laid) > 1:
                at = max(range(len(laid)), key=lambda at: (laid[at][0].priority, at))
                short = pieces_of(laid[at][0].short)
                laid[at : at + 1] = (
                    [(replace(laid[at][0], priority=1, least=0, short=""), short)] if plain(laid[at][0].short) else []
                )
            else:
                break
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

    def _add(self, segments: list[Segment], parts: Laid, x: int, width: int) -> int:
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

    def _taken(self, laid: Laid) -> int:
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


def _longest(pieces: tuple[Piece, ...]) -> int:
    return max(range(len(pieces)), key=lambda at: cell_len(pieces[at].text))


def _spare(part: Part, pieces: tuple[Piece, ...]) -> int:
    """Cells that the part can give up."""
    return max(cell_len(pieces[_longest(pieces)].text) - part.least, 0) if part.least else 0


def _shortened(laid: Laid, over: int) -> Laid:
    """The same in so many cells less, the least important cut first."""
    shorter = dict(enumerate(laid))
    for at in sorted(shorter, key=lambda at: -laid[at][0].priority):
        part, pieces = laid[at]
        taken = min(_spare(part, pieces), over)
        if taken:
            longest, over = _longest(pieces), over - taken
            text, tone = pieces[longest]
            cut = Piece(cut_middle(text, cell_len(text) - taken), tone)
            shorter[at] = (part, (*pieces[:longest], cut, *pieces[longest + 1 :]))
    return list(shorter.values())
