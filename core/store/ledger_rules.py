"""The rules of the ledger, without Git: who may have a version, and what becomes of ours when others were first.

Pure: what stands is a mapping of paths to blobs, and who is behind a blob is asked of the caller.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from core.errors import RefusedError
from core.model import version as versions
from core.model.image import Artifact, ImageVersion
from core.store.ledger_tree import Addition, Entry, image_path, lost_path, reservation_path

LONGEST_ROLE = 100


class Owner(msgspec.Struct, frozen=True):
    """Whose an image or reservation is."""

    run: str
    by: str

    def __str__(self) -> str:
        return f"{self.by} (run {self.run})"


OwnerOf = Callable[[str, str], Owner | None]
"""Path and blob → whose it is; None where it cannot be read."""


class FileChange(msgspec.Struct, frozen=True):
    """One file that a commit changed: its blob before (None: was not there) and after (None: is gone)."""

    path: str
    before: str | None
    after: str | None


class Verdict(msgspec.Struct, frozen=True):
    """What becomes of a change that is carried over."""

    edits: Mapping[str, str | None]
    lost: str = ""
    """Who was first, and with what; empty when nothing was lost."""


NOTHING = Verdict({})


def settle(change: FileChange, standing: Mapping[str, str], owner_of: OwnerOf) -> Verdict:
    """What becomes of one change of ours, now that `standing` is what everybody has.

    A version is of the run that was first on the shared ledger, by reservation or registration. An image of ours that
    lost its version moves to `lost/`; a reservation of ours that lost is dropped.
    """
    there = standing.get(change.path)
    if there == change.after:
        return NOTHING
    entry = Entry(change.path, change.after or "", regular=True, size=0)
    if change.after is None:  # a reservation that was used up or given back
        return Verdict({change.path: None}) if there == change.before else NOTHING
    if entry.kind in ("images", "reserved"):
        mine = owner_of(change.path, change.after)
        if winner := _winner(entry, mine, standing, owner_of):
            lost = f"{entry.role} {entry.version} was {winner}"
            if entry.kind == "reserved":
                return Verdict({}, lost)
            run = mine.run if mine else change.after
            return Verdict({lost_path(entry.role, entry.version, run): change.after}, lost)
        return Verdict({change.path: change.after})
    return Verdict({change.path: change.after}) if there in (None, change.before) else NOTHING


def _winner(entry: Entry, mine: Owner | None, standing: Mapping[str, str], owner_of: OwnerOf) -> str:
    """How and by whom the wanted version was taken; empty when it is free, or held by the same run."""
    image_at = image_path(entry.role, entry.version)
    if image_at in standing:
        return f"registered by {owner_of(image_at, standing[image_at]) or 'somebody'}"
    held_at = reservation_path(entry.role, entry.version)
    if held_at in standing:
        holder = owner_of(held_at, standing[held_at])
        if holder is None or mine is None or holder.run != mine.run:
            return f"reserved by {holder or 'somebody'}"
    return ""


def same_building(one: ImageVersion, other: ImageVersion) -> bool:
    """The same run made the same artifacts; when it was written down may differ, after a crash in between."""
    return (one.run, one.commit, one.artifacts) == (other.run, other.commit, other.artifacts)


def with_additions(images: Sequence[ImageVersion], additions: Sequence[Addition]) -> list[ImageVersion]:
    """The images with what was made of them later. At the same place the newest counts: a file that was made again
    there is no longer what it was."""
    by_image: dict[tuple[str, str, str], dict[tuple[str, str], Addition]] = {}
    for addition in sorted(additions, key=lambda one: one.at):
        of_image = by_image.setdefault((addition.role, addition.version, addition.run), {})
        of_image[addition.artifact.host, addition.artifact.location] = addition
    found: list[ImageVersion] = []
    for image in images:
        later = by_image.get((image.role, image.version, image.run), {})
        first = tuple(artifact for artifact in image.artifacts if (artifact.host, artifact.location) not in later)
        found.append(replace(image, artifacts=(*first, *(one.artifact for one in later.values()))) if later else image)
    return found


def without(image: ImageVersion, gone: set[tuple[str, str, str, str]]) -> ImageVersion:
    """The image without the artifacts whose role, version, location and host (empty: any) are in `gone`: their files
    were deleted."""

    def is_gone(artifact: Artifact) -> bool:
        named = (image.role, image.version, artifact.location)
        return (*named, "") in gone or (*named, artifact.host) in gone

    kept = tuple(artifact for artifact in image.artifacts if not is_gone(artifact))
    return image if len(kept) == len(image.artifacts) else replace(image, artifacts=kept)


def check_names(role: str, version: str) -> None:
    """Raises RefusedError for a role or a version that cannot have a place on the ledger."""
    if not role or not role.isprintable() or len(role) > LONGEST_ROLE:
        raise RefusedError(f"{role!r} cannot be the name of a role.", f"Use up to {LONGEST_ROLE} printable characters.")
    if not versions.is_safe(version):
        raise RefusedError(
            f"{version!r} cannot be a version string.",
            f"Use letters, digits, '.', '_' and '-', at most {versions.LONGEST} of them, the first a letter or digit.",
        )
