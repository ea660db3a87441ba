"""The reports about an image version as values: what was found when it was sealed, looked into and tested.

Others may have written them, with another Ingot too: a report that is missing or cannot be read is said, and hides
nothing else.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from core.errors import LedgerError
from core.model.dossier import Item, TestRound
from core.model.image import ImageVersion
from core.model.inventory import Inventory, Password, User
from core.model.sealing import SealReport
from core.model.states import Act, StateChange
from core.model.test_report import Report
from core.store.ledger import Ledger


@dataclass
class Known:
    """What the reports say."""

    seals: tuple[SealReport, ...] = ()
    rounds: tuple[TestRound, ...] = ()
    packages: tuple[Item, ...] = ()
    contents: tuple[Item, ...] = ()
    looked_into: bool = False
    problems: tuple[str, ...] = field(default_factory=tuple[str, ...])


def known_of(ledger: Ledger, image: ImageVersion, changes: Sequence[StateChange]) -> Known:
    """All reports about an image version. Of a build whose disk nobody could open, what the newest test found in its
    machine counts."""
    known = Known()
    for name in image.evidence:
        kind, _, build = name.partition("-")
        _take(ledger, image, name, kind, build, known)
    for change in reversed(changes):
        if change.act is Act.TESTED:
            known.rounds += (_round(ledger, image, change, known),)
    seen = {name.partition("-")[::2] for name in image.evidence}
    for report in (one.report for one in known.rounds if one.report is not None):
        for kind, name in (("seal", report.seal), ("inventory", report.inventory)):
            if name and (kind, report.build) not in seen:
                seen.add((kind, report.build))
                _take(ledger, image, name, kind, report.build, known)
    return known


def _take(ledger: Ledger, image: ImageVersion, name: str, kind: str, build: str, known: Known) -> None:
    """One report on what is in the image of a build."""
    content = _read(ledger, image, name, known)
    if content is None:
        return
    try:
        match kind:
            case "seal":
                known.seals += (msgspec.json.decode(content, type=SealReport),)
            case "inventory":
                _inventory(build, content, known)
                known.looked_into = True
            case _:
                pass
    except (msgspec.MsgspecError, LookupError, TypeError, ValueError) as error:
        known.problems += (f"The report {name} cannot be read: {error}",)


def _read(ledger: Ledger, image: ImageVersion, name: str, known: Known) -> bytes | None:
    try:
        return ledger.evidence(image, name)
    except LedgerError as error:
        known.problems += (error.what,)
        return None


def _inventory(build: str, content: bytes, known: Known) -> None:
    found = msgspec.json.decode(content, type=Inventory)
    packages = [Item(build, str(one.kind), one.name, one.version) for one in found.packages]
    system = found.system
    about = [
        Item(build, "system", system.name or system.id, system.architecture),
        *(Item(build, "kernel", kernel) for kernel in system.kernels),
        *(Item(build, "service", one.name, str(one.state)) for one in found.services),
        *(
            Item(build, "port", f"{one.protocol} {one.number}", f"{one.address} {one.by}".strip())
            for one in found.ports
        ),
        *(Item(build, "user", one.name, _user(one)) for one in found.users),
        *(Item(build, "not read", words) for words in found.not_read),
    ]
    known.packages += tuple(packages)
    known.contents += tuple(item for item in about if item.name)


def _user(user: User) -> str:
    opens = [
        what
        for what, there in ((f"{user.password} password", user.password is not Password.NONE), ("key", user.keys))
        if there
    ]
    way = f"can log in ({' and '.join(opens)})" if user.can_log_in else "cannot log in"
    return f"uid {user.uid}, {way}"


def _round(ledger: Ledger, image: ImageVersion, change: StateChange, known: Known) -> TestRound:
    report: Report | None = None
    if change.evidence and (content := _read(ledger, image, change.evidence, known)) is not None:
        try:
            report = msgspec.json.decode(content, type=Report)
        except (msgspec.MsgspecError, ValueError) as error:
            known.problems += (f"The report {change.evidence} cannot be read: {error}",)
    return TestRound(change.evidence, change.at, change.by, change.verdict, change.why, report)
