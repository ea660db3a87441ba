"""`ingot tasks`: what Ansible did in the builds of a run, host by host and task by task."""

import argparse
import os

import msgspec

from core import text
from core.cli.output import ExitStatus, print_json, say, table
from core.errors import RefusedError
from core.model.run import Run, Stage
from core.model.tasks import HostTask, PlaybookRun, Task, TaskState, TaskTable
from core.places import Places
from core.services.following import RunFollower

_SIGNS = {
    TaskState.OK: "✓",
    TaskState.CHANGED: "✓",
    TaskState.RUNNING: "◐",
    TaskState.FAILED: "✗",
    TaskState.UNREACHABLE: "✗",
    TaskState.IGNORED: "!",
    TaskState.RESCUED: "!",
}


def tasks(arguments: argparse.Namespace) -> int:
    """`ingot tasks RUN`."""
    which = arguments.run
    follower = RunFollower(Places.of(os.environ), int(which) if which.isdigit() else which)
    try:
        view = follower.read()
        if view is None:
            raise RefusedError(f"There is no run {which} on this machine.", "ingot runs --all lists them.")
        run = view.run
        stages = [stage for stage in run.stages if arguments.stage in (None, stage.key, stage.name)]
        if not stages:
            keys = ", ".join(stage.key for stage in run.stages)
            raise RefusedError(f"Run {run.id} has no stage {arguments.stage}.", f"It has: {keys}.")
        found = [(stage, follower.tasks(run, stage)[0]) for stage in stages]
    finally:
        follower.close()
    told = [(stage, of) for stage, of in found if of.playbooks]
    if arguments.json:
        print_json([_as_json(stage, playbook) for stage, of in told for playbook in of.playbooks])
    elif not told:
        say(f"Run {run.id} has run no playbook that Ingot was told of.")
    for stage, of in () if arguments.json else told:
        _say(run, stage, of)
    return ExitStatus.DONE


def _say(run: Run, stage: Stage, of: TaskTable) -> None:
    several = len(of.hosts) > 1
    for playbook in of.playbooks:
        counts = ((state, playbook.count(state)) for state in TaskState)
        say(
            f"run {run.id}, {stage.key}: {playbook.path}: "
            + (", ".join(f"{count} {state.value}" for state, count in counts if count) or "no tasks yet")
        )
        rows = [
            (
                f"{_SIGNS.get(on.state, '·')} {on.state.value}",
                task.title + (f" · {on.host}" if several else ""),
                text.duration(on.seconds) if on.seconds is not None else "",
                task.path,
            )
            for task in playbook.tasks
            for on in task.hosts.values()
        ]
        if rows:
            table(("STATE", "TASK", "TIME", "WHERE"), rows, right=(2,))
        if playbook.failed is not None:
            _, on = playbook.failed
            for line in on.message.splitlines():
                say(f"    {line}")


def _as_json(stage: Stage, playbook: PlaybookRun) -> dict[str, object]:
    return {
        "stage": stage.key,
        "playbook": playbook.path,
        "started": playbook.started,
        "ended": playbook.ended,
        "hosts": msgspec.to_builtins(playbook.totals),
        "tasks": [_task(task, on) for task in playbook.tasks for on in task.hosts.values()],
    }


def _task(task: Task, on: HostTask) -> dict[str, object]:
    return {
        "play": task.play,
        "name": task.name,
        "role": task.role,
        "path": task.path,
        "action": task.action,
        "handler": task.handler,
        **msgspec.to_builtins(on),
    }
