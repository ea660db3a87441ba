"""A run that was asked for on the command line: said, followed to its end where that is wanted, told as JSON."""

import os
import time
from collections.abc import Sequence
from pathlib import Path

from core import text
from core.cli.listing import run_as_json
from core.cli.output import ExitStatus, flush, print_json, put, say
from core.engine.client import Engine
from core.errors import RefusedError
from core.model.run import Run, RunState, StageState
from core.places import Places
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


def asked_for(run: Run, what: str, *, wait: bool, as_json: bool) -> ExitStatus:
    """Say that a run was asked for, and for what; with `wait` follow it to its end. Gives its result, as far as it was
    waited for."""
    if not as_json:
        announce(run, what, wait=wait)
    result = follow(run.uid, say_lines=not as_json) if wait else ExitStatus.DONE
    if as_json:
        print_json(run_as_json(as_they_are([run])[0]))
    return result


def announce(run: Run, what: str, *, wait: bool) -> None:
    """Say which run it is, and how to follow it where nobody waits for it."""
    say(f"run {run.id}: {what}")
    if not wait:
        say(f"  ingot logs -f {run.id} follows it")


def as_they_are(runs: Sequence[Run]) -> list[Run]:
    """The same runs as their records say now."""
    index = Index(Places.of(os.environ).index)
    try:
        return [index.run(run.uid) or run for run in runs]
    finally:
        index.close()


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
            flush()
            time.sleep(0.2)
    except KeyboardInterrupt:
        if until_end:
            put("")  # the terminal has written ^C there
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
                put(before + text.from_bytes(line.raw))
                first = line.number + 1
    finally:
        reader.close()
    return first
