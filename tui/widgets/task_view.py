"""The tasks of a playbook as they come: host × task as a list, and below it what is known of the one under the cursor.

As long as the cursor is on the last row it stays with what is newest; the first time it is on what failed.
"""

from collections.abc import Callable

from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from core.model.tasks import Task, TaskTable
from tui.task_cells import TaskRow, copied, details, key_of_failure, rows_of, task_columns, totals
from tui.widgets.panel import Panel
from tui.widgets.table import Table

_LEAST_TALL = 24
"""Rows of this view from which there is room for a long explanation."""


class TaskView(Vertical):
    """Shows one TaskTable."""

    class Chosen(Message):
        """Enter was pressed on a task: where is it in the log?"""

        def __init__(self, task: Task) -> None:
            super().__init__()
            self.task = task

    class Left(Message):
        """Esc was pressed, and there was nothing to undo."""

    def __init__(self, clock: Callable[[], float], *, ascii_only: bool = False, id: str) -> None:  # noqa: A002
        super().__init__(id=id)
        self.table: Table[TaskRow] = Table(
            task_columns(clock), title="3 Tasks", id="task-list", ascii_only=ascii_only, copied=copied
        )
        self.about = Panel(ascii_only=ascii_only, id="task-about")
        self._subject = ""
        self._failure: str | None = None

    def compose(self) -> ComposeResult:
        yield self.table
        yield self.about

    def show(self, subject: str, tasks: TaskTable, empty: str) -> None:
        """Show these tasks, of the stage `subject`; `empty` says why there are none."""
        changed, self._subject = subject != self._subject, subject
        table = self.table
        rows = list(rows_of(tasks))
        at_end = table.cursor is None or (bool(len(table.rows)) and table.cursor == list(table.rows)[-1])
        table.set_title(f"3 Tasks of {subject}")
        table.set_empty(empty)
        table.set_note(totals(tasks))
        table.set_rows(rows, subject_changed=changed)
        failure = key_of_failure(tasks)
        if failure is not None and (changed or failure != self._failure):
            table.move_to(failure)
        elif rows and (changed or at_end):
            table.move_to(rows[-1][0])
        self._failure = failure
        self._tell()

    def on_resize(self) -> None:
        self._tell()

    def _tell(self) -> None:
        row = self.table.chosen
        self.about.display = row is not None
        if row is not None:
            height = 14 if self.size.height >= _LEAST_TALL else 5
            title = row.task.title if row.task else row.heading
            self.about.set_rows(title, lambda width: details(row, width=width, height=height))

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        self._tell()

    def on_table_chosen(self, message: Table.Chosen) -> None:
        message.stop()
        row = self.table.chosen
        if row is not None and row.task is not None:
            self.post_message(self.Chosen(row.task))

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        self.post_message(self.Left())
