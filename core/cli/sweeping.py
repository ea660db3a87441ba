"""`ingot prune` and `ingot sweep`: what may go from this machine, by rule or because a run died, and taking it away."""

import argparse
import os
import sys
import time
from collections.abc import Sequence

import msgspec

from core import text
from core.adapters.git import GitRepository
from core.cli.output import ExitStatus, complain, print_json, say, table
from core.errors import IngotError, RefusedError
from core.places import Places
from core.services import retention, sweeping
from core.services.retention import Judged, Plan
from core.services.sweeping import Leftover


def prune(arguments: argparse.Namespace) -> int:
    """`ingot prune [--dry-run]`: the files and AMIs of image versions that the rules of ingot.toml let go."""
    places, root = Places.of(os.environ), arguments.directory.resolve()
    if arguments.readonly and not arguments.dry_run:
        raise RefusedError("--readonly is on: nothing is deleted.", "ingot prune --dry-run shows what would go.")
    plan = retention.plan(places, root, arguments.role)
    if arguments.json and (arguments.dry_run or not plan.going):
        print_json(_plan_as_json(plan))
        return ExitStatus.DONE
    if not arguments.json:
        _print_plan(plan)
    if arguments.dry_run or not plan.going:
        return ExitStatus.DONE
    if not arguments.yes:
        what = "files and AMIs" if plan.freed_in_cloud else "files"
        _ask(plan.workspace.name, f"the {what} of {len(plan.going)} image versions")
    repository = GitRepository.find(root)
    names = [one.name for one in plan.going]
    done = retention.prune(places, root, names, repository.identity() if repository else "", arguments.role)
    if arguments.json:
        failed = {one.name: one.error.what for one in done if one.error}
        freed = {one.name: one.freed.disk for one in done if not one.error}
        in_cloud = {one.name: one.freed.cloud for one in done if not one.error}
        print_json({**_plan_as_json(plan), "deleted": freed, "deleted_in_cloud": in_cloud, "failed": failed})
    for one in done:
        if one.error:
            complain(one.error)
        elif not arguments.json:
            say(f"Deleted the files of {one.name}: {one.freed}.")
    return ExitStatus.FAILED if any(one.error for one in done) else ExitStatus.DONE


def sweep(arguments: argparse.Namespace) -> int:
    """`ingot sweep [NAME…]`: what runs that died left here."""
    places = Places.of(os.environ)
    if arguments.readonly and not arguments.dry_run:
        raise RefusedError("--readonly is on: nothing is removed.", "ingot sweep --dry-run shows what is left.")
    odd: dict[str, IngotError] = {}
    found = sweeping.listing(places, tell=lambda problem: odd.update({problem.what: problem}))
    for problem in odd.values():
        complain(problem)
    if unknown := [name for name in arguments.names if name not in {one.name for one in found}]:
        raise RefusedError(f"Nothing that is left is called {unknown[0]!r}.", "See: ingot sweep --dry-run")
    chosen = [one for one in found if one.name in arguments.names] if arguments.names else found
    if arguments.json and (arguments.dry_run or not chosen):
        print_json([msgspec.to_builtins(one) for one in chosen])
        return ExitStatus.DONE
    if not arguments.json:
        _print_leftovers(chosen)
    if arguments.dry_run or not chosen:
        return ExitStatus.DONE
    names = [one.name for one in chosen] if arguments.yes else _chosen([one.name for one in chosen])
    done = sweeping.remove(places, names)
    if arguments.json:
        removed = [
            {"name": one.name, "freed": one.freed, "failed": one.error.what if one.error else None} for one in done
        ]
        print_json(removed)
    for one in done:
        if one.error:
            complain(one.error)
        elif not arguments.json:
            freed = f": {text.size(one.freed)} free again" if one.freed else ""
            say(f"{'Ended' if one.name.startswith('processes/') else 'Removed'} {one.name}{freed}.")
    if any(one.name.startswith("processes/") for one in done):
        say("What those processes had on the disk is left now: ingot sweep shows it.")
    return ExitStatus.FAILED if any(one.error for one in done) else ExitStatus.DONE


def _print_leftovers(found: Sequence[Leftover]) -> None:
    if not found:
        say("Nothing is left of runs that died.")
        return
    rows = [(one.name, text.size(one.size) if one.path else "–", one.what) for one in found]
    table(("NAME", "SIZE", "WHAT"), rows, right=(1,))
    say(f"{text.size(sum(one.size for one in found))} in all.")


def _chosen(names: Sequence[str]) -> list[str]:
    """Those that the person types. Raises RefusedError."""
    if not sys.stdin.isatty():
        raise RefusedError("What to remove is asked for, and this is no terminal.", "Or say it: ingot sweep --yes")
    typed = input("Type the names of what to remove, or “all”: ").split()
    if typed == ["all"]:
        return list(names)
    if not typed:
        raise RefusedError("Nothing was typed: nothing is removed.")
    return typed


def _print_plan(plan: Plan) -> None:
    if not plan.judged:
        say("No image version has files on this machine, or AMIs that a rule is set for.")
        return
    if not any(rule.says_something for rule in plan.rules.values()):
        say('ingot.toml has no [retention]: nothing goes by itself. For example: [retention] keep = 5, younger = "30d"')
        return
    if plan.offline:
        say(f"! What others wrote is not known now, and nothing can be deleted: {plan.offline}")
    now = time.time()
    rows = [_row(one, now) for one in plan.judged]
    table(("  ROLE", "VERSION", "STATE", "AGE", "ON DISK", "FILES"), rows, right=(3, 4))
    kept = sum(one.size for one in plan.judged if not one.fate.goes)
    if plan.going:
        cloud = f" In EC2 up to {text.size(plan.freed_in_cloud)} would be free again." if plan.freed_in_cloud else ""
        freed = f"{text.size(plan.freed)} would be free again, and {text.size(kept)} stay."
        say(f"{freed}{cloud} The ledger forgets nothing.")
    else:
        say("Nothing is to go.")


def _row(one: Judged, now: float) -> tuple[str, ...]:
    stored = one.fate.stored
    return (
        f"{'–' if one.fate.goes else '·'} {stored.role}",
        stored.version,
        stored.state.value,
        text.age(now - stored.created),
        _size(one),
        f"go{f', not its AMIs: {one.left}' if one.left else ''}" if one.fate.goes else f"stay: {one.fate.stays}",
    )


def _size(one: Judged) -> str:
    """Of snapshots only a limit is known."""
    if not one.cloud:
        return text.size(one.size) if one.size or not one.left else "–"
    return f"{f'{text.size(one.size)} + ' if one.size else ''}≤ {text.size(one.cloud)}"


def _plan_as_json(plan: Plan) -> dict[str, object]:
    return {
        "rules": {role: {"keep": rule.keep, "younger": rule.younger} for role, rule in plan.rules.items()},
        "images": [
            {
                "role": one.fate.stored.role,
                "version": one.fate.stored.version,
                "state": one.fate.stored.state.value,
                "created": one.fate.stored.created,
                "size": one.size,
                "size_in_cloud": one.cloud,
                "left_in_cloud": one.left or None,
                "goes": one.fate.goes,
                "stays": one.fate.stays or None,
            }
            for one in plan.judged
        ],
        "freed": plan.freed,
        "freed_in_cloud": plan.freed_in_cloud,
        "offline": plan.offline or None,
    }


def _ask(name: str, what: str) -> None:
    """Go on when the name is typed. Raises RefusedError."""
    if not sys.stdin.isatty():
        raise RefusedError(f"Deleting {what} is asked for, and this is no terminal.", "Or say it: --yes")
    if input(f"Type {text.visible(name)} to delete {what}: ").strip() not in (name, text.visible(name)):
        raise RefusedError("Another name was typed: nothing is deleted.")
