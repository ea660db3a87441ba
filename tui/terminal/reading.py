"""Reading back: moving about in what a terminal shows and showed, searching it, selecting and copying with keys.

While it goes on, nothing that is typed goes to the machine, the view stays where it is, and what the machine writes is
taken in below. It knows an emulator and no widget.
"""

from bisect import bisect_left
from collections.abc import Callable

from tui.actions import find
from tui.terminal.emulator import By, Emulator, Match
from tui.terminal.reading_actions import READING

_BY_KEY = {key: action.id for action in READING for key in action.keys}


class Reading:
    """The mode of one terminal; `active` says whether it is on."""

    def __init__(self, emulator: Emulator, size: Callable[[], tuple[int, int]], copied: Callable[[str], None]) -> None:
        """`size` gives columns and rows of the view; `copied` is given what is to be copied."""
        self._emulator = emulator
        self._size = size
        self._copied = copied
        self.active = False
        self.x = self.y = 0
        """The reading cursor, a cell of the view."""
        self.typing = False
        """What to search for is being typed."""
        self.needle = ""
        self.said = ""
        """How the search went: `3 of 17`."""
        self._matches: list[Match] = []
        self._here: Match | None = None
        self._origin = (0, 0, 0)
        """Where the search began: the view's first line, and the cursor."""
        self._selecting: By | None = None
        self._by_scrolling = False

    def begin(self, x: int, y: int, *, by_scrolling: bool = False) -> None:
        """Read back from a cell of the view on. Begun `by_scrolling`, it ends when scrolled to the end again."""
        if self.active:
            return
        columns, rows = self._size()
        self.active, self._by_scrolling = True, by_scrolling
        self.x, self.y = max(0, min(x, columns - 1)), max(0, min(y, rows - 1))
        self._emulator.hold(True)

    def end(self) -> None:
        """Back to the newest lines."""
        if self.active:
            self.active = self.typing = False
            self._forget()
            self._selecting = None
            self._emulator.unselect()
            self._emulator.hold(False)

    def resized(self) -> None:
        columns, rows = self._size()
        self.x, self.y = max(0, min(self.x, columns - 1)), max(0, min(self.y, rows - 1))

    @property
    def selecting(self) -> bool:
        return self._selecting is not None

    def can(self, action_id: str) -> str:
        """Why this cannot be done now; empty when it can."""
        if not self.active:
            return "Press Shift+PgUp in the terminal first."
        if action_id in ("older", "newer") and not self.needle:
            return "Press / and type what to search for first."
        return ""

    def press(self, key: str, character: str) -> None:
        """A key, as Textual names it, and the character it writes, if any. Keys that mean nothing here do nothing."""
        if self.typing:
            self._type(key, character)
        elif (action_id := _BY_KEY.get(key)) and find(READING, action_id):
            self.act(action_id)

    def act(self, action_id: str) -> None:
        """Carry out one of READING, if it can be."""
        if not self.can(action_id):
            getattr(self, f"do_{action_id}")()

    # moving

    def scroll(self, lines: int) -> None:
        """Move the view, not the cursor: what the wheel does."""
        self._emulator.scroll(lines)
        self._follow_cursor()
        idle = self._selecting is None and not self.needle and not self.typing
        if self._by_scrolling and lines > 0 and idle and not self._emulator.view.above:
            self.end()

    def _move(self, columns: int, lines: int) -> None:
        width, height = self._size()
        self.x = max(0, min(self.x + columns, width - 1))
        y = self.y + lines
        if y < 0:
            self._emulator.scroll(y)
        elif y >= height:
            self._emulator.scroll(y - height + 1)
        self.y = max(0, min(y, height - 1))
        self._follow_cursor()

    def _follow_cursor(self) -> None:
        """The selection reaches to the cursor."""
        if self._selecting is not None:
            self._emulator.select_to(self.x, self.y)

    def do_up(self) -> None:
        self._move(0, -1)

    def do_down(self) -> None:
        self._move(0, 1)

    def do_left(self) -> None:
        self._move(-1, 0)

    def do_right(self) -> None:
        self._move(1, 0)

    def do_line_start(self) -> None:
        self._move(-self.x, 0)

    def do_line_end(self) -> None:
        self._move(self._size()[0], 0)

    def do_page_up(self) -> None:
        self.scroll(-max(self._size()[1] - 1, 1))

    def do_page_down(self) -> None:
        self.scroll(max(self._size()[1] - 1, 1))

    def do_half_up(self) -> None:
        self.scroll(-max(self._size()[1] // 2, 1))

    def do_half_down(self) -> None:
        self.scroll(max(self._size()[1] // 2, 1))

    def do_first(self) -> None:
        self._emulator.scroll_to(0)
        self.x = self.y = 0
        self._follow_cursor()

    def do_last(self) -> None:
        self._emulator.scroll_to(self._emulator.view.total)
        self.x, self.y = 0, self._size()[1] - 1
        self._follow_cursor()

    # selecting and copying

    def do_mark(self) -> None:
        self._select(By.CELLS)

    def do_mark_lines(self) -> None:
        self._select(By.LINES)

    def _select(self, by: By) -> None:
        if self._selecting is by:
            self._selecting = None
            self._emulator.unselect()
        else:
            self._selecting = by
            self._emulator.select(self.x, self.y, by)

    def do_copy(self) -> None:
        if self._emulator.selected() is None:
            self._emulator.select(self.x, self.y, By.LINES)
        text = self._emulator.selected()
        self.end()
        if text:
            self._copied(text)

    def do_back(self) -> None:
        if self.needle:
            self._forget()
        elif self._selecting is not None:
            self._selecting = None
            self._emulator.unselect()
        else:
            self.end()

    # searching

    def _forget(self) -> None:
        self.needle = self.said = ""
        self._matches, self._here = [], None

    def do_search(self) -> None:
        self._forget()
        self.typing = True
        self._origin = (self._emulator.view.offset, self.x, self.y)

    def do_older(self) -> None:
        self._seek(older=True)

    def do_newer(self) -> None:
        self._seek(older=False)

    def paste(self, text: str) -> None:
        """Pasted while something to search for is typed."""
        if self.typing:
            self._search(self.needle + text.partition("\n")[0].strip("\r"))

    def stop_typing(self) -> None:
        self.typing = False

    def _type(self, key: str, character: str) -> None:
        if key in ("enter", "tab"):
            self.typing = False
        elif key == "escape":
            self.typing = False
            self._search("")
        elif key in ("backspace", "ctrl+h"):
            if self.needle:
                self._search(self.needle[:-1])
            else:
                self.typing = False
        elif key in ("ctrl+u", "ctrl+w"):
            self._search("")
        elif len(character) == 1 and character.isprintable():
            self._search(self.needle + character)

    def _search(self, needle: str) -> None:
        """Another needle: look for it from where the search began."""
        offset, self.x, self.y = self._origin
        self._emulator.scroll_to(offset)
        self._forget()
        self.needle = needle
        if needle:
            self._seek(older=True, here_too=True)
        self._follow_cursor()

    def _seek(self, *, older: bool, here_too: bool = False) -> None:
        self._matches = self._emulator.find(self.needle)
        if not self._matches:
            self._here, self.said = None, "nowhere"
            return
        here = (self._emulator.view.offset + self.y, self.x)
        at = bisect_left(self._matches, here, key=lambda match: (match.line, match.start))
        on_it = at < len(self._matches) and (self._matches[at].line, self._matches[at].start) == here
        if older:
            at = at if here_too and on_it else at - 1
        elif on_it:
            at += 1
        turned = not 0 <= at < len(self._matches)
        at %= len(self._matches)
        self._here = self._matches[at]
        self.said = f"{len(self._matches) - at:,} of {len(self._matches):,}"
        if turned:
            self.said += ", from the other end"
        self._show(self._here)

    def _show(self, match: Match) -> None:
        height = self._size()[1]
        offset = self._emulator.view.offset
        if not offset <= match.line < offset + height:
            self._emulator.scroll_to(max(match.line - height // 3, 0))
            offset = self._emulator.view.offset
        self.x, self.y = match.start, max(0, min(match.line - offset, height - 1))
        self._follow_cursor()

    def matches_on(self, y: int) -> list[tuple[int, int, bool]]:
        """Where a row of the view has matches: first cell, the one after the last, and whether it is the chosen one."""
        if not self._matches:
            return []
        line = self._emulator.view.offset + y
        width = self._size()[0]
        found: list[tuple[int, int, bool]] = []
        at = max(bisect_left(self._matches, line, key=lambda match: match.line) - 1, 0)
        for match in self._matches[at:]:
            if match.line > line:
                break
            if match.last_line >= line:
                start = match.start if match.line == line else 0
                found.append((start, match.end if match.last_line == line else width, match == self._here))
        return found
