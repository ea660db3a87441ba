"""The pane of rows of a list: which rows show in which order, where the cursor is, and how it is drawn.

It draws only the lines that are on screen (Textual's Line API; DataTable takes 12 s for 100,000 rows). Rows are known
by key: cursor, marks and the place on screen stay with their rows whatever is inserted, removed, sorted or filtered.
All text goes through core.text.visible on its way to the screen and is never taken for markup. What keys do is Table's.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from rich.cells import cell_len
from rich.segment import Segment
from rich.style import Style
from textual.color import Color
from textual.content import Content
from textual.geometry import Region, Size
from textual.message import Message
from textual.strip import Strip
from textual.style import Style as VisualStyle
from textual.timer import Timer

from core.text import cut_middle, visible
from tui.actions import app_of
from tui.ascii import in_ascii
from tui.theme import ASCII, UNICODE, Piece, Signs, Tone, plain, tone_style, tone_variable
from tui.timers import once
from tui.widgets.columns import GAP, Column, fit
from tui.widgets.framed import Framed
from tui.widgets.rows import Rows
from tui.widgets.table_cells import MARGIN, cell, titles, wrapped

T = TypeVar("T")

_SAMPLE = 100
"""Rows measured for the widths of the columns, from the start and again spread over the rest."""


class OfTable(Message):
    """What a list tells its screen."""

    def __init__(self, table: "TablePane[Any]") -> None:
        super().__init__()
        self.table = table

    @property
    def control(self) -> "TablePane[Any]":
        return self.table


class TablePane(Framed, Generic[T]):
    """The rows of `T`, drawn."""

    class Moved(OfTable, namespace="table"):
        """The cursor is on another row, or on none."""

        def __init__(self, table: "TablePane[Any]", key: str | None) -> None:
            super().__init__(table)
            self.key = key

    def __init__(
        self,
        columns: Sequence[Column[T]],
        *,
        title: str = "",
        empty: str = "",
        copied: Callable[[T], str] | None = None,
        found_by: Callable[[T], str] | None = None,
        id: str | None = None,  # noqa: A002 - as Textual names it
        ascii_only: bool = False,
        opens: bool = True,
    ) -> None:
        """`opens` says that Enter on a row leads somewhere; `empty` is shown where there are no rows.

        `copied` gives what `y` copies of a row: its cells, where it is None; `found_by` what else than its cells the
        filter looks through, such as the whole of what a cell shows shortened.
        """
        super().__init__(id=id)
        self.columns = tuple(columns)
        self._title = title
        self._empty = empty
        self._note = Piece("")
        self._counted: int | None = None
        self._opens = opens
        self._copied = copied
        self._rows: Rows[T] = Rows(self._searched)
        self._found_by = found_by
        self._wanted = [cell_len(column.title) for column in self.columns]
        self._widths: list[int] | None = None
        self._cursor: str | None = None
        self._cursor_at = 0
        self._sorted_by: Column[T] | None = None
        self._reverse = False
        self._typing = False
        self._timer: Timer | None = None
        self._signs: Signs = ASCII if ascii_only else UNICODE

    # what is shown

    @property
    def rows(self) -> Rows[T]:
        """To read from; change rows through the list."""
        return self._rows

    @property
    def cursor(self) -> str | None:
        """Key of the row that the cursor is on."""
        return self._cursor

    @property
    def chosen(self) -> T | None:
        """The row that the cursor is on."""
        return self._rows.get(self._cursor) if self._cursor is not None else None

    @property
    def chosen_or_marked(self) -> list[T]:
        """What an action applies to: the marked rows in the order in which they came, else the one of the cursor."""
        if self._rows.marks:
            return [self._rows[key] for key in self._rows if key in self._rows.marks]
        return [self.chosen] if self.chosen is not None else []

    @property
    def needle(self) -> str:
        """What the rows are filtered by."""
        return self._rows.needle

    @property
    def typing(self) -> bool:
        """The filter is being typed: all keys go there."""
        return self._typing

    def set_title(self, title: str) -> None:
        self._title = title
        self._frame()

    def set_empty(self, text: str) -> None:
        """What to say when there are no rows: why, and what to do."""
        if text != self._empty:
            self._empty = text
            self.refresh()

    def set_note(self, note: Piece) -> None:
        """A few words in the lower edge, about the list as a whole."""
        if note != self._note:
            self._note = note
            self._frame()

    def set_count(self, count: int | None) -> None:
        """How many things the rows are about, where that is not as many as there are rows."""
        if count != self._counted:
            self._counted = count
            self._frame()

    def set_rows(self, rows: Iterable[tuple[str, T]], *, subject_changed: bool = False) -> None:
        """All rows anew. The cursor stays on its row, or near its place when the row is gone; and the view stays too.

        `subject_changed` says that these rows are of something else: cursor, marks and filter start anew.
        """
        before = self._offset_of_cursor()
        if subject_changed:
            self._rows.marks.clear()
            self._typing = False
            if self._rows.needle:
                self._rows.filter("")
            self._cursor, self._cursor_at = None, 0
            self._wanted = [cell_len(column.title) for column in self.columns]
        self._rows.replace(rows)
        self._measure()
        self._arranged(before)
        if subject_changed and self.is_attached:
            self.scroll_to(y=0, animate=False)

    def update_row(self, key: str, value: T) -> None:
        """A new value for a row."""
        before = self._offset_of_cursor()
        self._rows.update(key, value)
        self._measure([key])
        self._arranged(before)

    def insert_row(self, key: str, value: T, *, before: str | None = None) -> None:
        """A new row, before the one named or at the end; what is on screen stays where it is."""
        offset = self._offset_of_cursor()
        self._rows.insert(key, value, before)
        self._measure([key])
        self._arranged(offset)

    def remove_row(self, key: str) -> None:
        """A row is gone."""
        before = self._offset_of_cursor()
        self._rows.remove(key)
        self._arranged(before)

    def clear_marks(self) -> None:
        """No row is marked any more."""
        self._rows.marks.clear()
        self._frame()
        self.refresh()

    def move_to(self, key: str) -> bool:
        """Put the cursor on a row; False when it does not show."""
        at = self._rows.position(key)
        if at is None:
            return False
        self._move(at)
        return True

    def sort_by(self, column_id: str | None, *, reverse: bool = False) -> None:
        """Sort by a column, or not at all."""
        before = self._offset_of_cursor()
        self._sorted_by = next((column for column in self.columns if column.id == column_id), None)
        self._reverse = reverse
        self._rows.sort(self._sorted_by.sort_key if self._sorted_by else None, reverse=reverse)
        self._arranged(before)

    def filter_by(self, needle: str) -> None:
        """Show only rows with this text in any cell, or in what else they are found by, whatever the case."""
        self._rows.filter(needle)
        self._arranged(None)

    # arranging

    def _text_of(self, row: T) -> str:
        return " ".join(plain(column.value(row)) for column in self.columns)

    def _searched(self, row: T) -> str:
        text = self._text_of(row)
        return f"{text} {visible(self._found_by(row))}" if self._found_by is not None else text

    def _offset_of_cursor(self) -> int | None:
        """How far below the upper edge the cursor's row is, when it is on screen."""
        if not self.is_attached or self._cursor is None:
            return None
        offset = self._cursor_at - self.scroll_offset.y
        return offset if 0 <= offset < self._page else None

    def _arranged(self, offset: int | None) -> None:
        """The rows may show in another order now: find the cursor's row again and keep it in its place on screen."""
        if self._rows.working:
            if self._timer is None and self.is_attached:
                self._timer = once(self, 0.001, self._go_on)
            self._frame()
            return
        shown = self._rows.shown
        old = self._cursor
        at = self._cursor_at
        if not (at < len(shown) and shown[at] == self._cursor):
            found = self._rows.position(self._cursor) if self._cursor is not None else None
            at = found if found is not None else min(at, max(len(shown) - 1, 0))
            if found is None and self._rows.needle:
                at = 0
        self._cursor_at = at
        self._cursor = shown[at] if shown else None
        self._lay_out()
        if self.is_attached and shown:
            if offset is not None:
                self.scroll_to(y=max(at - offset, 0), animate=False)
            self._show_cursor()
        if self._cursor != old:
            self.post_message(self.Moved(self, self._cursor))

    def _go_on(self) -> None:
        self._timer = None
        self._rows.work()
        self._arranged(None)

    def _measure(self, keys: Iterable[str] | None = None) -> None:
        """Widen columns to what a sample of the rows takes; never narrow them, so that nothing jumps."""
        if keys is None:
            everything = list(self._rows)
            rest = everything[_SAMPLE:]
            keys = [*everything[:_SAMPLE], *rest[:: max(len(rest) // _SAMPLE, 1)]]
        wanted = list(self._wanted)
        for key in keys:
            row = self._rows[key]
            for at, column in enumerate(self.columns):
                if wanted[at] < column.max_width:
                    wanted[at] = max(wanted[at], cell_len(plain(column.value(row))))
        if wanted != self._wanted:
            self._wanted = wanted
            self._widths = None

    @property
    def _laid(self) -> list[tuple[Column[T], int]]:
        """The columns with the widths that were last laid out, 0 for one that does not show."""
        widths = self._widths if self._widths is not None else [0] * len(self.columns)
        return list(zip(self.columns, widths, strict=True))

    @property
    def _page(self) -> int:
        """Rows on screen at once."""
        return max(self.size.height - 1, 1)

    def _lay_out(self) -> None:
        if not self.is_attached:
            return
        width = self.scrollable_content_region.width
        wanted = [
            max(natural, cell_len(column.title) + (2 if column is self._sorted_by else 0))
            for natural, column in zip(self._wanted, self.columns, strict=True)
        ]
        # While it is hidden it has no width: it is laid out when it shows again, whatever its size was before.
        self._widths = fit(self.columns, wanted, max(width - MARGIN - 1, 1)) if width else None
        self.virtual_size = Size(width, len(self._rows.shown) + 1)
        self._frame()
        self.refresh()

    # the frame: number and title at the left, the count at the right corner

    def _frame(self) -> None:
        if not self.is_attached or not self.outer_size.width:
            return
        rows = self._rows
        count = f"{len(rows) if self._counted is None else self._counted:,}"
        if rows.needle:
            count = f"{len(rows.shown):,} of {len(rows):,}"
        if rows.marks:
            count = f"{len(rows.marks):,} marked {self._signs.dot} {count}"
        if rows.working:
            count = f"… {count}"
        width = self.outer_size.width - 6
        count = self._worded(count)
        title = self._worded(cut_middle(visible(self._title), max(width - cell_len(count) - 3, 1)))
        fill = self._signs.line * max(width - cell_len(title) - cell_len(count) - 2, 0)
        self.border_title = Content.assemble(
            (title, self._colour("accent" if self.has_focus else "faint", bold=True)),
            (f" {fill} ", self._colour("accent" if self.has_focus else "line")),
            (count, self._colour("accent" if self.has_focus else "faint")),
        )
        if self._typing or rows.needle:
            caret = self._signs.caret if self._typing else ""
            self.border_subtitle = Content.assemble(
                (f"/{visible(rows.needle)}{caret}", self._colour("accent", bold=True)),
            )
        else:
            words = self._worded(cut_middle(visible(self._note.text), width))
            self.border_subtitle = Content.assemble((words, self._colour(tone_variable(self._note.tone))))

    # drawing

    def render_line(self, y: int) -> Strip:
        width = self.scrollable_content_region.width
        if not self._rows.shown:
            return self._empty_line(y, width)
        if y == 0:
            style = self._tone(Tone.FAINT, "")
            sign = self._signs.falling if self._reverse else self._signs.rising
            head = titles(self._laid, self._sorted_by, sign)
            return Strip([Segment(head, style)]).adjust_cell_length(width, style)
        at = y - 1 + self.scroll_offset.y
        if at >= len(self._rows.shown):
            return Strip.blank(width, self.rich_style)
        return self._row(at, width)

    def _tone(self, tone: Tone, behind: str) -> Style:
        """The style of a tone; `behind` names the theme's variable for the background, empty for the list's own."""
        style = self._styles.get((tone, behind))
        if style is None:
            variables = app_of(self).theme_variables
            background = Style(bgcolor=variables.get(behind)) if behind else Style(bgcolor=self.rich_style.bgcolor)
            style = self._styles[tone, behind] = background + tone_style(tone, variables)
        return style

    def _colour(self, name: str, *, bold: bool = False) -> VisualStyle:
        return VisualStyle(foreground=Color.parse(app_of(self).theme_variables.get(name, "white")), bold=bold)

    def _row(self, at: int, width: int) -> Strip:
        key = self._rows.shown[at]
        here = at == self._cursor_at
        behind = ("chosen" if self.has_focus else "chosen-dim") if here else ""
        base = self._tone(Tone.PLAIN, behind)
        marked = key in self._rows.marks
        sign = self._signs.marked if marked else self._signs.cursor if here else " "
        sign_style = self._tone(Tone.STALE if marked else Tone.ACCENT, behind)
        if here and not marked and not self.has_focus:
            sign_style = self._tone(Tone.FAINT, behind)
        segments = [Segment(sign.ljust(MARGIN), sign_style)]
        for column, room in self._laid:
            if room:
                pieces, blank = cell(column, self._rows[key], room)
                drawn = [Segment(self._worded(text), self._tone(tone, behind)) for text, tone in pieces if text]
                gap = Segment(" " * blank, base)
                segments += [gap, *drawn] if column.align == "right" else [*drawn, gap]
                segments.append(Segment(" " * GAP, base))
        return Strip(segments).adjust_cell_length(width, base)

    def _worded(self, text: str) -> str:
        return in_ascii(text) if self._signs is ASCII else text

    def _empty_line(self, y: int, width: int) -> Strip:
        text = self._empty
        if self._rows.needle:
            text = f"Nothing here contains “{self._rows.needle}”.\nEsc clears the filter."
        if self._rows.working:
            text = "…"
        lines = [line for part in text.split("\n") for line in wrapped(visible(part), max(width - 4, 10))]
        top = 1 if self.size.height > len(lines) + 1 else 0
        style = self._tone(Tone.PLAIN if y == top else Tone.FAINT, "")
        line = self._worded(lines[y - top]) if 0 <= y - top < len(lines) else ""
        return Strip([Segment(f"  {line}", style)]).adjust_cell_length(width, style)

    def on_mount(self) -> None:
        self._lay_out()

    def on_resize(self) -> None:
        self._show_cursor()

    def _size_updated(self, size: Size, virtual_size: Size, container_size: Size, layout: bool = True) -> bool:
        """Textual's, when it lays out the screen. The event of it comes a picture later; the first one has rows."""
        before = self.outer_size
        resized = super()._size_updated(size, virtual_size, container_size, layout)
        if self.outer_size != before or self._widths is None:
            self._lay_out()
        return resized

    def tick(self) -> None:
        """Draw again what depends on the clock."""
        self.refresh()

    # moving

    def _move(self, at: int) -> None:
        shown = self._rows.shown
        if not shown:
            return
        at = max(0, min(at, len(shown) - 1))
        if at == self._cursor_at and self._cursor == shown[at]:
            self._show_cursor()
            return
        before, self._cursor_at, self._cursor = self._cursor_at, at, shown[at]
        for line in (before, at):
            y = line - self.scroll_offset.y + 1
            self.refresh(Region(0, y, self.size.width, 1))
        self._show_cursor()
        self.post_message(self.Moved(self, self._cursor))

    def _show_cursor(self) -> None:
        if not self._rows.shown:
            return
        top = self.scroll_offset.y
        if self._cursor_at < top:
            self.scroll_to(y=self._cursor_at, animate=False)
        elif self._cursor_at >= top + self._page:
            self.scroll_to(y=self._cursor_at - self._page + 1, animate=False)
