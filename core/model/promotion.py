"""May this go on? What is looked at before a channel is moved to an image version, and what each look comes to.

Pure: from what is known of an image version (core/model/dossier.py) to a list of checks, which a screen and a command
show alike. What blocks is what the ledger refuses anyway; a warning is for a person to weigh, and to say yes to.
"""

from collections.abc import Iterator, Sequence
from enum import StrEnum

import msgspec

from core.model.amount import amount
from core.model.boot_checks import STAMP
from core.model.channels import ChannelMove, ChannelRule
from core.model.decided import Decided
from core.model.dossier import Dossier
from core.model.image import ImageState, ImageVersion, may_become_good
from core.model.sealing import ItemState, in_words
from core.model.states import Verdict, by_whom
from core.model.test_report import BUILT_IN, Outcome, first_bad
from core.model.touch import TOUCHED


class CheckState(StrEnum):
    """What a check came to."""

    OK = "ok"
    WARNING = "warning"
    UNKNOWN = "unknown"
    """Nobody looked; it is weighed as a warning is."""
    FAILED = "failed"


class Check(msgspec.Struct, frozen=True):
    """One look at an image version."""

    id: str
    title: str
    state: CheckState
    says: str
    """What was found, in a few words."""
    next_step: str = ""
    """What to do where it is not ok; often a command."""
    blocks: bool = False
    """The move is refused as long as this is so."""

    @property
    def warns(self) -> bool:
        """A person has to say yes to it."""
        return not self.blocks and self.state is not CheckState.OK


def checks(dossier: Dossier, rule: ChannelRule, forbidden: str = "") -> tuple[Check, ...]:
    """Everything that is looked at before a channel moves to an image version, in the order in which one asks.

    `forbidden` is what the ledger says against the move (`Decided.forbids`): it blocks even where no check says so.
    """
    never_good = _never_good(dossier, rule)
    found = [
        # What no test makes good is refused for that: nobody is sent to test it.
        _by_hand(dossier, rule) if never_good else _good(dossier, rule),
        _tested(dossier),
        _sealed(dossier),
        *(() if never_good else (_by_hand(dossier, rule),)),
        _committed(dossier),
        _parents(dossier),
        _verified(dossier),
        _stamped(dossier),
        _files(dossier),
    ]
    if forbidden and not any(check.blocks for check in found):
        found.append(Check("ledger", "Ledger", CheckState.FAILED, forbidden, blocks=True))
    return tuple(found)


def forbidden(decided: Decided, image: ImageVersion, rule: ChannelRule, now: float) -> str:
    """What the ledger would say against moving a channel to an image version; empty where it says nothing."""
    before = decided.trail(image.role, rule.name).version
    return decided.forbids(
        ChannelMove(image.role, rule.name, image.version, image.run, before, "", now, "", rule.takes), now
    )


def blockers(found: Sequence[Check]) -> list[Check]:
    """What the move is refused for."""
    return [check for check in found if check.blocks]


def warnings(found: Sequence[Check]) -> list[Check]:
    """What a person has to say yes to."""
    return [check for check in found if check.warns]


def _good(dossier: Dossier, rule: ChannelRule) -> Check:
    state, role = dossier.effective.state, dossier.image.role
    name = f"{role} {dossier.image.version}"
    takes = any_of(rule.takes)
    if state is ImageState.REVOKED:
        because = dossier.effective.because
        why = f" {by_whom(because)}" if because else ""
        inherited = dossier.effective.inherited
        if inherited:
            return _failed("good", "State", f"revoked with {inherited}{why}", f"Build it again: ingot build {role}")
        return _failed("good", "State", f"revoked{why}", "Choose another version, or take it back: ingot restore")
    if state not in rule.takes:
        step = ""
        if state is ImageState.CANDIDATE:
            step = f"Tests make it good: ingot test {name}"
        elif state is ImageState.DEPRECATED:
            step = f"Take what replaces it, or take that back: ingot restore {name}"
        return _failed("good", "State", f"{state}, and {rule.name} takes what is {takes}", step)
    coming = dossier.effective.coming
    if coming is not None:
        return Check("good", "State", CheckState.WARNING, f"{state}, and {coming.act} soon, decided {by_whom(coming)}")
    return _ok("good", "State", f"{state}, which {rule.name} takes")


def _tested(dossier: Dossier) -> Check:
    name = f"{dossier.image.role} {dossier.image.version}"
    verdict, told = dossier.effective.verdict, dossier.decisive
    if verdict in (Verdict.UNTESTED, Verdict.UNKNOWN):
        return Check("tests", "Tests", CheckState.UNKNOWN, "not tested yet", f"Test it: ingot test {name}")
    several = len({artifact.build for artifact in dossier.image.artifacts}) > 1
    if verdict is Verdict.FAILED:
        whys = [f"{one.build}: {why}" if several else why for one in told if (why := first_bad(one.cases))]
        says = f"failed: {'; '.join(whys)}" if whys else "the newest tests failed"
        return _failed("tests", "Tests", says, f"Mend it and build again, or test once more: ingot test {name}")
    cases = sum(len(one.cases) for one in told)
    says = f"passed, {amount(cases, 'case')}" if cases else "passed"
    return _ok("tests", "Tests", f"{says} of {len(told)} builds" if len(told) > 1 else says)


def _sealed(dossier: Dossier) -> Check:
    seals, role = dossier.seals, dossier.image.role
    if not seals:
        step = f"Build it again with [roles.{role}.seal] in ingot.toml."
        return Check("sealed", "Sealed", CheckState.UNKNOWN, "not sealed: no report", step)
    left = [finding for seal in seals for finding in seal.found]
    if left:
        says = f"left of its making: {in_words(left, 1)}"
        step = f"Seal it: [roles.{role}.seal] in ingot.toml, and build again."
        return Check("sealed", "Sealed", CheckState.WARNING, says, step)
    states = [item.state for seal in seals for item in seal.items]
    clean, kept = states.count(ItemState.CLEAN), states.count(ItemState.KEPT)
    if not all(seal.sealed for seal in seals):
        return _ok("sealed", "Sealed", f"not sealed, and nothing found: {amount(clean, 'item')} clean")
    says = f"{amount(clean, 'item')} clean" + (f", {kept} kept by the role's settings" if kept else "")
    return _ok("sealed", "Sealed", says)


def _never_good(dossier: Dossier, rule: ChannelRule) -> bool:
    """Whether it would have to be good, and never can be: it was touched by hand."""
    state = dossier.effective.state
    return state is ImageState.CANDIDATE and state not in rule.takes and bool(may_become_good(dossier.image))


def _by_hand(dossier: Dossier, rule: ChannelRule) -> Check:
    image = dossier.image
    if TOUCHED not in image.marks and not image.touches:
        return _ok("by_hand", "By hand", "never touched")
    who = ", ".join(dict.fromkeys(touch.who.partition(" <")[0] or "somebody" for touch in image.touches))
    says = f"touched by {who}" if who else "touched"
    step = may_become_good(image).rpartition(". ")[2]
    if dossier.effective.state not in rule.takes:
        return _failed("by_hand", "By hand", f"{says}, so it never becomes good", step)
    return Check("by_hand", "By hand", CheckState.WARNING, says, step)


def _committed(dossier: Dossier) -> Check:
    image = dossier.image
    if image.outside:
        says = f"{image.commit[:7]} and {amount(len(image.outside), 'file')} that Git does not hold: {image.outside[0]}"
        return Check("commit", "Source", CheckState.WARNING, says, "Put them into Git, and build again.")
    return _ok("commit", "Source", f"commit {image.commit[:7]}, nothing beside it")


def _parents(dossier: Dossier) -> Check:
    role = dossier.image.role
    if dossier.revoked:
        says = f"{' and '.join(dossier.revoked)} {'is' if len(dossier.revoked) == 1 else 'are'} revoked"
        return _failed("parents", "Built on", says, f"Build it again on another: ingot build {role}")
    if not dossier.image.upstream.role:
        return _ok("parents", "Built on", "no other image")
    chain = " on ".join(relative.name for relative in dossier.ancestors)
    if not dossier.ancestors:
        return Check("parents", "Built on", CheckState.UNKNOWN, f"{dossier.image.parent}, which is not on the ledger")
    if dossier.outdated:
        says = f"{chain}; {dossier.image.upstream.role} {dossier.outdated} is newer and good"
        return Check("parents", "Built on", CheckState.WARNING, says, f"Build it on that: ingot build {role}")
    return _ok("parents", "Built on", f"{chain}, none of them revoked")


def _verified(dossier: Dossier) -> Check:
    root = dossier.ancestors[-1].image if dossier.ancestors else dossier.image
    upstream = root.upstream
    if upstream.verified:
        return _ok("upstream", "Upstream", f"{upstream.description}, verified by {upstream.verified}")
    step = f"Name a checksum or key for the upstream of {root.role} in ingot.toml."
    return Check("upstream", "Upstream", CheckState.WARNING, f"{upstream.description or 'unknown'}, unverified", step)


def _stamped(dossier: Dossier) -> Check:
    artifacts = dossier.image.artifacts
    seen = _stamps_seen(dossier)
    stamped = [one for one in artifacts if one.stamped_inside or {one.digest, one.location} & seen]
    if artifacts and len(stamped) == len(artifacts):
        return _ok("stamped", "Stamped", "/etc/image-release in it was read back")
    if stamped:
        without = ", ".join(dict.fromkeys(one.format for one in artifacts if one not in stamped))
        return Check("stamped", "Stamped", CheckState.UNKNOWN, f"not read back from {without}")
    return Check("stamped", "Stamped", CheckState.UNKNOWN, "nobody read /etc/image-release back from it")


def _stamps_seen(dossier: Dossier) -> set[str]:
    """What was booted in tests whose machine said which image it is, by digest, or by location where it has none."""
    return {
        found.report.artifact
        for found in dossier.rounds
        if found.report is not None
        and found.report.artifact
        and any(
            (case.suite, case.name, case.outcome) == (BUILT_IN, STAMP, Outcome.PASSED) for case in found.report.cases
        )
    }


def _files(dossier: Dossier) -> Check:
    image = dossier.image
    if not image.artifacts:
        return _failed("files", "Files", "deleted: there is nothing to be had of it", f"ingot build {image.role}")
    if dossier.missing:
        says = f"{dossier.missing[0]} is gone" + (
            f", and {len(dossier.missing) - 1} more" if len(dossier.missing) > 1 else ""
        )
        step = f"Look what became of it, or build again: ingot build {image.role}"
        return Check("files", "Files", CheckState.WARNING, says, step)
    return _ok("files", "Files", ", ".join(dict.fromkeys(_wheres(dossier))))


def _wheres(dossier: Dossier) -> Iterator[str]:
    for artifact in dossier.image.artifacts:
        if artifact.location in dossier.here:
            yield f"{artifact.format} here"
        elif artifact.host:
            yield f"{artifact.format} on {artifact.host}"
        else:
            yield f"{artifact.format} {artifact.location}"


def any_of(names: Sequence[str]) -> str:
    """`candidate, good or released`."""
    *most, last = names or ("nothing",)
    return f"{', '.join(most)} or {last}" if most else last


def _ok(name: str, title: str, says: str) -> Check:
    return Check(name, title, CheckState.OK, says)


def _failed(name: str, title: str, says: str, next_step: str) -> Check:
    return Check(name, title, CheckState.FAILED, says, next_step, blocks=True)
