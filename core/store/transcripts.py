"""Transcripts of what a machine printed while somebody was in it by hand: asciinema v2, output only, redacted.

One JSON document a line: a header, then `[seconds, "o", text]` for output and `[seconds, "r", "80x24"]` for another
size of the terminal (docs.asciinema.org, asciicast v2). What was typed is never kept; what the machine echoes of it is
output. `asciinema play FILE` shows it.
"""

import codecs
import contextlib
import gzip
import json
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path

from core.errors import StoreError
from core.secrets import Redactor

LARGEST = 1024 * 1024
"""Bytes of one transcript's file. What a machine prints after that is counted, and not kept."""
LARGEST_SHARED = 256 * 1024
"""Bytes of one transcript on the ledger, compressed: it travels with the repository for ever."""
_ROOM_FOR_NOTES = 256
_WORTH_KEEPING = 1024
"""Bytes, compressed, below which a transcript that has to be cut is left out."""


class TranscriptWriter:
    """Keeps the output of one shell. Never raises once it is open: no shell ends for a full disk."""

    def __init__(
        self,
        path: Path,
        columns: int,
        rows: int,
        redactor: Redactor,
        *,
        term: str = "xterm-256color",
        clock: Callable[[], float] = time.time,
        largest: int = LARGEST,
    ) -> None:
        """`redactor` is this stream's alone. Raises StoreError when the file is there already, or cannot be made."""
        self._redactor = redactor
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._clock = clock
        self._began = clock()
        self._room = largest - _ROOM_FOR_NOTES
        self._cut = 0
        header = {
            "version": 2, "width": columns, "height": rows, "timestamp": int(self._began), "env": {"TERM": term},
        }  # fmt: skip
        try:
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            os.write(self._file, _line(header))
        except OSError as error:
            raise StoreError(
                f"The transcript {path} cannot be written: {error.strerror}.",
                "Without it there is no shell: make room on that disk.",
            ) from error

    def output(self, data: bytes) -> None:
        """What came from the machine. Its end may be held back until more comes: it may be the start of a secret."""
        if self._cut:
            self._cut += len(data)
        else:
            self._event("o", self._decoder.decode(self._redactor.feed(data)))

    def resized(self, columns: int, rows: int) -> None:
        if not self._cut:
            self._event("r", f"{columns}x{rows}")

    def close(self) -> None:
        """The last of it is on the disk. Can be repeated."""
        if self._file < 0:
            return
        if not self._cut:
            self._event("o", self._decoder.decode(self._redactor.flush(), final=True))
        with contextlib.suppress(OSError):
            if self._cut:
                self._put(_line([self._elapsed(), "o", _note(f"{self._cut:,} bytes of output are not kept")]))
            os.fsync(self._file)
        os.close(self._file)
        self._file = -1

    def _event(self, kind: str, text: str) -> None:
        if not text or self._file < 0:
            return
        line = _line([self._elapsed(), kind, text])
        if len(line) <= self._room:
            try:
                self._put(line)
            except OSError:
                self._cut = len(text)  # the disk is full: from here on nothing is kept
            return
        self._cut = len(text.encode(errors="replace"))
        with contextlib.suppress(OSError):
            self._put(_line([self._elapsed(), "o", _note("the transcript ends here")]))

    def _put(self, line: bytes) -> None:
        os.write(self._file, line)
        self._room -= len(line)

    def _elapsed(self) -> float:
        return round(max(self._clock() - self._began, 0.0), 3)


def redacted(raw: bytes, secrets: Iterable[str]) -> bytes:
    """A transcript without these secrets either, also where one lies across events. What is not asciinema's is left
    out."""
    redactor = Redactor(secrets)
    lines: list[bytes] = []
    at = 0.0
    for number, line in enumerate(raw.splitlines()):
        try:
            said: object = json.loads(line)
        except ValueError:
            continue  # the last line, where the machine that wrote it went down
        match said:
            case dict() if number == 0:
                lines.append(line + b"\n")
            case [int() | float() as at, "o", str() as text]:
                data = redactor.feed(text.encode(errors="replace")).decode(errors="replace")
                lines.append(_line([at, "o", data]))
            case [int() | float() as at, "r", str() as text]:
                lines.append(_line([at, "r", text]))
            case _:
                pass
    if rest := redactor.flush():
        lines.append(_line([at, "o", rest.decode(errors="replace")]))
    return b"".join(lines)


def compressed(raw: bytes, largest: int = LARGEST_SHARED) -> bytes:
    """A transcript in at most so many bytes (gzip), always the same for the same; what is cut off its end is said in
    it. Empty where there is no room for anything."""
    packed = gzip.compress(raw, mtime=0)
    kept = len(raw)
    while len(packed) > largest:
        if largest < _WORTH_KEEPING:
            return b""
        kept = int(kept * min(largest / len(packed), 0.9))
        packed = gzip.compress(shortened(raw, kept), mtime=0)
    return packed


def length(packed: bytes) -> int:
    """Bytes of a compressed transcript before it was compressed; 0 of none."""
    return len(gzip.decompress(packed)) if packed else 0


def shortened(raw: bytes, largest: int) -> bytes:
    """The beginning of a transcript, whole events of it, and a note on how much was cut."""
    end = raw.rfind(b"\n", 0, max(largest, raw.find(b"\n") + 1)) + 1
    if end >= len(raw):
        return raw
    return raw[:end] + _line([_last_time(raw[:end]), "o", _note(f"{len(raw) - end:,} bytes of this are not kept")])


def _last_time(lines: bytes) -> float:
    with contextlib.suppress(ValueError, IndexError):
        match json.loads(lines.splitlines()[-1]):
            case [int() | float() as at, *_]:
                return at
            case _:
                pass
    return 0.0


def _note(text: str) -> str:
    return f"\r\n[Ingot: {text}]\r\n"


def _line(said: object) -> bytes:
    return json.dumps(said, ensure_ascii=False).encode(errors="replace") + b"\n"
