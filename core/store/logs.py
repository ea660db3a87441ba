"""Logs: plain files, written by whoever runs the tool (log_writer.py), read by anybody at the same time.

Beside `build.log` lies `build.log.idx`, a sparse index of its lines (line_index.py). It only ever grows, so whatever
part of it is there is true; a missing or short one is completed by scanning, and one that contradicts the log is thrown
away. Writers, and whoever completes an index, take `flock` on the log; readers take nothing. Several processes may
append to one log.
"""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from core.errors import StoreError
from core.store.line_index import STRIDE, Record
from core.store.log_blocks import Blocks

Block = tuple[Record, list[tuple[bytes, int]]]
"""Where it begins; its lines, and how many bytes each has in the file."""

LINE_LIMIT = 64 * 1024
"""Bytes of one line that are read; a longer line is cut."""
SLICE = 8 * 1024 * 1024
"""Bytes that one step of scanning or searching looks at: some 10 ms."""
SCAN_AT_ONCE = 4 * SLICE
"""Bytes that one `refresh` scans at most when the index is behind."""
_PIECE = 1024 * 1024


class LogLine(msgspec.Struct, frozen=True):
    """One line of a log."""

    number: int
    """From 0."""
    time: float | None
    """Seconds since the epoch when it was begun, to the second; None where it is not known."""
    raw: bytes
    """Without its end (LF, CRLF); at most LINE_LIMIT bytes of it."""
    length: int
    """Bytes that it has in the file, which may be more than `raw`."""


class SearchStep(msgspec.Struct, frozen=True):
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
        self._blocks = Blocks(path)
        self._kept: dict[int, Block] = {}
        """Blocks that were read, by place."""
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
        return self._blocks.line_count

    @property
    def whole_lines(self) -> int:
        """Lines that have their end, and so will not change."""
        return self._blocks.whole_lines

    @property
    def size(self) -> int:
        """Bytes of the log."""
        return self._size

    @property
    def behind(self) -> int:
        """Bytes whose lines are not known yet because the index lacks them; every `refresh` scans on."""
        return self._size - self._blocks.end

    def refresh(self, at_most: int = SCAN_AT_ONCE) -> bool:
        """Look at the file again; True when there is more (or, after a truncation, less) to read than before.

        Scans at most `at_most` bytes that the index does not cover, and adds them to it.
        """
        blocks = self._blocks
        before = (self.line_count, blocks.end)
        if not self._look():
            return False
        if blocks.load(self._log):
            self._size = max(self._size, os.fstat(self._log).st_size)
            self._kept.clear()
        until = min(self._size, blocks.end + at_most)
        while blocks.end < until:
            piece = os.pread(self._log, min(_PIECE, until - blocks.end), blocks.end)
            if not piece:  # cut in this moment: the next look sees it
                break
            blocks.feed(piece)
        blocks.save(self._log)
        return (self.line_count, blocks.end) != before

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
        blocks = self._blocks
        offset = blocks.record(blocks.place(start))[1]
        while True:
            # By offset, as a refresh may put other records into the index; so a block can come twice, a line cannot.
            place = blocks.place(offset, by=1)
            if place < 0 or offset >= blocks.end:
                return
            first, last = self._group(place, backwards, step)
            begin, end = blocks.record(first)[1], blocks.end_of(last)
            behind = blocks.line_after(last)
            ahead = blocks.record(first)[0]
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
        blocks = self._blocks
        first = last = place
        if backwards:
            while first > 0 and blocks.end_of(last) - blocks.record(first - 1)[1] <= step:
                first -= 1
        else:
            while last + 1 < blocks.count and blocks.end_of(last + 1) - blocks.record(first)[1] <= step:
                last += 1
        return first, last

    # -- the file

    def _reset(self, *, distrust: bool = False) -> None:
        self._blocks.reset(distrust=distrust)
        self._kept.clear()

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
        if found.st_size < self._blocks.end:
            self._reset()
        self._size = found.st_size
        return True

    def _distrust(self) -> None:
        """The index said something that is not so: forget it and scan."""
        self._reset(distrust=True)
        self.refresh()

    # -- what is read of a block

    def _block_of_line(self, line: int) -> Block | None:
        blocks = self._blocks
        place = blocks.place(line)
        if place in self._kept:
            return self._kept[place]
        known = place >= 0 and blocks.record(place)[0] <= line < blocks.line_after(place)
        if not known or not blocks.true(place, self._log):
            self._distrust()
            place = blocks.place(line)
            if place < 0:
                return None
        record, end = blocks.record(place), blocks.end_of(place)
        size = end - record[1]
        head = os.pread(self._log, min(size, STRIDE + LINE_LIMIT + 1), record[1])
        parts = head.split(b"\n", blocks.line_after(place) - record[0] - 1)
        start_of_last = len(head) - len(parts[-1])
        lines = [(part.rstrip(b"\r"), len(part)) for part in parts[:-1]]
        lines.append(self._last_of_block(parts[-1], record[1] + start_of_last, end))
        block = (record, lines)
        if place + 1 < blocks.count:  # the last one still grows
            if len(self._kept) >= 16:
                del self._kept[next(iter(self._kept))]
            self._kept[place] = block
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
