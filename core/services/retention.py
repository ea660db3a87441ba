"""Which image versions' files and AMIs a workspace's rules let go, why the others stay, and deleting them.

Judged is by the ledger as it is, with what others wrote: where that cannot be had or read, nothing is deleted. Each
deletion goes the way of `deleting.delete`, which looks again at whatever may need the image. AMIs that cannot be looked
at with the credentials of the environment are left alone; files of the same version go all the same.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from core import config
from core.errors import IngotError, LedgerError, RefusedError
from core.model.decided import Decided
from core.model.image import ImageVersion
from core.model.retention import Fate, Key, Retention, Stored, children_first, fates
from core.model.workspace import Workspace
from core.places import Places
from core.services import amis, catalogue, deleting, images
from core.services.amis import CloudImage
from core.services.deleting import Freed
from core.store.ledger import Ledger
from core.store.ledger_contents import Contents
from core.store.ledger_tree import REF


class Judged(msgspec.Struct, frozen=True):
    """What becomes of the files and AMIs of one image version."""

    fate: Fate
    size: int
    """Bytes that files take on this disk."""
    cloud: int = 0
    """Bytes that the snapshots of its AMIs take, at most."""
    left: str = ""
    """Why AMIs of it are left alone, where they are; then `cloud` is 0."""

    @property
    def name(self) -> str:
        return " ".join(self.fate.stored.key)


class Plan(msgspec.Struct, frozen=True):
    """What pruning would do now."""

    workspace: Workspace
    rules: Mapping[str, Retention]
    """By role, of those that have images here."""
    judged: tuple[Judged, ...]
    """Every image version with files on this machine or AMIs, the newest of each role first; with AMIs alone only
    where its role has a rule."""
    offline: str = ""
    """Why what others wrote is not known; then nothing may be deleted."""

    @property
    def going(self) -> tuple[Judged, ...]:
        """In the order in which they can be deleted."""
        by_key = {one.fate.stored.key: one for one in self.judged if one.fate.goes}
        return tuple(by_key[one.key] for one in children_first([found.fate.stored for found in by_key.values()]))

    @property
    def freed(self) -> int:
        """Bytes that come back on this disk."""
        return sum(one.size for one in self.going)

    @property
    def freed_in_cloud(self) -> int:
        """Bytes that come back in EC2, at most."""
        return sum(one.cloud for one in self.going)


class Pruned(msgspec.Struct, frozen=True):
    """How the deletion of one went."""

    name: str
    freed: Freed = msgspec.field(default_factory=Freed)
    error: IngotError | None = None


def plan(
    places: Places,
    root: Path,
    role: str = "",
    clock: Callable[[], float] = time.time,
    environment: Mapping[str, str] = os.environ,
) -> Plan:
    """What the rules of the workspace's ingot.toml let go, of all roles or one. Asks EC2 where a role with a rule has
    AMIs.

    Raises RefusedError where there is no such role, LedgerError where the ledger cannot be read whole.
    """
    workspace = catalogue.identify(root)
    ledger = Ledger(Path(workspace.root), workspace.remote)
    shared = ledger.fetch()
    contents = ledger.read()
    if contents.unread:
        raise LedgerError(
            f"What is used cannot be told while a part of the ledger cannot be read: {contents.unread[0].what}",
            contents.unread[0].next_step,
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
    clouds = _clouds(contents, rules, environment)
    found: dict[Key, Stored] = {}
    sizes: dict[Key, tuple[int, int, str]] = {}
    doubts = _doubts(contents.decided)
    nothing_else: dict[Key, str] = {}
    for image in contents.images:
        key = (image.role, image.version)
        here, of_image = images.lies_here(places, workspace, image, ledger), clouds.get(key, [])
        if not (here or of_image):
            continue
        listed = images.look_at(places, workspace, image, contents)
        left = next((one.left.what for one in of_image if one.left), "")
        found[key] = _stored(places, workspace, listed, contents, clouds, doubts)
        if left and not here:
            nothing_else[key] = f"left alone: {left}"
        sizes[key] = (listed.size or 0 if here else 0, 0 if left else sum(one.size for one in of_image), left)
    newest_first = sorted(found.values(), key=lambda one: (one.created, one.version), reverse=True)
    newest_first.sort(key=lambda one: one.role)
    judged = [
        Judged(Fate(fate.stored, fate.stays or nothing_else.get(fate.stored.key, "")), *sizes[fate.stored.key])
        for fate in fates(newest_first, rules, clock())
        if role in ("", fate.stored.role)
    ]
    return Plan(workspace, rules, tuple(judged), shared.reason if shared.state == "offline" else "")


def prune(
    places: Places,
    root: Path,
    names: Sequence[str],
    who: str,
    role: str = "",
    environment: Mapping[str, str] = os.environ,
) -> list[Pruned]:
    """Delete the files and AMIs of those of `names` (`web 0.1.0`) that may go still, children before parents.

    What cannot be deleted is among the results with its error, and the others are deleted all the same. Raises as
    `plan`, and LedgerError where what others wrote cannot be known.
    """
    now = plan(places, root, role, environment=environment)
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
            freed = deleting.delete(
                places,
                root,
                *key,
                typed=one.name,
                who=who,
                environment=environment,
                files_only=bool(one.left),
            )
            done.append(Pruned(one.name, freed))
        except IngotError as error:
            done.append(Pruned(one.name, error=error))
    return done


def _clouds(
    contents: Contents, rules: Mapping[str, Retention], environment: Mapping[str, str]
) -> dict[Key, list[CloudImage]]:
    """The AMIs of the roles that a rule is set for, by image version: those that the ledger has, and what is left of
    those that it had."""
    removed: dict[Key, list[str]] = {}
    for one in contents.removals:
        removed.setdefault((one.role, one.version), []).append(one.location)
    wanted = [
        one
        for image in contents.images
        if (rule := rules.get(image.role)) and rule.says_something
        for one in amis.wanted(image, image.artifacts, removed.get((image.role, image.version), []))
    ]
    looked = amis.look(wanted, environment) if wanted else {}
    there = {key: [one for one in of if one.recorded or one.there] for key, of in looked.items()}
    return {key: of for key, of in there.items() if of}


def _doubts(decided: Decided) -> dict[Key, str]:
    """Which images decisions bear on that are against the rules, in words.

    A newer Ingot may have other rules, by which they count: then the image that one is about is in another state, and
    with it what is built on it; and others are the newest good ones of the roles of all these.
    """
    odd = {(one.role, one.version) for one in decided.broken}
    about: dict[Key, Key] = {}
    for key in (*decided.images, *sorted(odd)) if odd else ():
        if (found := next((one for one in (key, *decided.ancestors(key)) if one in odd), None)) is not None:
            about[key] = found
    of_role = {key[0]: found for key, found in about.items()}
    words: dict[Key, str] = {}
    for key in decided.images:
        found = about.get(key) or of_role.get(key[0])
        if found is None:
            continue
        rest = "is against the rules"
        if key not in about:
            rest += f", so that it is in doubt which images of {key[0]} are good"
        name = "it" if found == key else " ".join(found) + (", which it is built on," if key in about else "")
        words[key] = f"what was decided about {name} {rest}: git log {REF}"
    return words


def _stored(
    places: Places,
    workspace: Workspace,
    listed: images.ListedImage,
    contents: Contents,
    clouds: Mapping[Key, Sequence[CloudImage]],
    doubts: Mapping[Key, str],
) -> Stored:
    image = listed.image
    children = [
        child
        for child in contents.images
        if (child.upstream.role, child.upstream.version) == (image.role, image.version) and child.artifacts
    ]
    elsewhere = [child for child in children if not _all_here(places, workspace, child, clouds)]
    instances = [name for one in clouds.get((image.role, image.version), []) for name in one.instances]
    doubt = doubts.get((image.role, image.version), "")
    return Stored(
        role=image.role,
        version=image.version,
        created=image.created,
        state=image.state,
        verdict=listed.effective.verdict,
        uses=(
            *(f"{channel} has it" for channel in listed.channels or ()),
            *(f"{user} needs it" for user in listed.used_by),
            *((doubt,) if doubt else ()),
            *(f"{child.role} {child.version} is built on it, and has files elsewhere" for child in elsewhere),
            *(
                (f"{', '.join(instances)} {'was' if len(instances) == 1 else 'were'} launched from it",)
                if instances
                else ()
            ),
        ),
        children=tuple((child.role, child.version) for child in children if child not in elsewhere),
    )


def _all_here(
    places: Places, workspace: Workspace, child: ImageVersion, clouds: Mapping[Key, Sequence[CloudImage]]
) -> bool:
    """Whether all that it has is judged here: files on this machine, and AMIs that can be looked at."""
    here = len(images.own(child, images.directory_of(places, workspace, child)))
    judged = [one for one in clouds.get((child.role, child.version), []) if one.recorded and not one.left]
    return here + len(judged) == len(child.artifacts)
