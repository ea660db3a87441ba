"""What of a log is on screen: the upper edge, the cursor, and whether the newest lines are followed.

Knows lines and rows, not Textual: the pane tells it the room that there is, and draws what `rows` says. Positions are
line numbers from 0; a line that is wrapped takes several rows, and how many rows a huge log has, nobody knows.
"""

from collections.abc import Callable

import msgspec
from rich.cells import cell_len

from core.store.logs import LogLine, LogReader
from tui.widgets.log_lines import Shown, breaks, shown

_SIDEWAYS = 20
"""Cells that one key scrolls sideways."""


class Row(msgspec.Struct, frozen=True):
    """A row on screen: its line, and the range of the line's text that it shows."""

    line: LogLine
    shown: Shown
    start: int
    end: int


class Position(msgspec.Struct, frozen=True):
    """Where the view is, to come back to."""

    cursor: int = 0
    top: int = 0
    sub: int = 0
    follow: bool = True


class Page:
    """A window on a log."""

    def __init__(self, extent: Callable[[], tuple[int, int]]) -> None:
        """`extent` tells how many rows there are now, and how many cells each has for the text of a line."""
        self._extent = extent
        self.reader: LogReader | None = None
        self.speaker = ""
        """The build that the log is of: its name before each line is left out."""
        self.top = 0
        """The first line on screen."""
        self.sub = 0
        """Rows of that line above the upper edge, when lines are wrapped."""
        self.left = 0
        """Cells that are scrolled out at the left, when lines are not wrapped."""
        self.cursor = 0
        self.mark: int | None = None
        """The other end of what is marked; one end is the cursor."""
        self.follow = True
        self.wrap = False
        self.seen = 0
        """Lines that were there when following ended: what comes after is new."""
        self._rows: list[Row] | None = None

    def begin(self, reader: LogReader | None, *, follow: bool, speaker: str = "") -> None:
        """Another log, from its end or from its start. How lines are wrapped stays."""
        self.reader, self.speaker, self.follow = reader, speaker, follow
        self.top = self.sub = self.left = self.cursor = self.seen = 0
        self.mark = None
        self._rows = None

    @property
    def height(self) -> int:
        return self._extent()[0]

    @property
    def room(self) -> int:
        return self._extent()[1]

    @property
    def count(self) -> int:
        """Lines of the log."""
        return self.reader.line_count if self.reader else 0

    @property
    def last(self) -> int:
        """The last line; 0 also where there is none."""
        return max(self.count - 1, 0)

    @property
    def position(self) -> Position:
        return Position(self.cursor, self.top, self.sub, self.follow)

    @position.setter
    def position(self, position: Position) -> None:
        self.cursor, self.top, self.sub = position.cursor, position.top, position.sub
        self.follow = position.follow

    @property
    def marked(self) -> range:
        """The marked lines, or the one of the cursor."""
        other = self.cursor if self.mark is None else self.mark
        return range(min(other, self.cursor), max(other, self.cursor) + 1)

    def rows(self) -> list[Row]:
        """What is on screen, row by row."""
        if self._rows is not None:
            return self._rows
        rows: list[Row] = []
        height, room = self._extent()
        skip = self.sub
        for line in self.reader.read(self.top, height) if self.reader else ():
            one = shown(line, self.speaker)
            for start, end in breaks(one.text, room) if self.wrap else [(0, len(one.text))]:
                if skip:
                    skip -= 1
                else:
                    rows.append(Row(line, one, start, end))
            if len(rows) >= height:
                break
        self._rows = rows[:height]
        return self._rows

    def changed(self) -> None:
        """Position, room or log are others: what is on screen is read anew."""
        self._rows = None

    def _rows_of(self, line: int) -> int:
        if not self.wrap or self.reader is None:
            return 1
        return sum(len(breaks(shown(one, self.speaker).text, self.room)) for one in self.reader.read(line, 1)) or 1

    def _top_for(self, line: int) -> tuple[int, int]:
        """The upper edge that has the last row of this line at the lower edge."""
        if not self.wrap:
            return max(line - self.height + 1, 0), 0
        left = self.height - self._rows_of(line)
        while left > 0 and line > 0:
            line -= 1
            left -= self._rows_of(line)
        return line, max(-left, 0)

    # moving

    def grown(self) -> None:
        """The log has other lines now: show the newest, or stay within it."""
        self._rows = None
        if self.follow:
            self.to_end()
        else:
            self.top = min(self.top, self.last)
            self.cursor = min(self.cursor, self.last)

    def to_end(self) -> None:
        self.cursor = self.last
        self.top, self.sub = self._top_for(self.cursor)

    def fit(self) -> None:
        """The room is another: the cursor stays on screen, and no row empty as long as there are lines for it."""
        if self.follow:
            self.to_end()
            return
        here = (self.cursor, 0)
        top = min((self.top, self.sub), self._top_for(self.last), here)
        self.top, self.sub = max(top, min(self._top_for(self.cursor), here))

    def stop_following(self) -> None:
        if self.follow:
            self.follow = False
            self.seen = self.count

    def go_to(self, line: int) -> None:
        """Put the cursor on a line, with some lines around it."""
        self.follow = False
        self.seen = self.count
        self.cursor = max(0, min(line, self.last))
        if not self.top <= self.cursor < self.top + self.height - 1 or self.wrap:
            self.top, self.sub = min((max(self.cursor - self.height // 3, 0), 0), self._top_for(self.last))

    def move(self, line: int) -> None:
        """Put the cursor on a line, and the view where it shows."""
        line = max(0, min(line, self.last))
        if self.follow:
            if line >= self.last:
                return
            self.stop_following()
        self.cursor = line
        if (line, 0) < (self.top, self.sub):
            self.top, self.sub = line, 0
        else:
            self.top, self.sub = max((self.top, self.sub), min(self._top_for(line), (line, 0)))

    def scroll(self, rows: int) -> None:
        """Move the view, not the cursor, which only stays on screen."""
        if rows < 0:
            self.stop_following()
        elif self.follow:
            return
        end = self._top_for(self.last)
        if not self.wrap:
            self.top, self.sub = max(0, min(self.top + rows, end[0])), 0
        else:
            self.sub += rows
            while self.sub < 0 and self.top > 0:
                self.top -= 1
                self.sub += self._rows_of(self.top)
            while (taken := self._rows_of(self.top)) <= self.sub and self.top < self.count - 1:
                self.sub -= taken
                self.top += 1
            self.top, self.sub = min((self.top, max(self.sub, 0)), end)
        self._keep_cursor()

    def scroll_to(self, line: int) -> None:
        """Put the upper edge on a line, as the scroll bar says it."""
        if line < self.top:
            self.stop_following()
        if not self.follow:
            self.top, self.sub = min((max(line, 0), 0), self._top_for(self.last))
            self._keep_cursor()

    def _keep_cursor(self) -> None:
        self._rows = None
        if rows := self.rows():
            self.cursor = max(rows[0].line.number, min(self.cursor, rows[-1].line.number))

    def turn(self, pages: int) -> None:
        """Move the view by pages and the cursor with it; at an end the cursor goes there itself."""
        rows = self.rows()
        offset = next((at for at, row in enumerate(rows) if row.line.number == self.cursor), 0)
        before = (self.top, self.sub)
        self.scroll(pages * max(self.height - 1, 1))
        if (self.top, self.sub) == before:
            if not self.follow:
                self.move(self.count - 1 if pages > 0 else 0)
        else:
            rows = self.rows()
            self.cursor = rows[min(offset, len(rows) - 1)].line.number

    def turn_wrapping(self) -> None:
        """Break long lines, or show each on one line again; the cursor stays on screen."""
        self.wrap = not self.wrap
        self.left = self.sub = 0
        if self.follow:
            self.to_end()
        else:
            self.top, self.sub = max(min((self.top, 0), (self.cursor, 0)), self._top_for(self.cursor))

    def right(self) -> None:
        """Scroll long lines towards their end."""
        longest = max((cell_len(row.shown.text) for row in self.rows()), default=0)
        if not self.wrap and self.left + self.room < longest:
            self.left += _SIDEWAYS

    def back_left(self) -> None:
        """Scroll long lines back."""
        self.left = max(self.left - _SIDEWAYS, 0)
