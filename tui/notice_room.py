"""How much of a notice shows on a small terminal: what leaves the screen to be worked with. A cut is told."""

from rich.cells import cell_len, set_cell_size
from textual.content import Content

from tui.sizes import LEAST, WORKBENCH

WIDEST = 76
"""Columns of a notice on a small terminal (screens.css)."""
BREAKPOINTS = (
    [(0, "-narrow"), (WORKBENCH[0], "-wide")],
    [(0, "-flat"), (WORKBENCH[1], "-tall")],
)
"""Classes that every screen has by the size of the terminal: by these screens.css knows a small one, as `is_cut`."""
_AROUND = 5
"""Columns of its edge, the blanks beside its text, and the scroll bar that it never shows."""
_SHARE = 4
"""It takes one row of so many."""
_OVER_SHELL = 2
"""Rows that it takes where a shell has the whole width: from there up, prompts may be."""
_REST = "… :notices has the rest"
"""A command, no key: the same letter means another thing in a log, a question and a shell."""


def is_cut(width: int, height: int) -> bool:
    """Whether a notice is cut to what there is room for. Where there is none at all, the first line alone shows."""
    return (width < WORKBENCH[0] or height < WORKBENCH[1]) and width >= LEAST[0] and height >= LEAST[1]


def notice_rows(height: int, *, over_shell: bool = False) -> int:
    """Rows that a notice may take on a terminal of this height."""
    return _OVER_SHELL if over_shell else max(height // _SHARE, 2)


def notice_that_fits(title: str, text: str, width: int, rows: int) -> tuple[str, str]:
    """Title and text in so many rows of a small terminal. Where that is not all, it says where the rest is, and the
    last line of the text stays: it says what to do.

    >>> notice_that_fits("Not now", "Nothing is stale.", 80, 6)
    ('Not now', 'Nothing is stale.')
    >>> notice_that_fits("Run 4 is paused", "It failed\\nwith much to say\\nof that.\\nd leads into it.", 80, 3)
    ('Run 4 is paused', 'It failed\\nd leads into it. … :notices has the rest')
    """
    room = max(min(WIDEST, width * 94 // 100) - _AROUND, 2)
    heading, parts = _lines(title, room), text.rstrip().splitlines()
    lines = _lines(text.rstrip(), room)
    if len(heading) + len(lines) <= rows:
        return title, text
    last = _lines(parts[-1], room) if parts else []
    least = min(len(heading), 1)
    most = rows - least if len(last) <= rows - least else rows - min(len(heading), max(rows // 2, 1))
    kept = last[:most]
    above = [*heading, *lines[: len(lines) - len(last)]][: rows - len(kept)]
    whole = len(kept) == len(last) and bool(kept)
    if whole and above and cell_len(kept[-1]) + 1 + cell_len(_REST) > room:
        above[-1] = _with_rest(above[-1], room)  # nothing of what to do is lost for it
    elif kept:
        kept[-1] = _with_rest(kept[-1], room)
    else:
        above[-1] = _with_rest(above[-1], room)
    head = min(len(heading), len(above))
    return "\n".join(above[:head]), "\n".join([*above[head:], *kept])


def _with_rest(line: str, room: int) -> str:
    """As much of the line as there is room for beside the words that say where the rest is."""
    left = max(room - cell_len(_REST) - 1, 0)
    beginning = line if cell_len(line) <= left else set_cell_size(line, left)
    return f"{beginning.rstrip()} {_REST}".strip()


def _lines(text: str, room: int) -> list[str]:
    """As the notice is drawn: a word that is longer than a line goes on in the next one."""
    return [line.plain for part in text.splitlines() for line in Content(part).wrap(room)]
