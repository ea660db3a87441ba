"""Somebody at a terminal of their own, in which a command of the program runs."""

import contextlib
import fcntl
import os
import pty
import selectors
import struct
import subprocess
import termios
import time

from installed import BIN, Ingot
from patience import PATIENCE


class Person:
    """Somebody at a terminal of their own, in which a command of the program runs."""

    def __init__(self, ingot: Ingot, *words: str) -> None:
        self.master, self.terminal = pty.openpty()
        self.resize(80, 24)
        self.before = termios.tcgetattr(self.terminal)
        self.said = b""
        self.process = subprocess.Popen(
            (str(BIN / "ingot"), *words),
            stdin=self.terminal,
            stdout=self.terminal,
            stderr=self.terminal,
            env=ingot.environment,
            cwd=ingot.home,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0) and None,
        )

    def resize(self, columns: int, rows: int) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def types(self, text: str) -> None:
        os.write(self.master, text.encode())

    def has_more(self, within: float) -> bool:
        """Whether the program says something in so many seconds."""
        with selectors.DefaultSelector() as waiting:
            waiting.register(self.master, selectors.EVENT_READ)
            return bool(waiting.select(within))

    def sees(self, text: str, *, within: float = PATIENCE) -> str:
        """Wait until this is on the terminal; gives what came since it was last waited for."""
        deadline = time.monotonic() + within
        while text.encode() not in self.said:
            assert time.monotonic() < deadline, f"never saw {text!r} in {self.said!r}"
            if self.has_more(0.1):
                self.said += os.read(self.master, 65536)
        before, found, self.said = self.said.partition(text.encode())
        return (before + found).decode(errors="replace")

    def ends(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None and time.monotonic() < deadline:
            if self.has_more(0.05):  # else it would wait for room on the terminal
                self.said += os.read(self.master, 65536)
        while self.has_more(0.05):
            self.said += os.read(self.master, 65536)
        return self.process.wait(1)

    @property
    def is_restored(self) -> bool:
        return termios.tcgetattr(self.terminal) == self.before

    def close(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            self.process.kill()
        self.process.wait()
        os.close(self.master)
        os.close(self.terminal)
