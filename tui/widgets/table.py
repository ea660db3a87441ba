"""The list: a pane of rows that is virtual, so that a hundred thousand of them are as quick as ten.

It knows nothing of what its rows are; screens give it `Column`s and hear of `Table.Moved` and `Table.Chosen`.
"""

from typing import Any, ClassVar, Generic, TypeVar

from textual import events

from core.text import cut_middle, visible
from tui.actions import Action, app_of, bindings, find
from tui.widgets.needle import RUB_OUT, edited, pasted
from tui.widgets.table_actions import MOVING
from tui.widgets.table_cells import column_at
from tui.widgets.table_pane import OfTable, TablePane

T = TypeVar("T")


class Table(TablePane[T], Generic[T], can_focus=True):
    """A virtual list of `T` with a title, a count, a cursor, marks, a filter and sorting."""

    ACTIONS: ClassVar[tuple[Action, ...]] = MOVING
    BINDINGS = bindings(MOVING)
    BINDING_GROUP_TITLE = "List"

    class Typing(OfTable):
        """The filter begins or ceases to be typed, or the marks changed: what can be done is different now."""

    class Chosen(OfTable):
        """Enter was pressed on a row, or it was double-clicked."""

        def __init__(self, table: TablePane[Any], key: str) -> None:
            super().__init__(table)
            self.key = key

    class Left(OfTable):
        """Esc was pressed and there was nothing to undo in the list."""

    @property
    def is_sorted(self) -> bool:
        """By a column: not in the order in which the rows came."""
        return self._sorted_by is not None

    def on_blur(self) -> None:
        self._type(False)

    # keys and mouse

    def why_not(self, action: Action) -> str:
        if action.id in ("choose", "mark", "copy") and self.chosen is None:
            return "The list is empty."
        if action.id == "choose" and not self._opens:
            return "There is nothing behind these lines."
        return ""

    def act(self, action: Action, argument: str = "") -> None:
        getattr(self, f"do_{action.id}")()

    def action_act(self, action_id: str) -> None:
        if action := find(MOVING, action_id):
            self.act(action)

    def do_down(self) -> None:
        self._move(self._cursor_at + 1)

    def do_up(self) -> None:
        self._move(self._cursor_at - 1)

    def do_page_down(self) -> None:
        self._move(self._cursor_at + self._page)

    def do_page_up(self) -> None:
        self._move(self._cursor_at - self._page)

    def do_first(self) -> None:
        self._move(0)

    def do_last(self) -> None:
        self._move(len(self._rows.shown) - 1)

    def do_choose(self) -> None:
        if self._cursor is not None and self._opens:
            self.post_message(self.Chosen(self, self._cursor))

    def do_mark(self) -> None:
        if self._cursor is None:
            return
        self._rows.marks ^= {self._cursor}
        self._frame()
        self.refresh()
        self._move(self._cursor_at + 1)

    def do_sort(self) -> None:
        """The next column up, then down, after the last column the order in which the rows came."""
        sortable = [column for column in self.columns if column.sort_key is not None]
        if self._sorted_by is None:
            following = sortable[0] if sortable else None
        elif not self._reverse:
            self.sort_by(self._sorted_by.id, reverse=True)
            return
        else:
            at = sortable.index(self._sorted_by) + 1
            following = sortable[at] if at < len(sortable) else None
        self.sort_by(following.id if following else None)

    def do_copy(self) -> None:
        chosen = self.chosen_or_marked
        if not chosen:
            return
        app_of(self).copy_to_clipboard("\n".join(self._copy_of(row) for row in chosen))
        what = self._copy_of(chosen[0]) if len(chosen) == 1 else f"{len(chosen)} rows"
        self.notify(cut_middle(what, 60), title="Copied", timeout=2, markup=False)

    def _copy_of(self, row: T) -> str:
        return visible(self._copied(row)) if self._copied else self._text_of(row)

    def do_filter(self) -> None:
        self._type(True)
        self._rows.warm()
        self._arranged(self._offset_of_cursor())

    def _type(self, typing: bool) -> None:
        if typing != self._typing:
            self._typing = typing
            self.post_message(self.Typing(self))
        self._frame()

    def do_back(self) -> None:
        """Undo one thing: the filter, then the marks; with neither, it is for whoever is above."""
        if self._rows.needle:
            self.filter_by("")
        elif self._rows.marks:
            self.clear_marks()
        else:
            self.post_message(self.Left(self))

    async def _on_key(self, event: events.Key) -> None:
        if not self._typing:
            return
        if event.key in ("enter", "tab", "down", "up"):
            self._type(False)
            if event.key != "enter":
                return
        elif event.key == "escape":
            self._type(False)
            self.filter_by("")
        elif event.key in RUB_OUT and not self.needle:
            self._type(False)
        elif (needle := edited(self.needle, event)) is not None:
            self.filter_by(needle)
        else:
            return
        event.stop()
        event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        if self._typing:
            event.stop()
            self.filter_by(pasted(self.needle, event))

    async def on_click(self, event: events.Click) -> None:
        offset = event.get_content_offset(self)
        if offset is None:
            return
        if offset.y == 0 and self._rows.shown:
            column = column_at(self._laid, offset.x)
            if column is not None and column.sort_key is not None:
                self.sort_by(column.id, reverse=column is self._sorted_by and not self._reverse)
            return
        at = offset.y - 1 + self.scroll_offset.y
        if 0 <= at < len(self._rows.shown):
            self._move(at)
            if event.chain == 2:
                self.do_choose()
