"""The columns of a list: what each shows, and which of them fit into a width. Pure; draws nothing."""

from collections.abc import Callable, Sequence
from typing import Any, Generic, Literal, TypeVar

import msgspec

from tui.theme import Cell

T = TypeVar("T")

GAP = 2
"""Cells between two columns."""


class Column(msgspec.Struct, Generic[T], frozen=True):
    """One column of a list of `T`."""

    id: str
    title: str
    value: Callable[[T], Cell]
    """What the cell shows; called when it is drawn, so it may depend on the clock."""
    sort_key: Callable[[T], Any] | None = None
    """What rows are sorted by; values of one column must be comparable, None goes to the end. None: not sortable."""
    align: Literal["left", "right"] = "left"
    priority: int = 1
    """1 is dropped last when the width shrinks."""
    min_width: int = 4
    max_width: int = 40
    cut: Literal["middle", "end"] = "middle"
    """Where the text is cut when it is longer than the column."""
    keeps: int = 0
    """Cells of its content that it gives up only when all others are at their minimum."""
    grow: bool = False
    """Takes the width that is left over."""


def fit(columns: Sequence[Column[Any]], wanted: Sequence[int], width: int) -> list[int]:
    """The width of each column within `width` cells, 0 for one that is dropped.

    `wanted` is what each column's content takes. Columns first give up what they have above their minimum, the widest
    first; when that is not enough, the least important is dropped, of equals the last. The most important always stays.

    >>> fit([Column("a", "A", str, priority=1), Column("b", "B", str, priority=2)], [10, 10], 12)
    [5, 5]
    >>> fit([Column("a", "A", str, priority=1), Column("b", "B", str, priority=2)], [10, 10], 9)
    [9, 0]
    """
    ideal = [max(min(want, column.max_width), 1) for column, want in zip(columns, wanted, strict=True)]
    least = [min(column.min_width, natural) for column, natural in zip(columns, ideal, strict=True)]
    kept = list(range(len(columns)))
    while len(kept) > 1 and sum(least[at] for at in kept) + GAP * (len(kept) - 1) > width:
        kept.remove(max(kept, key=lambda at: (columns[at].priority, at)))
    widths = [0] * len(columns)
    for at in kept:
        widths[at] = ideal[at]
    over = sum(widths) + GAP * (len(kept) - 1) - width
    floors = [max(low, min(natural, column.keeps)) for low, natural, column in zip(least, ideal, columns, strict=True)]
    while over > 0:
        if all(widths[at] <= floors[at] for at in kept):
            floors = least
        widest = max(kept, key=lambda at: (widths[at] - floors[at], widths[at]))
        widths[widest] -= 1
        over -= 1
        if max(widths) <= 1:
            break
    growing = [at for at in kept if columns[at].grow]
    if over < 0 and growing:
        share, rest = divmod(-over, len(growing))
        for place, at in enumerate(growing):
            widths[at] += share + (1 if place < rest else 0)
    return widths
