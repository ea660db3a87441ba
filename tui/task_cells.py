"""How the tasks of a playbook are told: a table in, rows out. Nothing here draws, asks or decides."""

from collections.abc import Callable, Iterator

import msgspec

from core.model.tasks import HostTask, PlaybookRun, Task, TaskState, TaskTable
from core.text import duration
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.panel import PanelRow, paragraph

_SIGNS: dict[TaskState, tuple[str, Tone]] = {
    TaskState.RUNNING: (UNICODE.busy, Tone.BUSY),
    TaskState.OK: (UNICODE.good, Tone.GOOD),
    TaskState.CHANGED: (UNICODE.good, Tone.STALE),
    TaskState.SKIPPED: (UNICODE.not_yet, Tone.FAINT),
    TaskState.IGNORED: (UNICODE.attention, Tone.STALE),
    TaskState.RESCUED: (UNICODE.attention, Tone.STALE),
    TaskState.FAILED: (UNICODE.bad, Tone.BAD),
    TaskState.UNREACHABLE: (UNICODE.bad, Tone.BAD),
    TaskState.CUT_OFF: (UNICODE.not_yet, Tone.STALE),
}
_PLACES = ("--- ", "+++ ", "@@ ")
"""How the lines of a difference begin that say where it is."""
_COUNTED = (
    TaskState.OK, TaskState.CHANGED, TaskState.SKIPPED, TaskState.IGNORED, TaskState.RESCUED, TaskState.FAILED,
    TaskState.UNREACHABLE, TaskState.CUT_OFF, TaskState.RUNNING,
)  # fmt: skip


class TaskRow(msgspec.Struct, frozen=True):
    """One task on one host; or, without these, the heading of a playbook or a play."""

    heading: str = ""
    task: Task | None = None
    on: HostTask | None = None
    host: str = ""
    """Empty where there is only one."""


def rows_of(table: TaskTable) -> Iterator[tuple[str, TaskRow]]:
    """What a list shows, by key: headings where there is more than one play or playbook, and host × task."""
    several = len(table.hosts) > 1
    plays = {(number, task.play) for number, playbook in enumerate(table.playbooks) for task in playbook.tasks}
    for number, playbook in enumerate(table.playbooks):
        play = None
        for task in playbook.tasks:
            if not task.hosts:
                continue
            if task.play != play and len(plays) > 1:
                yield f"{number}/{task.number}", TaskRow(_heading(playbook, task))
            play = task.play
            for on in task.hosts.values():
                yield f"{number}/{task.number}/{on.host}", TaskRow("", task, on, on.host if several else "")


def key_of_failure(table: TaskTable) -> str | None:
    """The key of the row of what ended the last playbook."""
    if (failed := table.failed) is None:
        return None
    task, on = failed
    return f"{len(table.playbooks) - 1}/{task.number}/{on.host}"


def _heading(playbook: PlaybookRun, task: Task) -> str:
    return f"{playbook.path.rpartition('/')[2]} {UNICODE.dot} {task.play}" if playbook.path else task.play


def task_columns(clock: Callable[[], float]) -> tuple[Column[TaskRow], ...]:
    """The tasks as a list."""

    def state(row: TaskRow) -> Cell:
        if row.on is None:
            return ""
        sign, tone = _SIGNS[row.on.state]
        return Piece(f"{sign} {row.on.state.value}", tone)

    def name(row: TaskRow) -> Cell:
        if row.task is None or row.on is None:
            return Piece(row.heading, Tone.FAINT)
        kind = "handler " if row.task.handler else ""
        tone = Tone.FAINT if row.on.state is TaskState.SKIPPED else Tone.PLAIN
        host = (Piece(f" {UNICODE.dot} {row.host}", Tone.ACCENT),) if row.host else ()
        return (Piece(kind, Tone.FAINT), Piece(row.task.title, tone), *host)

    return (
        Column("state", "STATE", state, lambda row: row.on.state.value if row.on else None, min_width=9, max_width=13),
        Column("task", "TASK", name, None, min_width=16, max_width=200, grow=True, cut="end"),
        Column("took", "TIME", lambda row: _took(row, clock()), _seconds, "right", 2, 4),
        Column("where", "WHERE", _where, None, priority=3, min_width=14, max_width=50),
    )


def _where(row: TaskRow) -> Cell:
    return Piece(row.task.path, Tone.FAINT) if row.task else ""


def _seconds(row: TaskRow) -> float | None:
    return row.on.seconds if row.on else None


def _took(row: TaskRow, now: float) -> str:
    if row.on is None or row.on.state is TaskState.SKIPPED:
        return ""
    seconds = row.on.seconds
    if seconds is None and row.on.state is TaskState.RUNNING:
        seconds = max(now - row.on.started, 0.0)
    return duration(seconds) if seconds is not None else ""


def totals(table: TaskTable) -> Piece:
    """`12 ok · 3 changed · 1 failed`, of the last playbook."""
    last = table.last
    if last is None:
        return Piece("")
    counts = [(state, last.count(state)) for state in _COUNTED]
    words = f" {UNICODE.dot} ".join(f"{count} {state.value}" for state, count in counts if count)
    return Piece(words, Tone.BAD if last.failed else Tone.FAINT)


def details(row: TaskRow, *, width: int, height: int) -> list[PanelRow]:
    """What is known of one task on one host, in at most `height` rows: why it failed, or what it changed."""
    task, on = row.task, row.on
    if task is None or on is None:
        return [PanelRow(Piece(row.heading, Tone.STRONG))]
    sign, tone = _SIGNS[on.state]
    told = [f"{sign} {on.state.value}", on.host, task.action]
    told += [f"{on.attempts} attempts"] if on.attempts > 1 else []
    told += [f"exit status {on.code}"] if on.code else []
    rows = [PanelRow(Piece(f" {UNICODE.dot} ".join(told), tone), Piece(task.path, Tone.ACCENT))]
    if task.no_log:
        rows.append(PanelRow(Piece("What it was given and what it gave is not told: no_log.", Tone.FAINT)))
    if on.message:
        rows += paragraph(on.message, width, Tone.BAD if on.state.bad else Tone.PLAIN, max(height - len(rows), 1))
    diff = on.diff.splitlines()
    if len(rows) + len(diff) > height:  # then what changed comes before where
        diff = [line for line in diff if not line.startswith(_PLACES)]
    rows += [PanelRow(Piece(line, _tone(line))) for line in diff]
    if len(rows) > height:
        rest = len(rows) - height + 1
        rows = [*rows[: height - 1], PanelRow(Piece(f"… and {rest} lines more: y copies all", Tone.FAINT))]
    return rows


def _tone(line: str) -> Tone:
    if line.startswith(_PLACES):
        return Tone.FAINT
    return Tone.GOOD if line.startswith("+") else Tone.BAD if line.startswith("-") else Tone.PLAIN


def copied(row: TaskRow) -> str:
    """All that is known of a task, as text."""
    if row.task is None or row.on is None:
        return row.heading
    parts = [f"{row.on.state.value} {row.task.title} ({row.task.path}) on {row.on.host}", row.on.message, row.on.diff]
    return "\n".join(part for part in parts if part)
