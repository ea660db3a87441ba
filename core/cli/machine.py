"""`ingot doctor`, `worker` and `cache`: this machine, and what Ingot keeps and runs on it."""

import argparse
import asyncio
import os
import time

import msgspec

from core import text
from core.cli.output import ExitStatus, print_json, say, table
from core.errors import RefusedError
from core.places import Places


def doctor(arguments: argparse.Namespace) -> int:
    """`ingot doctor`: fails when something stands in the way of building; in a workspace, of building its roles."""
    from core.services.doctor import examine, roles_of

    roles = roles_of(arguments.directory.resolve())
    findings = asyncio.run(examine(Places.of(os.environ), os.environ, roles))
    blocked = [finding for finding in findings if finding.stands_in_the_way]
    if arguments.json:
        print_json(
            [{**msgspec.to_builtins(finding), "stands_in_the_way": finding.stands_in_the_way} for finding in findings]
        )
        return ExitStatus.FAILED if blocked else ExitStatus.DONE
    rows = [
        (
            f"{finding.sign} {finding.name}",
            finding.version or "–",
            finding.needed_by,
            finding.detail or finding.health.value,
        )
        for finding in findings
    ]
    table(("  TOOL", "VERSION", "NEEDED BY", "STATE"), rows)
    for finding in findings:
        if finding.install and finding.health.value != "ok":
            say(f"{finding.sign} {finding.name}: {finding.install}")
    say(
        "Images can be built here."
        if not blocked
        else f"In the way of building: {', '.join(finding.name for finding in blocked)}."
    )
    return ExitStatus.FAILED if blocked else ExitStatus.DONE


def worker(arguments: argparse.Namespace) -> int:
    """`ingot worker [status|start|stop]`."""
    from core.engine.client import Engine

    engine = Engine(Places.of(os.environ))
    if arguments.what != "status" and arguments.readonly:
        raise RefusedError("--readonly is on: the worker is left alone.")
    if arguments.what == "start":
        engine.ensure_worker()
    if arguments.what == "stop":
        engine.stop_worker()
    status = engine.worker_status()
    if arguments.json:
        print_json(msgspec.to_builtins(status) if status else None)
    elif status is None:
        say("No worker runs: the next build starts one.")
    else:
        now = time.time()
        counts = f"{status.running} running, {status.queued} queued, {status.waiting} waiting"
        say(f"worker {status.pid}, up {text.duration(now - status.started)}: {counts}")
    return ExitStatus.DONE


def cache(arguments: argparse.Namespace) -> int:
    """`ingot cache`: what can be had again, with its size; `--delete NAME`."""
    from core.services import cache as cache_service

    places = Places.of(os.environ)
    if arguments.delete:
        if arguments.readonly:
            raise RefusedError("--readonly is on: nothing is deleted.")
        freed = cache_service.delete(places, arguments.delete)
        say(f"Deleted {arguments.delete}: {text.size(freed)} free again.")
        return ExitStatus.DONE
    entries = cache_service.listing(places)
    if arguments.json:
        print_json(msgspec.to_builtins(entries))
        return ExitStatus.DONE
    if not entries:
        say("Nothing is cached.")
        return ExitStatus.DONE
    now = time.time()
    rows = [
        (entry.name, entry.kind, text.size(entry.size), text.age(now - entry.used), entry.used_by or "–")
        for entry in entries
    ]
    table(("NAME", "WHAT", "SIZE", "LAST USED", "IN USE BY"), rows, right=(2, 3))
    say(f"{text.size(sum(entry.size for entry in entries))} in all; ingot cache --delete NAME makes room.")
    return ExitStatus.DONE
