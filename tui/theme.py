"""How Ingot looks: one theme, the tones that say a state, and the signs that say it again without colour.

Colour never carries meaning alone: whoever shows a tone shows a sign and a word with it (`Signs`). Tones become colours
through the theme's variables (`tone_style`); nothing else knows a colour.
"""

import locale
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

import msgspec
from rich.style import Style
from textual.theme import Theme

from core.text import visible


class Tone(StrEnum):
    """What a piece of text means; the widget that draws it turns it into a colour."""

    PLAIN = "plain"
    FAINT = "faint"
    STRONG = "strong"
    ACCENT = "accent"
    GOOD = "good"
    BUSY = "busy"
    WAITING = "waiting"
    STALE = "stale"
    BAD = "bad"


_VARIABLES = {
    Tone.PLAIN: "foreground",
    Tone.FAINT: "faint",
    Tone.STRONG: "foreground",
    Tone.ACCENT: "accent",
    Tone.GOOD: "success",
    Tone.BUSY: "busy",
    Tone.WAITING: "waiting",
    Tone.STALE: "warning",
    Tone.BAD: "error",
}


def tone_style(tone: Tone, variables: Mapping[str, str]) -> Style:
    """The tone's colour from the theme's variables (`App.theme_variables`).

    Not through component classes: one for each tone makes Textual style nine nodes more for each widget, again and
    again, which is felt whenever a screen opens.
    """
    return Style(color=variables.get(_VARIABLES[tone], "default"), bold=tone is Tone.STRONG or None)


def tone_variable(tone: Tone) -> str:
    """The theme's variable that has the tone's colour."""
    return _VARIABLES[tone]


class Piece(NamedTuple):
    """Text of one tone; the text may hold anything, whoever draws it makes it harmless."""

    text: str
    tone: Tone = Tone.PLAIN


Cell = str | Piece | tuple[Piece, ...]
"""What a cell of a list, or a line of a header, is made of. Never markup."""


def pieces_of(cell: Cell) -> tuple[Piece, ...]:
    """The cell as pieces whose text can be written to any terminal."""
    if isinstance(cell, Piece):
        return (Piece(visible(cell.text), cell.tone),)
    if isinstance(cell, str):
        return (Piece(visible(cell)),)
    return tuple(Piece(visible(text), tone) for text, tone in cell)


def plain(cell: Cell) -> str:
    """The text of a cell, harmless: what is filtered, measured and copied."""
    if isinstance(cell, Piece):
        return visible(cell.text)
    if isinstance(cell, str):
        return visible(cell)
    return visible("".join(text for text, _ in cell))


class Signs(msgspec.Struct, frozen=True):
    """One sign for each kind of state, of one cell, and the few marks that lists and lines need."""

    rising: str
    """Beside the title of the column that a list is sorted by: no sign of a state, which stand below it. These two come
    first: what is drawn without a choice of signs (tui/ascii.py) has those of `up` and `down`."""
    falling: str
    good: str
    busy: str
    paused: str
    bad: str
    stale: str
    attention: str
    not_yet: str
    cursor: str
    marked: str
    dot: str
    """Between two facts on one line."""
    none: str
    """Where there is nothing to say."""
    into: str
    up: str
    down: str
    worker: str
    line: str
    """Fills the upper edge of a pane between its title and its count."""
    caret: str


UNICODE = Signs(
    rising="▲",
    falling="▼",
    good="✓",
    busy="◐",
    paused="⏸",
    bad="✗",
    stale="↻",
    attention="!",
    not_yet="·",
    cursor="▸",
    marked="●",
    dot="·",
    none="–",
    into="▸",
    up="▲",
    down="▼",
    worker="●",
    line="─",
    caret="▏",
)

ASCII = Signs(
    rising="/",
    falling="\\",
    good="v",
    busy="*",
    paused="=",
    bad="x",
    stale="~",
    attention="!",
    not_yet=".",
    cursor=">",
    marked="#",
    dot=".",
    none="-",
    into=">",
    up="^",
    down="v",
    worker="*",
    line="-",
    caret="_",
)


def has_unicode(environment: Mapping[str, str]) -> bool:
    """Whether the terminal can be expected to show our signs.

    The locale decides as POSIX orders it (LC_ALL, LC_CTYPE, LANG), except that Python itself sets LC_CTYPE to C.UTF-8
    in the C locale (PEP 538), which says nothing about the terminal. No locale at all is taken for a container with a
    modern terminal. The Linux console has UTF-8 but a font of 512 signs without ours (console_codes(4)).
    """
    if environment.get("TERM") == "linux":
        return False
    named = [environment.get(name, "") for name in ("LC_ALL", "LC_CTYPE", "LANG")]
    if named[1] == "C.UTF-8":
        named[1] = ""
    first = next((value for value in named if value), "")
    if not first:
        return True
    encoding = first.partition("@")[0].partition(".")[2] or locale.normalize(first).partition(".")[2]
    return encoding.lower().replace("-", "") == "utf8"


INGOT = Theme(
    name="ingot",
    primary="#7aa9f7",
    secondary="#7aa9f7",
    accent="#7aa9f7",
    foreground="#d3d7de",
    background="#0f1216",
    surface="#0f1216",
    panel="#1b2028",
    success="#79c28a",
    warning="#e2b45c",
    error="#ef7676",
    dark=True,
    variables={
        "busy": "#63c5d4",
        "waiting": "#c29be8",
        "faint": "#7b8492",
        "line": "#39414d",
        "chosen": "#22314a",
        "chosen-dim": "#1b222d",
        "marked": "#e2b45c",
        "scrollbar": "#39414d",
        "scrollbar-hover": "#4b5563",
        "scrollbar-active": "#7aa9f7",
        "scrollbar-background": "#0f1216",
        "scrollbar-background-hover": "#0f1216",
        "scrollbar-background-active": "#0f1216",
        "scrollbar-corner-color": "#0f1216",
    },
)
