"""What differs between two image versions: what is in them, what was committed in between, and what they were made by.

Values that are alike in both are left out, so an empty list means that nothing of that kind differs; where it could
not be looked at, `notes` says so.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum

import msgspec

from core.model.image import ImageVersion
from core.model.inventory import File, Inventory, Package, PackageKind, Password, Port, Service, System, Use, User
from core.model.package_order import compared

_NOTICED = 1024 * 1024
"""Bytes from which a directory counts as grown or shrunk."""


class Change(StrEnum):
    """How the second differs from the first."""

    ADDED = "added"
    REMOVED = "removed"
    UP = "up"
    """A newer version."""
    DOWN = "down"
    """An older version: often a mistake."""
    CHANGED = "changed"
    """It is different, and neither is the newer one."""


class PackageChange(msgspec.Struct, frozen=True):
    """One package that differs."""

    change: Change
    kind: PackageKind
    name: str
    before: str
    """Its version in the first; empty where it is not there."""
    after: str
    architecture: str = ""


class Changed(msgspec.Struct, frozen=True):
    """One thing that differs, in words."""

    change: Change
    name: str
    before: str = ""
    """What it is in the first; empty where it is not there."""
    after: str = ""


class Grown(msgspec.Struct, frozen=True):
    """A directory whose size differs noticeably."""

    path: str
    before: int
    """Bytes."""
    after: int


class Contents(msgspec.Struct, frozen=True):
    """What differs in the disks of one build."""

    build: str
    """In both; of two roles `qemu.base → qemu.web`."""
    system: tuple[Changed, ...] = ()
    """The operating system, its architecture and kernels."""
    packages: tuple[PackageChange, ...] = ()
    services: tuple[Changed, ...] = ()
    ports: tuple[Changed, ...] = ()
    users: tuple[Changed, ...] = ()
    files: tuple[Changed, ...] = ()
    """Files under /etc and /usr/local, and those that lend their owner's rights."""
    disk: tuple[Grown, ...] = ()
    """`/` first where it differs: that is all of it."""

    @property
    def empty(self) -> bool:
        """Nothing that was looked at differs."""
        return not (
            self.system or self.packages or self.services or self.ports or self.users or self.files or self.disk
        )


class Commit(msgspec.Struct, frozen=True):
    """One commit in between."""

    hash: str
    subject: str
    author: str
    at: float
    """Seconds since the epoch, when it was committed."""


class Source(msgspec.Struct, frozen=True):
    """A file of the workspace that the role is made by, and that differs between the two commits."""

    change: Change
    path: str
    added: int | None = None
    """Lines; None for what is no text."""
    removed: int | None = None


class Difference(msgspec.Struct, frozen=True):
    """What the second image version has that the first has not, and the other way round."""

    before: ImageVersion
    after: ImageVersion
    contents: tuple[Contents, ...] = ()
    """Of each build that both have; none where nobody looked into one of them."""
    commits: tuple[Commit, ...] = ()
    """Those that only the second is made of, the newest first."""
    commits_gone: tuple[Commit, ...] = ()
    """Those that only the first is made of: the second was built on another line, or is the older one."""
    sources: tuple[Source, ...] = ()
    """Templates, playbooks and whatever else the role is made by."""
    patch: str = ""
    """Of these files, as `git diff` prints it; may be cut."""
    upstream: Changed | None = None
    """What they are built on, where that differs."""
    tools: tuple[Changed, ...] = ()
    """Versions of Packer and whatever else had a hand in it."""
    size: Grown | None = None
    """Of their files on the disk, where both are known."""
    notes: tuple[str, ...] = ()
    """What could not be compared, in sentences."""


def contents_between(build: str, before: Inventory, after: Inventory) -> Contents:
    """What differs in what two disks hold."""
    return Contents(
        build=build,
        system=tuple(_system(before.system, after.system)),
        packages=tuple(package_changes(before.packages, after.packages)),
        services=_by_name(_services(before.services), _services(after.services)),
        ports=_by_name(_ports(before.ports), _ports(after.ports)),
        users=_by_name(_users(before.users), _users(after.users)),
        files=tuple(_files(before.files, after.files)),
        disk=tuple(_grown(before.disk, after.disk)),
    )


def in_words(changes: Iterable[PackageChange | Changed | Source]) -> str:
    """How many of each kind: `12 up, 1 added`; empty for none.

    >>> in_words([Changed(Change.ADDED, "a"), Changed(Change.UP, "b"), Changed(Change.ADDED, "c")])
    '1 up, 2 added'
    """
    counted = Counter(one.change for one in changes)
    order = (Change.UP, Change.DOWN, Change.CHANGED, Change.ADDED, Change.REMOVED)
    return ", ".join(f"{counted[change]} {change}" for change in order if counted[change])


def changed(name: str, before: str, after: str) -> Changed:
    """One thing by what it was and is; empty where it was or is not."""
    how = Change.CHANGED if before and after else Change.ADDED if after else Change.REMOVED
    return Changed(how, name, before, after)


def package_changes(before: Iterable[Package], after: Iterable[Package]) -> list[PackageChange]:
    """What became of each package, by kind and name.

    Where several of one name are installed (other architectures, old kernels of rpm), those of the same architecture
    belong together, as long as that is clear; the rest came and went.
    """
    sides: dict[tuple[PackageKind, str], tuple[list[Package], list[Package]]] = defaultdict(lambda: ([], []))
    for side, packages in enumerate((before, after)):
        for package in packages:
            sides[package.kind, package.name][side].append(package)
    found: list[PackageChange] = []
    for (kind, name), (olds, news) in sorted(sides.items()):
        alike = {(one.architecture, one.version) for one in olds} & {(one.architecture, one.version) for one in news}
        old = [one for one in olds if (one.architecture, one.version) not in alike]
        new = [one for one in news if (one.architecture, one.version) not in alike]
        for left, right in _pairs(old, new):
            architecture = (right or left or olds[0]).architecture
            was, now = left.version if left else "", right.version if right else ""
            direction = _direction(kind, was, now)
            if left and right and was == now:
                was, now = f"{was} ({left.architecture})", f"{now} ({right.architecture})"
            found.append(PackageChange(direction, kind, name, was, now, architecture))
    return found


def _pairs(old: list[Package], new: list[Package]) -> list[tuple[Package | None, Package | None]]:
    pairs: list[tuple[Package | None, Package | None]] = []
    for architecture in sorted({one.architecture for one in (*old, *new)}):
        lefts = [one for one in old if one.architecture == architecture]
        rights = [one for one in new if one.architecture == architecture]
        if len(lefts) == len(rights) == 1:
            pairs.append((lefts[0], rights[0]))
            old, new = [one for one in old if one != lefts[0]], [one for one in new if one != rights[0]]
    if len(old) == len(new) == 1:
        return [*pairs, (old[0], new[0])]
    return [*pairs, *((one, None) for one in old), *((None, one) for one in new)]


def _direction(kind: PackageKind, before: str, after: str) -> Change:
    if not before or not after:
        return Change.ADDED if after else Change.REMOVED
    order = compared(kind, before, after)
    return Change.UP if order == -1 else Change.DOWN if order == 1 else Change.CHANGED


def _system(before: System, after: System) -> Iterator[Changed]:
    for name, was, now in (
        ("system", before.name or before.id, after.name or after.id),
        ("release", before.version, after.version),
        ("architecture", before.architecture, after.architecture),
    ):
        if was != now:
            yield changed(name, was, now)
    gone = [one for one in before.kernels if one not in after.kernels]
    come = [one for one in after.kernels if one not in before.kernels]
    if len(gone) == len(come) == 1:
        yield Changed(_direction(PackageKind.DEB, gone[0], come[0]), "kernel", gone[0], come[0])
    else:
        yield from (changed("kernel", one, "") for one in gone)
        yield from (changed("kernel", "", one) for one in come)


def _by_name(before: Mapping[str, list[str]], after: Mapping[str, list[str]]) -> tuple[Changed, ...]:
    """What differs between two tables of names and what is said of each."""
    found: list[Changed] = []
    for name in sorted({*before, *after}):
        was, now = (", ".join(sorted(side.get(name, []))) for side in (before, after))
        if was != now:
            found.append(changed(name, was, now))
    return tuple(found)


def _services(services: Iterable[Service]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = defaultdict(list)
    for one in services:
        by = f" by {' '.join(one.wanted_by)}" if one.wanted_by else ""
        table[one.name].append(f"{one.state}{by}")
    return table


def _ports(ports: Iterable[Port]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = defaultdict(list)
    for one in ports:
        table[f"{one.protocol} {one.number}"].append(
            f"{one.address or 'everywhere'}{f' by {one.by}' if one.by else ''}"
        )
    return table


def _users(users: Iterable[User]) -> dict[str, list[str]]:
    table: dict[str, list[str]] = defaultdict(list)
    for one in users:
        words = [f"uid {one.uid}", one.shell or "no shell"]
        if one.groups:
            words.append(f"in {' '.join(one.groups)}")
        if one.can_log_in:
            opened = {Password.SET: "password", Password.EMPTY: "no password needed", Password.UNKNOWN: "password?"}
            ways = [opened[one.password]] if one.password in opened else []
            words.append(f"can log in ({' or '.join([*ways, *(['key'] if one.keys else [])])})")
        table[one.name].append("; ".join(words))
    return table


def _files(before: Iterable[File], after: Iterable[File]) -> Iterator[Changed]:
    old, new = {one.path: one for one in before}, {one.path: one for one in after}
    for path in sorted({*old, *new}):
        left, right = old.get(path), new.get(path)
        if left and right:
            was, now = _said(left), _said(right)
            differing = [at for at in range(len(was)) if was[at] != now[at]]
            if not differing and left.digest and right.digest and left.digest != right.digest:
                yield Changed(Change.CHANGED, path, f"content {left.digest[:8]}", f"content {right.digest[:8]}")
            elif differing:
                words = (", ".join(filter(None, (side[at] for at in differing))) for side in (was, now))
                yield Changed(Change.CHANGED, path, *words)
        elif one := left or right:
            mode, _, link, size = _said(one)
            words = link or f"{mode}, {size}"
            yield changed(path, words if left else "", words if right else "")


def _said(file: File) -> tuple[str, str, str, str]:
    owner = f"owner {file.uid}:{file.gid}"
    if file.link:
        return "", owner, f"link to {file.link}", ""
    return f"mode {file.mode:04o}", owner, "", f"{file.size} bytes"


def _grown(before: Iterable[Use], after: Iterable[Use]) -> Iterator[Grown]:
    old, new = {use.path: use.size for use in before}, {use.path: use.size for use in after}
    for path in sorted({*old, *new}):
        # What is large in a directory is shown by itself: where only one side did, its size in the other is not known.
        known = path.count("/") == 1 or (path in old and path in new)
        if known and abs(new.get(path, 0) - old.get(path, 0)) >= _NOTICED:
            yield Grown(path, old.get(path, 0), new.get(path, 0))
