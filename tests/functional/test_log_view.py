"""The log view: what a person sees and does in a log while it grows."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

import pytest
from at_rest import rest
from patience import PATIENCE
from screen import until as shows
from textual import events
from textual.app import App, ComposeResult
from textual.pilot import Pilot

from core.store.log_writer import LogWriter
from tui.theme import INGOT
from tui.widgets.log_view import LogView

Compare = Callable[..., bool]
CSS = Path(__file__).parents[2] / "screens.css"


class Reading(App[None]):
    CSS_PATH = CSS

    def __init__(self, path: Path, *, growing: bool = True, speaker: str = "") -> None:
        super().__init__()
        self.register_theme(INGOT)
        self.theme = "ingot"
        self.log_view = LogView()
        self.path = path
        self.growing = growing
        self.speaker = speaker
        self.copied: list[str] = []
        self.left = 0

    def compose(self) -> ComposeResult:
        yield self.log_view

    def on_mount(self) -> None:
        self.log_view.show(self.path, "build.log", empty="Nothing yet.", growing=self.growing, speaker=self.speaker)
        self.log_view.focus()

    def copy_to_clipboard(self, text: str) -> None:
        self.copied.append(text)

    def on_log_view_left(self) -> None:
        self.left += 1


def screen_text(app: App[None]) -> list[str]:
    """What the terminal shows, line by line."""
    return ["".join(segment.text for segment in line) for line in app.screen._compositor.render_strips()]  # pyright: ignore[reportPrivateUsage]


def body(app: Reading) -> list[str]:
    """The lines of the log on screen, without frame, margin and times."""
    return [line[3:-2].strip() for line in screen_text(app)[1:-1]]


async def until(app: Reading, condition: str) -> None:
    """Wait until the view's upper right corner says this, and what follows from it is drawn."""
    give_up = time.monotonic() + PATIENCE
    while condition not in app.log_view.status:
        assert time.monotonic() < give_up, f"{condition!r} never came: {app.log_view.status!r}"
        await asyncio.sleep(0.02)
    await rest()


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "build.log"


@pytest.fixture
def writer(log: Path) -> LogWriter:
    return LogWriter(log, clock=lambda: 1_763_636_400.0)


def numbered(first: int, last: int) -> bytes:
    return b"".join(b"line %d\n" % number for number in range(first, last))


async def test_new_lines_are_shown_as_they_come(log: Path, writer: LogWriter) -> None:
    app = Reading(log)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.pause()
        assert "Nothing yet." in "\n".join(screen_text(app))
        writer.write(numbered(0, 100))
        await until(app, "100 lines · ▼ following")
        assert body(app)[-1].endswith("line 99")
        writer.write(b"prompt without its end? ")
        await until(app, "101 lines")
        assert body(app)[-1].endswith("prompt without its end?")


async def test_scrolling_up_ends_following_and_nothing_moves_under_the_reader(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 100))
    app = Reading(log)
    async with app.run_test(size=(80, 12)) as pilot:
        for keys in (("up",), ("pageup",), ("g",)):
            await pilot.press("G")
            assert app.log_view.following
            await pilot.press(*keys)
            assert not app.log_view.following
            before = body(app)
            count = app.log_view.line_count
            writer.write(numbered(count, count + 50))
            await until(app, "▼ 50 new")
            assert body(app) == before
        await pilot.press("f")
        await until(app, "following")
        assert body(app)[-1].endswith(f"line {app.log_view.line_count - 1}")
        await pilot.press("f")
        assert not app.log_view.following


async def test_the_wheel_scrolls_the_view_and_ends_following(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 100))
    app = Reading(log)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot._post_mouse_events([events.MouseScrollUp], app.log_view, (5, 5), button=0)  # pyright: ignore[reportPrivateUsage]
        assert not app.log_view.following
        assert body(app)[-1].endswith("line 96")
        await pilot.press("down")
        assert app.log_view.top == 88  # the cursor stayed on screen, at its lower edge


async def test_the_position_is_said_for_people(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 4_210) + b"E: Unable to locate package\n" + numbered(0, 1000) + b"Error: it broke\nend\n")
    app = Reading(log, growing=False)
    async with app.run_test(size=(80, 12)) as pilot:
        await until(app, "2 errors")
        await pilot.press("e")
        assert app.log_view.status == "line 4,211 of 5,213 · error 1 of 2"
        assert "✗" in next(line for line in screen_text(app) if "Unable to locate" in line)
        await pilot.press("e")
        assert app.log_view.status == "line 5,212 of 5,213 · error 2 of 2"
        await pilot.press("e")
        assert "error 1 of 2" in app.log_view.status
        await pilot.press("E")
        assert "error 2 of 2" in app.log_view.status


async def test_keys_move_as_fingers_know(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 100))
    app = Reading(log, growing=False)
    async with app.run_test(size=(80, 12)) as pilot:
        for keys, cursor, top in (
            (("j", "down"), 2, 0),
            (("k",), 1, 0),
            (("pagedown",), 10, 9),
            (("end",), 99, 90),
            (("home",), 0, 0),
            (("up",), 0, 0),
            (("pageup",), 0, 0),
        ):
            await pilot.press(*keys)
            assert (app.log_view.cursor, app.log_view.top) == (cursor, top), keys


async def test_searching_shows_the_match_while_it_is_typed(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 3000))
    app = Reading(log, growing=False)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("slash", *"line 29")
        await until(app, "line 30 of 3,000")
        await pilot.press("3", "9")
        await until(app, "line 2,940 of 3,000")
        assert "/line 2939" in screen_text(app)[-1]
        await pilot.press("backspace", "enter", "n")
        await until(app, "line 2,931 of 3,000")
        await pilot.press("N")
        await until(app, "line 294 of 3,000")
        await pilot.press("N")
        await until(app, "line 2,940 of 3,000")
        assert "from the other end" in screen_text(app)[-1]
        await pilot.press("escape")
        assert app.log_view.needle == ""


async def test_giving_up_a_search_goes_back_to_where_it_began(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 3000))
    app = Reading(log)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("slash", *"line 7")
        await until(app, "line 800 of 3,000")
        await pilot.press("escape")
        assert app.log_view.following
        assert body(app)[-1].endswith("line 2999")


async def test_a_search_for_what_is_not_there_says_so(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 100))
    app = Reading(log)
    async with app.run_test(size=(80, 12)) as pilot:
        await pilot.press("slash", *"nothing", "enter")
        await shows(pilot, lambda: "/nothing  nowhere in this log" in screen_text(app)[-1])


async def test_long_lines_are_wrapped_or_scrolled_sideways(log: Path, writer: LogWriter) -> None:
    words = " ".join(f"word{number}" for number in range(40))
    writer.write(f"first\n{words}\nlast\n".encode())
    app = Reading(log, growing=False)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.pause()
        assert body(app)[1].endswith("…")
        await pilot.press("t", "right")
        assert body(app)[1].startswith(words[20:50])
        await pilot.press("left", "w")
        shown = [line for line in body(app) if "word" in line]
        assert " ".join(shown) == words
        await pilot.press("G")
        assert body(app)[len(shown) + 1] == "last"


async def test_the_end_of_a_wrapped_log_is_reached_and_followed(log: Path, writer: LogWriter) -> None:
    writer.write(b"".join(b"%d %s\n" % (number, b"x" * 200) for number in range(50)))
    app = Reading(log)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("w")
        assert body(app)[-1].startswith("xxx")
        writer.write(b"the newest\n")
        await until(app, "51 lines")
        assert body(app)[-1].endswith("the newest")
        await pilot.press("pageup", "pageup")
        before = body(app)
        writer.write(b"y" * 500)
        await until(app, "1 new")
        assert body(app) == before


async def test_times_can_be_shown_or_not(log: Path, writer: LogWriter) -> None:
    writer.write(b"a line\n")
    app = Reading(log)
    async with app.run_test(size=(60, 6)) as pilot:
        await pilot.pause()
        assert ":00:00  a line" in screen_text(app)[1]
        await pilot.press("t")
        assert ":00:00" not in screen_text(app)[1]


async def test_the_name_of_the_build_is_left_out_but_copied(log: Path, writer: LogWriter) -> None:
    writer.write(b"==> qemu.web: Starting VM\n    qemu.web: TASK [x : y] ********\n    qemu.other: hello\n")
    app = Reading(log, growing=False, speaker="qemu.web")
    async with app.run_test(size=(70, 8)) as pilot:
        await pilot.press("t")
        assert body(app)[:3] == ["==> Starting VM", "TASK [x : y]", "qemu.other: hello"]
        await pilot.press("y", "space", "down", "y")
        assert app.copied == [
            "==> qemu.web: Starting VM",
            "==> qemu.web: Starting VM\n    qemu.web: TASK [x : y] ********",
        ]


async def test_what_the_log_holds_is_harmless_on_screen(log: Path, writer: LogWriter) -> None:
    writer.write(b"\x1b[2J\x1b]52;c;aGk=\x07[bold]not markup[/] [@click=app.quit]x[/]\n")
    writer.write("\u202eevil \x9b31m\x00 end\n".encode() + b"\xff\xfe broken\n\x1b[31mred\x1b[0m\n")
    app = Reading(log, growing=False)
    async with app.run_test(size=(100, 8)) as pilot:
        await pilot.pause()
        text = "\n".join(screen_text(app))
        assert "[bold]not markup[/] [@click=app.quit]x[/]" in text
        assert not any(character in text for character in "\x1b\x07\u202e\x9b\x00")
        assert "red" in text
        await pilot.press("y")
        assert "\x1b" not in app.copied[0]


async def test_a_giant_line_is_cut_and_says_so(log: Path, writer: LogWriter) -> None:
    writer.write(b"x" * 5_000_000 + b"\nafter\n")
    app = Reading(log, growing=False)
    async with app.run_test(size=(60, 8)) as pilot:
        await until(app, "of 2")
        await pilot.press("w", "G", "pageup")
        for _ in range(3):
            await pilot.press("pagedown")
        assert "ofthislinearenotshown" in "".join(body(app)).replace(" ", "")
        assert body(app)[-1].endswith("after")


async def test_escape_undoes_one_thing_at_a_time_and_then_leaves(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 100))
    app = Reading(log, growing=False)
    async with app.run_test(size=(60, 8)) as pilot:
        await pilot.press("slash", *"line 5", "enter", "space")
        for left in (0, 0, 1):
            await pilot.press("escape")
            assert app.left == left


async def test_what_cannot_be_done_is_said_when_tried(log: Path, writer: LogWriter) -> None:
    writer.write(b"all is well\n")
    app = Reading(log, growing=False)
    async with app.run_test(size=(60, 12)) as pilot:
        await pilot.press("e")
        assert [notice.title for notice in app._notifications] == ["Next error: not now"]  # pyright: ignore[reportPrivateUsage]


async def test_a_log_that_was_cut_and_written_anew_is_followed(log: Path, writer: LogWriter) -> None:
    writer.write(numbered(0, 1000))
    app = Reading(log)
    async with app.run_test(size=(60, 8)):
        await until(app, "1,000 lines")
        with log.open("r+b") as file:
            file.truncate(0)
        writer.write(b"Error: anew\n")
        await until(app, "1 line · 1 error")
        assert body(app)[0].endswith("Error: anew")


@pytest.mark.parametrize("size", [(140, 42), (80, 24)])
def test_how_a_log_looks(log: Path, writer: LogWriter, snap_compare: Compare, size: tuple[int, int]) -> None:
    sample = Path(__file__).parents[1] / "data" / "failures" / "ansible-verbose.log"
    writer.write(sample.read_bytes())

    async def search(pilot: Pilot[None]) -> None:
        await pilot.press("g", "slash", *"cluster", "enter")
        await until(cast(Reading, pilot.app), "error")
        await pilot.pause()

    assert snap_compare(Reading(log, growing=False, speaker="null.web"), terminal_size=size, run_before=search)
