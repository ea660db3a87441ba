"""The log as a holder writes it: plain line ends, redacted, and patient with a full disk.

A tool is never held up or ended because its log cannot be written. Output waits in memory for room, up to a limit; what
is more is counted and lost, and the log says so at that place once it can be written again.
"""

import contextlib
import os
import re
import time
from collections.abc import Iterable
from pathlib import Path

from core.errors import StoreError
from core.secrets import Redactor
from core.store.log_writer import LogWriter

_CARRY_OVER = 0.1
"""Seconds that what may be the start of a secret is held back."""
_RETRY = 1.0
"""Seconds between attempts to write to a full disk."""
WAITING_LIMIT = 16 * 1024 * 1024
"""Bytes that wait in memory for room on the disk."""
_LINE_END = re.compile(rb"\r+\n")
_TAIL = 8192
"""Bytes of output that a tail keeps at least: `TAIL_LIMIT` characters and the colours between them."""
TAIL_LIMIT = 4096
"""Characters that a tail gives at most."""
_TEXT_LINE_END = re.compile(r"\r+\n")
# ECMA-48: control sequences, operating system commands and the like up to their end, escapes of one character.
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-OQ-WYZ\\`-~])")


def complain(line: str) -> None:
    """A line in the holder's own log (hold.OWN_LOG_FILE): for what the tool's log is not the place. That it cannot be
    written, as it may be on the same full disk, must not end the holder."""
    with contextlib.suppress(OSError):
        os.write(2, f"{line}\n".encode(errors="replace"))


class Tail:
    """The end of a stream of output."""

    def __init__(self) -> None:
        self._end = bytearray()
        self._cut = False

    def add(self, chunk: bytes) -> None:
        self._end += chunk
        if len(self._end) > 2 * _TAIL:
            del self._end[:-_TAIL]
            self._cut = True

    def text(self) -> str:
        """The last lines as text: without escape sequences, with plain line ends, what is not UTF-8 replaced. Begins
        with a whole line, unless the last one alone is too long."""
        text = _TEXT_LINE_END.sub("\n", _ESCAPES.sub("", self._end.decode(errors="replace")))
        if not self._cut and len(text) <= TAIL_LIMIT:
            return text
        text = text[-TAIL_LIMIT:]
        return text.partition("\n")[2] or text


class ToolLog:
    """Takes what a tool prints; its loop asks `next_due` and calls `due`."""

    def __init__(self, path: Path, secrets: Iterable[str]) -> None:
        """Raises StoreError when the log cannot be opened: then nothing should be started either."""
        self._writer = LogWriter(path)
        self._redactor = Redactor(secrets)
        self._returns = b""
        """Carriage returns at the end of what came: a line feed may follow."""
        self._ready = bytearray()
        """Redacted, to be written."""
        self._stuck = 0
        """Bytes that the writer took and could not write; it keeps them."""
        self._flush_at: float | None = None
        self._retry_at: float | None = None
        self._lost = 0
        """Bytes dropped since the disk filled up."""
        self.dropped = 0
        """Bytes dropped in all."""
        self._at_line_start = True
        self.tail = Tail()
        """Of what the tool printed, redacted, and without what is held back."""

    def add_secrets(self, secrets: Iterable[str]) -> None:
        for secret in secrets:
            self._redactor.add(secret)

    @property
    def unwritten(self) -> int:
        """Bytes that wait for room on the disk."""
        return self._stuck + len(self._ready) if self._retry_at is not None else 0

    @property
    def next_due(self) -> float | None:
        """When `due` wants to be called (monotonic)."""
        return min((moment for moment in (self._flush_at, self._retry_at) if moment is not None), default=None)

    def take(self, chunk: bytes) -> None:
        """The next piece of output. It is on disk after `write`, but for what has to be held back."""
        chunk = self._returns + chunk
        text = chunk.rstrip(b"\r")
        self._returns = chunk[len(text) :]
        if b"\r" in text:
            text = _LINE_END.sub(b"\n", text)
        self._take(self._redactor.feed(text))
        held = self._redactor.pending or self._returns
        self._flush_at = time.monotonic() + _CARRY_OVER if held else None

    def say(self, line: str) -> None:
        """A line of our own, marked as such."""
        self._release()
        start = b"" if self._at_line_start else b"\n"
        self._keep(start + self._redactor.redact(f"ingot: {line}\n".encode(errors="surrogateescape")))
        self.write()

    def redacted(self, text: str) -> str:
        """A text of others', without any secret."""
        return self._redactor.redact(text.encode(errors="surrogateescape")).decode(errors="replace")

    def write(self) -> None:
        """Bring to disk what is ready; on a full disk, later."""
        if self._retry_at is None and self._ready:
            self._write()

    def due(self, now: float) -> None:
        """What time brings: giving up on the rest of a secret, and another attempt at a full disk."""
        if self._flush_at is not None and now >= self._flush_at:
            self._release()
            self.write()
        if self._retry_at is not None and now >= self._retry_at:
            self._write()

    def flush(self) -> None:
        """Nothing more comes, or not soon: bring everything to disk that can be."""
        self._release()
        self.write()

    def close(self) -> None:
        self.flush()
        self._writer.close()

    def _release(self) -> None:
        self._flush_at = None
        # A lone return may be the middle of a CRLF secret: it goes through the redactor like everything.
        returns, self._returns = self._returns, b""
        self._take(self._redactor.feed(returns) + self._redactor.flush())

    def _take(self, output: bytes) -> None:
        self.tail.add(output)
        self._keep(output)

    def _keep(self, data: bytes) -> None:
        if not data:
            return
        # Once something is lost, all is, until the log says so: what is missing is in one place.
        if self._retry_at is not None and (self._lost or self.unwritten + len(data) > WAITING_LIMIT):
            self._lost += len(data)
            self.dropped += len(data)
            return
        self._ready += data
        self._at_line_start = data.endswith(b"\n")

    def _write(self) -> None:
        data = bytes(self._ready)
        self._ready.clear()
        waited = self._retry_at is not None
        self._stuck += len(data)
        try:
            self._writer.write(data)
        except StoreError:
            self._retry_at = time.monotonic() + _RETRY
            return
        self._stuck, self._retry_at = 0, None
        if waited:
            lost, self._lost = self._lost, 0
            missing = f"{lost} bytes of output are" if lost else "nothing is"
            self.say(f"the disk was full; {missing} missing here")
