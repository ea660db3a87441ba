"""Rows of cells as what Textual draws: every text harmless, and as wide as the emulator says.

The emulator, Rich and the terminal that the user sits at may differ on the width of a sign. Where the first two do, the
emulator is right, as the program counted like it: the sign is padded, or replaced where it would take too much.
"""

import unicodedata
from functools import lru_cache

from rich.cells import cell_len
from rich.color import Color
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from core.text import visible
from tui.terminal.emulator import Look, Palette, Rgb, Row, Run

UNKNOWN = "\N{REPLACEMENT CHARACTER}"
_FLAG_LETTERS = range(0x1F1E6, 0x1F200)
_SKIN_TONES = range(0x1F3FB, 0x1F400)


@lru_cache(4096)
def safe(text: str, cells: int) -> str:
    """The text of one place in so many cells: harmless, and exactly that wide by Rich's count."""
    first = text[:1]
    if first.isascii() and not first.isprintable():
        first = visible(first) or " "  # control characters have pictures of one cell
    elif ord(first or " ") in _FLAG_LETTERS:
        # Two of them next to each other are one flag to some terminals and two letters to others.
        first = chr(ord(first) - _FLAG_LETTERS[0] + ord("A")) if len(text) == 1 else first
    elif ord(first or " ") in _SKIN_TONES or visible(first) != first:
        first = UNKNOWN
    marks = "".join(mark for mark in text[1:] if visible(mark) == mark)
    for candidate in (first + marks, first, UNKNOWN):
        width = cell_len(candidate)
        if 0 < width <= cells and not _joins(candidate[0]):
            return candidate + " " * (cells - width)
    return " " * cells


def _joins(character: str) -> bool:
    """Whether a terminal may draw it over what stands before it."""
    return unicodedata.category(character) in ("Mn", "Me", "Mc")


def width_at(row: Row, x: int) -> int:
    """How many cells what is at this cell takes."""
    at = 0
    for run in row.runs:
        at += run.cells
        if x < at:
            return run.cells if run.cells == 2 and not (run.text.isascii() and len(run.text) == 2) else 1
    return 1


def text_of(row: Row) -> str:
    """What a row says, harmless."""
    return "".join(_text(run) for run in row.runs)


def _text(run: Run) -> str:
    if len(run.text) == run.cells and run.text.isascii() and run.text.isprintable():
        return run.text
    return safe(run.text, run.cells)


class Painter:
    """Draws rows in a terminal's own colours."""

    def __init__(self, palette: Palette) -> None:
        self.palette = palette
        self.base = _style(palette.foreground, palette.background)
        self._styles: dict[Look, Style] = {}

    def strip(self, row: Row, columns: int) -> Strip:
        """The row, cut or filled to so many cells."""
        segments = [Segment(_text(run), self._style(run.look)) for run in row.runs]
        total = sum(run.cells for run in row.runs)
        strip = Strip(segments, total)
        return strip if total == columns else strip.adjust_cell_length(columns, self.base)

    def _style(self, look: Look) -> Style:
        style = self._styles.get(look)
        if style is None:
            if len(self._styles) > 4096:  # a picture in true colours: each cell has a look of its own
                self._styles.clear()
            style = self._styles[look] = self._made(look)
        return style

    def _made(self, look: Look) -> Style:
        foreground = look.foreground or self.palette.foreground
        background = look.background or self.palette.background
        if look.inverse:
            foreground, background = background, foreground
        if look.hidden:
            foreground = background
        return Style(
            color=_colour(foreground),
            bgcolor=_colour(background),
            bold=look.bold,
            dim=look.dim,
            italic=look.italic,
            underline=bool(look.underline) and look.underline != 2,
            underline2=look.underline == 2,
            blink=look.blink,
            strike=look.strike,
            overline=look.overline,
        )


def _style(foreground: Rgb, background: Rgb) -> Style:
    return Style(color=_colour(foreground), bgcolor=_colour(background))


def _colour(rgb: Rgb) -> Color:
    return Color.from_rgb(*rgb)


def over(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """The strip with another style laid over some of its cells."""
    end = min(end, strip.cell_length)
    if start >= end:
        return strip
    changed = Strip(
        [Segment(text, (own + style) if own else style) for text, own, _ in strip.crop(start, end)], end - start
    )
    return Strip.join([strip.crop(0, start), changed, strip.crop(end, strip.cell_length)])
