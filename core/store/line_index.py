"""The index file beside a log: which bytes its lines start at, in as few records as make reading cheap.

A header, then records of three 64-bit numbers: line, byte offset of its start, time in ms together with a check sum.
The rule: **every line starts less than STRIDE bytes after a record**. So between two records only the last line can be
long, and any line is one bounded read away. `core/store/log_blocks.py` reads and writes it.
"""

import os
from array import array
from collections.abc import Sequence
from pathlib import Path

STRIDE = 32 * 1024
"""Bytes between the starts of two recorded lines, at least, unless the clock's second changed."""

_MAGIC = 0x31_74_6F_67_6E_69_6C_67  # also tells the byte order: another machine's index is rebuilt
FIELDS = 3
RECORD_SIZE = 8 * FIELDS
_MASK = (1 << 64) - 1

Record = tuple[int, int, int]
"""Line (from 0), byte offset of its start, time in ms (0: not known)."""


def index_of(log: Path) -> Path:
    """Where the line index of this log is."""
    return log.with_name(log.name + ".idx")


def _sealed(record: Record) -> tuple[int, int, int]:
    line, offset, moment = record
    return line, offset, moment << 16 | _check(line, offset, moment)


def _check(line: int, offset: int, moment: int) -> int:
    mixed = (line * 0x9E3779B97F4A7C15 ^ offset * 0xC2B2AE3D27D4EB4F ^ moment * 0x165667B19E3779F9) & _MASK
    return (mixed ^ mixed >> 16 ^ mixed >> 32 ^ mixed >> 48) & 0xFFFF


class Scan:
    """Counts lines in bytes that come in any pieces, and says which of them the index records."""

    def __init__(self) -> None:
        self.end = 0
        """Bytes seen."""
        self.newlines = 0
        self.fresh = True
        """The next byte begins a line."""
        self.recorded = -STRIDE
        """Where the last recorded line starts."""
        self.second = -1

    def resume(self, record: Record) -> None:
        """Go on at a recorded line."""
        line, offset, moment = record
        self.end, self.newlines, self.fresh, self.recorded, self.second = offset, line, True, offset, moment // 1000

    def feed(self, data: bytes, moment: int = 0) -> list[Record]:
        """Take the next bytes, written at `moment` (ms), and give the records that they call for."""
        found: list[Record] = []
        if not data:
            return found
        start = 0 if self.fresh else data.find(b"\n") + 1
        begins = self.fresh or start > 0
        counted = 0
        while begins and start < len(data):
            offset = self.end + start
            if offset - self.recorded >= STRIDE or (moment and moment // 1000 != self.second):
                self.newlines += data.count(b"\n", counted, start)
                counted = start
                found.append((self.newlines, offset, moment))
                self.recorded, self.second = offset, moment // 1000
            start = data.find(b"\n", max(start, self.recorded + STRIDE - self.end - 1)) + 1
            begins = start > 0
        self.newlines += data.count(b"\n", counted)
        self.fresh = data.endswith(b"\n")
        self.end += len(data)
        return found


def pack(records: Sequence[Record]) -> bytes:
    return array("Q", [number for record in records for number in _sealed(record)]).tobytes()


HEADER = array("Q", [_MAGIC, 1, 0]).tobytes()


def last_record(index: int, log: int) -> Record | None:
    """The last whole record of an open index, when it is true of the log."""
    size = os.fstat(index).st_size
    count = (size - len(HEADER)) // RECORD_SIZE
    if count < 1 or os.pread(index, len(HEADER), 0) != HEADER:
        return None
    line, offset, sealed = array("Q", os.pread(index, RECORD_SIZE, len(HEADER) + (count - 1) * RECORD_SIZE))
    return verified(line, offset, sealed, log)


def verified(line: int, offset: int, sealed: int, log: int) -> Record | None:
    moment = sealed >> 16
    if sealed & 0xFFFF != _check(line, offset, moment) or (offset == 0) != (line == 0):
        return None
    begins = os.pread(log, 2, offset - 1) if offset else b"\n" + os.pread(log, 1, 0)
    return (line, offset, moment) if len(begins) == 2 and begins[:1] == b"\n" else None
