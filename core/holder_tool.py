"""The tool that a holder runs, on its terminal: started, read, typed at, signalled, and its exit collected."""

import contextlib
import errno
import os
import selectors
import signal
import time
from collections.abc import Callable
from pathlib import Path

from core import process
from core.errors import IngotError
from core.hold import MESSAGE_LIMIT, EndedBy, Exit, ToolSpec
from core.living import Identity

_READ = 65536
_READ_AT_ONCE = 16
"""Reads from the terminal in one round of the loop: others want to be answered too."""
_INPUT_LIMIT = MESSAGE_LIMIT
"""Bytes that wait for a tool which does not read."""
_NOT_STARTED = 127
"""Exit status of a tool that could not be started, as shells give it."""


class Tool:
    """Part of the holder's loop: what it registers there carries the method to call with the events."""

    def __init__(self, spec: ToolSpec, loop: selectors.BaseSelector, printed: Callable[[bytes], None]) -> None:
        self._spec = spec
        self._loop = loop
        self._printed = printed
        self._started = time.time()
        self._on: process.OnTerminal | None = None
        self._input = bytearray()
        self.terminal_open = False
        """False when nobody has the tool's side open any more, and before the start."""
        self.exit: Exit | None = None
        """How it ended; None as long as it runs, and before the start."""

    @property
    def name(self) -> str:
        return Path(self._spec.argv[0]).name

    @property
    def pid(self) -> int:
        """0 when it does not run."""
        return self._on.pid if self._on is not None and self.exit is None else 0

    @property
    def identity(self) -> Identity | None:
        """None when it does not run."""
        return Identity.of(self.pid) if self.pid else None

    def start(self, marks: dict[str, str], umask: int) -> None:
        """Raises IngotError when it cannot be started; its exit says so too."""
        spec = self._spec
        self._started = time.time()
        try:
            on = process.start_on_terminal(
                spec.argv,
                cwd=spec.cwd,
                env=spec.environment | marks,
                columns=spec.columns,
                rows=spec.rows,
                umask=umask,
            )
        except IngotError:
            self.exit = Exit(_NOT_STARTED, None, self._started, time.time())
            raise
        self._on = on
        self.terminal_open = True
        self._loop.register(on.terminal, selectors.EVENT_READ, self._use_terminal)

    def type(self, more: bytes) -> None:
        """Ask `deaf` before."""
        self._input += more
        self._write()

    def deaf(self, more: int) -> str:
        """Why nothing, or not so many bytes, can be typed now; empty when they can."""
        if not self.pid:
            return "The tool has ended."
        if not self.terminal_open:
            return "The tool has closed its terminal."
        if len(self._input) + more > _INPUT_LIMIT:
            return "The tool does not read what it is sent."
        return ""

    def signal(self, number: int) -> None:
        """SIGINT as Ctrl-C gives it, to the whole group: Packer's outer process ignores it and leaves it to the inner
        one. The others to the tool alone: Packer's outer process passes SIGTERM on, and its plugins must live to clean
        up."""
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                (os.killpg if number == signal.SIGINT else os.kill)(self.pid, number)

    def collect(self, by: EndedBy) -> bool:
        """Take the exit status of whoever ended: the tool (then True), or an orphan of it that came to us. `by`: who
        wants the tool to end."""
        ended = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return ended
            if pid == 0:
                return ended
            if self._on is not None and pid == self.pid:
                self._on.collected(status)
                self._on.let_go()
                code = os.waitstatus_to_exitcode(status)
                self.exit = Exit(
                    code if code >= 0 else None, -code if code < 0 else None, self._started, time.time(), by
                )
                ended = True

    def _use_terminal(self, events: int) -> None:
        if events & selectors.EVENT_WRITE:
            self._write()
        if events & selectors.EVENT_READ:
            self._read()

    def _read(self) -> None:
        assert self._on is not None
        for _ in range(_READ_AT_ONCE):
            try:
                chunk = os.read(self._on.terminal, _READ)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                chunk = b""
            if not chunk:
                self._loop.unregister(self._on.terminal)
                self.terminal_open = False
                return
            self._printed(chunk)

    def _write(self) -> None:
        assert self._on is not None
        with contextlib.suppress(BlockingIOError):
            try:
                del self._input[: os.write(self._on.terminal, self._input)]
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                self._input.clear()
        if self.terminal_open:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._input else 0)
            self._loop.modify(self._on.terminal, events, self._use_terminal)
