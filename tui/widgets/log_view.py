"""The log view: reading one log with keys, from its newest lines to any line, error or match.

*Following* shows the newest lines; whatever moves the view back ends it, and only `f` or going to the end starts it
again. Searching and counting errors go on in short slices between keys (log_finding.py).
"""

from typing import ClassVar

from textual import events
from textual.message import Message

from core.text import cut_middle, from_bytes
from tui.actions import Action, app_of, bindings, find
from tui.widgets.log_actions import READING
from tui.widgets.log_finding import Search
from tui.widgets.log_page import Position
from tui.widgets.log_pane import LogPane
from tui.widgets.needle import RUB_OUT, edited, pasted

_COPY_LINES = 10_000


class LogView(LogPane, can_focus=True):
    """Shows a log: following, searching, jumping to errors, copying."""

    ACTIONS: ClassVar[tuple[Action, ...]] = READING
    BINDINGS = bindings(READING)
    BINDING_GROUP_TITLE = "Log"

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
        super().__init__(ascii_only=ascii_only, id=id)
        self._origin = Position()
        """Where the view was when the search began."""

    # what is shown

    @property
    def following(self) -> bool:
        """The newest lines are shown as they come."""
        return self._page.follow

    @property
    def wrapping(self) -> bool:
        return self._page.wrap

    @property
    def cursor(self) -> int:
        """The line that keys act on, from 0."""
        return self._page.cursor

    @property
    def top(self) -> int:
        """The first line on screen, from 0."""
        return self._page.top

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
        return self._page.count

    @property
    def error_count(self) -> int:
        """Error lines found so far."""
        return len(self._errors) if self._errors else 0

    @property
    def status(self) -> str:
        """Where the cursor is and what goes on, as the upper right corner says it."""
        return f" {self._signs.dot} ".join(self._status())

    # keys

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
        if action.id in ("left", "right") and self.wrapping:
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
        if self.following:
            self._page.stop_following()
            self._settle()
        else:
            self.do_last()

    def do_down(self) -> None:
        self._move(self.cursor + 1)

    def do_up(self) -> None:
        self._move(self.cursor - 1)

    def _move(self, line: int) -> None:
        self._page.move(line)
        self._settle()

    def do_page_down(self) -> None:
        self._page.turn(1)
        self._settle()

    def do_page_up(self) -> None:
        self._page.turn(-1)
        self._settle()

    def do_first(self) -> None:
        self._move(0)

    def do_last(self) -> None:
        self._page.follow = True
        self._page.to_end()
        self._settle()

    def do_right(self) -> None:
        self._page.right()
        self.refresh()

    def do_left(self) -> None:
        self._page.back_left()
        self.refresh()

    def do_wrap(self) -> None:
        self._page.turn_wrapping()
        self._settle()

    def do_times(self) -> None:
        self._times = not self._times
        if self.following:
            self._page.to_end()
        self._settle()

    def do_next_error(self) -> None:
        here = -1 if self.following else self.cursor
        if self._errors is not None and (line := self._errors.after(here)) is not None:
            self.go_to(line)

    def do_previous_error(self) -> None:
        here = self.line_count if self.following else self.cursor
        if self._errors is not None and (line := self._errors.before(here)) is not None:
            self.go_to(line)

    def do_mark(self) -> None:
        self._page.mark = self.cursor if self._page.mark is None else None
        self._page.stop_following()
        self._settle()

    def do_copy(self) -> None:
        if self._page.reader is None:
            return
        marked = self._page.marked
        lines = self._page.reader.read(marked.start, min(len(marked), _COPY_LINES))
        app_of(self).copy_to_clipboard("\n".join(from_bytes(line.raw) for line in lines))
        what = cut_middle(from_bytes(lines[0].raw), 60) if len(lines) == 1 else f"{len(lines):,} lines"
        if len(marked) > _COPY_LINES:
            what = f"the first {what} of {len(marked):,}: more are too many for a clipboard"
        self.notify(what, title="Copied", timeout=2, markup=False)
        self._page.mark = None
        self._settle()

    def do_back(self) -> None:
        """Undo one thing: a search that runs, the matches, the mark; with none, it is for whoever is above."""
        if self._search is not None:
            self._search, self._said = None, "stopped"
        elif self._needle:
            self._needle = self._said = ""
        elif self._page.mark is not None:
            self._page.mark = None
        else:
            self.post_message(self.Left(self))
            return
        self._settle()

    # searching

    def _type_on(self, typing: bool) -> None:
        if typing != self._typing:
            self._typing = typing
            self.post_message(self.Typing())

    def do_search(self) -> None:
        self._type_on(True)
        self._origin = self._page.position
        self._needle = self._said = ""
        self._settle()

    def do_next_match(self) -> None:
        self._seek(self.cursor + 1, backwards=False)

    def do_previous_match(self) -> None:
        self._seek(self.cursor - 1, backwards=True)

    def _seek(self, start: int, *, backwards: bool) -> None:
        if self._page.reader is not None:
            last = self.line_count - 1
            start = (last if start < 0 else start) if backwards else (0 if start > last else start)
            self._said = ""
            self._search = Search(self._page.reader, self._needle, start, backwards=backwards)
            self._work_on()

    def _type(self, needle: str) -> None:
        """Another needle: look for it from where the search began."""
        self._needle, self._said = needle, ""
        self._search = None
        self._page.position = self._origin
        if needle:
            # From the line on screen that one looks at: with the newest lines shown, the search goes backwards.
            self._seek(self.cursor, backwards=self.following)
        self._settle()

    async def _on_key(self, event: events.Key) -> None:
        if not self._typing:
            return
        if event.key in ("enter", "tab") or (not self._needle and event.key in RUB_OUT):
            self._type_on(False)
            self._frame()
        elif event.key == "escape":
            self._type_on(False)
            self._type("")
        elif (needle := edited(self._needle, event)) is not None:
            self._type(needle)
        else:
            return
        event.stop()
        event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        if self._typing:
            event.stop()
            self._type(pasted(self._needle, event))

    # focus and mouse

    def on_blur(self) -> None:
        self._type_on(False)

    async def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        rows = self._page.rows()
        if offset is not None and offset.y < len(rows):
            self._page.stop_following()
            self._page.cursor = rows[offset.y].line.number
            self._settle()
