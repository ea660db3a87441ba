"""What a step printed last, on few rows: values in, rows out."""

import textwrap
from collections.abc import Container, Sequence

from core.text import cut_middle, visible
from tui.theme import UNICODE, Piece, Tone
from tui.widgets.panel import PanelRow

_LONGEST = 2_000
"""Characters of a printed line that are laid on rows."""
_ROWS = 6
"""Rows that one line takes at most."""


def is_of_error(line: str, error: str) -> bool:
    """The line says the error, or a part of it."""
    return bool(error) and (line.strip() in error or error in line)


def place_of_error(output: Sequence[str], error: str) -> int:
    """Where in what was printed the error stands last; behind it all where it does not."""
    return next((at for at in reversed(range(len(output))) if is_of_error(output[at], error)), len(output))


def whole(line: str, width: int, tone: Tone, sign: str) -> list[PanelRow]:
    """A line on as many rows as it takes, behind a sign."""
    words = textwrap.wrap(visible(line.strip())[:_LONGEST], max(width - 4, 1), break_on_hyphens=False)
    return [PanelRow((Piece("  " if at else f"{sign} ", tone), Piece(row, tone))) for at, row in enumerate(words)]


def beside(output: Sequence[str], error: str, told: Container[int] = ()) -> list[int]:
    """The places of the error and of the lines next to it: there a tool says which file and line it means."""
    at = place_of_error(output, error)
    return [near for near in (at, at - 1, at + 1) if 0 <= near < len(output) and near not in told]


def printed(output: Sequence[str], error: str, width: int, room: int, *, told: Container[int] = ()) -> list[PanelRow]:
    """The last lines that a step printed, in so many rows; the error among them has a sign before it.

    It comes first, then the lines next to it, all whole; then a row of each other line from the end on; what room is
    left then makes lines whole, the nearest first. `told` are the places of lines that stand elsewhere already.
    """
    near = beside(output, error, told)
    rest = [at for at in reversed(range(len(output))) if at not in near and at not in told]
    taken: dict[int, list[PanelRow]] = {}

    def left() -> int:
        return room - sum(len(rows) for rows in taken.values())

    for at in near:
        taken[at] = _within(output[at], width, left(), bad=is_of_error(output[at], error))
    for at in rest:
        if left() < 1:
            break
        bad = is_of_error(output[at], error)
        row = PanelRow((Piece("  "), Piece(output[at], Tone.FAINT)))
        taken[at] = _within(output[at], width, left(), bad=True) if bad else [row]
    for at in sorted((at for at in rest if at in taken), key=lambda at: abs(at - place_of_error(output, error))):
        rows = whole(output[at], width, Tone.FAINT, " ")
        if len(taken[at]) < len(rows) <= left() + 1:
            taken[at] = rows
    return [row for at in sorted(taken) for row in taken[at]]


def _within(line: str, width: int, room: int, *, bad: bool) -> list[PanelRow]:
    """A line whole, or in so many rows as there are: its end, where a file is named, is not lost then."""
    tone, sign = (Tone.BAD, UNICODE.bad) if bad else (Tone.FAINT, " ")
    rows = whole(line, width, tone, sign)
    most = min(room, _ROWS)
    if len(rows) <= most:
        return rows
    if most < 1:
        return []
    lost_at_ends = 8 * (most - 1)  # words are not broken
    return whole(cut_middle(visible(line.strip()), (width - 4) * most - lost_at_ends), width, tone, sign)[:most]
