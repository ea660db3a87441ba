"""`ingot test` and `ingot tests`: boot an image version and test it, and what its tests have said."""

import argparse
import os
from typing import Any

import msgspec

from core import text
from core.cli.following import asked_for
from core.cli.output import ExitStatus, print_json, say, table
from core.errors import RefusedError
from core.model.amount import amount
from core.model.test_report import Outcome, Report
from core.places import Places
from core.services.testing import Result, Testing

_SIGNS = {Outcome.PASSED: "✓", Outcome.FAILED: "✗", Outcome.ERROR: "✗", Outcome.SKIPPED: "–"}


def test(arguments: argparse.Namespace) -> int:
    """`ingot test ROLE [VERSION]`."""
    if arguments.readonly:
        raise RefusedError("--readonly is on: nothing is tested.")
    testing = Testing(Places.of(os.environ), os.environ)
    root = arguments.directory.resolve()
    run = testing.test(root, arguments.role, arguments.version, at=arguments.at, trust=arguments.trust)
    what = f"test {run.role} {run.request.version} with what commit {run.request.commit[:7]} has"
    return asked_for(run, what, wait=arguments.wait, as_json=arguments.json)


def tests(arguments: argparse.Namespace) -> int:
    """`ingot tests ROLE [VERSION]`: every boot test of an image version, case by case, the newest first."""
    testing = Testing(Places.of(os.environ), os.environ)
    image, results = testing.results(arguments.directory.resolve(), arguments.role, arguments.version)
    if arguments.json:
        print_json([_as_json(result) for result in results])
        return ExitStatus.DONE
    name = f"{image.role} {image.version}"
    if not results:
        say(f"{name} was never tested: ingot test {name}")
    for number, result in enumerate(results):
        if number:
            say()
        _print(name, result)
    return ExitStatus.DONE


def _print(name: str, result: Result) -> None:
    change, report = result.decided, result.report
    by = change.by.partition(" <")[0]
    build = f", {report.build}" if report else ""
    say(f"{name}{build}: {change.verdict.value}, {text.moment(change.at)} by {by}")
    if report is None:
        say(f"  {result.problem}")
        return
    rows = [
        (
            f"  {_SIGNS[case.outcome]}",
            case.suite,
            case.name,
            text.duration(case.seconds) if case.seconds else "",
            text.cut_end(" ".join(case.message.split()), 100),
        )
        for case in report.cases
    ]
    table(("", "SUITE", "CASE", "TOOK", ""), rows, right=(3,))
    say(f"  {_facts(report)}")


def _facts(report: Report) -> str:
    facts = report.facts
    parts = [facts.kernel, amount(len(facts.services), "service")] if facts.kernel else []
    if facts.ports:
        parts.append(amount(len(facts.ports), "port"))
    if facts.disk_used is not None:
        parts.append(f"{text.size(facts.disk_used)} on the disk")
    took = text.duration(report.ended - report.started)
    return ", ".join([*parts, f"{report.accelerator}, tested in {took}"])


def _as_json(result: Result) -> dict[str, Any]:
    change = result.decided
    return {
        "verdict": change.verdict.value,
        "by": change.by,
        "at": change.at,
        "why": change.why,
        "evidence": change.evidence or None,
        "problem": result.problem or None,
        "report": msgspec.to_builtins(result.report),
    }
