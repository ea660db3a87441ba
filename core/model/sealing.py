"""Sealing: what of its making must not be left in an image, and what a role says about that."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from core.model.seal_items import ITEMS


class SealSettings(msgspec.Struct, frozen=True):
    """`[seal]` and `[roles.NAME.seal]` of ingot.toml. Where neither is there, an image is looked at and not changed."""

    enabled: bool = False
    """Whether the disk is sealed, and the build fails for anything that is found in it afterwards."""
    keep: tuple[str, ...] = ()
    """Items that are left as they are, and not looked for."""
    remove: tuple[str, ...] = ()
    """Absolute paths in the image that go too."""
    users: tuple[str, ...] = ()
    """Users that exist for the build only: they go, with their homes."""


class ItemState(StrEnum):
    """What came of looking for one item in an image."""

    CLEAN = "clean"
    FOUND = "found"
    KEPT = "kept"
    """The role's settings say that it stays: it was not looked for."""
    NOT_APPLICABLE = "not applicable"
    """The image has nothing that could leave it."""


MOST_PATHS = 50
"""As many paths are named in a finding; all are counted."""


class Finding(msgspec.Struct, frozen=True):
    """One item of the seal report."""

    id: str
    """As `keep` names it: `ssh-host-keys`."""
    title: str
    state: ItemState
    paths: tuple[str, ...] = ()
    """Where it was found, the first MOST_PATHS; `PATH: NAME` where it is one name in a file of many."""
    count: int = 0
    advice: str = ""
    """What to do where sealing cannot take it away by itself."""


class SealReport(msgspec.Struct, frozen=True):
    """What was found in the artifact of one build, by opening it read-only after the last write to it."""

    build: str
    sealed: bool
    """Whether it was asked for; if not, what was found is on record and nothing more."""
    items: tuple[Finding, ...]
    stamp: str
    """What `/etc/image-release` said, as `role version`; empty where there is none."""
    ssh_server: bool = False
    """Whether the image has one."""
    host_keys_by: str = ""
    """What in the image makes SSH host keys at the first boot; empty where nothing was seen that does."""

    @property
    def found(self) -> tuple[Finding, ...]:
        return tuple(item for item in self.items if item.state is ItemState.FOUND)


class SealPlan(msgspec.Struct, frozen=True):
    """What has to be done to a disk so that nothing is found in it."""

    operations: tuple[str, ...]
    """Of virt-sysprep's, by their names."""
    deletes: tuple[str, ...]
    """Globs of paths."""
    truncates: tuple[str, ...]
    """Directories below which every file is emptied, and stays."""
    users: tuple[str, ...]


def plan(settings: SealSettings) -> SealPlan:
    """All that the table says, but for what is kept; and what the role adds.

    >>> "ssh-hostkeys" in plan(SealSettings(keep=("ssh-host-keys",))).operations
    False
    >>> plan(SealSettings(remove=("/root/notes",))).deletes[-1]
    '/root/notes'
    """
    items = [item for item in ITEMS if item.id not in settings.keep]
    operations = _once(operation for item in items for operation in item.operations)
    deletes = _once(path for item in items for path in item.deletes)
    truncates = _once(path for item in items for path in item.truncates)
    users = () if "build-users" in settings.keep else settings.users
    removed = () if "named-paths" in settings.keep else settings.remove
    return SealPlan(operations, (*deletes, *removed), truncates, users)


def in_words(findings: Iterable[Finding], most: int = 3) -> str:
    """`SSH host keys (/etc/ssh/ssh_host_rsa_key and 3 more), machine id (/etc/machine-id)`."""
    said: list[str] = []
    for finding in findings:
        shown = ", ".join(finding.paths[:most])
        more = finding.count - min(most, len(finding.paths))
        said.append(f"{finding.title} ({shown}{f' and {more} more' if more else ''})")
    return ", ".join(said)


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))
