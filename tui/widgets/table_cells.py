"""What of a row fits into the columns of a list, and the line of their titles. Pure: text in, text out."""

from collections.abc import Sequence
from typing import Any, TypeVar

from rich.cells import cell_len

from core.text import cut_end, cut_middle
from tui.theme import Piece, pieces_of
from tui.widgets.columns import GAP, Column

T = TypeVar("T")

MARGIN = 2
"""Cells before the first column: the sign of the cursor or of a mark."""


def titles(laid: Sequence[tuple[Column[Any], int]], sorted_by: Column[Any] | None, sign: str) -> str:
    """The first line of a list; `sign` tells which way it is sorted."""
    parts = [" " * MARGIN]
    for column, room in laid:
        if not room:
            continue
        title = cut_end(f"{column.title} {sign}" if column is sorted_by else column.title, room)
        gap = " " * (room - cell_len(title))
        parts.append((gap + title if column.align == "right" else title + gap) + " " * GAP)
    return "".join(parts)


def cell(column: Column[T], row: T, room: int) -> tuple[tuple[Piece, ...], int]:
    """What of a cell fits into its column, and the cells that stay blank."""
    pieces = pieces_of(column.value(row))
    taken = sum(cell_len(text) for text, _ in pieces)
    if taken > room:
        pieces = _cut(pieces, room, column.cut)
        taken = sum(cell_len(text) for text, _ in pieces)
    return pieces, room - taken


def column_at(laid: Sequence[tuple[Column[T], int]], x: int) -> Column[T] | None:
    """The column that is drawn at a cell."""
    left = MARGIN
    for column, room in laid:
        if room and left <= x < left + room + GAP:
            return column
        left += room + GAP if room else 0
    return None


def _cut(pieces: tuple[Piece, ...], room: int, where: str) -> tuple[Piece, ...]:
    """Shorten a cell: one piece as the column says, several from the end."""
    if len(pieces) == 1:
        text, tone = pieces[0]
        return (Piece(cut_middle(text, room) if where == "middle" else cut_end(text, room), tone),)
    kept: list[Piece] = []
    for text, tone in pieces:
        taken = cell_len(text)
        if taken > room:
            kept.append(Piece(cut_end(text, room), tone))
            break
        kept.append(Piece(text, tone))
        room -= taken
        if not room:
            break
    return tuple(kept)


def wrapped(text: str, width: int) -> list[str]:
    """Words on lines of a width; for our own short sentences."""
    lines = [""]
    for word in text.split(" "):
        if lines[-1] and cell_len(lines[-1]) + 1 + cell_len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return [cut_end(line, width) for line in lines]
