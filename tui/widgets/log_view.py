"""The log view: one log of any size, drawn line by line as it is read, while somebody may be writing it.

It draws only the lines on screen (Textual's Line API) from a `LogReader`, which looks at the file and never holds it.
*Following* shows the newest lines; whatever moves the view back ends it, and only `f` or going to the end starts it
again. Searching and counting errors go on in short slices between keys (log_finding.py).
"""

from pathlib import Path
from typing import ClassVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollDown, ScrollTo, ScrollUp
from textual.strip import Strip
from textual.timer import Timer

from core.errors import StoreError
from core.store.logs import SLICE, LogLine, LogReader
from core.text import cut_end, cut_middle, from_bytes, moment, visible
from tui.actions import Action, app_of, bindings, find
from tui.theme import ASCII, TONE_CLASSES, UNICODE, Signs, Tone, in_ascii, tone_class
from tui.timers import once
from tui.widgets.log_actions import READING
from tui.widgets.log_finding import ErrorLines, Search
from tui.widgets.log_lines import Shown, breaks, matches, pieces, shown, window

_POLL = 0.1
"""Seconds between two looks at the file."""
_NEXT_SLICE = 0.02
"""Seconds between two slices of work."""
_REST_LOOKS = 10
"""Of a log that nobody writes only each so many looks is taken."""
_MARGIN = 2
_TIME = 10
"""Cells before the text: sign of an error, and the time."""
_SIDEWAYS = 20
_WHEEL = 3
_COPY_LINES = 10_000


class LogView(ScrollView, can_focus=True):
    """Shows a log: following, searching, jumping to errors, copying."""

    ACTIONS: ClassVar[tuple[Action, ...]] = READING
    BINDINGS = bindings(READING)
    BINDING_GROUP_TITLE = "Log"
    COMPONENT_CLASSES: ClassVar[set[str]] = set(TONE_CLASSES) | {
        "log--cursor",
        "log--marked",
        "log--match",
        "log--title",
        "log--count",
        "log--edge",
    }

    class Left(Message):
        """Esc was pressed and there was nothing to undo in the log."""

        def __init__(self, log: "LogView") -> None:
            super().__init__()
            self.log_view = log

        @property
        def control(self) -> "LogView":
            return self.log_view

    class Typing(Message):
        """A search begins or ends to be typed."""

    def __init__(self, *, ascii_only: bool = False, id: str | None = None) -> None:  # noqa: A002 - as Textual names it
        super().__init__(id=id)
        self._signs: Signs = ASCII if ascii_only else UNICODE
        self._reader: LogReader | None = None
        self._errors: ErrorLines | None = None
        self._title = ""
        self._empty = ""
        self._speaker = ""
        self._growing = False
        self._trouble = ""
        self._looks = 0
        self._lines_seen = 0
        """Lines that were there when following ended: what comes after is new."""
        self._top = 0
        """The first line on screen; `scroll_y` only mirrors it for the scroll bar."""
        self._sub = 0
        """Rows of that line above the upper edge, when lines are wrapped."""
        self._left = 0
        self._cursor = 0
        self._mark: int | None = None
        self._follow = True
        self._wrap = False
        self._times = True
        self._needle = ""
        self._typing = False
        self._origin = (0, 0, 0, True)
        """Where the view was when the search began: cursor, top, sub, follow."""
        self._search: Search | None = None
        self._said = ""
        """How the last search ended."""
        self._page: list[tuple[LogLine, Shown, int, int]] | None = None
        self._styles: dict[tuple[Tone, str], Style] = {}
        self._slice: Timer | None = None

    # -- what is shown

    @property
    def following(self) -> bool:
        """The newest lines are shown as they come."""
        return self._follow

    @property
    def wrapping(self) -> bool:
        return self._wrap

    @property
    def cursor(self) -> int:
        """The line that keys act on, from 0."""
        return self._cursor

    @property
    def top(self) -> int:
        """The first line on screen, from 0."""
        return self._top

    @property
    def typing(self) -> bool:
        """A search is being typed: all keys go there."""
        return self._typing

    @property
    def needle(self) -> str:
        """What is searched for."""
        return self._needle

    @property
    def line_count(self) -> int:
        return self._reader.line_count if self._reader else 0

    @property
    def error_count(self) -> int:
        """Error lines found so far."""
        return len(self._errors) if self._errors else 0

    @property
    def status(self) -> str:
        """Where the cursor is and what goes on, as the upper right corner says it."""
        return f" {self._signs.dot} ".join(self._status())

    def show(self, path: Path | None, title: str, *, empty: str = "", growing: bool = True, speaker: str = "") -> None:
        """Show the log at `path`, from its end while it is growing, else from its start.

        `empty` is said where there is nothing to show; without a path, only that. `speaker` is the build that the log
        is of: its name before each line is left out.
        """
        if self._reader is not None:
            if path == self._reader.path:
                self.set_state(title, empty=empty, growing=growing)
                return
            self._reader.close()
        self._reader = self._errors = self._search = self._page = None
        self._trouble = self._said = self._needle = ""
        self._typing = False
        self._mark = None
        self._speaker = speaker
        self._top = self._sub = self._left = self._cursor = self._lines_seen = 0
        self._follow = growing
        if path is not None:
            try:
                self._reader = LogReader(path)
            except StoreError as error:
                self._trouble = str(error)
            else:
                self._errors = ErrorLines(self._reader)
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
        self._follow = False
        self._lines_seen = self.line_count
        self._cursor = max(0, min(line, self.line_count - 1))
        height = self._height
        if not self._top <= self._cursor < self._top + height - 1 or self._wrap:
            end = self._top_for(max(self.line_count - 1, 0))
            self._top, self._sub = min((max(self._cursor - height // 3, 0), 0), end)
        self._settle()

    # -- looking at the file

    def on_mount(self) -> None:
        self.set_interval(_POLL, self._look)
        self._grown()
        self._work_on()

    def on_unmount(self) -> None:
        if self._reader is not None:
            self._reader.close()

    def _look(self) -> None:
        """Take in what was written since the last look; only while it can be seen."""
        self._looks += 1
        resting = not self._growing and not (self._reader and self._reader.behind)
        if self._reader is None or not self.screen.is_current or (resting and self._looks % _REST_LOOKS):
            return
        try:
            grew = self._reader.refresh(SLICE)
            self._trouble = ""
        except StoreError as error:
            self._trouble, grew = str(error), True
        if grew:
            self._grown()
        self._work_on()

    def _grown(self) -> None:
        self._page = None
        if self._follow:
            self._to_end()
        else:
            self._top = min(self._top, max(self.line_count - 1, 0))
            self._cursor = min(self._cursor, max(self.line_count - 1, 0))
        self._settle()

    def _work_on(self) -> None:
        """Go on with the search and with the counting of errors, for a moment."""
        if self._slice is not None or self._reader is None or not self.is_attached:
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

    # -- the view: `_top` and `_sub` rule, the scroll bar follows

    @property
    def _height(self) -> int:
        return max(self.scrollable_content_region.height, 1)

    @property
    def _room(self) -> int:
        """Cells that the text of a line has."""
        return max(self.scrollable_content_region.width - _MARGIN - (_TIME if self._times else 0), 8)

    def _rows_of(self, line: int) -> int:
        if not self._wrap or self._reader is None:
            return 1
        return sum(len(breaks(shown(one, self._speaker).text, self._room)) for one in self._reader.read(line, 1)) or 1

    def _top_for(self, line: int) -> tuple[int, int]:
        """The upper edge that has the last row of this line at the lower edge."""
        if not self._wrap:
            return max(line - self._height + 1, 0), 0
        left = self._height - self._rows_of(line)
        while left > 0 and line > 0:
            line -= 1
            left -= self._rows_of(line)
        return line, max(-left, 0)

    def _to_end(self) -> None:
        self._cursor = max(self.line_count - 1, 0)
        self._top, self._sub = self._top_for(self._cursor)

    def _settle(self) -> None:
        """Draw what `_top` and `_sub` say, and let the scroll bar say it too."""
        self._page = None
        if not self.is_attached or not self.size:
            return
        height = self._height
        # With wrapped lines the bar counts lines all the same: how many rows a huge log has, nobody knows.
        extra = height - 1 if self._wrap and self.line_count > 1 else 0
        wanted = Size(self.scrollable_content_region.width, self.line_count + extra)
        if wanted != self.virtual_size:
            self.virtual_size = wanted
        self.scroll_target_y = self.scroll_y = self._top
        self._frame()
        self.refresh()

    def _stop_following(self) -> None:
        if self._follow:
            self._follow = False
            self._lines_seen = self.line_count

    def _scroll_rows(self, rows: int) -> None:
        """Move the view, not the cursor, which only stays on screen."""
        if rows < 0:
            self._stop_following()
        elif self._follow:
            return
        end = self._top_for(max(self.line_count - 1, 0))
        if not self._wrap:
            self._top, self._sub = max(0, min(self._top + rows, end[0])), 0
        else:
            self._sub += rows
            while self._sub < 0 and self._top > 0:
                self._top -= 1
                self._sub += self._rows_of(self._top)
            while (taken := self._rows_of(self._top)) <= self._sub and self._top < self.line_count - 1:
                self._sub -= taken
                self._top += 1
            self._top, self._sub = min((self._top, max(self._sub, 0)), end)
        self._page = None
        self._keep_cursor()
        self._settle()

    def _keep_cursor(self) -> None:
        rows = self._rows()
        if rows:
            self._cursor = max(rows[0][0].number, min(self._cursor, rows[-1][0].number))

    def _move(self, line: int) -> None:
        """Put the cursor on a line, and the view where it shows."""
        last = max(self.line_count - 1, 0)
        line = max(0, min(line, last))
        if self._follow:
            if line >= last:
                return
            self._stop_following()
        self._cursor = line
        if (line, 0) < (self._top, self._sub):
            self._top, self._sub = line, 0
        else:
            self._top, self._sub = max((self._top, self._sub), min(self._top_for(line), (line, 0)))
        self._settle()

    def on_resize(self) -> None:
        if self._follow:
            self._to_end()
        self._settle()

    # The scroll bar and the wheel speak to `_top`, never to `scroll_y`.

    def _on_mouse_scroll_down(self, event: events.MouseScrollDown) -> None:
        event.stop()
        event.prevent_default()
        if event.shift or event.ctrl:
            self.do_right()
        else:
            self._scroll_rows(_WHEEL)

    def _on_mouse_scroll_up(self, event: events.MouseScrollUp) -> None:
        event.stop()
        event.prevent_default()
        if event.shift or event.ctrl:
            self.do_left()
        else:
            self._scroll_rows(-_WHEEL)

    def _on_scroll_to(self, message: ScrollTo) -> None:
        message.stop()
        message.prevent_default()
        if message.y is None:
            return
        if message.y < self._top:
            self._stop_following()
        if not self._follow:
            self._top, self._sub = min((max(int(message.y), 0), 0), self._top_for(max(self.line_count - 1, 0)))
            self._page = None
            self._keep_cursor()
            self._settle()

    def _on_scroll_up(self, event: ScrollUp) -> None:
        event.stop()
        event.prevent_default()
        self._scroll_rows(-self._height)

    def _on_scroll_down(self, event: ScrollDown) -> None:
        event.stop()
        event.prevent_default()
        self._scroll_rows(self._height)

    # -- drawing

    def _rows(self) -> list[tuple[LogLine, Shown, int, int]]:
        """What is on screen: for each row its line, and the range of the line's text."""
        if self._page is not None:
            return self._page
        rows: list[tuple[LogLine, Shown, int, int]] = []
        height = self._height
        skip = self._sub
        for line in self._reader.read(self._top, height) if self._reader else ():
            one = shown(line, self._speaker)
            for start, end in breaks(one.text, self._room) if self._wrap else [(0, len(one.text))]:
                if skip:
                    skip -= 1
                else:
                    rows.append((line, one, start, end))
            if len(rows) >= height:
                break
        self._page = rows[:height]
        return self._page

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        rows = self._rows()
        if not rows:
            return self._empty_line(y, width)
        if y >= len(rows):
            return Strip.blank(width, self.rich_style)
        line, one, start, end = rows[y]
        behind = self._behind(line.number)
        plain = self._tone(Tone.PLAIN, behind)
        first = start == 0
        sign = self._signs.bad if one.error and first else " "
        segments = [Segment(sign.ljust(_MARGIN), self._tone(Tone.BAD, behind))]
        if self._times:
            time = moment(line.time)[11:19] if line.time is not None and first else ""
            segments.append(Segment(time.ljust(_TIME), self._tone(Tone.FAINT, behind)))
        more = blank = 0
        if not self._wrap:
            start, end, blank = window(one.text, self._left, self._room)
            if end < len(one.text):  # the line goes on: its last cell says so
                start, end, blank = window(one.text, self._left, self._room - 1)
                more = 1
        segments.append(Segment(" " * blank, plain))
        for text, tone, hit in pieces(one, start, end, matches(one.text, self._needle)):
            style = self._tone(tone, behind)
            if hit:
                style = style + self.get_component_rich_style("log--match")
            segments.append(Segment(in_ascii(text) if self._signs is ASCII else text, style))
        strip = Strip(segments)
        if more:
            strip = strip.adjust_cell_length(width - 1, plain)
            mark = in_ascii("…") if self._signs is ASCII else "…"
            return Strip.join([strip, Strip([Segment(mark, self._tone(Tone.ACCENT, behind))])])
        return strip.adjust_cell_length(width, plain)

    def _behind(self, number: int) -> str:
        """What a line lies on: the cursor, the marked range, or nothing."""
        if self._mark is not None and min(self._mark, self._cursor) <= number <= max(self._mark, self._cursor):
            return "log--marked"
        if number == self._cursor and not self._follow and self.has_focus:
            return "log--cursor"
        return ""

    def _tone(self, tone: Tone, behind: str) -> Style:
        style = self._styles.get((tone, behind))
        if style is None:
            style = self.get_component_rich_style(tone_class(tone))
            if behind:
                style = style + Style(bgcolor=self.get_component_rich_style(behind).bgcolor)
            self._styles[tone, behind] = style
        return style

    def _empty_line(self, y: int, width: int) -> Strip:
        text = self._trouble or self._empty
        if self._reader is not None and self._reader.behind:
            text = "Reading the log…"
        lines = text.splitlines()
        top = 1 if self.size.height > len(lines) + 1 else 0
        style = self._tone(Tone.BAD if self._trouble else Tone.PLAIN if y == top else Tone.FAINT, "")
        line = lines[y - top] if 0 <= y - top < len(lines) else ""
        return Strip([Segment(f"  {cut_end(visible(line), max(width - 4, 1))}", style)]).adjust_cell_length(
            width, style
        )

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        if self.is_attached:  # the styles of the parts are renewed after this: only then can the frame take them
            self.call_after_refresh(self._frame)

    def on_focus(self) -> None:
        self.call_after_refresh(self._frame)  # the colours of the focus come with the next drawing
        self.refresh()

    def on_blur(self) -> None:
        self._type_on(False)
        self.call_after_refresh(self._frame)
        self.refresh()

    # -- the frame: what it is at the left, where one is at the right

    def _status(self) -> list[str]:
        reader, errors = self._reader, self._errors
        if reader is None or errors is None or not reader.line_count:
            return []
        total = reader.line_count
        said: list[str] = []
        if reader.behind:
            said.append(f"reading {1 - reader.behind / max(reader.size, 1):.0%}")
        if self._mark is not None:
            said.append(f"{abs(self._mark - self._cursor) + 1:,} marked")
        count = "1 line" if total == 1 else f"{total:,} lines"
        said.append(count if self._follow else f"line {self._cursor + 1:,} of {total:,}")
        number = len(errors)
        place = None if self._follow else errors.place(self._cursor)
        if place is not None:
            said.append(f"error {place:,} of {number:,}")
        elif number:
            said.append("1 error" if number == 1 else f"{number:,} errors")
        if errors.fraction < 0.99 and total > 100_000:
            said.append(f"errors looked for in {errors.fraction:.0%}")
        if self._follow and self._growing:
            said.append(f"{self._signs.down} following")
        elif self._growing and total > self._lines_seen:
            said.append(f"{self._signs.down} {total - self._lines_seen:,} new")
        return said

    def _frame(self) -> None:
        if not self.is_attached or not self.outer_size.width:
            return
        width = self.outer_size.width - 6
        status = self._status()
        while len(status) > 1 and cell_len(f" {self._signs.dot} ".join(status)) > width - 12:
            del status[-1 if self._follow else 0]
        right = f" {self._signs.dot} ".join(status)
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

    # -- keys

    def why_not(self, action: Action) -> str:
        if not self.line_count and action.id != "back":
            return "There is nothing in the log yet." if self._growing else "The log is empty."
        if action.id == "follow" and not self._growing:
            return "Nothing is added to this log any more; G goes to its end."
        if action.id in ("next_error", "previous_error") and not self.error_count:
            if self._errors is not None and self._errors.fraction < 1:
                return "No error line was found yet; it is still being looked for."
            return "No line of this log reports an error."
        if action.id in ("next_match", "previous_match") and not self._needle:
            return "Press / and type what to search for first."
        if action.id in ("left", "right") and self._wrap:
            return "Lines are wrapped: w shows each on one line."
        return ""

    def act(self, action: Action, argument: str = "") -> None:
        if reason := self.why_not(action):
            self.notify(reason, title=f"{action.title}: not now", severity="warning", timeout=3, markup=False)
            return
        getattr(self, f"do_{action.id}")()

    def action_act(self, action_id: str) -> None:
        if action := find(READING, action_id):
            self.act(action)

    def do_follow(self) -> None:
        if self._follow:
            self._stop_following()
            self._settle()
        else:
            self.do_last()

    def do_down(self) -> None:
        self._move(self._cursor + 1)

    def do_up(self) -> None:
        self._move(self._cursor - 1)

    def do_page_down(self) -> None:
        self._page_by(1)

    def do_page_up(self) -> None:
        self._page_by(-1)

    def _page_by(self, pages: int) -> None:
        rows = self._rows()
        offset = next((at for at, row in enumerate(rows) if row[0].number == self._cursor), 0)
        before = (self._top, self._sub)
        self._scroll_rows(pages * max(self._height - 1, 1))
        if (self._top, self._sub) == before:  # at an end: the cursor goes there itself
            if not self._follow:
                self._move(self.line_count - 1 if pages > 0 else 0)
        else:
            rows = self._rows()
            self._cursor = rows[min(offset, len(rows) - 1)][0].number
            self._settle()

    def do_first(self) -> None:
        self._move(0)

    def do_last(self) -> None:
        self._follow = True
        self._to_end()
        self._settle()

    def do_right(self) -> None:
        if not self._wrap:
            longest = max((cell_len(one.text) for _, one, _, _ in self._rows()), default=0)
            if self._left + self._room < longest:
                self._left += _SIDEWAYS
                self.refresh()

    def do_left(self) -> None:
        self._left = max(self._left - _SIDEWAYS, 0)
        self.refresh()

    def do_wrap(self) -> None:
        self._wrap = not self._wrap
        self._left = self._sub = 0
        if self._follow:
            self._to_end()
        else:
            self._top, self._sub = max(min((self._top, 0), (self._cursor, 0)), self._top_for(self._cursor))
        self._settle()

    def do_times(self) -> None:
        self._times = not self._times
        if self._follow:
            self._to_end()
        self._settle()

    def do_next_error(self) -> None:
        if self._errors is not None and (line := self._errors.after(-1 if self._follow else self._cursor)) is not None:
            self.go_to(line)

    def do_previous_error(self) -> None:
        here = self.line_count if self._follow else self._cursor
        if self._errors is not None and (line := self._errors.before(here)) is not None:
            self.go_to(line)

    def do_mark(self) -> None:
        self._mark = self._cursor if self._mark is None else None
        self._stop_following()
        self._settle()

    def do_copy(self) -> None:
        if self._reader is None:
            return
        first = min(self._cursor if self._mark is None else self._mark, self._cursor)
        count = abs((self._cursor if self._mark is None else self._mark) - self._cursor) + 1
        lines = self._reader.read(first, min(count, _COPY_LINES))
        app_of(self).copy_to_clipboard("\n".join(from_bytes(line.raw) for line in lines))
        what = cut_middle(from_bytes(lines[0].raw), 60) if len(lines) == 1 else f"{len(lines):,} lines"
        if count > _COPY_LINES:
            what = f"the first {what} of {count:,}: more are too many for a clipboard"
        self.notify(what, title="Copied", timeout=2, markup=False)
        self._mark = None
        self._settle()

    def do_back(self) -> None:
        """Undo one thing: a search that runs, the matches, the mark; with none, it is for whoever is above."""
        if self._search is not None:
            self._search, self._said = None, "stopped"
        elif self._needle:
            self._needle = self._said = ""
        elif self._mark is not None:
            self._mark = None
        else:
            self.post_message(self.Left(self))
            return
        self._settle()

    # -- searching

    def _type_on(self, typing: bool) -> None:
        if typing != self._typing:
            self._typing = typing
            self.post_message(self.Typing())

    def do_search(self) -> None:
        self._type_on(True)
        self._origin = (self._cursor, self._top, self._sub, self._follow)
        self._needle = self._said = ""
        self._settle()

    def do_next_match(self) -> None:
        self._seek(self._cursor + 1, backwards=False)

    def do_previous_match(self) -> None:
        self._seek(self._cursor - 1, backwards=True)

    def _seek(self, start: int, *, backwards: bool) -> None:
        if self._reader is not None:
            last = self.line_count - 1
            start = (last if start < 0 else start) if backwards else (0 if start > last else start)
            self._said = ""
            self._search = Search(self._reader, self._needle, start, backwards=backwards)
            self._work_on()

    def _searched(self, search: Search) -> None:
        if search.found is None:
            self._said = "nowhere in this log"
        else:
            self._said = "from the other end" if search.wrapped else ""
            self.go_to(search.found)

    def _type(self, needle: str) -> None:
        """Another needle: look for it from where the search began."""
        self._needle, self._said = needle, ""
        self._search = None
        self._cursor, self._top, self._sub, self._follow = self._origin
        if needle:
            # From the line on screen that one looks at: with the newest lines shown, the search goes backwards.
            self._seek(self._cursor, backwards=self._follow)
        self._settle()

    async def _on_key(self, event: events.Key) -> None:
        if not self._typing:
            search = find(self.ACTIONS, "search")
            if search is None or event.key not in search.keys or self.why_not(search):
                return
            # Here and not by its binding, which is looked at later: what is typed right after it is to be searched.
            self.do_search()
        elif event.key in ("enter", "tab"):
            self._type_on(False)
            self._frame()
        elif event.key == "escape":
            self._type_on(False)
            self._type("")
        elif event.key in ("backspace", "ctrl+h"):
            if self._needle:
                self._type(self._needle[:-1])
            else:
                self._type_on(False)
                self._frame()
        elif event.key in ("ctrl+u", "ctrl+w"):
            self._type("")
        elif event.is_printable and event.character:
            self._type(self._needle + event.character)
        else:
            return
        event.stop()
        event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        if self._typing:
            event.stop()
            self._type(self._needle + " ".join(visible(event.text).split()))

    async def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        rows = self._rows()
        if offset is not None and offset.y < len(rows):
            self._stop_following()
            self._cursor = rows[offset.y][0].number
            self._settle()
