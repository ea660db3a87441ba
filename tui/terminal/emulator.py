"""What the terminal needs of an emulator, so that another can take the place of the one in use.

An emulator takes the bytes of a program and keeps a screen of cells, with the lines that scrolled away above it. The
*view* is the part that is shown: the screen itself, or something further up. Positions are cells of the view, from 0.
Text in cells is what the program wrote, harmful characters included: whoever draws it makes it harmless (cells.py).
"""

from collections.abc import Sequence
from enum import Enum, IntEnum
from typing import NamedTuple, Protocol

import msgspec

Rgb = tuple[int, int, int]


class Look(NamedTuple):
    """How a cell is drawn. None is the terminal's own colour; palette numbers are resolved already."""

    foreground: Rgb | None = None
    background: Rgb | None = None
    bold: bool = False
    dim: bool = False
    italic: bool = False
    underline: int = 0
    """0 none, 1 single, 2 double, and the curly, dotted and dashed ones after that (SGR 4:n)."""
    blink: bool = False
    inverse: bool = False
    hidden: bool = False
    strike: bool = False
    overline: bool = False


PLAIN = Look()


class Run(NamedTuple):
    """Neighbouring cells of one look: ASCII text of one cell a character, or one character of any kind in its cells."""

    text: str
    cells: int
    look: Look


class Row(NamedTuple):
    """A row of the view, and which of its cells are selected: the first, and the one after the last."""

    runs: tuple[Run, ...]
    selected: tuple[int, int] | None = None


class CursorShape(Enum):
    BLOCK = "block"
    UNDERLINE = "underline"
    BAR = "bar"


class Cursor(msgspec.Struct, frozen=True):
    """Where the program's cursor is in the view."""

    x: int
    y: int
    shape: CursorShape = CursorShape.BLOCK
    blinking: bool = False


class Frame(msgspec.Struct, frozen=True):
    """What changed since the last frame."""

    columns: int
    """As the program has it: some programs ask for 132 whatever the room is."""
    rows: int
    changed: Sequence[tuple[int, Row]]
    cursor: Cursor | None
    """None where it is hidden or out of view."""


class View(msgspec.Struct, frozen=True):
    """Which lines are shown: `offset` is the first, of `total`; the last `rows` are the screen."""

    total: int
    offset: int
    rows: int

    @property
    def above(self) -> int:
        """How many lines the view is above the screen."""
        return max(self.total - self.rows - self.offset, 0)


class Match(NamedTuple):
    """Where a text was found: its first cell in its line, and the cell after its end in the line that has it."""

    line: int
    """From 0, the oldest line that is kept; `View.offset` counts the same way."""
    start: int
    last_line: int
    end: int


class By(Enum):
    """What a selection grows by."""

    CELLS = "cells"
    WORDS = "words"
    LINES = "lines"


class Button(IntEnum):
    """A mouse button; the wheel is one too (ctlseqs, Mouse Tracking)."""

    NONE = 0
    LEFT = 1
    MIDDLE = 2
    RIGHT = 3
    WHEEL_UP = 4
    WHEEL_DOWN = 5
    WHEEL_LEFT = 6
    WHEEL_RIGHT = 7


class Motion(Enum):
    PRESS = "press"
    RELEASE = "release"
    MOVE = "move"


class Modifiers(NamedTuple):
    shift: bool = False
    alt: bool = False
    ctrl: bool = False
    super: bool = False


NO_MODIFIERS = Modifiers()


class Press(NamedTuple):
    """A key: its name, or the character that it writes, or both."""

    name: str
    """`enter`, `up`, `f1`, …: one of keys.NAMED; empty where only the text counts."""
    text: str = ""
    """What it writes without Ctrl and Alt: `a`, `A`, `é`; empty for a key that writes nothing."""
    modifiers: Modifiers = NO_MODIFIERS


class Palette(msgspec.Struct, frozen=True):
    """The terminal's own colours."""

    foreground: Rgb
    background: Rgb
    cursor: Rgb
    ansi: tuple[Rgb, ...]
    """The first 16 of the 256."""


class Emulator(Protocol):
    """A terminal without a screen. Nothing raises on what a program sends, whatever that is."""

    def feed(self, data: bytes) -> None:
        """Take in what the program wrote. Costs about 0.1 µs a byte: give it little at a time."""
        ...

    def replies(self) -> bytes:
        """What the terminal answers to the program's questions (device attributes, cursor position, …), once."""
        ...

    def resize(self, columns: int, rows: int) -> None:
        """Another size, in cells; less than one cell is refused silently."""
        ...

    def set_palette(self, palette: Palette) -> None: ...

    def frame(self, *, whole: bool = False) -> Frame:
        """What changed since the last call; with `whole` every row."""
        ...

    def close(self) -> None:
        """Give its memory back; nothing may be called afterwards."""
        ...

    @property
    def updating(self) -> bool:
        """The program is in the middle of drawing and said so (mode 2026)."""
        ...

    @property
    def on_alternate_screen(self) -> bool: ...

    @property
    def wants_mouse(self) -> bool:
        """The program asked to be told of the mouse."""
        ...

    @property
    def wheel_is_arrows(self) -> bool:
        """The wheel is to be told as arrow keys (alternate screen with mode 1007)."""
        ...

    # what is typed, as bytes for the program; empty where it is not to be told

    def key(self, press: Press) -> bytes: ...

    def mouse(self, motion: Motion, button: Button, x: int, y: int, modifiers: Modifiers) -> bytes: ...

    def paste(self, text: str) -> bytes:
        """Bracketed where the program wants that; no text can end the bracket."""
        ...

    def focus(self, gained: bool) -> bytes: ...

    # the lines above the screen

    @property
    def view(self) -> View: ...

    def scroll(self, lines: int) -> None:
        """Move the view; negative is up."""
        ...

    def scroll_to(self, line: int) -> None:
        """Make this line the first of the view, as far as possible."""
        ...

    def hold(self, held: bool) -> None:
        """Keep the view on its lines while more comes; else a view of the screen stays with the screen."""
        ...

    def find(self, text: str) -> list[Match]:
        """Everywhere that the text is, oldest first, without regard to upper and lower case (ASCII)."""
        ...

    # selecting

    def select(self, x: int, y: int, by: By) -> None:
        """Begin a selection at a cell of the view, with the word or line that it is in."""
        ...

    def select_to(self, x: int, y: int) -> None:
        """Let the selection reach from where it began to here."""
        ...

    def unselect(self) -> None: ...

    def selected(self) -> str | None:
        """The selected text, lines that were only wrapped joined again; None without a selection."""
        ...
