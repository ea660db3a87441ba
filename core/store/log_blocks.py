"""Where the blocks of a log begin: what its index file records (line_index.py), and what was scanned beyond that.

Block i reaches from record i to the next one, the last block to where the scan is. An index that contradicts the log is
not believed, and written anew; what cannot be written stays in memory.
"""

import fcntl
import os
from array import array
from bisect import bisect_right
from pathlib import Path

from core.store.line_index import FIELDS, HEADER, RECORD_SIZE, Record, Scan, index_of, last_record, pack, verified


class Blocks:
    """Of one log, for one reader. `log` is its open descriptor wherever one is asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._may_save = True
        self.reset()

    def reset(self, *, distrust: bool = False) -> None:
        """Forget all of it: the log is another one or was cut, or the index said what is not so (`distrust`)."""
        self._scan = Scan()
        self._disk: array[int] = array("Q")
        """Records that the index file has."""
        self._own: list[Record] = []
        """Records that it lacks."""
        self._distrusted = distrust
        """The index file is wrong: to be written anew."""

    @property
    def end(self) -> int:
        """Bytes of the log that were seen."""
        return self._scan.end

    @property
    def line_count(self) -> int:
        """Lines in them; a last one without its end counts."""
        return self._scan.newlines + (not self._scan.fresh)

    @property
    def whole_lines(self) -> int:
        return self._scan.newlines

    def feed(self, data: bytes) -> None:
        """Take the next bytes of the log."""
        self._own += self._scan.feed(data)

    # -- the records

    @property
    def count(self) -> int:
        return len(self._disk) // FIELDS + len(self._own)

    def record(self, place: int) -> Record:
        """Where a block begins."""
        on_disk = len(self._disk) // FIELDS
        if place >= on_disk:
            return self._own[place - on_disk]
        line, offset, sealed = self._disk[place * FIELDS : place * FIELDS + FIELDS]
        return line, offset, sealed >> 16

    def place(self, value: int, by: int = 0) -> int:
        """The block that holds a line (`by=0`) or a byte (`by=1`); -1 for none."""
        return bisect_right(range(self.count), value, key=lambda place: self.record(place)[by]) - 1

    def end_of(self, place: int) -> int:
        """The byte after a block."""
        return self.record(place + 1)[1] if place + 1 < self.count else self.end

    def line_after(self, place: int) -> int:
        return self.record(place + 1)[0] if place + 1 < self.count else self.line_count

    def true(self, place: int, log: int) -> bool:
        """Whether this record and the next agree with their check sums and with the log."""
        on_disk = len(self._disk) // FIELDS
        for at in range(place, min(place + 2, on_disk)):
            line, offset, sealed = self._disk[at * FIELDS : at * FIELDS + FIELDS]
            if verified(line, offset, sealed, log) is None:
                return False
        return True

    # -- the index file

    def load(self, log: int) -> bool:
        """Take what was added to the index file since the last time; whether that was anything."""
        if self._distrusted:
            return False
        try:
            index = os.open(index_of(self._path), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            known = len(HEADER) + len(self._disk) * 8
            size = os.fstat(index).st_size
            if size < known + RECORD_SIZE:
                return False
            if self._disk and os.pread(index, RECORD_SIZE, known - RECORD_SIZE) != self._disk[-FIELDS:].tobytes():
                # It was made anew and records other lines: what is known of the old one does not go with the new one.
                self._disk = array("Q")
                known = len(HEADER)
            last = last_record(index, log)
            data = os.pread(index, (size - known) // RECORD_SIZE * RECORD_SIZE, known)
        except OSError:  # unreadable, or no file at all: the records stay in memory
            self._may_save = False
            return False
        finally:
            os.close(index)
        added = array("Q", data[: len(data) // RECORD_SIZE * RECORD_SIZE])
        if last is None or not added or (self._disk and added[1] <= self._disk[-2]):
            self._distrusted = True
            return False
        self._disk.extend(added)
        line, offset, moment = added[-3], added[-2], added[-1] >> 16
        self._own = [record for record in self._own if record[1] > offset]
        if offset >= self.end:
            self._scan.resume((line, offset, moment))
        return True

    def save(self, log: int) -> None:
        """Add to the index file what it lacks, unless somebody is at it or it cannot be written."""
        if not self._own or not self._may_save:
            return
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        try:
            index = os.open(index_of(self._path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                expected = len(HEADER) + len(self._disk) * 8 if self._disk else 0
                size = os.fstat(index).st_size
                if not self._distrusted and size - size % RECORD_SIZE > max(expected, len(HEADER)):
                    return  # somebody was quicker: the next refresh reads theirs
                if expected and size >= expected:
                    end = os.pread(index, RECORD_SIZE, expected - RECORD_SIZE)
                    if not self._distrusted and end != self._disk[-FIELDS:].tobytes():
                        return
                at = 0 if self._distrusted or size < expected else expected
                os.ftruncate(index, at)
                added = array("Q", pack(self._own))
                data = (b"" if at else HEADER) + (self._disk.tobytes() if not at else b"") + added.tobytes()
                while data:
                    done = os.pwrite(index, data, at)
                    at, data = at + done, data[done:]
            finally:
                os.close(index)
        except OSError:  # a read-only place or a full disk: the records stay in memory
            self._may_save = False
        else:
            self._disk.extend(added)
            self._own = []
            self._distrusted = False
        finally:
            fcntl.flock(log, fcntl.LOCK_UN)
