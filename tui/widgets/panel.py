"""A pane of a few rows that only shows something: facts about a run, or what went wrong. As high as its rows."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from core.text import cut_end, cut_middle, visible
from tui.actions import app_of
from tui.ascii import in_ascii
from tui.theme import Cell, Piece, Tone, pieces_of, tone_style


class PanelRow(NamedTuple):
    """A row: what is at the left, and what is at the right, which is kept whole where the room is short."""

    left: Cell = ""
    right: Cell = ""


Rows = Callable[[int], Sequence[PanelRow]]
"""The rows for a width in cells."""


def paragraph(text: str, width: int, tone: Tone, most: int) -> list[PanelRow]:
    """Words on rows of a width; a cut is marked."""
    rows = [""]
    for line in text.splitlines() or [""]:
        for word in visible(line).split(" "):
            if rows[-1] and len(rows[-1]) + 1 + len(word) > width - 2:
                rows.append(word)
            else:
                rows[-1] = f"{rows[-1]} {word}".strip()
        rows.append("")
    rows = [row for row in rows if row]
    if len(rows) > most:
        rows = [*rows[: most - 1], f"{rows[most - 1]} …"]
    return [PanelRow(Piece(row, tone)) for row in rows]


def whole(text: str, width: int, tone: Tone) -> list[PanelRow]:
    """Words on rows of a width, none of them cut: a path that is to be copied goes over several rows if it must."""
    room = max(width - 2, 1)
    rows = [""]
    for line in text.splitlines():
        for word in visible(line).split(" "):
            if rows[-1] and cell_len(rows[-1]) + 1 + cell_len(word) > room:
                rows.append(word)
            else:
                rows[-1] = f"{rows[-1]} {word}".strip()
            while cell_len(rows[-1]) > room:
                head = set_cell_size(rows[-1], room).rstrip()
                rows[-1:] = [head, rows[-1][len(head) :]]
        rows.append("")
    return [PanelRow(Piece(row, tone)) for row in rows if row]


class Panel(Widget):
    """Shows rows in a frame with a title."""

    GAP = 2

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002 - as Textual names it
        super().__init__(id=id)
        self._ascii = ascii_only
        self._rows: Rows = lambda _: ()
        self._laid: tuple[int, Sequence[PanelRow]] = (-1, ())
        self._styles: dict[Tone | None, Style] = {}
        """Of the tones, and with None of what is behind them, as long as the panel's own style is the same."""

    def set_rows(self, title: str, rows: Rows) -> None:
        """Show these under this title."""
        self.border_title = Content(visible(title))
        self._rows = rows
        self._laid = (-1, ())
        self.refresh(layout=True)

    def on_resize(self) -> None:
        """What is told may depend on the height, too."""
        self._laid = (-1, ())
        self.refresh()

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()

    def rows(self, width: int) -> Sequence[PanelRow]:
        if self._laid[0] != width:
            self._laid = (width, self._rows(width))
        return self._laid[1]

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return len(self.rows(width))

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        rows = self.rows(width)
        base = self._style(None)
        if y >= len(rows):
            return Strip.blank(width, base)
        row = rows[y]
        right = self._cut(row.right, width - 2)
        taken = sum(cell_len(text) for text, _ in right)
        left = self._cut(row.left, width - 2 - (taken + self.GAP if taken else 0))
        gap = width - 2 - taken - sum(cell_len(text) for text, _ in left)
        segments = [Segment(" ", base), *self._drawn(left), Segment(" " * gap, base), *self._drawn(right)]
        return Strip(segments).adjust_cell_length(width, base)

    def _cut(self, cell: Cell, room: int) -> list[Piece]:
        kept: list[Piece] = []
        for at, (text, tone) in enumerate(pieces := pieces_of(cell)):
            if cell_len(text) > room:
                # A path or command alone is known by both its ends.
                shorter = cut_middle(text, room) if len(pieces) == 1 else cut_end(text, room)
                kept.append(Piece(shorter, tone))
                break
            kept.append(pieces[at])
            room -= cell_len(text)
        return kept

    def _drawn(self, pieces: Sequence[Piece]) -> list[Segment]:
        return [Segment(in_ascii(text) if self._ascii else text, self._style(tone)) for text, tone in pieces if text]

    def _style(self, tone: Tone | None) -> Style:
        style = self._styles.get(tone)
        if style is None:
            style = self.rich_style
            if tone is not None:
                style = Style(bgcolor=style.bgcolor) + tone_style(tone, app_of(self).theme_variables)
            self._styles[tone] = style
        return style
