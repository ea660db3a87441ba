"""What a terminal gets that has no more than ASCII: every character of its own width, ours as the signs of theme.ASCII.

Nothing else may be drawn there: a character that the terminal takes for two, or for none, breaks every line it is on.
"""

import unicodedata
from functools import cache

from rich.cells import get_character_cell_size
from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

from tui.theme import ASCII, UNICODE, Signs

_OTHERS = {
    "…": "~",
    "×": "x",
    "•": "*",
    "→": ">",
    "←": "<",
    "↑": "^",
    "↓": "v",
    "↵": ";",
    "⏎": ";",
    "“": '"',
    "”": '"',
    "„": '"',
    "‘": "'",
    "’": "'",
    "‹": "<",
    "›": ">",
    "—": "-",
    "🔎": "/ ",
    **dict.fromkeys("─━═╌┄┈╴╶", "-"),
    **dict.fromkeys("│┃║╎┆┊▏▎▍▌▋▊▉▐▕", "|"),
    **dict.fromkeys("╭╮╰╯┌┐└┘├┤┬┴┼╔╗╚╝╠╣╦╩╬┏┓┗┛", "+"),
    **dict.fromkeys("▁▂▃▄▅▆▇▔▀", " "),  # the ends of a scroll bar: its colour says enough
    **dict.fromkeys("█▓▒░■", "#"),
}
"""What Textual draws with, and what people and tools write most."""
_SIGNS = _OTHERS | {getattr(UNICODE, name): getattr(ASCII, name) for name in Signs.__struct_fields__}


@cache
def _replaced(character: str) -> str:
    if character in _SIGNS:
        return _SIGNS[character]
    width = get_character_cell_size(character)
    bare = "".join(part for part in unicodedata.normalize("NFKD", character) if part.isascii() and part.isprintable())
    return bare if len(bare) == width else "?" * width


def in_ascii(text: str) -> str:
    """The text in ASCII, in as many cells as before.

    >>> in_ascii("✓ Größe · 3×4 …")
    'v Gro?e . 3x4 ~'
    """
    if text.isascii():
        return text
    return "".join(character if character.isascii() else _replaced(character) for character in text)


class OnlyAscii(LineFilter):
    """Replaces all else in whatever is drawn: borders, scroll bars, notices, the palette, names that others chose."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:
        """The segments with their text in ASCII; each keeps its width and style."""
        return [Segment(in_ascii(text), style, control) for text, style, control in segments]
