"""Writing a log: appended by one process or several, and indexed on the way; logs.py says how, and reads it."""

import contextlib
import errno
import fcntl
import os
import time
from collections.abc import Callable, Generator
from pathlib import Path

from core.errors import StoreError
from core.store.line_index import HEADER, RECORD_SIZE, Record, Scan, index_of, last_record, pack

_PIECE = 1024 * 1024


class LogWriter:
    """Appends to a log, and keeps its index. Goes on where an earlier writer stopped; not for several threads."""

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        self._path = path
        self._clock = clock
        self._unwritten = b""
        self._pending: list[Record] = []
        self._scan = Scan()
        self._index = -1
        self._last: Record | None = None
        """The last record of the index file."""
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._log = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._failed(error) from error
        try:
            with self._locked():
                self._join()
        except OSError as error:
            self.close()
            raise self._failed(error) from error

    def write(self, data: bytes) -> None:
        """Append. When it returns the data is with the operating system and every reader sees it.

        Raises StoreError when the disk is full or broken. What was not written is kept and goes before the next write:
        nothing is lost as long as the caller comes back; `write(b"")` tries again.
        """
        data = self._unwritten + data if self._unwritten else data
        try:
            with self._locked():
                if self._stale():
                    self._join()
                done = 0
                try:
                    while done < len(data):
                        done += os.write(self._log, memoryview(data)[done:] if done else data)
                finally:
                    written = data if done == len(data) else data[:done]
                    self._unwritten = data[done:]
                    self._pending += self._scan.feed(written, int(self._clock() * 1000))
                    self._write_index()
        except OSError as error:
            raise self._failed(error) from error

    def close(self) -> None:
        for descriptor in (self._index, self._log):
            if descriptor >= 0:
                os.close(descriptor)
        self._index = self._log = -1

    def __enter__(self) -> "LogWriter":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        fcntl.flock(self._log, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._log, fcntl.LOCK_UN)

    def _stale(self) -> bool:
        """Whether log or index are not as this writer left them."""
        return (
            bool(self._pending)
            or os.fstat(self._log).st_size != self._scan.end
            or self._index < 0
            or os.fstat(self._index).st_nlink == 0
        )

    def _join(self) -> None:
        """Take up the state of log and index as they are: at the start, and when somebody else wrote."""
        self._pending.clear()
        self._scan = Scan()
        if self._index >= 0:
            os.close(self._index)
            self._index = -1
        self._last = None
        # Without an index the log is still whole: readers make one.
        with contextlib.suppress(OSError):
            self._index = os.open(index_of(self._path), os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            self._last = last_record(self._index, self._log)
            if self._last is not None:
                self._scan.resume(self._last)
            elif os.fstat(self._index).st_size != len(HEADER):
                os.ftruncate(self._index, 0)
        while piece := os.pread(self._log, _PIECE, self._scan.end):
            self._pending += self._scan.feed(piece)
        self._append()

    def _write_index(self) -> None:
        """Add the records that are due, if the index still ends as this writer left it.

        A reader may have completed or remade it: between its last record and ours lines could lack theirs.
        """
        if not self._pending or self._index < 0:
            return
        if last_record(self._index, self._log) == self._last:
            self._append()
        else:
            self._join()

    def _append(self) -> None:
        if not self._pending or self._index < 0:
            return
        size = os.fstat(self._index).st_size
        whole = size - size % RECORD_SIZE
        data = (b"" if whole else HEADER) + pack(self._pending)
        try:
            if whole != size:
                os.ftruncate(self._index, whole)
            while data:
                data = data[os.write(self._index, data) :]
        except OSError:  # tried again with the next write; until then the index is behind, which readers make up for
            with contextlib.suppress(OSError):
                os.ftruncate(self._index, whole)
        else:
            self._last = self._pending[-1]
            self._pending.clear()

    def _failed(self, error: OSError) -> StoreError:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        return StoreError(
            f"Cannot write the log {self._path}: {error.strerror}.",
            f"Make room on the disk of {self._path.parent}; writing goes on by itself."
            if full
            else f"Look at {self._path.parent}: it must exist and be yours.",
        )
