"""Following one run: its record as it changes, the logs of its stages, and what went wrong in the one that failed.

Reads the index and the logs, and imports nothing that takes long to load.
"""

import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core.model.failure import Failure, diagnose
from core.model.machine import Machine, MachineState
from core.model.pause import Pause
from core.model.run import Run, RunState, Stage
from core.model.tasks import Task, TaskTable
from core.places import Places
from core.store.index import Index
from core.store.logs import LogReader
from core.store.tasks import TaskReader
from core.text import from_bytes

LAST_LINES = 4_000
"""Lines at the end of a log that are read for what went wrong."""
_LOOK_BACK = 64 * 1024 * 1024
"""Bytes before those that are searched for where the failing step began."""
_STEP_BEGINS = (b"provisioning with ", b"running local shell script: ")


class RunView(msgspec.Struct, frozen=True):
    """A run at one moment, with what decides when it goes on."""

    run: Run
    ahead: int = 0
    """Queued runs that are taken before it, when it is queued."""
    at_work: int = 0
    """Runs that go on now, on this machine."""
    pause: Pause | None = None
    """What it waits for, when it is paused; of several what it waits for longest."""
    machine: Machine | None = None
    """The machine that waits with it, or was kept when it ended."""


class RunFollower:
    """One run, as the screen of it and commands follow it. Methods block for milliseconds unless they say otherwise."""

    def __init__(self, places: Places, which: int | str) -> None:
        """`which` is the run's number or uid. Raises StoreError when the index cannot be opened."""
        self._places = places
        self._which = which
        self._index = Index(places.index)
        self._seen: int | None = None
        self._tasks: dict[str, TaskReader] = {}

    def close(self) -> None:
        self._index.close()

    def changed(self) -> bool:
        """Whether anything was recorded since this was last asked; microseconds. Raises StoreError."""
        before, self._seen = self._seen, self._index.data_version()
        return before != self._seen

    def read(self) -> RunView | None:
        """The run as it is now; None when there is no record of it. Raises StoreError."""
        run = self._index.run(self._which)
        if run is None:
            return None
        if run.state is not RunState.QUEUED:
            return self._with_machine(run)
        active = self._index.runs(active_only=True)
        return RunView(
            run,
            ahead=sum(other.state is RunState.QUEUED and other.id < run.id for other in active),
            at_work=sum(other.state in (RunState.RUNNING, RunState.CANCELLING) for other in active),
        )

    def _with_machine(self, run: Run) -> RunView:
        pause = next(iter(self._index.pauses(run.uid, open_only=True)), None)
        if pause is not None:
            return RunView(run, pause=pause, machine=self._index.machine(run.uid, pause.stage_key))
        kept = (machine for machine in self._index.machines(run.uid) if machine.state is MachineState.KEPT)
        return RunView(run, machine=next(kept, None))

    def pauses(self) -> list[Pause]:
        """All pauses of the run, those that were answered among them, the oldest first. Raises StoreError."""
        run = self._index.run(self._which)
        return self._index.pauses(run.uid) if run is not None else []

    def log(self, run: Run, stage: Stage) -> Path:
        """Where the log of a stage is, or will be."""
        return self._places.log(run.uid, stage.key)

    def tasks(self, run: Run, stage: Stage) -> tuple[TaskTable, bool]:
        """What Ansible told of its tasks in a stage, and whether that is more than when this was last asked."""
        reader = self._tasks.get(stage.key)
        if reader is None:
            reader = self._tasks[stage.key] = TaskReader(self._places.tasks(run.uid, stage.key))
        more = reader.refresh()
        if stage.state.ended and (last := reader.table.last) is not None and last.ended is None:
            reader.table.ended(stage.ended or last.started)
            more = True
        return reader.table, more

    def line_of(self, run: Run, stage: Stage, task: Task) -> int | None:
        """The line of the log with which a task begins; None where that cannot be found. For a thread."""
        table, _ = self.tasks(run, stage)
        titles = [(one.title, one.handler, one.id) for playbook in table.playbooks for one in playbook.tasks]
        earlier = titles[: next((at for at, one in enumerate(titles) if one[2] == task.id), 0)]
        left = sum(one[:2] == (task.title, task.handler) for one in earlier)
        banner = f"{'RUNNING HANDLER' if task.handler else 'TASK'} [{task.title}] *"
        with LogReader(self.log(run, stage)) as reader:
            while reader.behind:
                reader.refresh()
            for step in reader.search_any([banner.encode()], exact=True):
                if step.line is not None:
                    if not left:
                        return step.line
                    left -= 1
        return None

    def failure(self, run: Run, stage: Stage) -> Failure | None:
        """What went wrong in a stage, from its log. Reads megabytes at most, yet call it in a thread.

        `first_line` counts from the log's start. None when the log says nothing.
        """
        with LogReader(self.log(run, stage)) as reader:
            while reader.behind:
                reader.refresh()
            numbers = _telling_lines(reader)
            texts = [from_bytes(line.raw) for number, count in numbers for line in reader.read(number, count)]
        found = diagnose(texts)
        if found is None:
            return None
        at = found.first_line
        for first, count in numbers:
            if at < count:
                at += first
                break
            at -= count
        return replace(found, first_line=at, where=_relative(found.where, self._places.run(run.uid)))

    def rebuild(self, run: Run) -> Run:
        """Queue a new run of the same request: the same role, commit and builds. For a thread. Raises IngotError."""
        from core.services.building import Building

        return Building(self._places, os.environ).rebuild(run.uid)


def _telling_lines(reader: LogReader) -> list[tuple[int, int]]:
    """The parts of a log that tell what went wrong, each by its first line and number of lines.

    Its end and, where that lies further back, the line with which the last step began.
    """
    first = max(reader.line_count - LAST_LINES, 0)
    parts = [(first, LAST_LINES)]
    looked = 0
    if first:
        for step in reader.search_any(_STEP_BEGINS, first - 1, backwards=True, step=1024 * 1024):
            if step.line is not None:
                return [(step.line, 1), *parts]
            looked += 1024 * 1024
            if looked > _LOOK_BACK:
                break
    return parts


def _relative(where: str, run: Path) -> str:
    """A place in the run's own checkout as a path in the repository, which is what a person knows."""
    for place in (run / "checkout", run):
        if where.startswith(f"{place}/"):
            return where[len(str(place)) + 1 :]
    return where
