"""What is in an image version, and what differs between two: asked by role and version, or by role and channel.

Reads the ledger, its reports and the history of the repository; changes nothing. All methods block: call them in a
thread.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import config
from core.adapters import git_history
from core.adapters.git import GitRepository
from core.errors import IngotError, LedgerError, RefusedError, WorkspaceError
from core.model import difference
from core.model.decided import Decided
from core.model.difference import (
    Change,
    Changed,
    Commit,
    Difference,
    Grown,
    Source,
    changed,
    contents_between,
)
from core.model.image import ImageVersion
from core.model.inventory import Inventory, Port
from core.model.states import Act
from core.model.test_report import Facts
from core.places import Places
from core.services import catalogue, known_roles
from core.store.ledger import Ledger

_INVENTORY = "inventory-"
_STATUS = {"A": Change.ADDED, "D": Change.REMOVED}
_PORT = re.compile(r"(tcp|udp)6? (?:(.*):)?([0-9]{1,5})(?: (.+))?")


class Found(msgspec.Struct, frozen=True):
    """What is known of what is in one image version."""

    image: ImageVersion
    inventories: Mapping[str, Inventory]
    """By build; none where nobody looked."""
    notes: tuple[str, ...] = ()
    """What is not known, in sentences."""


class _Tested(msgspec.Struct):
    """Of a test report (core/model/test_report.py), what an inventory takes."""

    facts: Facts = Facts()
    inventory: str = ""


@dataclass(frozen=True, slots=True)
class _Desk:
    """The ledger as it is now, and the rules of the workspace."""

    repository: GitRepository
    ledger: Ledger
    images: Sequence[ImageVersion]
    """The newest first."""
    decided: Decided
    channels: tuple[str, ...]

    def of(self, role: str) -> list[ImageVersion]:
        """Raises RefusedError where the role has none."""
        found = [image for image in self.images if image.role == role]
        if not found:
            known_roles.check(self.repository.root, role, {image.role for image in self.images})
            raise RefusedError(f"There is no image of {role!r} on the ledger.", f"ingot build {role} makes the first.")
        return found

    def image(self, role: str, asked: str) -> ImageVersion:
        """By version, or by the name of a channel; empty for the newest. Raises RefusedError where there is none."""
        found = self.of(role)
        if not asked:
            return found[0]
        if named := next((image for image in found if image.version == asked), None):
            return named
        if (role, asked) in self.decided.trails or asked in self.channels:
            at = self.decided.points_to((role, asked))
            if at is None:
                raise RefusedError(f"{asked} of {role} is nowhere.", f"See: ingot channels {role} {asked}")
            return self.decided.images[at]
        near = difflib.get_close_matches(asked, [*(image.version for image in found), *self.channels], n=3)
        raise RefusedError(
            f"{role} has no version and no channel {asked!r}.",
            f"Did you mean {' or '.join(near)}?" if near else f"See: ingot images {role}",
        )

    def before(self, after: ImageVersion) -> ImageVersion:
        """What an image version is compared with where nobody says: what the last channel has, else the one before."""
        found = self.of(after.role)
        for channel in reversed(self.channels):
            at = self.decided.points_to((after.role, channel))
            if at and at != (after.role, after.version):
                return self.decided.images[at]
        older = [image for image in found if image.created < after.created and image.version != after.version]
        if not older:
            raise RefusedError(
                f"{after.role} {after.version} is the only image of its role: there is nothing to compare it with.",
                f"Name another: ingot diff ROLE:VERSION {after.role}:{after.version}",
            )
        return older[0]


@dataclass(frozen=True, slots=True)
class Contents:
    """The images of the workspace that holds `directory`. Where a version is asked for, a channel's name does too."""

    places: Places
    directory: Path

    def inventory(self, role: str, version: str = "") -> Found:
        """What is in an image version (the newest where none is named). Raises RefusedError when there is none."""
        desk = self._desk()
        return _found(desk, desk.image(role, version), with_ports=True)

    def difference(self, role: str, before: str = "", after: str = "", *, other_role: str = "") -> Difference:
        """What the second has that the first has not, and the other way round.

        Without `after` the newest is meant, without `before` what the last channel has, else the one before. The
        second may be of another role, such as one that is built on the first. Raises RefusedError.
        """
        desk = self._desk()
        second = desk.image(other_role or role, after)
        said = before or other_role not in ("", role)
        first = desk.image(role, before) if said else desk.before(second)
        return _difference(desk, first, second)

    def between(self, before: ImageVersion, after: ImageVersion) -> Difference:
        """The same, of image versions that are at hand."""
        return _difference(self._desk(), before, after)

    def _desk(self) -> _Desk:
        workspace = catalogue.identify(self.directory)
        root = Path(workspace.root)
        repository = GitRepository.find(root)
        if repository is None:
            raise WorkspaceError(f"{root} is in no Git repository: it has no ledger.", "Make it one: git init")
        ledger = Ledger(root, workspace.remote)
        contents = ledger.read()
        images = sorted(contents.images, key=lambda image: image.created, reverse=True)
        channels = tuple(rule.name for rule in config.load(root).channels)
        return _Desk(repository, ledger, images, contents.decided, channels)


def _found(desk: _Desk, image: ImageVersion, *, with_ports: bool) -> Found:
    inventories: dict[str, Inventory] = {}
    notes: list[str] = []
    name = f"{image.role} {image.version}"
    named = {one.removeprefix(_INVENTORY): one for one in image.evidence if one.startswith(_INVENTORY)}
    for build in dict.fromkeys(artifact.build for artifact in image.artifacts):
        # Where nobody could open the disk, a test has looked into its machine.
        if build not in named and (tested := _tested(desk, image, build)) is not None and tested.inventory:
            named[build] = tested.inventory
    for build, evidence in named.items():
        try:
            inventories[build] = msgspec.json.decode(desk.ledger.evidence(image, evidence), type=Inventory)
        except LedgerError as error:
            notes.append(error.what)
        except msgspec.MsgspecError as error:
            notes.append(f"The report {evidence} of {name} cannot be read: {error}.")
    if not inventories and not notes:
        notes.append(f"Nobody looked into {name} when it was built or tested: what is in it is not known.")
    if with_ports:
        for build, inventory in inventories.items():
            seen = _ports(desk, image, build)
            inventories[build] = _with_ports(inventory, seen or ())
    return Found(image, inventories, tuple(notes))


def _with_ports(inventory: Inventory, seen: Sequence[Port]) -> Inventory:
    """What a boot test saw counts more than what the disk says of the same port."""
    known = {(port.protocol, port.number) for port in seen}
    rest = [port for port in inventory.ports if (port.protocol, port.number) not in known]
    return replace(inventory, ports=tuple(sorted([*seen, *rest], key=lambda one: (one.protocol, one.number))))


def _ports(desk: _Desk, image: ImageVersion, build: str) -> tuple[Port, ...] | None:
    """What the newest boot test of a build saw listening; None where there was none."""
    tested = _tested(desk, image, build)
    matched = [found for words in tested.facts.ports if (found := _PORT.fullmatch(words))] if tested else []
    return tuple(dict.fromkeys(_port(found) for found in matched)) or None


def _tested(desk: _Desk, image: ImageVersion, build: str) -> _Tested | None:
    """The newest boot test of a build; None where there was none, or its report cannot be read."""
    for change in reversed(desk.decided.changes.get((image.role, image.version), ())):
        if change.act is Act.TESTED and change.build == build:
            try:
                return msgspec.json.decode(desk.ledger.evidence(image, change.evidence), type=_Tested)
            except (LedgerError, msgspec.MsgspecError):
                return None
    return None


def _port(found: re.Match[str]) -> Port:
    address = (found[2] or "").strip("[]")
    everywhere = address in ("", "*", "::", "0.0.0.0")  # noqa: S104 - as a machine says it
    return Port(found[1], int(found[3]), "" if everywhere else address, found[4] or "")


def _difference(desk: _Desk, before: ImageVersion, after: ImageVersion) -> Difference:
    contents, notes = _contents(desk, before, after)
    history = _history(desk, before, after)
    return replace(
        history,
        contents=contents,
        upstream=_upstream(before, after),
        tools=tuple(
            changed(tool, before.tools.get(tool, ""), after.tools.get(tool, ""))
            for tool in sorted({*before.tools, *after.tools})
            if before.tools.get(tool) != after.tools.get(tool)
        ),
        size=_size(before, after),
        notes=(*notes, *history.notes),
    )


def _contents(
    desk: _Desk, before: ImageVersion, after: ImageVersion
) -> tuple[tuple[difference.Contents, ...], list[str]]:
    first, second = (_found(desk, image, with_ports=False) for image in (before, after))
    notes = [*first.notes, *second.notes]
    both = [build for build in first.inventories if build in second.inventories]
    pairs = [(build, build) for build in both]
    if not pairs and len(first.inventories) == len(second.inventories) == 1:
        pairs = [(next(iter(first.inventories)), next(iter(second.inventories)))]
    for found in (first, second):
        of_it = {pair[found is second] for pair in pairs}
        alone = [build for build in found.inventories if build not in of_it]
        if alone and first.inventories and second.inventories:
            name = f"{found.image.role} {found.image.version}"
            notes.append(f"{' and '.join(alone)} of {name} is not compared: the other has nothing like it.")
    contents: list[difference.Contents] = []
    for one, other in pairs:
        left, right = first.inventories[one], second.inventories[other]
        seen = [_ports(desk, before, one), _ports(desk, after, other)]
        if all(ports is not None for ports in seen):
            left, right = _with_ports(left, seen[0] or ()), _with_ports(right, seen[1] or ())
        elif any(ports is not None for ports in seen):
            untested = before if seen[0] is None else after
            notes.append(
                f"{untested.role} {untested.version} was not booted in a test,"
                " so only the ports that its disk tells of are compared."
            )
        name = one if one == other else f"{one} → {other}"
        contents.append(contents_between(name, left, right))
        for image, inventory in ((before, left), (after, right)):
            notes += [f"{image.role} {image.version}: not read: {words}" for words in inventory.not_read]
    return tuple(contents), notes


def _history(desk: _Desk, before: ImageVersion, after: ImageVersion) -> Difference:
    """The commits and the sources; what cannot be had of them is among the notes."""
    plain = Difference(before, after)
    gone = [image for image in (before, after) if not git_history.has(desk.repository, image.commit)]
    if gone:
        return replace(
            plain,
            notes=tuple(
                f"Commit {image.commit[:12]} of {image.role} {image.version} is not in this clone:"
                " what was committed in between is not known."
                for image in gone
            ),
        )
    if before.commit == after.commit:
        return plain
    old, new, repository = before.commit, after.commit, desk.repository
    try:
        paths = _paths(repository, before, after)
        files = git_history.files_between(repository, old, new, paths)
        return replace(
            plain,
            commits=_commits(git_history.commits_between(repository, old, new)),
            commits_gone=_commits(git_history.commits_between(repository, new, old)),
            sources=tuple(
                Source(_STATUS.get(one.status, Change.CHANGED), one.path, one.added, one.removed) for one in files
            ),
            patch=git_history.patch_between(repository, old, new, paths),
        )
    except IngotError as error:
        return replace(plain, notes=(error.what,))


def _paths(repository: GitRepository, before: ImageVersion, after: ImageVersion) -> list[str]:
    """What the two are built from; of ingot.toml only where their part of it differs."""
    paths = sorted({*before.inputs, *after.inputs} - {config.NAME})
    old, new = (_configuration(repository, image.commit) for image in (before, after))
    if config.differs_for(after.role, old, new):
        paths.append(config.NAME)
    return paths


def _configuration(repository: GitRepository, commit: str) -> bytes:
    try:
        return repository.file_at(commit, config.NAME)
    except WorkspaceError:
        return b""


def _commits(logged: Sequence[git_history.Logged]) -> tuple[Commit, ...]:
    return tuple(Commit(one.hash, one.subject, one.author, one.at) for one in logged)


def _upstream(before: ImageVersion, after: ImageVersion) -> Changed | None:
    same = (before.parent, before.upstream.digest) == (after.parent, after.upstream.digest)
    if same:
        return None
    words = [before.parent, after.parent]
    if words[0] == words[1]:
        digests = (image.upstream.digest for image in (before, after))
        words = [f"{word} ({digest[:19] or 'no digest'})" for word, digest in zip(words, digests, strict=True)]
    return Changed(Change.CHANGED, "built on", *words)


def _size(before: ImageVersion, after: ImageVersion) -> Grown | None:
    if before.size is None or after.size is None or before.size == after.size:
        return None
    return Grown("", before.size, after.size)
