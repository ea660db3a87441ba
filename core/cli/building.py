"""`ingot build`, `logs`, `cancel` and `resume`: start runs and follow them."""

import argparse
import os
import sys
import time

from core import text
from core.cli.listing import run_as_json
from core.cli.output import ExitStatus, print_json, say
from core.engine.client import Engine
from core.errors import RefusedError
from core.model.pause import LIMIT_WORDS, STOPS, PauseMode, Wish, is_stop, seconds_of
from core.model.run import Run, RunState, StageState
from core.places import Places
from core.services.building import Building
from core.store.index import Index
from core.store.logs import LogReader

_RESULT = {
    RunState.SUCCEEDED: ExitStatus.DONE,
    RunState.FAILED: ExitStatus.FAILED,
    RunState.LOST: ExitStatus.FAILED,
    RunState.CANCELLED: ExitStatus.CANCELLED,
}

_LOOK_AT_WORKER = 5.0
"""Seconds between two looks at whether a worker lives, while somebody waits for what it does."""


def build(arguments: argparse.Namespace) -> int:
    """`ingot build ROLE…`, `ingot build --stale` and `ingot build --outdated`."""
    if arguments.readonly:
        raise RefusedError("--readonly is on: nothing is built.")
    if bool(arguments.roles) + arguments.stale + arguments.outdated != 1:
        raise RefusedError(
            "What is to be built?", "Name roles (ingot roles lists them), or use --stale or --outdated alone."
        )
    building = Building(Places.of(os.environ), os.environ)
    root = arguments.directory.resolve()
    pausing = _wish(arguments)
    if arguments.stale:
        started = building.build_stale(root, trust=arguments.trust, pausing=pausing)
        if not started and not arguments.json:
            say("Nothing is stale.")
    elif arguments.outdated:
        started = building.build_outdated(root, trust=arguments.trust, pausing=pausing)
        if not started and not arguments.json:
            say("Nothing is outdated.")
    else:
        started = building.build_all(
            root,
            arguments.roles,
            at=arguments.at,
            builds=tuple(arguments.only),
            trust=arguments.trust,
            pausing=pausing,
        )
    if arguments.json and not arguments.wait:
        print_json([run_as_json(run) for run in started])
        return ExitStatus.DONE
    for run in started:
        if not arguments.json:
            say(f"run {run.id}: build {run.role} at {run.request.commit[:7]}")
            if not arguments.wait:
                say(f"  ingot logs -f {run.id} follows it")
    if not arguments.wait:
        return ExitStatus.DONE
    results = [
        follow(run.uid, say_lines=not arguments.json, prefix=run.role if len(started) > 1 else "") for run in started
    ]
    if arguments.json:
        index = Index(Places.of(os.environ).index)
        print_json([run_as_json(again) for run in started if (again := index.run(run.uid))])
        index.close()
    return max(results, default=ExitStatus.DONE)


def _wish(arguments: argparse.Namespace) -> Wish:
    """How the builds may pause, as far as the command line says it."""
    stops = tuple(arguments.stop)
    mode = PauseMode(arguments.pause) if arguments.pause else None
    if wrong := next((stop for stop in stops if not is_stop(stop)), None):
        raise RefusedError(f"Packer has nowhere to stop called {wrong!r}.", f"One of {', '.join(STOPS)}, or a step.")
    if stops and mode not in (None, PauseMode.STEP):
        raise RefusedError("--stop is for builds that are stepped through.", "Use it with --pause step, or alone.")
    limit = seconds_of(arguments.keep_paused) if arguments.keep_paused is not None else None
    if arguments.keep_paused is not None and limit is None:
        raise RefusedError(f"{arguments.keep_paused!r} is no time that a machine can be kept.", f"Give {LIMIT_WORDS}.")
    return Wish(mode, stops, limit)


def logs(arguments: argparse.Namespace) -> int:
    """`ingot logs RUN`: the logs of its stages in order, or of one."""
    run = _run(arguments.run)
    named = [stage.key for stage in run.stages if arguments.stage in (None, stage.key, stage.name)]
    if not named:
        keys = ", ".join(stage.key for stage in run.stages)
        raise RefusedError(f"Run {run.id} has no stage {arguments.stage}.", f"It has: {keys}.")
    return follow(run.uid, only=arguments.stage or "", until_end=arguments.follow)


def cancel(arguments: argparse.Namespace) -> int:
    """`ingot cancel RUN`."""
    if arguments.readonly:
        raise RefusedError("--readonly is on: nothing is cancelled.")
    run = _run(arguments.run)
    if run.state.ended:
        raise RefusedError(f"Run {run.id} has ended: {run.state.value}.", "There is nothing to cancel.")
    Building(Places.of(os.environ), os.environ).cancel(run.uid)
    say(f"run {run.id}: cancelling {run.role}; what it started is cleaned up")
    if not arguments.wait:
        return ExitStatus.DONE
    ended = follow(run.uid, say_lines=False)
    return ExitStatus.DONE if ended == ExitStatus.CANCELLED else ended


def resume(arguments: argparse.Namespace) -> int:
    """`ingot resume RUN`: the secrets of this shell for a run that waits for them."""
    run = _run(arguments.run)
    Building(Places.of(os.environ), os.environ).give_secrets(run.uid)
    say(f"run {run.id}: has its credentials again")
    return ExitStatus.DONE


def _run(named: str) -> Run:
    index = Index(Places.of(os.environ).index)
    try:
        found = index.run(int(named) if named.isdigit() else named)
    finally:
        index.close()
    if found is None:
        raise RefusedError(f"There is no run {named} on this machine.", "ingot runs --all lists them.")
    return found


def follow(uid: str, *, say_lines: bool = True, only: str = "", until_end: bool = True, prefix: str = "") -> ExitStatus:
    """Print the logs of a run's stages as they grow; give the run's result.

    Not `until_end`: what is there now, and the result counts only if the run has ended.
    """
    places = Places.of(os.environ)
    index = Index(places.index)
    printed: dict[str, int] = {}
    announced: set[str] = set()
    said_reason = ""
    number = 0
    next_look = 0.0
    before = f"{prefix}: " if prefix else ""
    try:
        while True:
            run = index.run(uid)
            if run is None:
                raise RefusedError("The record of this run is gone.", "ingot runs lists what is there.")
            number = run.id
            ended = run.state.ended  # read before the logs: what was written before the end is then printed
            if say_lines:
                if run.state in (RunState.WAITING, RunState.PAUSED) and run.reason != said_reason:
                    said_reason = run.reason
                    say(f"{before}! {run.state.value}: {run.reason}")
                    if run.state is RunState.PAUSED:
                        say(f"{before}  ingot debug {run.id} opens a shell in the machine")
                for stage in run.stages:
                    if stage.state is StageState.PENDING or (only and only not in (stage.key, stage.name)):
                        continue
                    if stage.key not in announced:
                        announced.add(stage.key)
                        say(f"{before}── {stage.key} ──")
                    whole = ended or stage.state.ended or not until_end
                    printed[stage.key] = _print_log(
                        places.log(uid, stage.key), printed.get(stage.key, 0), whole, before
                    )
            if ended or not until_end:
                break
            if time.monotonic() > next_look:
                next_look = time.monotonic() + _LOOK_AT_WORKER
                Engine(places).wake()  # one that was killed would let us wait for ever
            sys.stdout.flush()
            time.sleep(0.2)
    except KeyboardInterrupt:
        if until_end:
            print()  # the terminal has written ^C there
            say(f"The run goes on. To stop it: ingot cancel {number or uid}")
        raise
    finally:
        index.close()
    if not run.state.ended:
        return ExitStatus.DONE
    if say_lines:
        took = f" after {text.duration(run.ended - run.started)}" if run.ended and run.started else ""
        made = f": {run.version}" if run.state is RunState.SUCCEEDED and run.version else ""
        say(f"{before}run {run.id}: {run.request.purpose} {run.role} {run.state.value}{took}{made}")
        if (failed := run.failed_stage) is not None:
            say(f"{before}  in {failed.key}: {failed.error or run.reason}")
            for line in failed.next_step.splitlines():
                say(f"{before}  {line}")
        elif run.reason:
            say(f"{before}  {run.reason}")
    return _RESULT[run.state]


def _print_log(path: os.PathLike[str], first: int, whole: bool, before: str) -> int:
    """Print lines from `first` on, an unended last one only if no more will come; give the next number."""
    from pathlib import Path

    if not Path(path).exists():
        return first
    reader = LogReader(Path(path))
    try:
        reader.refresh()
        while reader.behind and whole:  # its index was lost: it is made again
            reader.refresh()
        while first < reader.line_count:
            lines = reader.read(first, 2000)
            if not lines:
                break
            for line in lines:
                if line.number >= reader.whole_lines and not whole:
                    return first
                print(before + text.from_bytes(line.raw))
                first = line.number + 1
    finally:
        reader.close()
    return first
