"""The terminal as a widget: a program in a machine, worked with as in any terminal.

It knows no SSH: it is given a `stream.Stream`. All keys go to the program, those of the app too, but for two, which its
frame names: the way out (pressed twice it goes to the program) and the one that begins to read back (reading.py).
Whatever the program sends draws cells and does nothing else.
"""

import contextlib
import time
from functools import partial
from typing import ClassVar

from textual import events
from textual.message import Message
from textual.timer import Timer
from textual.worker import Worker

from core.errors import IngotError
from core.terminal_reset import AS_NEW
from core.text import cut_middle, visible
from tui.actions import Action, app_of
from tui.terminal.cells import Painter
from tui.terminal.drawn import Drawn
from tui.terminal.emulator import Emulator
from tui.terminal.keys import press_of
from tui.terminal.pointing import Place, Pointing
from tui.terminal.reading import Reading
from tui.terminal.reading_actions import READING
from tui.terminal.stream import Stream, carry
from tui.timers import once

TWICE = 1.0
"""Seconds within which the way out, pressed again, goes to the program."""
SETTLED = 0.05
"""Seconds without another size until the program is told of the last one."""
_PULL = 0.05
"""Seconds between two lines that the view moves while the mouse is held outside of it."""
_MOST_COPIED = 2**20
"""Characters that are given to a clipboard: terminals refuse more."""
_FRESH = AS_NEW + b"\x1b[?1007h"
"""Also the wheel is arrows again for a pager: of an emulator it is known that it begins so."""
_NO_CURSOR = b"\x1b[?25l"


class Terminal(Drawn, can_focus=True):
    """A terminal in a frame. `attach` gives it a program; `Ended` says that the program is gone."""

    ALLOW_SELECT = False
    ACTIONS: ClassVar[tuple[Action, ...]] = READING

    class Left(Message):
        """The way out was pressed."""

        def __init__(self, terminal: "Terminal") -> None:
            super().__init__()
            self.terminal = terminal

        @property
        def control(self) -> "Terminal":
            return self.terminal

    class Ended(Message):
        """The program ended, or its stream broke: `reason` says how, empty for an ordinary end."""

        def __init__(self, terminal: "Terminal", reason: str) -> None:
            super().__init__()
            self.terminal = terminal
            self.reason = reason

        @property
        def control(self) -> "Terminal":
            return self.terminal

    def __init__(
        self,
        title: str = "",
        *,
        leave_key: str = "ctrl+]",
        read_key: str = "shift+pageup",
        blink: bool = True,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - as Textual names it
    ) -> None:
        """Keys are written `ctrl+]` or as Textual names them. Without `blink` a cursor that would blink stays."""
        super().__init__(title, leave_key, read_key, blink=blink, ascii_only=ascii_only, id=id)
        self._stream: Stream | None = None
        self._carrying: Worker[None] | None = None
        self._pointing: Pointing | None = None
        self._settling: Timer | None = None
        self._pulling: Timer | None = None
        self._pulled_to = Place(0, 0)
        self._told: tuple[int, int] | None = None
        self._left_at = float("-inf")

    # its life

    @property
    def attached(self) -> bool:
        """A program is at the other end."""
        return self._stream is not None

    @property
    def takes_every_key(self) -> bool:
        """Keys are for the program, or for reading back: none is for the app."""
        return self.attached or (self._reading is not None and self._reading.active)

    @property
    def typing(self) -> bool:
        """What is typed is text here."""
        return self.takes_every_key

    @property
    def reading_back(self) -> bool:
        return self._reading is not None and self._reading.active

    def attach(self, stream: Stream) -> None:
        """Show this program, from now on, and give it what is typed; what was shown stays above.

        Raises IngotError where no terminal can be drawn.
        """
        emulator = self._opened()
        if self._told is not None:
            emulator.feed(_FRESH)
        self._let_go()
        self._stream = stream
        self._told = None
        self._tell_size()
        self._carrying = self.run_worker(partial(self._carry, stream), exit_on_error=False, group="stream")
        self.changed()
        self.show_frame()

    def detach(self, message: str = "") -> None:
        """The program is gone: what it showed stays, with a line that says what happened."""
        emulator = self._opened()
        self._let_go()
        emulator.feed(_FRESH + _NO_CURSOR)
        if message:
            line = self._signs.line * 2
            words = f"{line} {visible(message)} {line}"
            emulator.feed(f"\r\n\x1b[1;33m{words}\x1b[0m\r\n".encode())
        self.changed()
        self.show_frame()

    def feed(self, data: bytes) -> None:
        """Draw something that no program wrote, such as a machine's console. It waits: give it little at a time."""
        self._opened().feed(data)
        self._opened().replies()  # nobody asked
        self.changed()

    def clear(self) -> None:
        """Show nothing, and forget what scrolled away."""
        if self._reading is not None:
            self._reading.end()
        self._opened().feed(_FRESH + b"\x1bc")
        self.changed(whole=True)

    def _opened(self) -> Emulator:
        if self._emulator is None:
            emulator = self._emulator = self.new_emulator()
            self._painter = Painter(self._palette())
            self._reading = Reading(emulator, self._screen_size, self._copy)
            self._pointing = Pointing(emulator, self._reading, self._screen_size, self._write, self._copy)
        return self._emulator

    def _screen_size(self) -> tuple[int, int]:
        return self.columns_and_rows

    def _let_go(self) -> None:
        self._stream = None
        if self._carrying is not None:
            self._carrying.cancel()
            self._carrying = None

    async def _carry(self, stream: Stream) -> None:
        reason = ""
        try:
            await carry(stream, self._take, self.changed)
        except IngotError as error:
            reason = error.what
        except Exception as error:  # noqa: BLE001 - whatever a stream does wrong, the screen stays and says so
            reason = f"{type(error).__name__}: {error}"
        if self._stream is stream:
            self._stream = None
            self._carrying = None
            self.changed()
            self.show_frame()
            self.post_message(self.Ended(self, reason))

    def _take(self, data: bytes) -> None:
        if self._emulator is not None:
            self._emulator.feed(data)
            self._fed += len(data)
            if replies := self._emulator.replies():
                self._write(replies)

    def _write(self, data: bytes) -> None:
        if self._stream is not None and data:
            # A stream that broke is told of by its reader, with the reason.
            with contextlib.suppress(OSError, IngotError):
                self._stream.write(data)

    def on_unmount(self) -> None:
        self._let_go()
        emulator, self._emulator = self._emulator, None
        self._reading = self._pointing = None
        if emulator is not None:
            emulator.close()

    # its size

    def on_resize(self) -> None:
        if self._settling is not None:
            self._settling.stop()
            self._settling = None
        if self._told is None:
            self._tell_size()
        else:
            self._settling = once(self, SETTLED, self._settle)
        self.call_after_refresh(self.show_frame)

    def _settle(self) -> None:
        self._settling = None
        self._tell_size()

    def _tell_size(self) -> None:
        if self._emulator is None or not self.size.width or not self.size.height:
            return
        size = self.columns_and_rows
        if size == self._told:
            return
        self._told = size
        self._emulator.resize(*size)
        if self._reading is not None:
            self._reading.resized()
        if self._stream is not None:
            with contextlib.suppress(OSError, IngotError):
                self._stream.resize(*size)
        self.changed(whole=True)

    # keys

    async def _on_key(self, event: events.Key) -> None:
        if self.take_key(event):
            event.stop()
            event.prevent_default()

    def take_key(self, event: events.Key) -> bool:
        """Do what a key does here; False where it does nothing, and is the app's."""
        reading = self._reading
        if event.key == self.leave_key and (self.attached or self.reading_back):
            self.leave()
        elif reading is not None and reading.active:
            reading.press(event.key, event.character or "")
            self._read_on()
        elif event.key == self.read_key and reading is not None:
            self.read_back()
            reading.do_page_up()
            self._read_on()
        elif self.attached and self._emulator is not None:
            press = press_of(event)
            if press is not None:
                self._emulator.unselect()
                self._typed = True
                self._write(self._emulator.key(press))
        else:
            return False
        return True

    def leave(self) -> None:
        """The way out was pressed here: say so; a second time within a second, it is for the program."""
        if not self.send_leave_key():
            self._left_at = time.monotonic()
            self.post_message(self.Left(self))

    def send_leave_key(self) -> bool:
        """Send the way out's key to the program if it was pressed less than a second ago.

        For a screen that takes the focus away on `Left`, and the same key as the way back in: it calls this then.
        """
        again = time.monotonic() - self._left_at < TWICE
        self._left_at = float("-inf")
        if again and self._emulator is not None:
            press = press_of(events.Key(self.leave_key, None))
            if press is not None:
                self._write(self._emulator.key(press))
        return again

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.paste(event.text)

    def paste(self, text: str) -> None:
        """Type this, as a paste: programs that tell pastes from typing (bracketed paste) run nothing of it."""
        if self._reading is not None and self._reading.active:
            self._reading.paste(text)
            self._read_on()
        elif self._emulator is not None:
            self._write(self._emulator.paste(text))

    def on_focus(self) -> None:
        super().on_focus()
        self._left_at = float("-inf")  # whoever comes back and leaves again has not pressed it twice
        if self._emulator is not None:
            self._write(self._emulator.focus(True))

    def on_blur(self) -> None:
        super().on_blur()
        if self._reading is not None:
            self._reading.stop_typing()
        if self._emulator is not None:
            self._write(self._emulator.focus(False))

    # reading back

    def read_back(self) -> None:
        """Begin to read back: move about, search, select and copy with keys, from the program's cursor on."""
        self._opened()
        if self._reading is not None:
            cursor = self._cursor
            x, y = (cursor.x, cursor.y) if cursor is not None else (0, self.columns_and_rows[1] - 1)
            self._reading.begin(x, y)
            self._read_on()

    def _read_on(self) -> None:
        self.changed(whole=True)
        self.show_frame()

    def why_not(self, action: Action) -> str:
        return "" if self._reading is None else self._reading.can(action.id)

    def act(self, action: Action, argument: str = "") -> None:
        """Carry out an action of reading back, for the footer, the help and the palette."""
        if self._reading is not None:
            self._reading.act(action.id)
            self._read_on()

    def _copy(self, text: str) -> None:
        whole = "\n".join(visible(line) for line in text.split("\n"))
        app_of(self).copy_to_clipboard(whole[:_MOST_COPIED])
        count = whole.count("\n") + 1
        what = cut_middle(whole, 60) if count == 1 else f"{count:,} lines"
        if len(whole) > _MOST_COPIED:
            what = f"the first megabyte of {what}: more is too much for a clipboard"
        self.notify(what, title="Copied", timeout=2, markup=False)

    # the mouse

    def _place(self, event: events.MouseEvent) -> Place:
        return Place(*event.get_content_offset_capture(self))

    def _pointed(self, event: events.MouseEvent) -> None:
        event.stop()
        event.prevent_default()
        self.changed(whole=self.reading_back)

    def on_mouse_down(self, event: events.MouseDown) -> None:
        if self._pointing is not None and event.get_content_offset(self) is not None:
            self.capture_mouse()
            self._pointing.down(event, self._place(event))
            self._pointed(event)

    def on_mouse_move(self, event: events.MouseMove) -> None:
        pointing = self._pointing
        if pointing is None or not (pointing.busy or event.get_content_offset(self) is not None):
            return
        self._pulled_to = self._place(event)
        pointing.move(event, self._pulled_to)
        if pointing.outside and self._pulling is None:
            self._pulling = self.set_interval(_PULL, self._pull)
        if pointing.busy:
            self._pointed(event)

    def _pull(self) -> None:
        if self._pointing is None or not self._pointing.outside:
            if self._pulling is not None:
                self._pulling.stop()
                self._pulling = None
            return
        self._pointing.pull_on(self._pulled_to)
        self._read_on()

    def on_mouse_up(self, event: events.MouseUp) -> None:
        self.release_mouse()
        if self._pointing is not None and self._pointing.busy:
            self._pointing.up(event, self._place(event))
            self._pointed(event)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        self._wheel(event, up=True)

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        self._wheel(event, up=False)

    def _wheel(self, event: events.MouseEvent, *, up: bool) -> None:
        if self._pointing is not None:
            before = self.reading_back
            self._pointing.wheel(event, self._place(event), up=up)
            self._pointed(event)
            if before or self.reading_back:
                self._read_on()
