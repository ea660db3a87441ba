"""What was on the disks of a machine before it booted, from what is on them while it runs.

A booted machine has made its own host keys, ids, logs and leases. Only what was last written before its boot began is
what its image holds; so what was left in the image and was written to again by the boot (a log that goes on) is not
seen, and neither is what the boot took away. Where the boot adds who may log in to a file, every other key in it was
there before.
"""

import re
from collections.abc import Iterable
from pathlib import PurePosixPath

from msgspec.structs import replace

from core.model.inventory import Inventory
from core.model.listing import Entry, Listing, globs
from core.model.seal_check import Content
from core.model.seal_items import ITEMS
from core.model.sealing import Finding, ItemState, SealReport, in_words
from core.model.test_report import Case, Outcome

SUITE = "seal"
"""The suite of the cases about what is left in an image."""
LOOKING = "what is left of its making"
"""The case that stands for all of them where nothing could be looked at."""
NOTE = "What the machine wrote since its boot: it ran while it was looked into."
"""Among what an inventory of a running machine has not read."""

_CLOCKS = 5.0
"""Seconds by which a boot may seem to begin later than it did: its clock was set meanwhile."""
_AUTHORIZED = globs("/**/.ssh/authorized_keys*", "/etc/ssh/authorized_keys*", "/etc/ssh/authorized_keys*/**")
_KEY = re.compile(rb"\b(?:ssh|ecdsa|sk)-[a-z0-9@.-]+\s+(AAAA[A-Za-z0-9+/=]+)")
_INVENTORY = globs(
    *("/var/lib/dpkg/**", "/lib/apk/db/*", "/usr/lib/apk/db/*", "/var/lib/rpm/*", "/usr/lib/sysimage/rpm/*"),
    *("/etc/passwd", "/etc/group", "/etc/shadow"),
)
"""What an inventory is taken from whenever it was written last: a boot adds a user, and all others are in the same
file."""


def before_boot(listing: Listing, content: Content, booted: float, ours: str) -> Listing:
    """What was there before the boot that began at `booted` (seconds since the epoch, by the machine's clock). `ours`
    is the public key that the test gets in with (`ssh-ed25519 AAAA… comment`): it counts nowhere."""
    own = ours.split()[1].encode() if len(ours.split()) > 1 else b""

    def was_there(entry: Entry) -> bool:
        if entry.mtime < booted - _CLOCKS:
            return True
        return bool(
            own and entry.kind == "f" and _AUTHORIZED.fullmatch(entry.path) and _others(content(entry.path), own)
        )

    return _with_parents(listing, filter(was_there, listing.entries.values()))


def made_since(findings: Iterable[Finding], listing: Listing) -> tuple[Finding, ...]:
    """The findings of a check of what was there before the boot; what only the boot made, such as a machine id, was
    clean."""
    belongs_to = {item.id: item.belongs_to for item in ITEMS}

    def is_there(finding: Finding) -> bool:
        return any(path in listing.entries for path in belongs_to.get(finding.id, ()))

    return tuple(
        replace(one, state=ItemState.CLEAN) if one.state is ItemState.NOT_APPLICABLE and is_there(one) else one
        for one in findings
    )


def for_inventory(listing: Listing, before: Listing) -> Listing:
    """What an inventory is taken of: what was there before the boot, and the lists of packages and users as they are
    now."""
    more = (entry for path, entry in listing.entries.items() if _INVENTORY.fullmatch(path))
    return _with_parents(listing, [*before.entries.values(), *more])


def noted(inventory: Inventory, before: Listing) -> Inventory:
    """The inventory without the files that the boot wrote to, and with what cannot be known of a machine that runs."""
    files = tuple(file for file in inventory.files if file.path in before.entries)
    return replace(inventory, files=files, not_read=(*inventory.not_read, NOTE))


def cases(report: SealReport) -> list[Case]:
    """The seal report as cases of a test. What is found fails only where the image was to be sealed."""
    return [Case(SUITE, item.title, *_outcome(item, sealed=report.sealed)) for item in report.items]


def not_looked(why: str, *, sealed: bool) -> Case:
    """Nobody could look."""
    return Case(SUITE, LOOKING, Outcome.ERROR if sealed else Outcome.SKIPPED, 0.0, why)


def _outcome(item: Finding, *, sealed: bool) -> tuple[Outcome, float, str, str]:
    match item.state:
        case ItemState.CLEAN:
            return Outcome.PASSED, 0.0, "", ""
        case ItemState.FOUND:
            where = in_words([item], most=1)
            message = where if sealed else f"on record only, as the role is not sealed: {where}"
            said = "\n".join([*item.paths, *([item.advice] if item.advice else [])])
            return Outcome.FAILED if sealed else Outcome.SKIPPED, 0.0, message, said
        case ItemState.KEPT:
            return Outcome.SKIPPED, 0.0, "it stays, as the role's settings say", ""
        case ItemState.NOT_APPLICABLE:
            return Outcome.SKIPPED, 0.0, "there is nothing in the image that could leave it", ""


def _others(text: bytes | None, own: bytes) -> bool:
    """Whether somebody else's key is in it."""
    return any(key != own for key in _KEY.findall(text or b""))


def _with_parents(listing: Listing, entries: Iterable[Entry]) -> Listing:
    """The entries with the directories that lead to them."""
    kept = {entry.path: entry for entry in entries}
    for path in tuple(kept):
        for above in PurePosixPath(path).parents:
            if (entry := listing.entries.get(str(above))) is not None:
                kept.setdefault(entry.path, entry)
    return Listing(kept.values())
