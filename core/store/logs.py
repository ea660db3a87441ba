"""Logs: plain files, written by whoever runs the tool (log_writer.py), read by anybody at the same time.

Beside `build.log` lies `build.log.idx`, a sparse index of its lines (line_index.py). It only ever grows, so whatever
part of it is there is true; a missing or short one is completed by scanning, and one that contradicts the log is thrown
away. Writers, and whoever completes an index, take `flock` on the log; readers take nothing. Several processes may
append to one log.
"""

import fcntl
import os
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import StoreError
from core.store.line_index import (
    FIELDS,
    HEADER,
    RECORD_SIZE,
    STRIDE,
    Record,
    Scan,
    index_of,
    last_record,
    pack,
    verified,
)

LINE_LIMIT = 64 * 1024
"""Bytes of one line that are read; a longer line is cut."""
SLICE = 8 * 1024 * 1024
"""Bytes that one step of scanning or searching looks at: some 10 ms."""
SCAN_AT_ONCE = 4 * SLICE
"""Bytes that one `refresh` scans at most when the index is behind."""
_PIECE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a log."""

    number: int
    """From 0."""
    time: float | None
    """Seconds since the epoch when it was begun, to the second; None where it is not known."""
    raw: bytes
    """Without its end (LF, CRLF); at most LINE_LIMIT bytes of it."""
    length: int
    """Bytes that it has in the file, which may be more than `raw`."""


@dataclass(frozen=True, slots=True)
class SearchStep:
    """A hit, or a breath in which a search can be given up."""

    line: int | None
    """The line of a hit; None between hits."""
    fraction: float
    """How much of what there is to search has been, 0 to 1."""


class LogReader:
    """Reads a log by line number while others may be appending to it; its memory does not grow with the log.

    (24 bytes for each 32 KB, and a few blocks.) The log need not exist yet. Lines count from 0. Not for many threads:
    open another reader, it costs nothing.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._log = -1
        self._identity = (0, 0)
        self._size = 0
        self._reset()
        self._may_save = True
        self.refresh(SLICE)

    def close(self) -> None:
        if self._log >= 0:
            os.close(self._log)
        self._log = -1

    def __enter__(self) -> "LogReader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def line_count(self) -> int:
        """Lines known so far; a last line without its end (a prompt) counts."""
        return self._scan.newlines + (not self._scan.fresh)

    @property
    def whole_lines(self) -> int:
        """Lines that have their end, and so will not change."""
        return self._scan.newlines

    @property
    def size(self) -> int:
        """Bytes of the log."""
        return self._size

    @property
    def behind(self) -> int:
        """Bytes whose lines are not known yet because the index lacks them; every `refresh` scans on."""
        return self._size - self._scan.end

    def refresh(self, at_most: int = SCAN_AT_ONCE) -> bool:
        """Look at the file again; True when there is more (or, after a truncation, less) to read than before.

        Scans at most `at_most` bytes that the index does not cover, and adds them to it.
        """
        before = (self.line_count, self._scan.end)
        if not self._look():
            return False
        self._load_index()
        until = min(self._size, self._scan.end + at_most)
        while self._scan.end < until:
            piece = os.pread(self._log, min(_PIECE, until - self._scan.end), self._scan.end)
            if not piece:  # cut in this moment: the next look sees it
                break
            self._own += self._scan.feed(piece)
        if self._own:
            self._save_index()
        return (self.line_count, self._scan.end) != before

    def read(self, first: int, count: int) -> list[LogLine]:
        """Up to `count` lines from line `first` on."""
        lines: list[LogLine] = []
        first, last = max(first, 0), min(first + count, self.line_count)
        while first < last:
            block = self._block_of_line(first)
            if block is None:
                break
            record, raws = block
            taken = raws[first - record[0] : last - record[0]]
            moment = record[2] / 1000 or None
            lines += [LogLine(first + step, moment, raw, length) for step, (raw, length) in enumerate(taken)]
            if not taken:
                break
            first += len(taken)
        return lines

    def search(self, pattern: str, start: int = 0, *, backwards: bool = False) -> Iterator[SearchStep]:
        """The lines that hold `pattern`, from line `start` on (or back), each once.

        A pattern without capitals finds both cases (of ASCII letters). Between slices of some megabytes a step without
        a line comes, so that the caller can give up or let others work.
        """
        exact = pattern != pattern.lower()
        return self.search_any([pattern.encode("utf-8", "surrogateescape")], start, backwards=backwards, exact=exact)

    def search_any(
        self,
        needles: Sequence[bytes],
        start: int = 0,
        *,
        backwards: bool = False,
        exact: bool = False,
        step: int = SLICE,
    ) -> Iterator[SearchStep]:
        """As `search`, for lines that hold any of several strings (lower-case ones unless `exact`).

        `step` is how many bytes to look at between two breaths. The reader may be refreshed meanwhile; lines that come
        after the search began are not in it.
        """
        needles = [needle for needle in needles if needle]
        known = self.line_count
        start = min(start, known - 1) if backwards else max(start, 0)
        if not needles or not 0 <= start < known:
            return
        span = start + 1 if backwards else known - start
        edge = start + 1 if backwards else start
        """The lines on this side of it are done."""
        offset = self._record(self._place(start))[1]
        while True:
            # By offset, as a refresh may put other records into the index; so a block can come twice, a line cannot.
            place = self._place(offset, by=1)
            if place < 0 or offset >= self._scan.end:
                return
            first, last = self._group(place, backwards, step)
            begin, end = self._record(first)[1], self._end_of(last)
            behind = self._line_after(last)
            ahead = self._record(first)[0]
            hits: list[int] = []
            for _ in self._hits(begin, end, ahead, needles, exact, step, hits):
                yield SearchStep(None, min(abs(edge - start) / span, 1.0))
            if backwards:
                for line in [line for line in reversed(hits) if line < edge]:
                    yield SearchStep(line, (start - line) / span)
                edge, offset = min(edge, ahead), begin - 1
            else:
                for line in [line for line in hits if edge <= line < known]:
                    yield SearchStep(line, (line - start) / span)
                edge, offset = max(edge, behind), end
            yield SearchStep(None, min(abs(edge - start) / span, 1.0))
            if offset < 0 or edge >= known:
                return

    def _group(self, place: int, backwards: bool, step: int) -> tuple[int, int]:
        """The blocks to look at together: this one and as many more as make up a step."""
        first = last = place
        if backwards:
            while first > 0 and self._end_of(last) - self._record(first - 1)[1] <= step:
                first -= 1
        else:
            while last + 1 < self._places and self._end_of(last + 1) - self._record(first)[1] <= step:
                last += 1
        return first, last

    # -- the file and its index

    def _reset(self) -> None:
        self._scan = Scan()
        self._disk: array[int] = array("Q")
        """Records that the index file has."""
        self._own: list[Record] = []
        """Records that it lacks."""
        self._distrusted = False
        """The index file is wrong: to be written anew."""
        self._blocks: dict[int, tuple[Record, list[tuple[bytes, int]]]] = {}

    def _look(self) -> bool:
        """See how long the file is, and whether it is still the same one."""
        try:
            found = self.path.stat()
            if (found.st_dev, found.st_ino) != self._identity:
                descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                self.close()
                self._log, self._identity = descriptor, (found.st_dev, found.st_ino)
                self._reset()
        except FileNotFoundError:
            if self._log < 0:
                return False
            found = os.fstat(self._log)
        except OSError as error:
            raise StoreError(
                f"Cannot read the log {self.path}: {error.strerror}.", f"Look at its owner and mode: ls -l {self.path}"
            ) from error
        if found.st_size < self._scan.end:
            self._reset()
        self._size = found.st_size
        return True

    def _load_index(self) -> None:
        """Take what was added to the index file since the last time."""
        if self._distrusted:
            return
        try:
            index = os.open(index_of(self.path), os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return
        try:
            known = len(HEADER) + len(self._disk) * 8
            size = os.fstat(index).st_size
            if size < known + RECORD_SIZE:
                return
            if self._disk and os.pread(index, RECORD_SIZE, known - RECORD_SIZE) != self._disk[-FIELDS:].tobytes():
                # It was made anew and records other lines: what is known of the old one does not go with the new one.
                self._disk = array("Q")
                known = len(HEADER)
            last = last_record(index, self._log)
            data = os.pread(index, (size - known) // RECORD_SIZE * RECORD_SIZE, known)
        except OSError:  # unreadable, or no file at all: the records stay in memory
            self._may_save = False
            return
        finally:
            os.close(index)
        added = array("Q", data[: len(data) // RECORD_SIZE * RECORD_SIZE])
        if last is None or not added or (self._disk and added[1] <= self._disk[-2]):
            self._distrusted = True
            return
        self._disk.extend(added)
        self._size = max(self._size, os.fstat(self._log).st_size)
        self._blocks.clear()
        line, offset, moment = added[-3], added[-2], added[-1] >> 16
        self._own = [record for record in self._own if record[1] > offset]
        if offset >= self._scan.end:
            self._scan.resume((line, offset, moment))

    def _save_index(self) -> None:
        """Add to the index file what it lacks, unless somebody is at it or it cannot be written."""
        if not self._may_save:
            return
        try:
            fcntl.flock(self._log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return
        try:
            index = os.open(index_of(self.path), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
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
            fcntl.flock(self._log, fcntl.LOCK_UN)

    def _distrust(self) -> None:
        """The index said something that is not so: forget it and scan."""
        self._reset()
        self._distrusted = True
        self.refresh()

    # -- records and blocks: block number i reaches from record i to the next

    @property
    def _places(self) -> int:
        return len(self._disk) // FIELDS + len(self._own)

    def _record(self, place: int) -> Record:
        on_disk = len(self._disk) // FIELDS
        if place >= on_disk:
            return self._own[place - on_disk]
        line, offset, sealed = self._disk[place * FIELDS : place * FIELDS + FIELDS]
        return line, offset, sealed >> 16

    def _place(self, value: int, by: int = 0) -> int:
        """The block that holds a line (`by=0`) or a byte (`by=1`); -1 for none."""
        return bisect_right(range(self._places), value, key=lambda place: self._record(place)[by]) - 1

    def _end_of(self, place: int) -> int:
        return self._record(place + 1)[1] if place + 1 < self._places else self._scan.end

    def _line_after(self, place: int) -> int:
        return self._record(place + 1)[0] if place + 1 < self._places else self.line_count

    def _true(self, place: int) -> bool:
        """Whether this record and the next agree with their check sums and with the log."""
        on_disk = len(self._disk) // FIELDS
        for at in range(place, min(place + 2, on_disk)):
            line, offset, sealed = self._disk[at * FIELDS : at * FIELDS + FIELDS]
            if verified(line, offset, sealed, self._log) is None:
                return False
        return True

    def _block_of_line(self, line: int) -> tuple[Record, list[tuple[bytes, int]]] | None:
        place = self._place(line)
        if place in self._blocks:
            return self._blocks[place]
        if place < 0 or not self._record(place)[0] <= line < self._line_after(place) or not self._true(place):
            self._distrust()
            place = self._place(line)
            if place < 0:
                return None
        record, end = self._record(place), self._end_of(place)
        size = end - record[1]
        head = os.pread(self._log, min(size, STRIDE + LINE_LIMIT + 1), record[1])
        parts = head.split(b"\n", self._line_after(place) - record[0] - 1)
        start_of_last = len(head) - len(parts[-1])
        lines = [(part.rstrip(b"\r"), len(part)) for part in parts[:-1]]
        lines.append(self._last_of_block(parts[-1], record[1] + start_of_last, end))
        block = (record, lines)
        if place + 1 < self._places:  # the last one still grows
            if len(self._blocks) >= 16:
                del self._blocks[next(iter(self._blocks))]
            self._blocks[place] = block
        return block

    def _last_of_block(self, raw: bytes, start: int, end: int) -> tuple[bytes, int]:
        """The one line of a block that may be long.

        Of a long line with carriage returns (a progress bar) the end is what a terminal would show, so that is kept.
        """
        length = end - start
        if length <= LINE_LIMIT + 1:
            whole = raw[:-1] if raw.endswith(b"\n") else raw
            return whole[:LINE_LIMIT].rstrip(b"\r"), len(whole)
        tail = os.pread(self._log, LINE_LIMIT, end - LINE_LIMIT)
        length -= tail.endswith(b"\n")
        tail = tail.rstrip(b"\r\n")
        return (tail if b"\r" in tail else raw[:LINE_LIMIT]), length

    def _hits(
        self, offset: int, end: int, line: int, needles: Sequence[bytes], exact: bool, step: int, hits: list[int]
    ) -> Iterator[None]:
        """Add to `hits` the lines between two offsets with a needle in them, in bounded pieces with breaths between."""
        overlap = max(map(len, needles)) - 1
        while offset < end:
            data = os.pread(self._log, min(max(step, 2 * overlap), end - offset), offset)
            if not data:
                break
            line = _find_lines(data if exact else data.lower(), needles, line, hits)
            if offset + len(data) >= end:
                break
            # The next piece begins a little earlier, for a needle that this one cuts; its lines are counted again.
            keep = len(data) - overlap
            line -= data.count(b"\n", keep)
            offset += keep
            yield


def _find_lines(data: bytes, needles: Sequence[bytes], line: int, hits: list[int]) -> int:
    """Add the lines of `data` that hold a needle to `hits`; `line` is its first line. Returns its last one."""
    counted = 0
    ahead = {needle: data.find(needle) for needle in needles}
    while ahead := {needle: at for needle, at in ahead.items() if at >= 0}:
        hit = min(ahead.values())
        line += data.count(b"\n", counted, hit)
        counted = hit
        if not hits or hits[-1] < line:
            hits.append(line)
        after = data.find(b"\n", hit)
        if after < 0:
            break
        ahead = {needle: at if at > after else data.find(needle, after) for needle, at in ahead.items()}
    return line + data.count(b"\n", counted)
