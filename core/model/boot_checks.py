"""What a boot test looks at without any suite: the rules, on what two machines booted from one image say."""

from collections.abc import Collection, Iterable, Sequence

import msgspec

from core.model.test_report import BUILT_IN, Case, Outcome

ANSWERS = "answers on SSH"
HOST_KEYS = "host keys are fresh"
MACHINE_ID = "machine id is fresh"
UNITS = "no unit failed"
CLOCK = "the time is right"
TIME_SERVICE = "something keeps the time"
STAMP = "the stamp inside matches"
BUILD_KEYS = "no key of a build opens it"
PASSWORDS = "no password of a build opens it"
ALL = (ANSWERS, HOST_KEYS, MACHINE_ID, UNITS, CLOCK, TIME_SERVICE, STAMP, BUILD_KEYS, PASSWORDS)
"""Their names, in order."""

WELL_KNOWN_USERS = ("packer", "vagrant", "ubuntu", "debian", "admin", "root")
"""Users that templates build with, under a password that is their name, or `packer` or `vagrant`."""
VAGRANT_KEY = "vagrant insecure public key"
"""The comment of the key that every box of Vagrant's once had."""
CLOCK_TOLERANCE = 5.0
"""Seconds that a clock may be wrong."""


class Unit(msgspec.Struct, frozen=True):
    """A unit of systemd that failed."""

    name: str
    last_words: str
    """The end of its log."""


def _built_in(name: str, outcome: Outcome, message: str = "", output: str = "", seconds: float = 0.0) -> Case:
    return Case(BUILT_IN, name, outcome, seconds, message, output)


def answered(seconds: float, limit: float) -> Case:
    """It came up."""
    return _built_in(ANSWERS, Outcome.PASSED, f"after {seconds:.0f} s of {limit:.0f}", seconds=seconds)


def never_answered(why: str, console: str) -> list[Case]:
    """It did not come up: nothing else could be looked at."""
    rest = [skipped(name, "the machine did not come up") for name in ALL if name != ANSWERS]
    return [_built_in(ANSWERS, Outcome.FAILED, why, console), *rest]


def skipped(name: str, why: str) -> Case:
    """One that could not be looked at, and need not be."""
    return _built_in(name, Outcome.SKIPPED, why)


def broken(name: str, why: str) -> Case:
    """One that should have been looked at, and could not be."""
    return _built_in(name, Outcome.ERROR, why)


def fresh(name: str, what: str, where: str, first: Collection[str], second: Collection[str]) -> Case:
    """Each machine makes its own `what` at its first boot: two have none in common, and none is without.

    >>> fresh(MACHINE_ID, "machine id", "/etc/machine-id", ["5e1f"], ["5e1f"]).message
    'both machines have the same machine id, 5e1f: it is left in the image (/etc/machine-id)'
    """
    if not first or not second:
        return _built_in(name, Outcome.FAILED, f"the machine has no {what} after its boot ({where})")
    if same := sorted(set(first) & set(second)):
        shown = same[0] if len(same[0]) <= 60 else f"{same[0][:60]}…"
        return _built_in(
            name, Outcome.FAILED, f"both machines have the same {what}, {shown}: it is left in the image ({where})"
        )
    return _built_in(name, Outcome.PASSED)


def units(state: str, failed: Sequence[Unit]) -> Case:
    """`state` is what `systemctl is-system-running` said in the end."""
    if failed:
        names = ", ".join(unit.name for unit in failed)
        output = "\n\n".join(f"{unit.name}\n{unit.last_words}".strip() for unit in failed)
        return _built_in(UNITS, Outcome.FAILED, f"failed: {names}", output)
    if state in ("running", "degraded"):  # degraded, and by now nothing is: what failed has been started again
        return _built_in(UNITS, Outcome.PASSED)
    return _built_in(UNITS, Outcome.FAILED, f"the system is not up: it is {state or 'silent'}")


def clock(machine: float, before: float, after: float) -> Case:
    """`machine` is its time (whole seconds since the epoch), asked for between two times of this machine."""
    if before - CLOCK_TOLERANCE <= machine + 1 and machine <= after + CLOCK_TOLERANCE:
        return _built_in(CLOCK, Outcome.PASSED)
    off = machine - (before + after) / 2
    return _built_in(CLOCK, Outcome.FAILED, f"its clock is {abs(off):.0f} s {'ahead' if off > 0 else 'behind'}")


def time_service(enabled: Sequence[str], synchronised: str) -> Case:
    """Whether something keeps the clock right; whether it reaches a server depends on where it is tested."""
    if not enabled:
        return _built_in(
            TIME_SERVICE,
            Outcome.FAILED,
            "no service that keeps the time is enabled: systemd-timesyncd, chrony, ntpsec or openntpd",
        )
    so_far = "synchronised" if synchronised == "yes" else "not synchronised by now: it may reach no server here"
    return _built_in(TIME_SERVICE, Outcome.PASSED, f"{', '.join(enabled)}, {so_far}")


def stamp(release: str, role: str, version: str) -> Case:
    """Whether `/etc/image-release` says what the image is called (os-release(5) form).

    >>> stamp('IMAGE_ROLE="web"\\nIMAGE_VERSION=0.1.0', "web", "0.1.0").outcome.value
    'passed'
    """
    if not release.strip():
        return _built_in(STAMP, Outcome.FAILED, "there is no /etc/image-release")
    lines = (line.partition("=") for line in release.splitlines())
    found = {name.strip(): value.strip().strip("\"'") for name, _, value in lines}
    said = (found.get("IMAGE_ROLE", ""), found.get("IMAGE_VERSION", ""))
    if said == (role, version):
        return _built_in(STAMP, Outcome.PASSED, f"{role} {version}")
    wrong = f"/etc/image-release says {' '.join(said).strip() or 'nothing'}, and this is {role} {version}"
    return _built_in(STAMP, Outcome.FAILED, wrong)


def build_keys(
    authorized: Iterable[tuple[str, str]], ours: str, marks: Collection[str], opened: Sequence[str], *, all_seen: bool
) -> Case:
    """`authorized` are file and comment of each authorised key, `ours` the comment of the test's own; `marks` begin the
    comments of keys that builds make. `opened` are keys that were tried and did open it."""
    if opened:
        return _built_in(BUILD_KEYS, Outcome.FAILED, f"it lets in who has {' and '.join(opened)}")
    wrong = [
        f"{file}: {comment}"
        for file, comment in authorized
        if comment != ours and (comment == VAGRANT_KEY or any(comment.startswith(mark) for mark in marks))
    ]
    if wrong:
        return _built_in(BUILD_KEYS, Outcome.FAILED, f"left of a build: {'; '.join(wrong)}")
    if not all_seen:
        return skipped(BUILD_KEYS, "the test's user cannot look into the files of others, and sudo asks for a password")
    return _built_in(BUILD_KEYS, Outcome.PASSED)


def passwords(tried: Sequence[str], opened: Sequence[str]) -> Case:
    """Users whose well-known passwords were tried, and those whom one let in."""
    if opened:
        users = " and ".join(opened)
        return _built_in(PASSWORDS, Outcome.FAILED, f"it lets in {users} with a password that builds use")
    what = f"tried: {', '.join(tried)}" if tried else "there is no user of a build"
    return _built_in(PASSWORDS, Outcome.PASSED, what)
