"""`ingot prune` and `ingot sweep`: what may go from this machine, by rule or because a run died, and taking it away."""

import argparse
import os
import sys
import time

from core import text
from core.adapters.git import GitRepository
from core.cli.output import ExitStatus, complain, print_json, say, table
from core.errors import RefusedError
from core.places import Places
from core.services import retention
from core.services.retention import Judged, Plan


def prune(arguments: argparse.Namespace) -> int:
    """`ingot prune [--dry-run]`: the files of image versions that the rules of ingot.toml let go."""
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
        _ask(plan.workspace.name, f"the files of {len(plan.going)} image versions")
    repository = GitRepository.find(root)
    names = [one.name for one in plan.going]
    done = retention.prune(places, root, names, repository.identity() if repository else "", arguments.role)
    if arguments.json:
        failed = {one.name: one.error.what for one in done if one.error}
        freed = {one.name: one.freed for one in done if not one.error}
        print_json({**_plan_as_json(plan), "deleted": freed, "failed": failed})
    for one in done:
        if one.error:
            complain(one.error)
        elif not arguments.json:
            say(f"Deleted the files of {one.name}: {text.size(one.freed)} free again.")
    return ExitStatus.FAILED if any(one.error for one in done) else ExitStatus.DONE


def _print_plan(plan: Plan) -> None:
    if not plan.judged:
        say("No image version has files on this machine.")
        return
    if not any(rule.says_something for rule in plan.rules.values()):
        say('ingot.toml has no [retention]: nothing goes by itself. For example: [retention] keep = 5, younger = "30d"')
        return
    if plan.offline:
        say(f"! What others wrote is not known now, and nothing can be deleted: {plan.offline}")
    now = time.time()
    rows = [_row(one, now) for one in plan.judged]
    table(("  ROLE", "VERSION", "STATE", "AGE", "SIZE", "FILES"), rows, right=(3, 4))
    kept = sum(one.size for one in plan.judged if not one.fate.goes)
    if plan.going:
        say(f"{text.size(plan.freed)} would be free again, and {text.size(kept)} stay. The ledger forgets nothing.")
    else:
        say("Nothing is to go.")


def _row(one: Judged, now: float) -> tuple[str, ...]:
    stored = one.fate.stored
    return (
        f"{'–' if one.fate.goes else '·'} {stored.role}",
        stored.version,
        stored.state.value,
        text.age(now - stored.created),
        text.size(one.size),
        "go" if one.fate.goes else f"stay: {one.fate.stays}",
    )


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
                "goes": one.fate.goes,
                "stays": one.fate.stays or None,
            }
            for one in plan.judged
        ],
        "freed": plan.freed,
        "offline": plan.offline or None,
    }


def _ask(name: str, what: str) -> None:
    """Go on when the name is typed. Raises RefusedError."""
    if not sys.stdin.isatty():
        raise RefusedError(f"Deleting {what} is asked for, and this is no terminal.", "Or say it: --yes")
    if input(f"Type {text.visible(name)} to delete {what}: ").strip() not in (name, text.visible(name)):
        raise RefusedError("Another name was typed: nothing is deleted.")
