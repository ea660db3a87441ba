"""What is drawn for a cell: harmless, and as wide as the emulator says."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from rich.cells import cell_len
from rich.style import Style
from textual.strip import Strip

from core.text import visible
from tui.terminal.cells import Painter, over, safe, text_of, width_at
from tui.terminal.emulator import Look, Palette, Row, Run

PALETTE = Palette((211, 215, 222), (15, 18, 22), (122, 169, 247), tuple((at * 16,) * 3 for at in range(16)))  # type: ignore[misc]


@given(some.text(max_size=8), some.integers(1, 2))
def test_a_cell_is_harmless_and_of_its_width_whatever_is_in_it(text: str, cells: int) -> None:
    drawn = safe(text, cells)
    assert visible(drawn) == drawn
    assert cell_len(drawn) == cells


@pytest.mark.parametrize(
    ("text", "cells", "drawn"),
    [
        ("é", 1, "é"),
        ("e\u0301", 1, "e\u0301"),
        ("漢", 2, "漢"),
        ("─", 1, "─"),
        ("\x7f\u202e", 1, "␡"),
        ("\u202e", 1, "\ufffd"),
        ("\x9b", 1, "\ufffd"),
        ("👨\u200d", 2, "👨"),
        ("👨\u200d👩", 2, "👨"),
        ("❤\ufe0f", 1, "❤"),
        ("🇩", 2, "D "),
        ("漢", 1, "\ufffd"),
        ("", 1, "\ufffd"),
    ],
)
def test_what_terminals_disagree_on_is_drawn_as_the_emulator_counts_it(text: str, cells: int, drawn: str) -> None:
    assert safe(text, cells) == drawn


def test_a_row_is_cut_or_filled_to_the_room_there_is() -> None:
    painter = Painter(PALETTE)
    row = Row((Run("abc", 3, Look()), Run("漢", 2, Look(bold=True)), Run("d", 1, Look())))
    assert painter.strip(row, 8).text == "abc漢d  "
    assert painter.strip(row, 4).text == "abc "  # half of a wide sign is a blank
    assert painter.strip(row, 4).cell_length == 4
    assert text_of(row) == "abc漢d"
    assert [width_at(row, x) for x in (0, 2, 3, 4, 5, 9)] == [1, 1, 2, 2, 1, 1]


def test_inverse_and_hidden_are_made_of_the_terminals_own_colours() -> None:
    painter = Painter(PALETTE)
    inverse, hidden = painter.strip(Row((Run("a", 1, Look(inverse=True)), Run("b", 1, Look(hidden=True)))), 2)
    assert inverse.style is not None
    assert hidden.style is not None
    assert inverse.style.bgcolor is not None
    assert inverse.style.bgcolor.triplet == PALETTE.foreground
    assert hidden.style.color == hidden.style.bgcolor


def test_a_style_is_laid_over_some_cells_of_a_row() -> None:
    painter = Painter(PALETTE)
    strip = over(painter.strip(Row((Run("hello", 5, Look()),)), 5), 1, 3, Style(reverse=True))
    assert [(segment.text, bool(segment.style and segment.style.reverse)) for segment in strip] == [
        ("h", False),
        ("el", True),
        ("lo", False),
    ]
    assert over(Strip.blank(3), 2, 9, Style(bold=True)).cell_length == 3
    assert over(Strip.blank(3), 7, 9, Style(bold=True)).cell_length == 3
