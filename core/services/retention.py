"""Which image versions' files a workspace's rules let go from this machine, why the others stay, and deleting them.

Judged is by the ledger as it is, with what others wrote: where that cannot be had or read, nothing is deleted. Each
deletion goes the way of `images.delete`, which looks again at whatever may need the image.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core import config
from core.errors import IngotError, LedgerError, RefusedError
from core.model.image import ImageVersion
from core.model.retention import Fate, Key, Retention, Stored, children_first, fates
from core.model.workspace import Workspace
from core.places import Places
from core.services import catalogue, images
from core.store.ledger import Ledger
from core.store.ledger_contents import Contents


@dataclass(frozen=True, slots=True)
class Judged:
    """What becomes of the files of one image version."""

    fate: Fate
    size: int
    """Bytes that they take on this disk."""

    @property
    def name(self) -> str:
        return " ".join(self.fate.stored.key)


@dataclass(frozen=True, slots=True)
class Plan:
    """What pruning would do now."""

    workspace: Workspace
    rules: Mapping[str, Retention]
    """By role, of those that have images here."""
    judged: tuple[Judged, ...]
    """Every image version with files on this machine, the newest of each role first."""
    offline: str = ""
    """Why what others wrote is not known; then nothing may be deleted."""

    @property
    def going(self) -> tuple[Judged, ...]:
        """In the order in which they can be deleted."""
        by_key = {one.fate.stored.key: one for one in self.judged if one.fate.goes}
        return tuple(by_key[one.key] for one in children_first([found.fate.stored for found in by_key.values()]))

    @property
    def freed(self) -> int:
        """Bytes that come back."""
        return sum(one.size for one in self.going)


@dataclass(frozen=True, slots=True)
class Pruned:
    """How the deletion of one went."""

    name: str
    freed: int = 0
    error: IngotError | None = None


def plan(places: Places, root: Path, role: str = "", clock: Callable[[], float] = time.time) -> Plan:
    """What the rules of the workspace's ingot.toml let go, of all roles or one.

    Raises RefusedError where there is no such role, LedgerError where the ledger cannot be read whole.
    """
    workspace = catalogue.identify(root)
    ledger = Ledger(Path(workspace.root), workspace.remote)
    shared = ledger.fetch()
    contents = ledger.read()
    if contents.problems:
        raise LedgerError(
            f"What is used cannot be told while a part of the ledger cannot be read: {contents.problems[0].what}",
            contents.problems[0].next_step,
            kept="Nothing was deleted.",
        )
    roles = dict.fromkeys(image.role for image in contents.images)
    if role and role not in roles:
        raise RefusedError(f"There is no image of a role {role!r}.", f"There are: {', '.join(roles) or 'none yet'}.")
    configuration = config.load(Path(workspace.root))
    rules = {
        name: configuration.roles[name].retention if name in configuration.roles else configuration.retention
        for name in roles
        if role in ("", name)
    }
    found: dict[Key, tuple[Stored, int]] = {}
    for image in contents.images:
        if images.lies_here(places, workspace, image, ledger):
            listed = images.look_at(places, workspace, image, contents)
            found[image.role, image.version] = (_stored(places, workspace, listed, contents), listed.size or 0)
    newest_first = sorted((one for one, _ in found.values()), key=lambda one: (one.created, one.version), reverse=True)
    newest_first.sort(key=lambda one: one.role)
    judged = [
        Judged(fate, found[fate.stored.key][1])
        for fate in fates(newest_first, rules, clock())
        if role in ("", fate.stored.role)
    ]
    return Plan(workspace, rules, tuple(judged), shared.reason if shared.state == "offline" else "")


def prune(places: Places, root: Path, names: Sequence[str], who: str, role: str = "") -> list[Pruned]:
    """Delete the files of those of `names` (`web 0.1.0`) that may go still, children before parents.

    What cannot be deleted is among the results with its error, and the others are deleted all the same. Raises as
    `plan`, and LedgerError where what others wrote cannot be known.
    """
    now = plan(places, root, role)
    if now.offline:
        raise LedgerError(
            f"The ledger's remote cannot be reached ({now.offline}): others may use by now what would be deleted.",
            "Try again when it can be reached.",
            kept="Nothing was deleted.",
        )
    done: list[Pruned] = []
    for one in now.going:
        if one.name not in names:
            continue
        key = one.fate.stored.key
        try:
            done.append(Pruned(one.name, images.delete(places, root, *key, typed=one.name, who=who)))
        except IngotError as error:
            done.append(Pruned(one.name, error=error))
    return done


def _stored(places: Places, workspace: Workspace, listed: images.ListedImage, contents: Contents) -> Stored:
    image = listed.image
    children = [
        child
        for child in contents.images
        if (child.upstream.role, child.upstream.version) == (image.role, image.version) and child.artifacts
    ]
    elsewhere = [child for child in children if not _all_here(places, workspace, child)]
    return Stored(
        role=image.role,
        version=image.version,
        created=image.created,
        state=image.state,
        verdict=listed.effective.verdict,
        uses=(
            *(f"{channel} has it" for channel in listed.channels),
            *(f"{user} needs it" for user in listed.used_by),
            *(f"{child.role} {child.version} is built on it, and has files elsewhere" for child in elsewhere),
        ),
        children=tuple((child.role, child.version) for child in children if child not in elsewhere),
    )


def _all_here(places: Places, workspace: Workspace, child: ImageVersion) -> bool:
    place = images.directory_of(places, workspace, child)
    return len(images.own(child, place)) == len(child.artifacts)
