"""Which image versions' files may go from a machine, and why each of the others stays.

What somebody uses stays, whatever a rule says. Beyond that a rule keeps the newest so many, and what is young. Of a
role that no rule is set for, nothing goes.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence

import msgspec

from core.model.image import ImageState
from core.model.states import Verdict

Key = tuple[str, str]
"""Role and version."""

AGE_WORDS = "days, weeks or hours, such as 30d, 6w or 12h"
_AGE = re.compile(r"([0-9]{1,5})([hdw])")
_SECONDS = {"h": 3600.0, "d": 86400.0, "w": 7 * 86400.0}
_FIRM = (ImageState.GOOD, ImageState.RELEASED)


class Retention(msgspec.Struct, frozen=True):
    """`[retention]` and `[roles.NAME.retention]` of ingot.toml. Without either value nothing ever goes."""

    keep: int | None = None
    """Of each role, this many of the newest good versions stay; at least 1."""
    younger: float | None = None
    """Seconds: what is younger stays."""

    @property
    def says_something(self) -> bool:
        return self.keep is not None or self.younger is not None

    def __str__(self) -> str:
        said = [f"keep {self.keep}"] if self.keep is not None else []
        said += [f"younger than {age(self.younger)}"] if self.younger is not None else []
        return ", ".join(said) or "nothing"


class Stored(msgspec.Struct, frozen=True):
    """An image version with files on this machine."""

    role: str
    version: str
    created: float
    """Seconds since the epoch."""
    state: ImageState
    """As it counts now."""
    verdict: Verdict = Verdict.UNTESTED
    uses: tuple[str, ...] = ()
    """What uses it, in words: channels, runs, machines."""
    children: tuple[Key, ...] = ()
    """Image versions that are built on it and still have artifacts somewhere."""

    @property
    def key(self) -> Key:
        return (self.role, self.version)


class Fate(msgspec.Struct, frozen=True):
    """What becomes of the files of one image version."""

    stored: Stored
    stays: str
    """Why they stay; empty where they go."""

    @property
    def goes(self) -> bool:
        return not self.stays


def seconds_of(said: str) -> float | None:
    """The seconds in an age as people write it; None where it is none (`AGE_WORDS`).

    >>> seconds_of("30d"), seconds_of("12h"), seconds_of("a month"), seconds_of("0d")
    (2592000.0, 43200.0, None, None)
    """
    found = _AGE.fullmatch(said)
    return (int(found[1]) * _SECONDS[found[2]] or None) if found else None


def age(seconds: float) -> str:
    """The age as people write it.

    >>> age(2592000.0), age(43200.0)
    ('30d', '12h')
    """
    return f"{seconds / 86400:g}d" if seconds >= 86400 else f"{seconds / 3600:g}h"


def fates(stored: Sequence[Stored], rules: Mapping[str, Retention], now: float) -> list[Fate]:
    """What becomes of each, in the order given. `rules` are by role; a role without one keeps everything.

    An image version stays that

    - a channel, a run or a machine uses, or that is released;
    - is the newest good one of its role, or among the newest `keep` good ones: those that may be used, so that a bad
      night does not take the good ones away. Where a role has none that is good (nobody tests its images), candidates
      that did not fail count instead;
    - is a candidate newer than the newest good one that did not fail: it may become good;
    - is younger than `younger`;
    - has a child that stays, or whose artifacts are not ours to judge: the child's lineage leads to it.
    """
    by_role: dict[str, list[Stored]] = defaultdict(list)
    for one in stored:
        by_role[one.role].append(one)
    stays: dict[Key, str] = {}
    for role, versions in by_role.items():
        rule = rules.get(role, Retention())
        stays |= _of_role(versions, rule, now)
    _with_parents(stored, stays)
    return [Fate(one, stays.get(one.key, "")) for one in stored]


def children_first(going: Sequence[Stored]) -> list[Stored]:
    """In an order in which each can be deleted: nothing goes before what is built on it."""
    left = {one.key: one for one in going}
    ordered: list[Stored] = []
    while left:
        free = [one for one in left.values() if not any(child in left for child in one.children)]
        # A circle cannot be; were there one, deleting refuses.
        ordered += [left.pop(one.key) for one in free or list(left.values())]
    return ordered


def _of_role(versions: Sequence[Stored], rule: Retention, now: float) -> dict[Key, str]:
    """Those that stay, and why, by what is known of one role."""
    newest_first = sorted(versions, key=lambda one: (one.created, one.version), reverse=True)
    counted = [one for one in newest_first if one.state in _FIRM]
    what = "good"
    if not counted:
        counted = [one for one in newest_first if _may_become_good(one)]
        what = "of which none is good yet"
    places = {one.key: place for place, one in enumerate(counted, 1)}
    newest_good = next((one for one in newest_first if one.state in _FIRM), None)
    found: dict[Key, str] = {}
    for one in newest_first:
        place = places.get(one.key, 0)
        if one.uses:
            found[one.key] = " and ".join(one.uses)
        elif one.state is ImageState.RELEASED:
            found[one.key] = "released"
        elif not rule.says_something:
            found[one.key] = "no rule is set for its role"
        elif place == 1:
            found[one.key] = "the newest good one" if what == "good" else f"the newest, {what}"
        elif rule.keep is not None and 0 < place <= rule.keep:
            found[one.key] = f"number {place} of {rule.keep}" + ("" if what == "good" else f", {what}")
        elif newest_good is not None and _may_become_good(one) and _is_newer(one, newest_good):
            found[one.key] = f"newer than {newest_good.version}, and may become good"
        elif rule.younger is not None and now - one.created < rule.younger:
            found[one.key] = f"younger than {age(rule.younger)}"
    return found


def _may_become_good(one: Stored) -> bool:
    return one.state is ImageState.CANDIDATE and one.verdict is not Verdict.FAILED


def _is_newer(one: Stored, other: Stored) -> bool:
    return (one.created, one.version) > (other.created, other.version)


def _with_parents(stored: Sequence[Stored], stays: dict[Key, str]) -> None:
    """A parent stays for as long as a child of it does. Children that are not here are nobody's here to delete."""
    here = {one.key for one in stored}
    changed = True
    while changed:
        changed = False
        for one in stored:
            needed_by = [child for child in one.children if child in stays or child not in here]
            if one.key not in stays and needed_by:
                stays[one.key] = f"{' and '.join(' '.join(child) for child in needed_by)} is built on it"
                changed = True
