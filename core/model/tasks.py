"""What a playbook did, task by task and host by host: a table made of the events that Ansible tells while it works."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import msgspec


class TaskState(StrEnum):
    """What became of a task on a host."""

    RUNNING = "running"
    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    IGNORED = "ignored"
    """It failed, and the playbook says that this does not count (`ignore_errors`)."""
    RESCUED = "rescued"
    """It failed, and the playbook went on in the `rescue` of its block."""
    FAILED = "failed"
    UNREACHABLE = "unreachable"
    CUT_OFF = "cut off"
    """The playbook ended, or was begun again, before it did."""

    @property
    def bad(self) -> bool:
        """The playbook ends with it."""
        return self in (TaskState.FAILED, TaskState.UNREACHABLE)


_ENDS = {state.value: state for state in (
    TaskState.OK, TaskState.CHANGED, TaskState.SKIPPED, TaskState.IGNORED, TaskState.FAILED, TaskState.UNREACHABLE,
)}  # fmt: skip


class TaskEvent(msgspec.Struct, frozen=True):
    """One line of what Ansible tells (core/ansible_plugin); what an event does not have is empty."""

    event: str
    """`playbook`, `play`, `task`, `start`, `retry`, `stats`, or what became of a task: of `TaskState`."""
    at: float = 0.0
    """Epoch."""
    name: str = ""
    """Of the play or task; of a playbook its path in the repository."""
    task: str = ""
    """Ansible's id of the task: it is another in each run of the playbook."""
    role: str = ""
    path: str = ""
    """`roles/nginx/tasks/main.yml:12`, in the repository where it is there."""
    action: str = ""
    """The module, as the task names it."""
    handler: bool = False
    no_log: bool = False
    host: str = ""
    seconds: float | None = None
    message: str = ""
    """Why it failed, in Ansible's and the module's words."""
    code: int | None = None
    """Exit status, where it ran a program."""
    diff: str = ""
    hosts: Mapping[str, Mapping[str, int]] = msgspec.field(default_factory=dict[str, Mapping[str, int]])
    """Of `stats`: for each host how many tasks were ok, failures, unreachable, changed, skipped, rescued, ignored."""


@dataclass(slots=True)
class HostTask:
    """One task on one host."""

    host: str
    state: TaskState = TaskState.RUNNING
    started: float = 0.0
    seconds: float | None = None
    """How long it took; None as long as it goes on, and where it was not seen to begin."""
    attempts: int = 1
    """More than one where the playbook itself tries again (`until`)."""
    message: str = ""
    code: int | None = None
    diff: str = ""


@dataclass(slots=True)
class Task:
    """One task of a playbook, once for each time that it comes."""

    id: str
    number: int
    """1, 2, … in its run of the playbook."""
    name: str
    role: str
    path: str
    action: str
    play: str
    handler: bool
    no_log: bool
    hosts: dict[str, HostTask] = field(default_factory=dict[str, HostTask])

    @property
    def title(self) -> str:
        """As Ansible prints it: `nginx : install packages`."""
        return f"{self.role} : {self.name}" if self.role else self.name


@dataclass(slots=True)
class PlaybookRun:
    """One playbook from its start to its end; a retry of a build runs it once more."""

    path: str
    started: float = 0.0
    ended: float | None = None
    tasks: list[Task] = field(default_factory=list[Task])
    totals: dict[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    """By host, as Ansible's recap has them; empty as long as it goes on."""
    play: str = ""
    """The play that goes on."""

    def count(self, state: TaskState) -> int:
        return sum(on.state is state for task in self.tasks for on in task.hosts.values())

    @property
    def changes(self) -> list[Task]:
        """The tasks that changed something somewhere."""
        return [task for task in self.tasks if any(on.state is TaskState.CHANGED for on in task.hosts.values())]

    @property
    def failed(self) -> tuple[Task, HostTask] | None:
        """The task that ended it, and where: the last one that failed."""
        for task in reversed(self.tasks):
            for on in task.hosts.values():
                if on.state.bad:
                    return task, on
        return None

    def _end(self, at: float) -> None:
        self.ended = self.ended or at
        for task in self.tasks:
            for on in task.hosts.values():
                if on.state is TaskState.RUNNING:
                    on.state = TaskState.CUT_OFF


class TaskTable:
    """All that was told of the playbooks of one stage. Takes any events in any order without an error: a table of what
    is known is better than none."""

    def __init__(self, events: Iterable[TaskEvent] = ()) -> None:
        self.playbooks: list[PlaybookRun] = []
        self._by_id: dict[str, Task] = {}
        for event in events:
            self.take(event)

    @property
    def rows(self) -> Iterator[tuple[PlaybookRun, Task, HostTask]]:
        """Host × task, in the order in which they began."""
        for playbook in self.playbooks:
            for task in playbook.tasks:
                for on in task.hosts.values():
                    yield playbook, task, on

    @property
    def hosts(self) -> list[str]:
        return list(dict.fromkeys(on.host for _, _, on in self.rows))

    @property
    def last(self) -> PlaybookRun | None:
        return self.playbooks[-1] if self.playbooks else None

    @property
    def failed(self) -> tuple[Task, HostTask] | None:
        """What ended the last playbook."""
        return self.last.failed if self.last else None

    def take(self, event: TaskEvent) -> None:
        """The next event."""
        match event.event:
            case "playbook":
                self.ended(event.at)
                self.playbooks.append(PlaybookRun(event.name, event.at))
            case "play":
                self._current(event).play = event.name
            case "task":
                self._begin(event)
            case "start":
                if task := self._by_id.get(event.task):
                    task.hosts.setdefault(event.host, HostTask(event.host, started=event.at))
            case "retry":
                if on := self._on(event):
                    on.attempts += 1
                    on.message, on.code = event.message, event.code
            case "stats":
                self._stats(event)
            case _:
                self._ended(event)

    def ended(self, at: float) -> None:
        """Nothing more comes: the stage has ended. Those before the last, too: a task of theirs may be told late."""
        for playbook in self.playbooks:
            playbook._end(at)  # pyright: ignore[reportPrivateUsage] - of this module

    def _current(self, event: TaskEvent) -> PlaybookRun:
        """The playbook that goes on; one without a name where its start was not told."""
        if self.last is None or self.last.totals:
            self.playbooks.append(PlaybookRun("", event.at))
        return self.playbooks[-1]

    def _begin(self, event: TaskEvent) -> None:
        if event.task in self._by_id:
            return  # the same task of another host, with a strategy that lets hosts go ahead
        playbook = self._current(event)
        task = Task(
            id=event.task,
            number=len(playbook.tasks) + 1,
            name=event.name,
            role=event.role,
            path=event.path,
            action=event.action,
            play=playbook.play,
            handler=event.handler,
            no_log=event.no_log,
        )
        playbook.tasks.append(task)
        self._by_id[event.task] = task

    def _on(self, event: TaskEvent) -> HostTask | None:
        task = self._by_id.get(event.task)
        return task.hosts.setdefault(event.host, HostTask(event.host, started=event.at)) if task else None

    def _ended(self, event: TaskEvent) -> None:
        state = _ENDS.get(event.event)
        if state is None or (on := self._on(event)) is None:
            return
        on.state = state
        on.seconds = event.seconds
        on.message, on.code, on.diff = event.message, event.code, event.diff

    def _stats(self, event: TaskEvent) -> None:
        playbook = self._current(event)
        playbook.totals = dict(event.hosts)
        for host, counts in event.hosts.items():
            self._rescued(playbook, host, counts.get("failures", 0))
        playbook._end(event.at)  # pyright: ignore[reportPrivateUsage] - of this module

    def _rescued(self, playbook: PlaybookRun, host: str, failures: int) -> None:
        """Ansible tells only at the end, and in a sum, that failures were rescued: all but a host's last."""
        failed = [on for task in playbook.tasks if (on := task.hosts.get(host)) and on.state is TaskState.FAILED]
        for on in failed[: max(len(failed) - failures, 0)]:
            on.state = TaskState.RESCUED
