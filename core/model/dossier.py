"""Everything that is known of one image version: from the ledger, its reports, the record of runs, and the disk."""

import re
from collections.abc import Mapping

import msgspec

from core.model.channels import ChannelMove
from core.model.decided import Effective
from core.model.image import ImageVersion
from core.model.report_names import tested_build
from core.model.run import Run
from core.model.sealing import SealReport
from core.model.states import StateChange, Verdict
from core.model.test_report import Case, Report

NAMED_RUN = re.compile(r"\bby run ([0-9a-z]+)\b")
"""How a reason on the ledger names the run that it comes from: by its uid, since numbers count on one machine only."""


class TestRound(msgspec.Struct, frozen=True):
    """One time that it was tested."""

    __test__ = False  # no test of pytest

    name: str
    """Of the report on the ledger; empty where a person decided without one."""
    at: float
    by: str
    verdict: Verdict
    why: str = ""
    report: Report | None = None
    """None where there is none, or where it cannot be read."""

    @property
    def build(self) -> str:
        """The build that was tested; empty where it is about the image as a whole."""
        return tested_build(self.name)

    @property
    def cases(self) -> tuple[Case, ...]:
        return self.report.cases if self.report is not None else ()


class Relative(msgspec.Struct, frozen=True):
    """An image version above or below it in the lineage."""

    image: ImageVersion
    effective: Effective
    steps: int = 1
    """How far above or below it is."""

    @property
    def name(self) -> str:
        return f"{self.image.role} {self.image.version}"


class Item(msgspec.Struct, frozen=True):
    """Something that is in it: a package, a service, a port, a user, …"""

    build: str
    kind: str
    name: str
    says: str = ""
    """Its version, state, owner: what belongs to its kind."""


class Dossier(msgspec.Struct, frozen=True):
    """One image version, whole. What is not known is empty, and what cannot be read is among the problems."""

    image: ImageVersion
    effective: Effective
    changes: tuple[StateChange, ...] = ()
    """What was decided about it, the oldest first."""
    moves: tuple[ChannelMove, ...] = ()
    """Of channels, to it or away from it, the oldest first."""
    channels: tuple[str, ...] = ()
    ancestors: tuple[Relative, ...] = ()
    """The images that it is built on, the nearest first."""
    revoked: tuple[str, ...] = ()
    """`base 0.1.0`: those of its ancestors that are revoked."""
    children: tuple[Relative, ...] = ()
    """What is built on it, each followed by what is built on that."""
    outdated: str = ""
    """The newer good version of what it is built on."""
    run: Run | None = None
    """The run that made it, where it was made on this machine."""
    numbers: Mapping[str, int] = msgspec.field(default_factory=dict[str, int])
    """Of the runs that what was decided about it names by their uids, those that were on this machine."""
    used_by: tuple[str, ...] = ()
    """`run 12`: runs that are not over and need it."""
    seals: tuple[SealReport, ...] = ()
    """What was found in the disk of each build, after the last write to it."""
    rounds: tuple[TestRound, ...] = ()
    """Every time that it was tested, the newest first."""
    packages: tuple[Item, ...] = ()
    contents: tuple[Item, ...] = ()
    """What else was seen in it: services, ports, users, kernel."""
    looked_into: bool = False
    """Somebody looked what is in it: no packages then means that there are none."""
    here: tuple[str, ...] = ()
    """Locations of the artifacts whose files are on this machine."""
    missing: tuple[str, ...] = ()
    """Locations of files that should be on this machine and are not."""
    problems: tuple[str, ...] = ()
    """What of it cannot be read, in sentences."""

    @property
    def decisive(self) -> tuple[TestRound, ...]:
        """The rounds that make its verdict what it is, the newest first: of each build the newest one counts, and one
        that failed, whichever was tested last."""
        newest: dict[str, TestRound] = {}
        for one in self.rounds:
            newest.setdefault(one.build, one)
        return tuple(one for one in newest.values() if one.verdict is self.effective.verdict)
