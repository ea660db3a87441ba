"""`ingot build`, `logs`, `cancel` and `resume`: start runs, read them, and stop them."""

import argparse
import os
from difflib import get_close_matches

from core.cli.following import announce, as_they_are, follow
from core.cli.listing import run_as_json
from core.cli.output import ExitStatus, print_json, say
from core.cli.sure import confirm
from core.errors import RefusedError
from core.model.pause import LIMIT_WORDS, STOPS, PauseMode, Wish, is_stop, seconds_of
from core.model.run import Run
from core.places import Places
from core.services.building import Building
from core.store.index import Index


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
    if not arguments.json:
        for run in started:
            announce(run, f"build {run.role} at {run.request.commit[:7]}", wait=arguments.wait)
    results: list[ExitStatus] = []
    if arguments.wait:
        several = len(started) > 1
        results = [follow(run.uid, say_lines=not arguments.json, prefix=run.role if several else "") for run in started]
    if arguments.json:
        print_json([run_as_json(run) for run in (as_they_are(started) if arguments.wait else started)])
    return max(results, default=ExitStatus.DONE)


def _wish(arguments: argparse.Namespace) -> Wish:
    """How the builds may pause, as far as the command line says it."""
    stops: tuple[str, ...] = tuple(arguments.stop)
    mode = PauseMode(arguments.pause) if arguments.pause else None
    if wrong := next((stop for stop in stops if not is_stop(stop)), None):
        near = get_close_matches(wrong, STOPS, n=1)
        there = f"One of {', '.join(STOPS)}, or a step of Packer's by its name, such as StepProvision."
        raise RefusedError(
            f"Packer has nowhere to stop called {wrong!r}.", f"Did you mean {near[0]}?" if near else there
        )
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
    building = Building(Places.of(os.environ), os.environ)
    ending = building.at_stake(_run(arguments.run).uid)
    run = ending.run
    if run.state.ended:
        raise RefusedError(f"Run {run.id} has ended: {run.state.value}.", "There is nothing to cancel.")
    if ending.paused:
        gone = "; ".join(ending.lines) or "where it is, nobody has said"
        confirm(run, f"It and its unfinished disk are destroyed: {gone}.", yes=arguments.yes)
    building.cancel(run.uid, ending.told)
    say(f"run {run.id}: cancelling {run.role}; what it started is cleaned up")
    if not arguments.wait:
        return ExitStatus.DONE
    ended = follow(run.uid, say_lines=False)
    return ExitStatus.DONE if ended == ExitStatus.CANCELLED else ended


def resume(arguments: argparse.Namespace) -> int:
    """`ingot resume RUN`: the secrets of this shell for a run that waits for them."""
    if arguments.readonly:
        raise RefusedError("--readonly is on: the run goes on waiting.")
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
