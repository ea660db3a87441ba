"""What a section of the image screen is: a title, columns, and rows made of all that is known. Nothing here draws."""

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from core.model.dossier import Dossier
from core.model.image import ImageVersion
from core.model.run import Run
from tui.theme import Cell, Piece, Tone, plain
from tui.widgets.columns import Column


class Row(msgspec.Struct, frozen=True):
    """A line of any section: its cells, what the panel below says of it, and where Enter leads."""

    cells: tuple[Cell, ...]
    sorts: tuple[Any, ...] = ()
    """What the columns are sorted by, where they can be."""
    detail: tuple[tuple[str, Cell], ...] = ()
    """Facts: a label and what it says. A long text is one with an empty label."""
    text: str = ""
    """What a machine or tool printed, line by line."""
    image: ImageVersion | None = None
    run: Run | None = None
    copied: str = ""


def told(row: Row) -> str:
    """What the panel says of a row, by which it is found, too: a cell shows only the beginning of a digest."""
    return " ".join(plain(says) for _, says in row.detail)


class Section(msgspec.Struct, frozen=True):
    """One section of the screen."""

    id: str
    title: str
    columns: tuple[Column[Row], ...]
    rows: Callable[[Dossier, float], Iterator[Row]]
    note: Callable[[Dossier], Piece]
    """A sign or a number beside the title."""
    empty: Callable[[Dossier], str]
    count: Callable[[Dossier], int] | None = None
    """How many things its rows are about, where that is not as many as there are rows."""


def column(
    at: int,
    title: str,
    least: int,
    most: int,
    *,
    rank: int = 1,
    right: bool = False,
    grow: bool = False,
    end: bool = True,
    keeps: int = 0,
) -> Column[Row]:
    """The column of the cell at a place in `Row.cells`."""
    return Column(
        f"{at}",
        title,
        lambda row: row.cells[at] if at < len(row.cells) else "",
        lambda row: row.sorts[at] if at < len(row.sorts) else None,
        "right" if right else "left",
        rank,
        least,
        most,
        "end" if end else "middle",
        keeps=keeps,
        grow=grow,
    )


def number(count: int) -> Piece:
    """A count beside a title; nothing for none."""
    return Piece(f"{count:,}" if count else "", Tone.FAINT)
