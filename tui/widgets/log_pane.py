"""The pane that draws a log of any size, line by line as it is read, while somebody may be writing it.

It draws only the lines on screen (Textual's Line API) from a `LogReader`, which looks at the file and never holds it.
The `Page` rules what shows; the scroll bar and the wheel speak to it, never to `scroll_y`. What keys do is LogView's.
"""

from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp
from textual.strip import Strip
from textual.timer import Timer

from core.errors import StoreError
from core.store.logs import SLICE, LogReader
from core.text import cut_end, cut_middle, moment, visible
from tui.actions import app_of
from tui.ascii import in_ascii
from tui.theme import ASCII, UNICODE, Signs, Tone, tone_style
from tui.timers import once
from tui.widgets.framed import Framed
from tui.widgets.log_finding import ErrorLines, Search
from tui.widgets.log_frame import joined, status
from tui.widgets.log_lines import matches, pieces, window
from tui.widgets.log_page import Page, Row

_POLL = 0.1
"""Seconds between two looks at the file."""
_NEXT_SLICE = 0.02
"""Seconds between two slices of work."""
_REST_LOOKS = 10
"""Of a log that nobody writes only each so many looks is taken."""
_MARGIN = 2
_TIME = 10
"""Cells before the text: sign of an error, and the time."""
_WHEEL = 3


class LogPane(Framed):
    """Shows a log and keeps what it shows fresh."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "log--cursor",
        "log--marked",
        "log--match",
        "log--title",
        "log--count",
        "log--edge",
    }

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002 - as Textual names it
        super().__init__(id=id)
        self._signs: Signs = ASCII if ascii_only else UNICODE
        self._page = Page(self._extent)
        self._errors: ErrorLines | None = None
        self._title = ""
        self._empty = ""
        self._growing = False
        self._trouble = ""
        self._looks = 0
        self._times = True
        self._needle = ""
        self._typing = False
        self._search: Search | None = None
        self._said = ""
        """How the last search ended."""
        self._slice: Timer | None = None

    def show(self, path: Path | None, title: str, *, empty: str = "", growing: bool = True, speaker: str = "") -> None:
        """Show the log at `path`, from its end while it is growing, else from its start.

        `empty` is said where there is nothing to show; without a path, only that. `speaker` is the build that the log
        is of: its name before each line is left out.
        """
        if self._page.reader is not None:
            if path == self._page.reader.path:
                self.set_state(title, empty=empty, growing=growing)
                return
            self._page.reader.close()
        self._errors = self._search = None
        self._trouble = self._said = self._needle = ""
        self._typing = False
        reader = None
        if path is not None:
            try:
                reader = LogReader(path)
            except StoreError as error:
                self._trouble = str(error)
            else:
                self._errors = ErrorLines(reader)
        self._page.begin(reader, follow=growing, speaker=speaker)
        self.set_state(title, empty=empty, growing=growing)
        self._grown()
        self._work_on()

    def set_state(self, title: str, *, empty: str = "", growing: bool = True) -> None:
        """Another title, another word for emptiness; whether somebody writes the log."""
        self._title, self._empty, self._growing = title, empty, growing
        self._frame()
        self.refresh()

    def go_to(self, line: int) -> None:
        """Put the cursor on a line (from 0) and show it with some lines around it."""
        self._page.go_to(line)
        self._settle()

    # looking at the file

    def on_mount(self) -> None:
        self.set_interval(_POLL, self._look)
        self._grown()
        self._work_on()

    def on_unmount(self) -> None:
        if self._page.reader is not None:
            self._page.reader.close()

    def _look(self) -> None:
        """Take in what was written since the last look; only while it can be seen."""
        self._looks += 1
        reader = self._page.reader
        resting = not self._growing and not (reader and reader.behind)
        if reader is None or not self.screen.is_current or (resting and self._looks % _REST_LOOKS):
            return
        try:
            grew = reader.refresh(SLICE)
            self._trouble = ""
        except StoreError as error:
            self._trouble, grew = str(error), True
        if grew:
            self._grown()
        self._work_on()

    def _grown(self) -> None:
        self._page.grown()
        self._settle()

    def _work_on(self) -> None:
        """Go on with the search and with the counting of errors, for a moment."""
        if self._slice is not None or self._page.reader is None or not self.is_attached:
            return
        more = False
        if self._search is not None:
            if not self._search.work():
                self._searched(self._search)
                self._search = None
            else:
                more = True
            self._frame()
        elif self._errors is not None:
            before = len(self._errors)
            more = self._errors.work()
            if more or len(self._errors) != before:
                self._frame()
        if more:
            self._slice = once(self, _NEXT_SLICE, self._next_slice)

    def _next_slice(self) -> None:
        self._slice = None
        if self.screen.is_current:
            self._work_on()

    def _searched(self, search: Search) -> None:
        if search.found is None:
            self._said = "nowhere in this log"
        else:
            self._said = "from the other end" if search.wrapped else ""
            self.go_to(search.found)

    # the view: the page rules, the scroll bar follows

    def _extent(self) -> tuple[int, int]:
        """Rows on screen, and the cells that the text of a line has."""
        region = self.scrollable_content_region
        return max(region.height, 1), max(region.width - _MARGIN - (_TIME if self._times else 0), 8)

    def _settle(self) -> None:
        """Draw what the page says, and let the scroll bar say it too."""
        page = self._page
        page.changed()
        if not self.is_attached or not self.size:
            return
        # With wrapped lines the bar counts lines all the same: how many rows a huge log has, nobody knows.
        extra = page.height - 1 if page.wrap and page.count > 1 else 0
        wanted = Size(self.scrollable_content_region.width, page.count + extra)
        if wanted != self.virtual_size:
            self.virtual_size = wanted
        self.scroll_target_y = self.scroll_y = page.top
        self._frame()
        self.refresh()

    def _scroll_rows(self, rows: int) -> None:
        self._page.scroll(rows)
        self._settle()

    def on_resize(self) -> None:
        self._page.fit()
        self._settle()

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        _taken(event)
        if event.shift or event.ctrl:
            self._page.right()
            self.refresh()
        else:
            self._scroll_rows(_WHEEL)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        _taken(event)
        if event.shift or event.ctrl:
            self._page.back_left()
            self.refresh()
        else:
            self._scroll_rows(-_WHEEL)

    def _on_scroll_to(self, message: ScrollTo) -> None:
        _taken(message)
        if message.y is not None:
            self._page.scroll_to(int(message.y))
            self._settle()

    def _on_scroll_up(self, event: ScrollUp) -> None:
        _taken(event)
        self._scroll_rows(-self._page.height)

    def _on_scroll_down(self, event: ScrollDown) -> None:
        _taken(event)
        self._scroll_rows(self._page.height)

    # drawing

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        rows = self._page.rows()
        if not rows:
            return self._empty_line(y, width)
        if y >= len(rows):
            return Strip.blank(width, self.rich_style)
        return self._row(rows[y], width)

    def _row(self, row: Row, width: int) -> Strip:
        line, one, start, end = row.line, row.shown, row.start, row.end
        behind = self._behind(line.number)
        plain = self._tone(Tone.PLAIN, behind)
        first = start == 0
        sign = self._signs.bad if one.error and first else " "
        segments = [Segment(sign.ljust(_MARGIN), self._tone(Tone.BAD, behind))]
        if self._times:
            time = moment(line.time)[11:19] if line.time is not None and first else ""
            segments.append(Segment(time.ljust(_TIME), self._tone(Tone.FAINT, behind)))
        more = blank = 0
        if not self._page.wrap:
            left, room = self._page.left, self._page.room
            start, end, blank = window(one.text, left, room)
            if end < len(one.text):  # the line goes on: its last cell says so
                start, end, blank = window(one.text, left, room - 1)
                more = 1
        segments.append(Segment(" " * blank, plain))
        for text, tone, hit in pieces(one, start, end, matches(one.text, self._needle)):
            style = self._tone(tone, behind)
            if hit:
                style = style + self.get_component_rich_style("log--match")
            segments.append(Segment(self._worded(text), style))
        strip = Strip(segments)
        if more:
            strip = strip.adjust_cell_length(width - 1, plain)
            return Strip.join([strip, Strip([Segment(self._worded("…"), self._tone(Tone.ACCENT, behind))])])
        return strip.adjust_cell_length(width, plain)

    def _worded(self, text: str) -> str:
        return in_ascii(text) if self._signs is ASCII else text

    def _behind(self, number: int) -> str:
        """What a line lies on: the cursor, the marked range, or nothing."""
        page = self._page
        if page.mark is not None and number in page.marked:
            return "log--marked"
        if number == page.cursor and not page.follow and self.has_focus:
            return "log--cursor"
        return ""

    def _tone(self, tone: Tone, behind: str) -> Style:
        style = self._styles.get((tone, behind))
        if style is None:
            style = Style(bgcolor=self.rich_style.bgcolor) + tone_style(tone, app_of(self).theme_variables)
            if behind:
                style = style + Style(bgcolor=self.get_component_rich_style(behind).bgcolor)
            self._styles[tone, behind] = style
        return style

    def _empty_line(self, y: int, width: int) -> Strip:
        text = self._trouble or self._empty
        if self._page.reader is not None and self._page.reader.behind:
            text = "Reading the log…"
        lines = text.splitlines()
        top = 1 if self.size.height > len(lines) + 1 else 0
        style = self._tone(Tone.BAD if self._trouble else Tone.PLAIN if y == top else Tone.FAINT, "")
        line = cut_end(visible(lines[y - top]), max(width - 4, 1)) if 0 <= y - top < len(lines) else ""
        return Strip([Segment(f"  {line}", style)]).adjust_cell_length(width, style)

    # the frame: what it is at the left, where one is at the right

    def _status(self) -> list[str]:
        return status(self._page, self._errors, self._signs, growing=self._growing)

    def _frame(self) -> None:
        if not self.is_attached or not self.outer_size.width:
            return
        width = self.outer_size.width - 6
        right = joined(self._status(), self._signs, width - 12, follow=self._page.follow)
        title = cut_middle(visible(self._title), max(width - cell_len(right) - 3, 1))
        fill = self._signs.line * max(width - cell_len(title) - cell_len(right) - 2, 0)
        self.border_title = Content.assemble(
            (title, self.get_visual_style("log--title")),
            (f" {fill} ", self.get_visual_style("log--edge")),
            (right, self.get_visual_style("log--count")),
        )
        said = self._said
        if self._search is not None:
            said = f"searching {self._search.fraction:.0%}, Esc stops"
        if self._typing or self._needle:
            caret = self._signs.caret if self._typing else ""
            self.border_subtitle = Content.assemble(
                (f"/{visible(self._needle)}{caret}", self.get_visual_style("log--match")),
                (f"  {said}" if said else "", self.get_visual_style("log--count")),
            )
        else:
            self.border_subtitle = Content("")


def _taken(message: events.Event | ScrollTo | ScrollUp | ScrollDown) -> None:
    """Nobody else scrolls by it."""
    message.stop()
    message.prevent_default()
