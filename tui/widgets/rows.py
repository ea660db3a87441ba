"""The rows of a list without the list: keyed values, what is shown of them in which order, the cursor and the marks.

A hundred thousand rows are sorted and filtered in slices (`work`), none longer than a few milliseconds, so that keys
are answered meanwhile. A short list is arranged within the first slice, at once.
"""

import time
from collections.abc import Callable, Generator, Iterable, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")

SORTED_AT_ONCE = 4096
READ_AT_ONCE = 256
"""Rows in one step of the work: a few milliseconds even where every text must be made first."""
SLICE = 0.004
"""Seconds that one call of `work` takes at most, give or take a chunk."""


class Rows(Generic[T]):
    """Keyed rows in an order, and the part of them that shows."""

    def __init__(self, text: Callable[[T], str]) -> None:
        """`text` gives what the filter looks through, for one row."""
        self._text = text
        self._values: dict[str, T] = {}
        self._keys: list[str] = []
        self._sorted: list[str] = self._keys
        self._texts: dict[str, str] = {}
        self._needle = ""
        self._sort_key: Callable[[T], Any] | None = None
        self._reverse = False
        self._job: Generator[None, None, None] | None = None
        self._again = False
        self._in_order = True
        self.shown: list[str] = []
        """Keys in the order in which they show."""
        self.marks: set[str] = set()

    # what is there

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: object) -> bool:
        return key in self._values

    def __getitem__(self, key: str) -> T:
        return self._values[key]

    def get(self, key: str) -> T | None:
        return self._values.get(key)

    def __iter__(self) -> Iterator[str]:
        return iter(self._keys)

    @property
    def needle(self) -> str:
        return self._needle

    @property
    def working(self) -> bool:
        """Sorting or filtering goes on: `shown` is still what it was before."""
        return self._job is not None

    def position(self, key: str) -> int | None:
        """Where a row shows, or None when the filter hides it."""
        try:
            return self.shown.index(key)
        except ValueError:
            return None

    # changes: each leaves `shown` right when nothing is sorted or filtered, otherwise starts arranging

    def replace(self, rows: Iterable[tuple[str, T]]) -> None:
        """All rows anew. Marks of rows that are still there stay."""
        self._values = dict(rows)
        self._keys = list(self._values)
        self._texts.clear()
        self.marks &= self._values.keys()
        self._arrange()

    def update(self, key: str, value: T) -> None:
        """A new value for a row that is there."""
        self._values[key] = value
        self._texts.pop(key, None)
        if self._needle or self._sort_key:
            self._arrange()

    def insert(self, key: str, value: T, before: str | None = None) -> None:
        """A new row, before another one or at the end."""
        at = self._keys.index(before) if before is not None else len(self._keys)
        self._values[key] = value
        self._keys.insert(at, key)
        if self._needle or self._sort_key:
            self._arrange()
        else:
            self.shown.insert(at, key)

    def remove(self, key: str) -> None:
        del self._values[key]
        self._keys.remove(key)
        self._texts.pop(key, None)
        self.marks.discard(key)
        if (at := self.position(key)) is not None:
            del self.shown[at]
        if self._needle or self._sort_key:
            self._arrange()

    def sort(self, key: Callable[[T], Any] | None, *, reverse: bool = False) -> None:
        """Order by a key (None for the order in which the rows came)."""
        self._sort_key, self._reverse = key, reverse
        self._job = None
        self._arrange()

    def filter(self, needle: str) -> None:
        """Show only rows whose text has this in it, whatever the case."""
        narrowing = self._job is None and bool(self._needle) and needle.casefold().startswith(self._needle.casefold())
        self._needle = needle
        self._job = None
        if narrowing:
            self._start(self._search(self.shown))
        elif self._in_order:
            self._start(self._search(self._sorted))
        else:
            self._arrange()

    def warm(self) -> None:
        """Prepare the texts that a filter looks through, before the first letter is typed."""
        if self._job is None:
            self._start(self._read_texts())

    # arranging

    def work(self) -> bool:
        """Go on arranging for a few milliseconds; True when there is nothing left to do."""
        until = time.perf_counter() + SLICE
        while self._job is not None:
            try:
                next(self._job)
            except StopIteration:
                self._job = None
                if self._again:
                    self._arrange()
            if time.perf_counter() > until:
                break
        return self._job is None

    def _arrange(self) -> None:
        if self._job is not None and self._sort_key is None and not self._needle:
            self._job = None
        if self._job is not None:
            self._again = True
            return
        self._again = False
        self._in_order = False
        if self._sort_key is None and not self._needle:
            self._sorted = self._keys
            self._in_order = True
            self.shown = list(self._keys)
            return
        self._start(self._sort_and_search())

    def _start(self, job: Generator[None, None, None]) -> None:
        self._job = job
        self.work()

    def _sort_and_search(self) -> Generator[None, None, None]:
        if self._sort_key is None:
            self._sorted = self._keys
        else:
            yield from self._sort(self._sort_key)
        self._in_order = True
        yield from self._search(self._sorted)

    def _sort(self, sort_key: Callable[[T], Any]) -> Generator[None, None, None]:
        """Sort chunks, then merge them in pairs: list.sort merges two sorted runs in linear time (its listsort.txt)."""
        keyed: dict[str, Any] = {}
        empty: list[str] = []
        runs: list[list[str]] = []
        for chunk in _chunks(list(self._keys), SORTED_AT_ONCE):
            present: list[str] = []
            for key in chunk:
                if key not in self._values:
                    continue
                found = sort_key(self._values[key])
                if found is None:
                    empty.append(key)
                else:
                    keyed[key] = found
                    present.append(key)
            present.sort(key=keyed.__getitem__, reverse=self._reverse)
            runs.append(present)
            yield
        while len(runs) > 1:
            merged: list[list[str]] = []
            for at in range(0, len(runs), 2):
                both = [key for run in runs[at : at + 2] for key in run]
                both.sort(key=keyed.__getitem__, reverse=self._reverse)
                merged.append(both)
                yield
            runs = merged
        self._sorted = [*(runs[0] if runs else []), *empty]

    def _search(self, among: list[str]) -> Generator[None, None, None]:
        needle = self._needle.casefold()
        if not needle:
            complete = len(among) == len(self._values)
            self.shown = list(among) if complete else [key for key in among if key in self._values]
            return
        found: list[str] = []
        for chunk in _chunks(list(among), READ_AT_ONCE):
            found.extend(key for key in chunk if key in self._values and needle in self._folded(key))
            yield
        self.shown = found

    def _read_texts(self) -> Generator[None, None, None]:
        for chunk in _chunks(list(self._keys), READ_AT_ONCE):
            for key in chunk:
                if key in self._values:
                    self._folded(key)
            yield

    def _folded(self, key: str) -> str:
        text = self._texts.get(key)
        if text is None:
            text = self._texts[key] = self._text(self._values[key]).casefold()
        return text


def _chunks(keys: list[str], size: int) -> Iterator[list[str]]:
    for at in range(0, len(keys), size):
        yield keys[at : at + size]
