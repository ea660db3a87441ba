"""A program on a pty of this machine, as the stream of a terminal; and an app that has nothing but a terminal.

`python tests/support/local_program.py [PROGRAM...]` opens it to look at: a shell, or the program given.
"""

import asyncio
import contextlib
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Mapping, Sequence
from pathlib import Path

from textual.app import App, ComposeResult

from tui.terminal.widget import Terminal
from tui.theme import INGOT

CSS = Path(__file__).parents[2] / "screens.css"
PROMPT = "web:~# "
SHELL = ("bash", "--norc", "--noprofile", "-i")


def plain_environment(**more: str) -> dict[str, str]:
    """An environment in which programs draw the same everywhere."""
    kept = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "LANG": "C.UTF-8", "TERM": "xterm-256color"}
    return {**kept, "PS1": PROMPT, "HISTFILE": "/dev/null", "INPUTRC": "/dev/null", **more}


def _at_its_terminal() -> None:
    """As a program finds itself on a terminal, however the tests were started: a shell's `&` and `nohup` have it ignore
    what comes from the keyboard."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


class LocalProgram:
    """A `stream.Stream` of a program on a pty."""

    def __init__(
        self,
        arguments: Sequence[str] = SHELL,
        columns: int = 80,
        rows: int = 24,
        environment: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self._master, slave = pty.openpty()
        self.sizes: list[tuple[int, int]] = []
        self.written = bytearray()
        self.resize(columns, rows)
        self.process = subprocess.Popen(
            arguments,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=dict(environment or plain_environment()),
            cwd=cwd,
            start_new_session=True,
            preexec_fn=_at_its_terminal,
        )
        os.close(slave)
        os.set_blocking(self._master, False)

    async def read(self) -> bytes:
        while True:
            try:
                return os.read(self._master, 65536)
            except BlockingIOError:
                await self._readable()
            except OSError:  # the program has closed the terminal (pty(7): EIO)
                return b""

    async def _readable(self) -> None:
        loop = asyncio.get_running_loop()
        ready = asyncio.Event()
        loop.add_reader(self._master, ready.set)
        try:
            await ready.wait()
        finally:
            loop.remove_reader(self._master)

    def write(self, data: bytes) -> None:
        self.written += data
        with contextlib.suppress(BlockingIOError):
            os.write(self._master, data)

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def close(self) -> None:
        """End the program and all that it started on this terminal."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._master)


class Told:
    """A stream without a program: `say` is what it writes, `written` what was typed."""

    def __init__(self) -> None:
        self._says: asyncio.Queue[bytes] = asyncio.Queue()
        self.written = bytearray()
        self.sizes: list[tuple[int, int]] = []
        self.reads = 0

    def say(self, data: bytes) -> None:
        self._says.put_nowait(data)

    async def read(self) -> bytes:
        self.reads += 1
        return await self._says.get()

    def write(self, data: bytes) -> None:
        self.written += data

    def resize(self, columns: int, rows: int) -> None:
        self.sizes.append((columns, rows))


class TerminalApp(App[None]):
    """A terminal and nothing else."""

    CSS_PATH = CSS

    def __init__(self, terminal: Terminal | None = None) -> None:
        super().__init__()
        self.register_theme(INGOT)
        self.theme = "ingot"
        self.terminal = terminal or Terminal("shell 1", blink=False)
        self.left = 0
        self.ended: list[str] = []
        self.copied: list[str] = []

    def compose(self) -> ComposeResult:
        yield self.terminal

    def copy_to_clipboard(self, text: str) -> None:
        self.copied.append(text)

    def on_terminal_left(self) -> None:
        self.left += 1

    def on_terminal_ended(self, message: Terminal.Ended) -> None:
        self.ended.append(message.reason)


class _Looking(TerminalApp):
    """To look at it: the way out ends it."""

    def on_mount(self) -> None:
        arguments = sys.argv[1:] or SHELL
        self.program = LocalProgram(arguments, environment=plain_environment(HOME=os.environ["HOME"]))
        self.terminal.attach(self.program)
        self.terminal.focus()

    def on_terminal_left(self) -> None:
        self.exit()

    def on_terminal_ended(self, message: Terminal.Ended) -> None:
        self.terminal.detach(f"the program ended {message.reason}".strip())

    def on_unmount(self) -> None:
        self.program.close()


if __name__ == "__main__":
    _Looking().run()
