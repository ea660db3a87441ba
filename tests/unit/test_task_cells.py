"""What the screen tells of one task, in the room that there is."""

from hypothesis import given
from hypothesis import strategies as st

from core.model.tasks import HostTask, Task, TaskState, TaskTable
from tui.task_cells import TaskRow, details, rows_of
from tui.theme import plain

DIFF = "--- before: /etc/motd\n+++ after: /etc/motd\n@@ -1 +1 @@\n-old\n+new\n same"


def row(**more: object) -> TaskRow:
    task = Task("1", 1, "write", "motd", "tasks/main.yml:3", "copy", "web", handler=False, no_log=False)
    on = HostTask("default", TaskState.CHANGED, **more)  # pyright: ignore[reportArgumentType] - its fields
    return TaskRow("", task, on)


def told(of: TaskRow, height: int) -> list[str]:
    return [plain(line.left) for line in details(of, width=60, height=height)]


def test_where_the_room_is_short_what_changed_comes_before_where() -> None:
    assert told(row(diff=DIFF), 10)[1:] == DIFF.splitlines()
    assert told(row(diff=DIFF), 4)[1:] == ["-old", "+new", " same"]


@given(st.text(max_size=300), st.text(max_size=300), st.integers(2, 14))
def test_it_is_never_higher_than_the_room(message: str, diff: str, height: int) -> None:
    assert 1 <= len(details(row(message=message, diff=diff), width=60, height=height)) <= height


def test_an_empty_table_has_no_rows() -> None:
    assert not list(rows_of(TaskTable()))
