"""The state of an image version: what was decided about it, one decision after another, and what that comes to.

Decisions are never rewritten and never copied: a deprecation or revocation lies *on* the state before, may begin to
count at a date, and is taken off again by restoring. What children inherit is computed (core/model/decided.py).
"""

from collections.abc import Iterable, Mapping
from enum import StrEnum

import msgspec
from msgspec.structs import replace

from core.model.image import ImageState, ImageVersion, may_become_good
from core.model.report_names import tested_build


class Verdict(StrEnum):
    """What the newest tests of an image version said. It stands beside the state."""

    UNTESTED = "untested"
    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"
    """The ledger was not read, or has no such image. Nothing on a ledger says so."""


class Act(StrEnum):
    """What a decision does."""

    TESTED = "tested"
    GOOD = "good"
    RELEASED = "released"
    DEPRECATED = "deprecated"
    REVOKED = "revoked"
    RESTORED = "restored"


_LAYERS = {Act.DEPRECATED: ImageState.DEPRECATED, Act.REVOKED: ImageState.REVOKED}


class StateChange(msgspec.Struct, frozen=True):
    """One decision about one image version: who, when, why, and what."""

    role: str
    version: str
    run: str
    """Uid of the run that made the image: a version that was given offline may turn out to be somebody else's, and
    what was decided about the one image must never count for the other."""
    act: Act
    by: str
    at: float
    """Seconds since the epoch at which it was decided."""
    why: str = ""
    since: float | None = None
    """Seconds since the epoch from which it counts (deprecated, revoked); None is at once."""
    replacement: str = ""
    """The version of the same role to take instead of a deprecated one."""
    verdict: Verdict = Verdict.UNTESTED
    """What the tests said (tested)."""
    evidence: str = ""
    """The name of the report on the ledger that says it case by case (tested)."""
    follows: str = ""
    """The `mark` of the newest change of state that was there when this was decided: what compare-and-swap compares."""

    @property
    def mark(self) -> str:
        """What names this change in what follows it."""
        since = "" if self.since is None else f" from {self.since!r}"
        return f"{self.act} at {self.at!r}{since} by {self.by}"

    @property
    def build(self) -> str:
        """The build that was tested, as the name of the report says it; empty where it does not, then it is about the
        image as a whole."""
        return tested_build(self.evidence)

    @property
    def begins(self) -> float:
        """Seconds since the epoch from which it counts."""
        return self.at if self.since is None else self.since


class Life(msgspec.Struct, frozen=True):
    """What all decisions about one image version come to."""

    reached: ImageState = ImageState.CANDIDATE
    """`candidate`, `good` or `released`."""
    layers: tuple[StateChange, ...] = ()
    """The deprecation and the revocation that were not taken back, the newest last."""
    tests: Mapping[str, Verdict] = msgspec.field(default_factory=dict[str, Verdict])
    """By build, what its newest test said."""
    last: StateChange | None = None
    """The newest change of state; tests are none."""

    @property
    def verdict(self) -> Verdict:
        """What the newest test of each build comes to: one that failed counts, whichever was tested last."""
        said = self.tests.values()
        return next((verdict for verdict in (Verdict.FAILED, Verdict.PASSED) if verdict in said), Verdict.UNTESTED)

    @property
    def stored(self) -> ImageState:
        """The state as it was decided last, whether it counts yet or not."""
        return _LAYERS[self.layers[-1].act] if self.layers else self.reached

    @property
    def follows(self) -> str:
        """What a change that is decided now gives as `follows`."""
        return self.last.mark if self.last else ""

    def counting(self, now: float) -> StateChange | None:
        """The deprecation or revocation that counts at a time, the newer where both do."""
        begun = [layer for layer in self.layers if layer.begins <= now]
        return begun[-1] if begun else None

    def state(self, now: float) -> ImageState:
        """The state at a time, by what was decided about this image version alone."""
        layer = self.counting(now)
        return _LAYERS[layer.act] if layer else self.reached

    def coming(self, now: float) -> StateChange | None:
        """The next deprecation or revocation that is decided and does not count yet."""
        later = [layer for layer in self.layers if layer.begins > now]
        return min(later, key=lambda layer: layer.begins) if later else None


def overtaken(life: Life, change: StateChange) -> StateChange | None:
    """The decision of somebody else that whoever made this one had not seen; None where there is none.

    Deprecating and restoring mean "what it was then": they fail. A revocation, a verdict, and what a verdict allows
    mean the image: they still hold when somebody decided something in between, as far as the rules allow.
    """
    if change.act in (Act.DEPRECATED, Act.RESTORED) and change.follows != life.follows:
        return life.last
    return None


def refusal(image: ImageVersion, life: Life, change: StateChange) -> str:
    """The rule that forbids a change of the state of an image version; empty where none does.

    Pure in the decisions about this one image: what its ancestors forbid is asked of `Decided`.
    """
    name = f"{image.role} {image.version}"
    if (change.role, change.version, change.run) != (image.role, image.version, image.run):
        return f"What was decided is about another image than the {name} of run {image.run}."
    match change.act:
        case Act.TESTED:
            return (
                f"Tests of {name} without a result say nothing."
                if change.verdict not in (Verdict.PASSED, Verdict.FAILED)
                else ""
            )
        case Act.GOOD:
            return _why_not_good(image, life)
        case Act.RELEASED:
            return "" if life.stored is ImageState.GOOD else f"{name} is {life.stored}; only what is good is released."
        case Act.DEPRECATED:
            if life.stored is ImageState.REVOKED:
                return f"{name} is revoked already, {by_whom(life.layers[-1])}: that is more than deprecated."
            return f"{name} cannot replace itself." if change.replacement == image.version else ""
        case Act.REVOKED:
            if life.stored is ImageState.REVOKED and life.layers[-1].begins <= change.begins:
                return f"{name} is revoked already, {by_whom(life.layers[-1])}."
            return ""
        case Act.RESTORED:
            return "" if life.layers else f"{name} is {life.reached}: there is nothing to take back."


def after(life: Life, change: StateChange) -> Life:
    """What becomes of the state by a change that nothing forbids."""
    match change.act:
        case Act.TESTED:
            return replace(life, tests={**life.tests, change.build: change.verdict})
        case Act.GOOD:
            return replace(life, reached=ImageState.GOOD, last=change)
        case Act.RELEASED:
            return replace(life, reached=ImageState.RELEASED, last=change)
        case Act.DEPRECATED | Act.REVOKED:
            below = tuple(layer for layer in life.layers if layer.act is not change.act)
            return replace(life, layers=(*below, change), last=change)
        case Act.RESTORED:
            return replace(life, layers=life.layers[:-1], last=change)


def life_of(image: ImageVersion, changes: Iterable[StateChange]) -> tuple[Life, list[StateChange]]:
    """What decisions come to, in their order, and those that do not count since a rule forbids them.

    A ledger is written by others too: whatever is on it, `good` without a pass and a way past a revocation are not to
    be had from here. What a manifest itself says of its state is never looked at.
    """
    life = Life()
    broken: list[StateChange] = []
    for change in changes:
        if overtaken(life, change) or refusal(image, life, change):
            broken.append(change)
        else:
            life = after(life, change)
    return life, broken


def by_whom(change: StateChange) -> str:
    """`by Ada: why`, for sentences."""
    return f"by {change.by}" + (f": {change.why}" if change.why else "")


def _why_not_good(image: ImageVersion, life: Life) -> str:
    name = f"{image.role} {image.version}"
    if life.stored is not ImageState.CANDIDATE:
        return f"{name} is {life.stored}; only a candidate becomes good."
    if failed := [build for build, verdict in life.tests.items() if build and verdict is Verdict.FAILED]:
        return f"{name} failed the newest tests of {' and '.join(failed)}; only what passed its tests becomes good."
    if life.verdict is not Verdict.PASSED:
        return f"{name} is {life.verdict}; only what passed its tests becomes good."
    return may_become_good(image)
