"""What a terminal's frame says: its title and its keys above, how reading back goes below."""

from collections.abc import Sequence

from rich.cells import cell_len

from core.text import cut_middle, visible

Styled = tuple[str, str]
"""Text, and the component class of the terminal that it is drawn in."""
_CORNERS = 6
"""Cells of the frame's upper edge that are not the title's: corners, and a blank at each end."""


def above(title: str, hints: Sequence[Styled], width: int, line: str) -> list[Styled]:
    """The upper edge of a frame of this width: the title, the line, and as many of the hints as there is room for.

    The first hint is the last to go; the title is cut before it does.
    """
    room = width - _CORNERS
    kept = list(hints)
    while len(kept) > 1 and _width(kept) > room - min(cell_len(title), 12) - 3:
        kept.pop()
    if _width(kept) > room:
        kept = []
    title = cut_middle(visible(title), max(room - (_width(kept) + 3 if kept else 0), 0))
    fill = room - cell_len(title) - _width(kept) - (1 if title else 0) - (1 if kept else 0)
    parts: list[Styled] = [(f"{title} ", "terminal--title")] if title else []
    parts.append((line * max(fill, 0), "terminal--edge"))
    if kept:
        parts.append((" ", "terminal--edge"))
        parts.extend(kept)
    return parts


def _width(parts: Sequence[Styled]) -> int:
    return sum(cell_len(text) for text, _ in parts)
