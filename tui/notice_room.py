"""How much of a notice shows on a small terminal: what leaves the screen to be worked with. A cut is told."""

from tui.widgets.table_cells import wrapped

WIDEST = 76
"""Columns of a notice on a small terminal (screens.css)."""
_AROUND = 5
"""Columns of its edge, the blanks beside its text, and the scroll bar that it never shows."""
_SHARE = 4
"""It takes one row of so many."""
_REST = "… N has the rest"


def notice_that_fits(title: str, text: str, width: int, height: int) -> tuple[str, str]:
    """Title and text in as many rows as a small terminal has for a notice; where that is not all, it says where the
    rest is.

    >>> notice_that_fits("Not now", "Nothing is stale.", 80, 24)
    ('Not now', 'Nothing is stale.')
    """
    room, rows = min(WIDEST, width * 94 // 100) - _AROUND, max(height // _SHARE, 2)
    heading, lines = _lines(title, room), _lines(text, room)
    if len(heading) + len(lines) <= rows:
        return title, text
    heading = heading[: rows - 1]
    lines = lines[: rows - len(heading)]
    lines[-1] = f"{lines[-1][: room - len(_REST) - 1].rstrip()} {_REST}"
    return "\n".join(heading), "\n".join(lines)


def _lines(text: str, room: int) -> list[str]:
    return [line for part in text.splitlines() for line in wrapped(part, room)]
