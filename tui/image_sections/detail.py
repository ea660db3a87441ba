"""What the panel below the list says of the chosen row, on as many lines as it takes."""

from collections.abc import Iterator

from core.text import visible
from tui.image_sections.section import Row
from tui.theme import Cell, Piece, Tone, pieces_of
from tui.widgets.panel import PanelRow

_LABEL = 11
"""Cells of a label in the panel."""


def detail_rows(row: Row | None, width: int, height: int) -> list[PanelRow]:
    """What the panel below the list says of the chosen row, in so many lines at most."""
    if row is None:
        return []
    told = [PanelRow(cell) for label, says in row.detail for cell in _told(label, says, width)]
    lines = row.text.splitlines()
    room = max(height - len(told), 0)
    if len(lines) > room and room:
        left = len(lines) - room + 1
        lines = [*lines[: room - 1], f"… {left} more lines; y copies all of it"]
    return [*told[:height], *(PanelRow(Piece(line.expandtabs(4))) for line in lines[:room])]


def _told(label: str, says: Cell, width: int) -> Iterator[Cell]:
    """A fact on as many lines as it takes."""
    room = max(width - _LABEL - 1, 10)
    if not isinstance(says, str):
        yield (Piece(label.ljust(_LABEL), Tone.FAINT), *pieces_of(says))
        return
    text = visible(says)
    for at in range(0, max(len(text), 1), room):
        yield (Piece((label if at == 0 else "").ljust(_LABEL), Tone.FAINT), Piece(text[at : at + room]))
