"""The terminal as a person works with it: keys, pastes, the mouse, reading back, copying, and the way out."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

import pytest
from local_program import PROMPT, LocalProgram, TerminalApp, Told
from rich.cells import cell_len
from screen import lines, shown, until
from textual import events
from textual.binding import Binding, BindingType
from textual.pilot import Pilot

from core.errors import IngotError
from core.text import visible
from tui.terminal import drawn, widget
from tui.terminal.widget import Terminal

WAY_OUT = "ctrl+right_square_bracket"


class Surrounded(TerminalApp):
    """A terminal in an app that has keys of its own, as Ingot has."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+q", "noted('ctrl+q')", priority=True),
        Binding("ctrl+c", "noted('ctrl+c')"),
        Binding("colon", "noted(':')", priority=True),
        Binding("d", "noted('d')"),
    ]

    def __init__(self, terminal: Terminal | None = None) -> None:
        super().__init__(terminal)
        self.noted: list[str] = []

    def action_noted(self, key: str) -> None:
        self.noted.append(key)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        return not getattr(self.focused, "takes_every_key", False)  # as tui/app.py


@asynccontextmanager
async def told(
    size: tuple[int, int] = (62, 22), terminal: Terminal | None = None
) -> AsyncGenerator[tuple[Surrounded, Told, Pilot[None]]]:
    """A terminal of 60×20, a program that says what the test says, and the pilot."""
    app = Surrounded(terminal)
    program = Told()
    async with app.run_test(size=size) as pilot:
        app.terminal.attach(program)
        app.terminal.focus()
        await pilot.pause()
        yield app, program, pilot


async def says(app: TerminalApp, program: Told, pilot: Pilot[None], text: bytes, shows: str) -> None:
    program.say(text)
    await until(pilot, lambda: shows in "\n".join(app.terminal.screen_lines()))


def numbered(count: int) -> bytes:
    return b"".join(b"line %d of the log\r\n" % number for number in range(count))


# typing


async def test_every_key_goes_to_the_machine_the_apps_own_too() -> None:
    async with told() as (app, program, pilot):
        keys = ("ctrl+c", "ctrl+q", "ctrl+p", "tab", "escape", "f1", "f5", "colon", "d", "q", "question_mark", "up")
        await pilot.press(*keys)
        await pilot.press("shift+tab", "ctrl+z", "enter", "space", "é")
        assert bytes(program.written) == (
            b"\x03\x11\x10\t\x1b\x1bOP\x1b[15~:dq?\x1b[A" + b"\x1b[Z\x1a\r " + "é".encode()
        )
        assert app.noted == []
        assert app.focused is app.terminal
        assert app.is_running


async def test_the_way_out_is_told_and_goes_to_the_machine_the_second_time() -> None:
    async with told() as (app, program, pilot):
        await pilot.press(WAY_OUT)
        assert (app.left, bytes(program.written)) == (1, b"")
        await pilot.press(WAY_OUT)
        assert (app.left, bytes(program.written)) == (1, b"\x1d")
        await pilot.press(WAY_OUT)
        assert app.left == 2


async def test_a_screen_that_took_the_focus_sends_the_second_one(monkeypatch: pytest.MonkeyPatch) -> None:
    async with told() as (app, program, pilot):
        await pilot.press(WAY_OUT)
        app.set_focus(None)
        assert app.terminal.send_leave_key()
        assert bytes(program.written) == b"\x1d"
        assert not app.terminal.send_leave_key()
        await pilot.pause()
        monkeypatch.setattr(widget, "TWICE", 0.0)  # as if a second later
        app.terminal.focus()
        await pilot.press(WAY_OUT)
        assert not app.terminal.send_leave_key()
        assert bytes(program.written) == b"\x1d"


async def test_the_way_out_can_be_another_key_and_is_on_the_frame() -> None:
    async with told(terminal=Terminal("shell 2", leave_key="ctrl+g", blink=False)) as (app, program, pilot):
        await pilot.pause()
        assert "shell 2" in lines(app)[0]
        assert "Ctrl+G leaves" in lines(app)[0].replace("Ctrl+g", "Ctrl+G")
        await pilot.press(WAY_OUT)
        assert (app.left, bytes(program.written)) == (0, b"\x1d")
        await pilot.press("ctrl+g")
        assert app.left == 1


async def test_a_paste_is_bracketed_where_the_program_wants_it() -> None:
    async with told() as (app, program, pilot):
        app.terminal.post_message(events.Paste("one\ntwo"))
        await until(pilot, lambda: program.written)
        assert bytes(program.written) == b"one\rtwo"
        program.written.clear()
        await says(app, program, pilot, b"\x1b[?2004hready", "ready")
        app.terminal.paste("rm\x1b[201~\n")
        assert bytes(program.written) == b"\x1b[200~rm [201~\n\x1b[201~"


async def test_focus_is_told_to_a_program_that_asked() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"\x1b[?1004hready", "ready")
        app.set_focus(None)
        await pilot.pause()
        app.terminal.focus()
        await pilot.pause()
        assert bytes(program.written) == b"\x1b[O\x1b[I"


# drawing


async def test_nothing_but_cells_comes_of_what_a_machine_sends() -> None:
    async with told() as (app, program, pilot):
        noise = (
            b"\x1b]0;title\x07\x1b]52;c;aGk=\x07\x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x7f"
            + "\u202edrow\u202c".encode()
            + b"\x1b]9;hi\x07\x07"
        )
        await says(app, program, pilot, noise + b" end", "end")
        assert all(visible(line) == line for line in lines(app))
        assert "link" in shown(app)
        assert app.copied == []
        assert app.title != "title"
        assert bytes(program.written) == b""


async def test_an_echo_does_not_wait_for_the_screens_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    async with told() as (app, program, pilot):
        frames: list[str] = []

        def noted(screen: object, renderable: object) -> None:
            if renderable is not None:
                frames.append(shown(app))

        async def when(condition: Callable[[], object]) -> None:  # the pilot draws the screen at each of its steps
            for _ in range(6000):
                if condition():
                    break
                await asyncio.sleep(0.01)
            assert condition()
            await asyncio.sleep(0.1)

        def painted(text: str) -> Callable[[], bool]:
            return lambda: text in "\n".join(app.terminal.screen_lines())

        await pilot.pause()
        app.screen._update_timer.stop()  # pyright: ignore[reportPrivateUsage] - its next tick is far away
        monkeypatch.setattr(app, "_display", noted)
        program.say(b"nobody typed")
        await when(painted("nobody typed"))
        assert not frames
        app.terminal.post_message(events.Key("x", "x"))
        await when(lambda: program.written)
        program.say(b", echoed")
        await when(painted(", echoed"))
        assert len(frames) == 1
        assert "nobody typed, echoed" in frames[0]
        program.say(b", and more")
        await when(painted(", and more"))
        assert len(frames) == 1


async def test_more_columns_than_there_is_room_for_are_cut() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"\x1b[?40h\x1b[?3h" + b"x" * 100 + b"END\r\nready", "ready")
        await pilot.pause()
        assert "END" not in shown(app)
        assert {cell_len(line) for line in lines(app)} == {62}


async def test_the_cursor_is_drawn_where_it_is_and_only_strong_in_focus() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"abc", "abc")

        def cursor() -> list[tuple[str, object]]:
            return [
                (segment.text, segment.style.bgcolor.triplet)
                for segment in app.terminal.render_line(0)
                if segment.style is not None and segment.style.bgcolor is not None and len(segment.text) == 1
            ]

        strong = cursor()
        assert len(strong) == 1
        app.set_focus(None)
        await pilot.pause()
        assert len(cursor()) == 1
        assert cursor() != strong
        app.terminal.focus()
        await says(app, program, pilot, b"\x1b[?25l-", "abc-")
        assert cursor() == []


@pytest.mark.parametrize("size", [(22, 7), (12, 4), (4, 3), (3, 3), (2, 2), (1, 1)])
async def test_any_size_is_drawn(size: tuple[int, int]) -> None:
    async with told(size=size) as (app, program, pilot):
        program.say(numbered(50) + "漢字漢字\x1b[31mred".encode())
        await pilot.pause()
        await pilot.press("shift+pageup", "slash", "l", "enter", "n", "v", "k", "y", "a")
        await pilot.resize_terminal(40, 10)
        await until(pilot, lambda: program.sizes[-1:] == [(38, 8)])
        assert app.is_running


async def test_a_resize_is_told_once_it_has_settled(monkeypatch: pytest.MonkeyPatch) -> None:
    async with told() as (app, program, pilot):
        assert program.sizes == [(60, 20)]
        monkeypatch.setattr(widget, "SETTLED", 600.0)
        for width in range(63, 70):
            await pilot.resize_terminal(width, 22)
        assert program.sizes == [(60, 20)], "another size may follow"
        monkeypatch.setattr(widget, "SETTLED", 0.05)
        await pilot.resize_terminal(70, 22)
        await until(pilot, lambda: program.sizes == [(60, 20), (68, 20)])
        await until(pilot, lambda: len(app.terminal.screen_lines()[0]) == 68)


async def test_a_program_that_draws_in_one_go_is_not_shown_halfway(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawn, "_UPDATE", 600.0)
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"before", "before")
        reads = program.reads
        program.say(b"\x1b[?2026h\x1b[2J\x1b[Hhalf")
        await until(pilot, lambda: program.reads > reads)
        await asyncio.sleep(2 * drawn.PAINT)  # no test waits until it has waited: whatever comes is too early
        assert app.terminal.screen_lines()[0].startswith("before")
        await says(app, program, pilot, b" and half\x1b[?2026l", "half and half")


# reading back


async def test_shift_page_up_shows_what_scrolled_away_and_typing_goes_nowhere() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, numbered(100), "line 99")
        await pilot.press("shift+pageup")
        await pilot.pause()
        assert app.terminal.reading_back
        assert "19 lines up" in lines(app)[0]
        await pilot.press("x", "ctrl+c", "colon", "ctrl+q")
        assert (bytes(program.written), app.noted) == (b"", [])
        program.say(b"more\r\n" * 5)
        await pilot.pause()
        assert app.terminal.screen_lines()[0].startswith("line 62")
        await pilot.press("g")
        await pilot.pause()
        assert app.terminal.screen_lines()[0].startswith("line 0 ")
        await pilot.press("escape")
        await until(pilot, lambda: any(line.startswith("more") for line in app.terminal.screen_lines()))
        assert not app.terminal.reading_back
        await pilot.press("x")
        assert bytes(program.written) == b"x"


async def test_paging_down_to_the_end_goes_back_to_the_machine() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, numbered(100), "line 99")
        await wheel(app, pilot, events.MouseScrollUp)
        assert app.terminal.reading_back
        await wheel(app, pilot, events.MouseScrollDown)
        assert not app.terminal.reading_back


async def test_searching_goes_up_and_on_and_shows_where_it_is() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, numbered(100), "line 99")
        await pilot.press("shift+pageup", "slash", *"line 1", "enter")
        await pilot.pause()
        assert line_of(app, "line 19 ")
        assert "1 of 11" in lines(app)[-1]
        await pilot.press("n", "n")
        await pilot.pause()
        assert "3 of 11" in lines(app)[-1]
        await pilot.press("N")
        await pilot.pause()
        assert "2 of 11" in lines(app)[-1]
        await pilot.press("escape", "slash", *"nowhere at all")
        await pilot.pause()
        assert "nowhere" in lines(app)[-1].replace("nowhere at all", "")
        await pilot.press("escape", "escape")
        assert not app.terminal.reading_back
        assert bytes(program.written) == b""


def line_of(app: TerminalApp, text: str) -> str:
    return next(line for line in lines(app)[1:] if text in line)


async def test_keys_alone_select_and_copy() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, numbered(30) + b"$ ", "$")
        await pilot.press("shift+pageup", "slash", *"line 7", "enter", "escape", "v", *"lllll", "j", "y")
        assert app.copied == ["line 7 of the log\nline 8"]
        assert not app.terminal.reading_back
        await pilot.press("shift+pageup", "slash", *"line 9", "enter", "escape", "V", "j", "enter")
        assert app.copied[-1] == "line 9 of the log\nline 10 of the log"
        await pilot.press("shift+pageup", "slash", *"line 3", "enter", "escape", "y")
        assert app.copied[-1] == "line 3 of the log"  # without a selection: the line


async def test_a_screen_can_begin_it_where_the_key_does_not_arrive() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, numbered(5), "line 4")
        app.terminal.read_back()
        await pilot.press("k", "y")
        assert app.copied == ["line 4 of the log"]
        assert bytes(program.written) == b""


# the mouse


async def wheel(
    app: TerminalApp, pilot: Pilot[None], kind: type[events.MouseScrollUp | events.MouseScrollDown]
) -> None:
    app.terminal.post_message(kind(app.terminal, 5, 5, 0, 0, 0, False, False, False, 5, 5))
    await pilot.pause()


async def test_dragging_selects_and_copies() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"alpha beta gamma\r\nnext line", "next")
        await pilot.mouse_down(app.terminal, offset=(7, 1))
        await pilot.hover(app.terminal, offset=(10, 1))
        await pilot.mouse_up(app.terminal, offset=(10, 1))
        assert app.copied == ["beta"]
        assert bytes(program.written) == b""


async def test_a_double_click_takes_the_word_and_a_triple_click_the_line() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"alpha beta-gamma delta", "alpha")
        await pilot.click(app.terminal, offset=(9, 1), times=2)
        assert app.copied == ["beta-gamma"]
        await pilot.click(app.terminal, offset=(9, 1))
        assert app.copied[-1] == "alpha beta-gamma delta"


async def test_the_mouse_goes_to_a_program_that_asks_for_it() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"\x1b[?1000h\x1b[?1006hready", "ready")
        await pilot.click(app.terminal, offset=(3, 2))
        assert bytes(program.written) == b"\x1b[<0;3;2M\x1b[<0;3;2m"
        program.written.clear()
        await wheel(app, pilot, events.MouseScrollUp)
        assert bytes(program.written).startswith(b"\x1b[<64;")
        assert app.copied == []


async def test_shift_keeps_the_mouse_here() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"\x1b[?1000h\x1b[?1006halpha beta", "alpha")
        await pilot.mouse_down(app.terminal, offset=(1, 1), shift=True)
        await pilot.hover(app.terminal, offset=(5, 1))
        await pilot.mouse_up(app.terminal, offset=(5, 1), shift=True)
        assert app.copied == ["alpha"]
        assert bytes(program.written) == b""


async def test_the_wheel_is_arrows_in_a_pager() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"\x1b[?1049hpager", "pager")
        await wheel(app, pilot, events.MouseScrollDown)
        assert bytes(program.written) == b"\x1b[B" * 3


# its end, and what breaks


async def test_the_end_is_told_and_what_was_shown_stays_with_a_line() -> None:
    async with told() as (app, program, pilot):
        await says(app, program, pilot, b"\x1b[?1049h\x1b[?1000h\x1b[?25lvim\x1b[?1049l\x1b[?1049hfull screen", "full")
        program.say(b"")
        await until(pilot, lambda: app.ended)
        assert app.ended == [""]
        assert not app.terminal.attached
        assert not app.terminal.takes_every_key
        app.terminal.detach("the machine is starting again…\x1b[31m")
        await until(pilot, lambda: "the machine is starting again…␛[31m" in shown(app))
        assert "full screen" not in shown(app)
        await pilot.press("d")
        assert app.noted == ["d"]  # keys are the app's again
        again = Told()
        app.terminal.attach(again)
        await until(pilot, lambda: again.sizes)
        await says(app, again, pilot, b"web:~# ", "web:~#")
        await pilot.press("d")
        assert bytes(again.written) == b"d"
        assert "starting again" in shown(app)


class Broken(Told):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def read(self) -> bytes:
        raise self._error

    def write(self, data: bytes) -> None:
        raise BrokenPipeError("gone")

    def resize(self, columns: int, rows: int) -> None:
        raise BrokenPipeError("gone")


@pytest.mark.parametrize(
    ("error", "said"),
    [(IngotError("the machine is gone", "look"), "the machine is gone"), (ValueError("odd"), "ValueError: odd")],
)
async def test_a_stream_that_breaks_ends_the_shell_and_not_the_app(error: Exception, said: str) -> None:
    async with told() as (app, _, pilot):
        app.terminal.attach(Broken(error))
        await pilot.press("a")
        await until(pilot, lambda: app.ended)
        assert app.ended == [said]
        assert app.is_running


async def test_a_program_that_floods_waits_until_it_is_read() -> None:
    class Flood(Told):
        """It ends when something is typed into it, and else for the sake of the test."""

        asked = 0

        async def read(self) -> bytes:
            self.asked += 1
            if self.written or self.asked > 20_000:
                await asyncio.Event().wait()
            return b"y\r\n" * 2000

    async with told() as (app, _, pilot):
        flood = Flood()
        app.terminal.attach(flood)
        await pilot.press("a")  # is heard in the middle of it
        assert bytes(flood.written) == b"a"
        assert 1 < flood.asked <= 20_000
        await until(pilot, lambda: app.terminal.screen_lines()[0].startswith("y"))


async def test_garbage_leaves_a_living_terminal() -> None:
    async with told() as (app, program, pilot):
        for start in range(0, 256, 16):
            program.say(bytes((start + at * 7) % 256 for at in range(3000)))
        program.say(b"\x18\x1bc\x1b[mstill here")
        await until(pilot, lambda: "still here" in shown(app))


async def test_a_real_shell_is_worked_with() -> None:
    app = TerminalApp()
    async with app.run_test(size=(82, 26)) as pilot:
        shell = LocalProgram()
        try:
            app.terminal.attach(shell)
            app.terminal.focus()

            await until(pilot, lambda: any(line.startswith(PROMPT) for line in app.terminal.screen_lines()))
            await pilot.press(*"echo $((6*7)) $COLUMNS", "enter")
            await until(pilot, lambda: "42 80" in shown(app))
            # Said by who is interrupted: a shell that is still giving the terminal away loses the key.
            await pilot.press(*"sh -c 'echo sl\"\"eeps; exec sleep 1000'", "enter")
            await until(pilot, lambda: "sleeps" in [line.strip() for line in app.terminal.screen_lines()])
            await pilot.press("ctrl+c")
            # What is typed between the interruption and the next prompt is lost to the shell.
            await until(pilot, lambda: PROMPT in "".join(app.terminal.screen_lines()).rpartition("sleeps")[2])
            await pilot.resize_terminal(60, 20)
            await until(pilot, lambda: (58, 18) in shell.sizes)
            await pilot.press(*"tput cols", "enter")
            await until(pilot, lambda: any(line.strip() == "58" for line in app.terminal.screen_lines()))
            await pilot.press(*"exit", "enter")
            await until(pilot, lambda: app.ended == [""])
        finally:
            shell.close()
