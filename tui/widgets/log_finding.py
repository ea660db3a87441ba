"""Finding things in a log while the screen stays alive: each call works for milliseconds and knows where it was."""

import time
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator

from core.model.failure import is_error
from core.model.log_words import ERROR_HINTS
from core.store.logs import LogReader, SearchStep
from core.text import from_bytes

SLICE_SECONDS = 0.008
"""How long one call may work."""
_ERROR_STEP = 256 * 1024
_SEARCH_STEP = 512 * 1024
"""Bytes between two looks at the clock; a few milliseconds each."""
MOST_ERRORS = 1_000_000
"""Error lines that are remembered."""


class ErrorLines:
    """The numbers of a log's error lines, as far as it has been looked through."""

    def __init__(self, reader: LogReader) -> None:
        self._reader = reader
        self.lines: array[int] = array("Q")
        self._reached = 0
        """Lines before it have been looked at."""
        self._steps: Iterator[SearchStep] | None = None
        self._until = 0

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def fraction(self) -> float:
        """How much of the log has been looked through, 0 to 1."""
        return min(self._reached / max(self._reader.whole_lines, 1), 1.0)

    def work(self) -> bool:
        """Look further for a moment; True when there is more to look at."""
        if self._reader.whole_lines < self._reached:  # the log was cut
            self.lines, self._reached, self._steps = array("Q"), 0, None
        if self._steps is None:
            if self._reached >= self._reader.whole_lines or len(self.lines) >= MOST_ERRORS:
                return False
            self._until = self._reader.whole_lines
            self._steps = self._reader.search_any(ERROR_HINTS, self._reached, step=_ERROR_STEP)
        deadline = time.perf_counter() + SLICE_SECONDS
        for step in self._steps:
            if step.line is not None and self._reached <= step.line < self._until:
                self._reached = step.line + 1
                if any(is_error(from_bytes(line.raw)) for line in self._reader.read(step.line, 1)):
                    self.lines.append(step.line)
            if time.perf_counter() > deadline:
                return True
        self._reached, self._steps = self._until, None
        return self._reached < self._reader.whole_lines

    def after(self, line: int) -> int | None:
        """The next error line, or the first one when there is none after it."""
        if not self.lines:
            return None
        at = bisect_right(self.lines, line)
        return self.lines[at] if at < len(self.lines) else self.lines[0]

    def before(self, line: int) -> int | None:
        """The error line before, or the last one."""
        if not self.lines:
            return None
        return self.lines[bisect_left(self.lines, line) - 1]

    def place(self, line: int) -> int | None:
        """Which error this line is, from 1; None for a line that is none."""
        at = bisect_left(self.lines, line)
        return at + 1 if at < len(self.lines) and self.lines[at] == line else None


class Search:
    """The search for the next line with a needle in it: on to the end, then from the other end."""

    def __init__(self, reader: LogReader, needle: str, start: int, *, backwards: bool) -> None:
        self.needle = needle
        self.found: int | None = None
        self.done = False
        self.fraction = 0.0
        self.wrapped = False
        self._reader = reader
        self._start = start
        self._backwards = backwards
        self._steps = self._all()

    def _all(self) -> Iterator[SearchStep]:
        exact = self.needle != self.needle.lower()
        needles = [self.needle.encode("utf-8", "surrogateescape")]
        last = self._reader.line_count - 1
        for start in (self._start, last if self._backwards else 0):
            yield from self._reader.search_any(
                needles, start, backwards=self._backwards, exact=exact, step=_SEARCH_STEP
            )
            self.wrapped = True

    def work(self) -> bool:
        """Look further for a moment; True when there is more to look at."""
        deadline = time.perf_counter() + SLICE_SECONDS
        for step in self._steps:
            if step.line is not None:
                self.found, self.done = step.line, True
                return False
            self.fraction = step.fraction
            if time.perf_counter() > deadline:
                return True
        self.done = True
        return False
