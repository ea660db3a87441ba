"""The emulator: what it keeps, what it answers, and that nothing a program sends gets it out of step."""

import os
import random
import resource
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from rich.cells import cell_len

from core.text import visible
from tui.terminal.cells import Painter, text_of
from tui.terminal.emulator import Button, By, CursorShape, Match, Modifiers, Motion, Palette, Press, View
from tui.terminal.ghostty import HISTORY_LINES, Ghostty

ANSI = tuple((at * 10, at * 11, at * 12) for at in range(16))
PALETTE = Palette((211, 215, 222), (15, 18, 22), (122, 169, 247), ANSI)


@pytest.fixture
def terminal() -> Iterator[Ghostty]:
    emulator = Ghostty(40, 10, PALETTE)
    yield emulator
    emulator.close()


def lines(terminal: Ghostty) -> list[str]:
    return [text_of(row).rstrip() for _, row in terminal.frame(whole=True).changed]


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"line %d\r\n" % number for number in range(first, last))


def test_colours_of_the_palette_come_as_rgb(terminal: Ghostty) -> None:
    terminal.feed(b"\x1b[31;42mA\x1b[0;38;5;200mB\x1b[0;48;2;1;2;3mC")
    runs = terminal.frame().changed[0][1].runs
    assert [(run.text, run.look.foreground, run.look.background) for run in runs[:3]] == [
        ("A", ANSI[1], ANSI[2]),
        ("B", (255, 0, 215), None),
        ("C", None, (1, 2, 3)),
    ]


def test_wide_signs_and_marks_are_one_place_each(terminal: Ghostty) -> None:
    terminal.feed("漢e\u0301x".encode())
    runs = terminal.frame().changed[0][1].runs
    assert [(run.text, run.cells) for run in runs[:2]] == [("漢", 2), ("e\u0301", 1)]
    assert sum(run.cells for run in runs) == 40


def test_only_rows_that_changed_are_given(terminal: Ghostty) -> None:
    terminal.feed(b"one\r\ntwo")
    assert len(terminal.frame().changed) == 10
    assert terminal.frame().changed == []
    terminal.feed(b"\x1b[5;1Hfive")
    assert [y for y, _ in terminal.frame().changed if y != 1] == [4]


def test_the_cursor_has_a_place_and_a_shape(terminal: Ghostty) -> None:
    terminal.feed(b"abc\x1b[6 q")
    cursor = terminal.frame().cursor
    assert cursor is not None
    assert (cursor.x, cursor.y, cursor.shape, cursor.blinking) == (3, 0, CursorShape.BAR, False)
    terminal.feed(b"\x1b[?25l")
    assert terminal.frame().cursor is None


def test_it_answers_for_itself_and_for_nothing_else(terminal: Ghostty) -> None:
    terminal.feed(b"\x1b[c\x1b[6n\x1b]11;?\x07\x1b[18t")
    answers = terminal.replies()
    assert b"\x1b[?62;" in answers
    assert b"\x1b[1;1R" in answers
    assert b"rgb:0f0f/1212/1616" in answers
    assert b"\x1b[8;10;40t" in answers
    assert terminal.replies() == b""
    for question in (
        b"\x1b]52;c;?\x07",  # the clipboard
        b"\x1b]2;title\x07\x1b[21t",  # the title
        b"\x1b]7;file:///etc\x07",
        b"\x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\",
        b"\x1b]9;notice\x07\x1b]777;notify;a;b\x07",
        b"\x1b_Gi=1,a=T,t=f;L2V0Yy9wYXNzd2Q=\x1b\\",  # an image from a file
        b"\x05",
    ):
        terminal.feed(question)
        assert terminal.replies() == b"", question
    terminal.feed(b"\x1b]5522;type=read\x07")  # the clipboard, in a protocol that has a word for no
    assert b"EPERM" in terminal.replies()


def test_answers_that_nobody_takes_are_not_kept_for_ever(terminal: Ghostty) -> None:
    for _ in range(2000):
        terminal.feed(b"\x1b[c" * 1000)
    assert len(terminal.replies()) <= 64 * 1024


def test_no_size_is_refused_and_none_is_too_small(terminal: Ghostty) -> None:
    terminal.resize(0, 0)
    terminal.resize(-1, 5)
    assert (terminal.frame().columns, terminal.frame().rows) == (40, 10)
    terminal.resize(1, 1)
    terminal.feed("wide 漢字\r\n".encode())
    assert terminal.frame(whole=True).columns == 1
    terminal.resize(100_000, 100_000)
    assert terminal.frame().columns <= 2000


def test_a_program_may_ask_for_132_columns(terminal: Ghostty) -> None:
    terminal.feed(b"\x1b[?40h\x1b[?3h" + b"x" * 132)
    frame = terminal.frame()
    assert frame.columns == 132
    assert Painter(PALETTE).strip(frame.changed[0][1], 40).cell_length == 40
    terminal.resize(40, 10)
    assert terminal.frame().columns == 40


def test_what_scrolled_away_can_be_seen_and_is_bounded(terminal: Ghostty) -> None:
    terminal.feed(numbered(0, 50))
    assert terminal.view == View(51, 41, 10)
    terminal.scroll(-5)
    assert terminal.view.above == 5
    assert lines(terminal)[0] == "line 36"
    terminal.scroll_to(0)
    assert lines(terminal)[0] == "line 0"
    terminal.hold(False)
    assert terminal.view.above == 0
    terminal.feed(numbered(50, 3 * HISTORY_LINES))
    assert 0.5 * HISTORY_LINES < terminal.view.total < 1.5 * HISTORY_LINES


def test_a_held_view_stays_on_its_lines_while_more_comes(terminal: Ghostty) -> None:
    terminal.feed(numbered(0, 50))
    terminal.hold(True)
    terminal.feed(numbered(50, 60))
    assert lines(terminal)[0] == "line 41"
    terminal.scroll(-1)
    terminal.feed(numbered(60, 70))
    assert lines(terminal)[0] == "line 40"
    terminal.feed(numbered(70, 3 * HISTORY_LINES))  # the line is gone: the oldest that is left
    assert terminal.view.offset == 0
    terminal.hold(False)
    assert lines(terminal)[-2] == f"line {3 * HISTORY_LINES - 1}"


def test_text_is_found_wherever_it_is_oldest_first(terminal: Ghostty) -> None:
    terminal.feed(numbered(0, 50) + b"x" * 38 + b"needle")
    assert terminal.find("LINE 4")[:2] == [Match(4, 0, 4, 6), Match(40, 0, 40, 6)]
    assert terminal.find("needle") == [Match(50, 38, 51, 4)]
    assert terminal.find("nowhere") == []
    assert terminal.find("") == []


def test_a_selection_gives_its_text_and_follows_it(terminal: Ghostty) -> None:
    terminal.feed(b"alpha beta-gamma delta\r\nnext line\r\n" + b"y" * 60)
    terminal.select(2, 0, By.CELLS)
    terminal.select_to(6, 1)
    assert terminal.selected() == "pha beta-gamma delta\nnext li"
    assert [row.selected for _, row in terminal.frame(whole=True).changed][:3] == [(2, 40), (0, 7), None]
    terminal.feed(b"\r\n" * 20)
    assert terminal.selected() == "pha beta-gamma delta\nnext li"
    terminal.unselect()
    assert terminal.selected() is None
    terminal.scroll_to(0)
    terminal.select(7, 0, By.WORDS)
    assert terminal.selected() == "beta-gamma"
    terminal.select(4, 2, By.LINES)
    assert terminal.selected() == "y" * 60  # a line that was only wrapped is one


def test_a_selection_backwards_is_the_same_text(terminal: Ghostty) -> None:
    terminal.feed(b"alpha beta\r\ngamma delta")
    terminal.select(3, 1, By.WORDS)
    terminal.select_to(8, 0)
    assert terminal.selected() == "beta\ngamma"


# whatever comes

MODES = (b"\x1b[?1049h", b"\x1b[?1049l", b"\x1b[?40h\x1b[?3h", b"\x1b[?2026h", b"\x1b[?2027h", b"\x1bc", b"\x1b[!p")
UNFINISHED = (b"\x1bP", b"\x1b]8;;x\x07", b"\x1b_G", b"\x1b\\", b"\x1b]4;1;?\x07", b"\x9b31m")
DRAWN = (b"\r\n" * 30, b"\t" * 50, b"\x1b#8", b"\x1b[5 q", "🇩🇪".encode(), "a\u0301\u202e".encode())
SEQUENCES = (*MODES, *UNFINISHED, *DRAWN, "👨\u200d👩\u200d👧🏽".encode())
PIECES = some.one_of(
    some.binary(max_size=40),
    some.text(max_size=20).map(lambda text: text.encode(errors="surrogatepass")),
    some.lists(some.integers(0, 70000), max_size=6).flatmap(
        lambda numbers: some.sampled_from("ABCDEFGHJKLMPSTXZ@`abcdefghilmnpqrstuvwxyz{|}~").map(
            lambda last: b"\x1b[" + ";".join(map(str, numbers)).encode() + last.encode()
        )
    ),
    some.sampled_from(SEQUENCES),
)
STEPS = some.lists(
    some.one_of(
        PIECES.map(lambda data: ("feed", data)),
        some.tuples(some.integers(-1, 90), some.integers(-1, 40)).map(lambda size: ("resize", size)),
        some.tuples(some.integers(-5, 90), some.integers(-5, 40)).map(lambda place: ("select", place)),
        some.integers(-50, 50).map(lambda lines: ("scroll", lines)),
        some.booleans().map(lambda held: ("hold", held)),
        some.text(max_size=3).map(lambda text: ("find", text)),
    ),
    max_size=25,
)


@settings(max_examples=150)
@given(STEPS)
def test_whatever_a_program_sends_is_drawn_harmless_and_in_its_cells(steps: list[tuple[str, object]]) -> None:
    terminal = Ghostty(20, 6, PALETTE)
    painter = Painter(PALETTE)
    try:
        for what, with_what in steps:
            match what, with_what:
                case "feed", bytes() as data:
                    terminal.feed(data)
                case "resize", (int() as columns, int() as rows):
                    terminal.resize(columns, rows)
                case "select", (int() as x, int() as y):
                    terminal.select(max(x, 0), max(y, 0), random.choice(list(By)))
                    terminal.select_to(max(y, 0), max(x, 0))
                    terminal.selected()
                case "scroll", int() as number:
                    terminal.scroll(number)
                case "hold", held:
                    terminal.hold(bool(held))
                case "find", text:
                    terminal.find(str(text))
                case _:
                    raise AssertionError(what)
            frame = terminal.frame()
            for _, row in frame.changed:
                text = text_of(row)
                assert visible(text) == text
                assert sum(run.cells for run in row.runs) == frame.columns
                for segment in painter.strip(row, 20):
                    assert visible(segment.text) == segment.text
                assert sum(cell_len(segment.text) for segment in painter.strip(row, 20)) == 20
            terminal.key(Press("", "x", Modifiers(alt=True)))
            terminal.mouse(Motion.PRESS, Button.LEFT, 3, 2, Modifiers())
            terminal.paste("a\nb")
            terminal.replies()
    finally:
        terminal.close()


def test_random_bytes_do_not_fill_the_memory() -> None:
    terminal = Ghostty(120, 40, PALETTE)
    chance = random.Random(5)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(500):
        terminal.feed(chance.randbytes(4096))
        terminal.frame()
        terminal.replies()
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 250 * 1024  # kilobytes
    terminal.close()


def test_a_terminal_gives_its_memory_back() -> None:
    def resident() -> int:
        with open(f"/proc/{os.getpid()}/statm") as file:  # noqa: PTH123
            return int(file.read().split()[1]) * resource.getpagesize()

    def one() -> None:
        terminal = Ghostty(120, 40, PALETTE)
        terminal.feed(numbered(0, 20_000))
        terminal.frame()
        terminal.hold(True)
        terminal.select(1, 1, By.CELLS)
        terminal.close()

    one()
    before = resident()
    for _ in range(20):
        one()
    assert resident() - before < 40 * 2**20
