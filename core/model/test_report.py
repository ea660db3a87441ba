"""What a boot test of one build found: case by case, with what the machine is. Goes on the ledger as it is."""

from collections.abc import Iterable, Sequence
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from core.model.states import Verdict

BUILT_IN = "boot"
"""The suite of the cases that Ingot looks at itself."""


class Outcome(StrEnum):
    """How one case ended."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"
    """It could not be looked at: a missing tool, a broken suite, a machine that went away."""

    @property
    def bad(self) -> bool:
        """An image version with such a case has not passed."""
        return self in (Outcome.FAILED, Outcome.ERROR)


class Case(msgspec.Struct, frozen=True):
    """One thing that was looked at."""

    suite: str
    """`boot`, or the path of the suite in the workspace."""
    name: str
    outcome: Outcome
    seconds: float = 0.0
    message: str = ""
    """What was found, or why it was not looked at, in a sentence or two."""
    output: str = ""
    """What the suite or the machine said to it."""


class Facts(msgspec.Struct, frozen=True):
    """What the machine is while it runs, as far as it says so."""

    kernel: str = ""
    """`Linux 6.1.0-28-cloud-amd64`"""
    ports: tuple[str, ...] = ()
    """What listens: `tcp 0.0.0.0:22 sshd`, sorted."""
    services: tuple[str, ...] = ()
    """Units of services that run, sorted."""
    disk_used: int | None = None
    """Bytes that the root file system holds."""
    disk_size: int | None = None
    """Bytes that it could hold."""


class Report(msgspec.Struct, frozen=True):
    """One boot test of one build of an image version."""

    role: str
    version: str
    build: str
    artifact: str
    """The digest of the disk that was booted; of an AMI where it is, `eu-central-1:ami-…`."""
    run: str
    """Uid of the run that tested it."""
    commit: str
    """Whose suites they were."""
    started: float
    """Seconds since the epoch."""
    ended: float
    accelerator: str
    """`kvm`, `tcg`, or the type of the machine in a cloud: `t3.micro`."""
    boot_seconds: float | None
    """From the start of the machine until it let the test in; None: it never did."""
    cases: tuple[Case, ...]
    facts: Facts = Facts()
    seal: str = ""
    """The name of the seal report that was made of the machine, on the ledger beside this one; empty where the disk
    itself was looked into."""
    inventory: str = ""
    """As `seal`: of the inventory."""

    @property
    def verdict(self) -> Verdict:
        return verdict_of(self.cases)

    def counted(self, *outcomes: Outcome) -> int:
        """How many cases ended so."""
        return sum(case.outcome in outcomes for case in self.cases)


def verdict_of(cases: Iterable[Case]) -> Verdict:
    """Passed where something passed and nothing is bad; where nothing was looked at there is no verdict.

    >>> verdict_of([Case("boot", "answers", Outcome.PASSED), Case("boot", "clock", Outcome.SKIPPED)]).value
    'passed'
    >>> verdict_of([Case("boot", "answers", Outcome.SKIPPED)]).value
    'untested'
    """
    outcomes = {case.outcome for case in cases}
    if any(outcome.bad for outcome in outcomes):
        return Verdict.FAILED
    return Verdict.PASSED if Outcome.PASSED in outcomes else Verdict.UNTESTED


def first_bad(cases: Iterable[Case]) -> str:
    """What went wrong in one sentence, from the first case that is not well, and how many others are not; empty where
    none is.

    >>> first_bad([Case("boot", "no failed units", Outcome.FAILED, message="failed: web.service")])
    'boot, no failed units: failed: web.service'
    """
    bad = [case for case in cases if case.outcome.bad]
    if not bad:
        return ""
    why = bad[0].message.strip().splitlines()
    what = f"{bad[0].suite}, {bad[0].name}" + (f": {why[0].rstrip('.')}" if why else "")
    others = len(bad) - 1
    return what + (f" (and {others} more {'case' if others == 1 else 'cases'})" if others else "")


def fitting(cases: Sequence[Case], room: int) -> tuple[Case, ...]:
    """The cases with as much of what was said as there is `room` for, in characters: what went wrong first. All names
    and outcomes stay.

    >>> [case.output for case in fitting([Case("s", "a", Outcome.PASSED, output="fine"),
    ...                                   Case("s", "b", Outcome.FAILED, output="oh no")], 6)]
    ['', 'oh no']
    """
    kept = list(cases)
    for place in sorted(range(len(kept)), key=lambda place: not kept[place].outcome.bad):
        case = kept[place]
        if len(case.message) + len(case.output) > room:
            case = replace(case, message=case.message if len(case.message) <= room else "", output="")
        kept[place] = case
        room -= len(case.message) + len(case.output)
    return tuple(kept)
