"""The table of tasks: what Ansible tells, put together."""

from hypothesis import given
from hypothesis import strategies as st

from core.model.tasks import TaskEvent, TaskState, TaskTable

KINDS = ["playbook", "play", "task", "start", "retry", "stats", "ok", "changed", "failed", "skipped", "nonsense"]


def play(*events: TaskEvent, path: str = "site.yml") -> list[TaskEvent]:
    return [TaskEvent("playbook", 1.0, name=path), TaskEvent("play", 1.0, name="web"), *events]


def task(number: int, outcome: str = "ok", host: str = "default", **more: object) -> list[TaskEvent]:
    uuid = f"task-{number}"
    ended = TaskEvent(outcome, 3.0, task=uuid, host=host, seconds=1.0, **more)  # pyright: ignore[reportArgumentType]
    begun = TaskEvent("task", 2.0, task=uuid, name=f"task {number}", role="nginx", path="tasks/main.yml:1")
    return [begun, TaskEvent("start", 2.0, task=uuid, host=host), ended]


def stats(**counts: int) -> TaskEvent:
    return TaskEvent("stats", 9.0, hosts={"default": counts})


def test_each_task_has_its_state_time_and_place() -> None:
    table = TaskTable(play(*task(1), *task(2, "changed", diff="+x"), *task(3, "failed", message="no room", code=3)))
    rows = [(one.title, on.state, on.seconds) for _, one, on in table.rows]
    assert rows == [
        ("nginx : task 1", TaskState.OK, 1.0),
        ("nginx : task 2", TaskState.CHANGED, 1.0),
        ("nginx : task 3", TaskState.FAILED, 1.0),
    ]
    assert table.failed is not None
    failed, on = table.failed
    assert (failed.name, failed.path, failed.play, on.message, on.code) == (
        "task 3", "tasks/main.yml:1", "web", "no room", 3,
    )  # fmt: skip
    assert table.last is not None
    assert [one.name for one in table.last.changes] == ["task 2"]


def test_a_task_that_goes_on_is_running_until_the_playbook_is_cut_off() -> None:
    table = TaskTable(play(*task(1), *task(2)[:2]))
    assert [on.state for _, _, on in table.rows] == [TaskState.OK, TaskState.RUNNING]
    table.ended(5.0)
    assert [on.state for _, _, on in table.rows] == [TaskState.OK, TaskState.CUT_OFF]


def test_of_several_failures_of_a_host_those_before_the_last_were_rescued() -> None:
    events = play(*task(1, "failed"), *task(2), *task(3, "failed"), stats(failures=1, rescued=1))
    table = TaskTable(events)
    assert [on.state for _, _, on in table.rows] == [TaskState.RESCUED, TaskState.OK, TaskState.FAILED]
    saved = TaskTable(play(*task(1, "failed"), *task(2), stats(failures=0, rescued=1)))
    assert saved.failed is None


def test_a_retry_of_the_build_is_another_run_of_the_playbook() -> None:
    table = TaskTable([*play(*task(1, "failed"), stats(failures=1)), *play(*task(11), stats(ok=1))])
    assert [len(playbook.tasks) for playbook in table.playbooks] == [1, 1]
    assert table.failed is None
    assert [one.number for _, one, _ in table.rows] == [1, 1]


def test_attempts_of_a_task_that_tries_again_are_counted() -> None:
    again = TaskEvent("retry", 2.5, task="task-1", host="default", message="not yet")
    begun, start, ended = task(1)
    table = TaskTable(play(begun, start, again, again, ended))
    assert [(on.state, on.attempts, on.message) for _, _, on in table.rows] == [(TaskState.OK, 3, "")]


EVENTS = st.builds(
    TaskEvent,
    event=st.sampled_from(KINDS),
    at=st.floats(0, 9),
    name=st.sampled_from(["", "a"]),
    task=st.sampled_from(["", "1", "2", "3"]),
    host=st.sampled_from(["", "a", "b"]),
    hosts=st.dictionaries(st.sampled_from(["a", "b"]), st.dictionaries(st.just("failures"), st.integers(0, 3))),
)


@given(st.lists(EVENTS, max_size=40))
def test_events_in_any_order_make_a_table_and_no_event_is_in_it_twice(events: list[TaskEvent]) -> None:
    table = TaskTable(events)
    begun = {event.task for event in events if event.event == "task"}
    assert sum(len(playbook.tasks) for playbook in table.playbooks) == len(begun)
    table.ended(10.0)
    assert all(on.state is not TaskState.RUNNING for _, _, on in table.rows)
