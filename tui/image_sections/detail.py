"""What the panel below the list says of the chosen row, on as many lines as it takes."""

import textwrap
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
    """A fact on as many lines as it takes; a label that is too long for its column has a line of its own."""
    room = max(width - _LABEL - 1, 10)
    first = visible(label).ljust(_LABEL)
    if not first.endswith(" "):
        yield Piece(first, Tone.FAINT)
        first = " " * _LABEL
    if not isinstance(says, str):
        yield (Piece(first, Tone.FAINT), *pieces_of(says))
        return
    for at, line in enumerate(_lines(visible(says), room)):
        yield (Piece(first if at == 0 else " " * _LABEL, Tone.FAINT), Piece(line))


def _lines(text: str, room: int) -> list[str]:
    """Broken between the members of a list, between words where a member alone is too long, and only a word that is
    longer than a line inside itself: fingerprints stay in their groups of four, `tcp [::]:5355` stays together."""
    lines = [""]
    for member in _members(text):
        if lines[-1] and len(lines[-1]) + len(member.rstrip()) > room:
            lines.append("")
        if len(member.rstrip()) <= room:
            lines[-1] += member
            continue
        *before, last = textwrap.wrap(member, room, break_on_hyphens=False)
        lines[-1:] = [*before, f"{last} "]
    return [line.rstrip() for line in lines]


def _members(text: str) -> Iterator[str]:
    """`tcp *:22 sshd, `, `udp *:68 networkd`: each with what parts it from the next."""
    *before, last = text.split(", ")
    for member in before:
        yield f"{member}, "
    yield last
