"""The user's terminal, lent to a shell in a machine: bytes go through as with ssh, and it is given back as it was."""

import asyncio
import contextlib
import os
import re
import signal
import termios
import tty
from collections.abc import Generator

from core.services.debugging import DebugShell

_READ = 64 * 1024
_ESCAPE = b"~"
_MODE = re.compile(rb"\x1b\[\?([0-9;]{1,40})([hl])")
_TAIL = 48
"""Bytes in which a mode that comes in two pieces fits."""
_ON_AT_FIRST = frozenset({b"7", b"25"})
"""DEC private modes that a terminal starts with: lines wrap, the cursor is seen (xterm, ctlseqs)."""


class EscapeKeys:
    """Finds `~.` at the beginning of a line in what is typed, as ssh(1) does; `~~` there is one `~`.

    >>> keys = EscapeKeys()
    >>> keys.feed(b"ls ~.\\r~"), keys.feed(b"~/x\\r~"), keys.feed(b".")
    ((b'ls ~.\\r', False), (b'~/x\\r', False), (b'', True))
    """

    def __init__(self) -> None:
        self._line_begins = True
        self._escaped = False

    def feed(self, typed: bytes) -> tuple[bytes, bool]:
        """What goes to the machine of it, and whether the user wants to leave."""
        passed = bytearray()
        for key in typed:
            if self._escaped:
                self._escaped = False
                if key == ord("."):
                    return bytes(passed), True
                if key != ord(_ESCAPE):
                    passed += _ESCAPE
            elif self._line_begins and key == ord(_ESCAPE):
                self._escaped = True
                continue
            passed.append(key)
            self._line_begins = key in b"\r\n"
        return bytes(passed), False


class Modes:
    """The modes that programs in the machine switched on, and did not switch off again: the mouse, the other screen.

    >>> modes = Modes()
    >>> modes.seen(b"\\x1b[?1049h\\x1b[?25l\\x1b[?10"), modes.seen(b"00h\\x1b[?1049l")
    (None, None)
    >>> modes.undo()
    b'\\x1b[?1000l\\x1b[?25h\\x1b[0m'
    """

    def __init__(self) -> None:
        self._changed: dict[bytes, bool] = {}
        self._tail = b""

    def seen(self, data: bytes) -> None:
        """What is on its way to the terminal."""
        data = self._tail + data
        done = 0
        for found in _MODE.finditer(data):
            done = found.end()
            for mode in found[1].split(b";"):
                on = found[2] == b"h"
                if on is (mode in _ON_AT_FIRST):
                    self._changed.pop(mode, None)
                elif mode:
                    self._changed[mode] = on
        begin = data.rfind(b"\x1b", done)
        self._tail = data[begin:] if begin >= 0 and len(data) - begin < _TAIL else b""

    def undo(self) -> bytes:
        """What brings the terminal back; nothing where nothing is changed."""
        undone = [b"\x1b[?%b%b" % (mode, b"l" if on else b"h") for mode, on in sorted(self._changed.items())]
        return b"".join([*undone, b"\x1b[0m"]) if undone else b""


async def attach(shell: DebugShell, stdin: int, stdout: int) -> bool:
    """Lend the terminal until the shell ends (False) or the user leaves it (True). It is given back however this ends;
    the shell is closed.

    Raises OSError when `stdin` is no terminal.
    """
    loop = asyncio.get_running_loop()
    left = asyncio.Event()
    keys, modes = EscapeKeys(), Modes()

    def typed() -> None:
        try:
            data = os.read(stdin, _READ)
        except OSError:
            data = b""
        passed, leave = keys.feed(data)
        if passed:
            shell.write(passed)
        if leave or not data:  # or the terminal itself is gone
            loop.remove_reader(stdin)
            left.set()

    async def show() -> None:
        while data := await shell.read():
            modes.seen(data)
            try:
                await asyncio.to_thread(_write, stdout, data)
            except OSError:
                left.set()
                return

    with _raw(stdin):
        shell.resize(*os.get_terminal_size(stdout))
        signals = (signal.SIGTERM, signal.SIGHUP)
        loop.add_signal_handler(signal.SIGWINCH, lambda: shell.resize(*os.get_terminal_size(stdout)))
        for number in signals:
            loop.add_signal_handler(number, left.set)
        loop.add_reader(stdin, typed)
        showing, leaving = asyncio.ensure_future(show()), asyncio.ensure_future(left.wait())
        try:
            await asyncio.wait({showing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            loop.remove_reader(stdin)
            for number in (signal.SIGWINCH, *signals):
                loop.remove_signal_handler(number)
            leaving.cancel()
            await shell.close()
            showing.cancel()
            await asyncio.wait({showing})
            with contextlib.suppress(OSError):
                _write(stdout, modes.undo())
    if not showing.cancelled():
        showing.result()
    return left.is_set()


@contextlib.contextmanager
def _raw(terminal: int) -> Generator[None]:
    """Every key goes through, Ctrl-C too; afterwards the terminal is as it was."""
    try:
        before = termios.tcgetattr(terminal)
        tty.setraw(terminal, termios.TCSADRAIN)
    except termios.error as error:
        raise OSError(*error.args) from error
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # it is gone
            termios.tcsetattr(terminal, termios.TCSADRAIN, before)


def _write(terminal: int, data: bytes) -> None:
    while data:
        data = data[os.write(terminal, data) :]
