"""Deleting the files and the AMIs of an image version.

That an image existed stays on the ledger for ever; only files and AMIs go. The ledger is told first: were they deleted
first and the ledger could not be written, everybody else would go on to count on an image that is gone. What is left
when the deleting then fails is found on the disk, or in the cloud, and can be deleted again; and what is not deleted
after all, since something came to need it in between or the cloud refuses, is put back on the ledger.
"""

import contextlib
import os
from collections.abc import Container, Mapping, Sequence
from pathlib import Path

import msgspec

from core.errors import IngotError, LedgerError, NoRoomError, RefusedError
from core.model.image import Artifact, ImageVersion
from core.model.workspace import Workspace
from core.places import Places
from core.services import amis, catalogue, disk, images
from core.services.amis import CloudImage, Wanted
from core.store.index import Index
from core.store.ledger import Ledger
from core.text import size, visible


class Going(msgspec.Struct, frozen=True):
    """What deleting an image version takes away."""

    image: ImageVersion
    """As it was registered: deleted artifacts are still in it."""
    place: Path
    files: tuple[Artifact, ...]
    """Those in that place on this machine."""
    wanted: tuple[Wanted, ...]
    clouds: tuple[CloudImage, ...]
    """Its AMIs, and what is left of them."""
    recorded: tuple[Artifact, ...]
    """Those of both that the ledger says are there."""

    @property
    def size(self) -> int:
        """Bytes on this disk."""
        return disk.size_of(self.place) if self.files else 0

    @property
    def lines(self) -> tuple[str, ...]:
        """What goes, one thing a line. Looks at the disk."""
        files = ", ".join(Path(one.location).name for one in self.files)
        here = (f"{self.place}: {size(self.size)} ({files})",) if files else ()
        return (*here, *(_ami(one) for one in self.clouds))


def _ami(one: CloudImage) -> str:
    if not one.there:
        return f"{one.location}: gone already"
    snapshots = f"{len(one.snapshots)} snapshot{'' if len(one.snapshots) == 1 else 's'}"
    return f"{one.location}{'' if one.ami else ' is gone'}: {snapshots}, up to {size(one.size)}"


class Freed(msgspec.Struct, frozen=True):
    """What came back."""

    disk: int = 0
    """Bytes on this disk."""
    cloud: int = 0
    """Bytes in EC2, at most: it says only how large the volumes of snapshots are."""

    def __str__(self) -> str:
        if not self.cloud:
            return f"{size(self.disk)} free again"
        here = f"{size(self.disk)} free again, and " if self.disk else ""
        return f"{here}up to {size(self.cloud)} {'' if here else 'free again '}in EC2"


def delete(
    places: Places,
    root: Path,
    role: str,
    version: str,
    *,
    typed: str,
    who: str,
    environment: Mapping[str, str] = os.environ,
    files_only: bool = False,
) -> Freed:
    """Delete the files that an image version has on this machine, and its AMIs, by the credentials of the environment.

    `typed` is what the person typed to confirm, and must be `role version`. Can be repeated when something was left.
    With `files_only` AMIs stay. Raises RefusedError when a rule forbids it, ToolError when the cloud cannot be asked,
    LedgerError when the ledger cannot be told (then nothing is deleted); StoreError and ToolError when something is
    left.
    """
    name = f"{role} {version}"
    if typed.strip() not in (name, visible(name)):  # nobody can type what a terminal must not be shown
        raise RefusedError(f"The files of {name} are deleted only when its name is typed.", f"Type exactly: {name}")
    workspace = catalogue.identify(root)
    ledger = Ledger(Path(workspace.root), workspace.remote)
    goes = _going(places, workspace, ledger, ledger.manifest(role, version), environment, files_only)
    if goes.files:
        disk.inside(goes.place, places.images)
    try:
        for host, locations in _by_host(goes.recorded).items():
            ledger.remove_artifacts(role, version, locations, who, "its files were deleted", host=host)
        # A run that chose the image before the ledger was told has it by now; one that comes later does not choose it.
        # Looked at only before that, a run that begins in between would build on files that go.
        _refuse_if_needed(places, workspace, goes.image, ledger)
    except IngotError as refused:
        _put_back(ledger, goes, who, refused, [one.location for one in goes.clouds if one.there])
        refused.kept = refused.kept or "Nothing was deleted."
        raise
    gone = amis.delete(goes.clouds, goes.wanted, environment)
    if gone.error and gone.standing:
        _put_back(ledger, goes, who, gone.error, gone.standing)
        raise gone.error
    freed = disk.remove(goes.place, places.images) if goes.files else 0
    contents = ledger.read()
    index = Index(places.index)
    try:
        with contextlib.suppress(NoRoomError):  # it is read again from the ledger: all that was wanted is done
            index.replace_images(workspace.id, contents.images, contents.head or "")
    finally:
        index.close()
    if gone.error:
        raise gone.error
    return Freed(freed, gone.freed)


def going(
    places: Places,
    root: Path,
    role: str,
    version: str,
    *,
    environment: Mapping[str, str] = os.environ,
    files_only: bool = False,
) -> Going:
    """What `delete` would take away now; changes nothing. Raises as that does."""
    workspace = catalogue.identify(root)
    ledger = Ledger(Path(workspace.root), workspace.remote)
    return _going(places, workspace, ledger, ledger.manifest(role, version), environment, files_only)


def _going(
    places: Places,
    workspace: Workspace,
    ledger: Ledger,
    image: ImageVersion,
    environment: Mapping[str, str],
    files_only: bool,
) -> Going:
    name, place = f"{image.role} {image.version}", images.directory_of(places, workspace, image)
    here = images.own(image, place)
    standing = ledger.image(image.role, image.version).artifacts
    wanted = [] if files_only else amis.wanted(image, standing, [one.location for one in amis.of(image.artifacts)])
    if not wanted:
        _refuse_without_files(image, place, here, standing)
    _refuse_if_needed(places, workspace, image, ledger)
    looked = amis.look(wanted, environment).get((image.role, image.version), [])
    if refused := next((one.refused for one in looked if one.recorded and one.refused), None):
        if here:
            refused.next_step += (
                f" Its files here alone: ingot images {image.role} --delete {image.version} --files-only"
            )
        raise refused
    clouds = [one for one in looked if not one.refused and (one.recorded or one.there)]
    if not here and not clouds:
        # Deleted before, and whether all of it went then is not known.
        if refused := next((one.refused for one in looked if one.refused), None):
            raise refused
        raise RefusedError(f"{name} has no files on this machine, and its AMIs are gone.", _where(image))
    locations = {one.location for one in clouds}
    recorded = [one for one in standing if one in here or (one in amis.of(standing) and one.location in locations)]
    return Going(image, place, tuple(here), tuple(wanted), tuple(clouds), tuple(recorded))


def _refuse_without_files(
    image: ImageVersion, place: Path, here: Sequence[Artifact], standing: Sequence[Artifact]
) -> None:
    name = f"{image.role} {image.version}"
    if not here and os.path.lexists(place):
        raise RefusedError(
            f"{name} has no files on this machine: what lies in {place} is of another image.", _where(image)
        )
    if not os.path.lexists(place) and not any(one in standing for one in here):
        raise RefusedError(f"{name} has no files on this machine.", _where(image))


def _by_host(recorded: Sequence[Artifact]) -> dict[str, list[str]]:
    """Where they lie, by the host that the ledger has for them: one, unless this machine was renamed."""
    found: dict[str, list[str]] = {}
    for artifact in recorded:
        found.setdefault(artifact.host, []).append(artifact.location)
    return found


def _put_back(ledger: Ledger, goes: Going, who: str, refused: IngotError, standing: Container[str]) -> None:
    """Take back that files and AMIs were deleted: they are not. Those that somebody else deleted meanwhile stay off,
    and of the AMIs all but those `standing`."""
    image = goes.image
    there = [one for one in goes.recorded if one.location in standing or (one in goes.files and _is_file(one))]
    try:
        for host, locations in _by_host(there).items():
            ledger.keep_artifacts(image.role, image.version, locations, who, "they were not deleted", host=host)
    except LedgerError as error:
        raise LedgerError(
            f"The files of {image.role} {image.version} are not deleted ({refused.what}), and the ledger could not be "
            f"told so: {error.what}",
            error.next_step,
            kept="All of its files are there. The ledger may say that they are deleted.",
        ) from error


def _is_file(artifact: Artifact) -> bool:
    return Path(artifact.location).is_file()


def _refuse_if_needed(places: Places, workspace: Workspace, image: ImageVersion, ledger: Ledger) -> None:
    """Raises RefusedError with everything that needs it: who has done what the first says is not told the next."""
    listed = images.look_at(places, workspace, image, ledger.read())
    name = f"{image.role} {image.version}"
    reasons: list[str] = []
    steps: list[str] = []
    if listed.children:
        built = "is" if len(listed.children) == 1 else "are"
        reasons.append(f"{name} is what {' and '.join(listed.children)} {built} built on.")
        steps.append("Delete those first.")
    if listed.channels:
        reasons.append(f"{name} is what {' and '.join(listed.channels)} of {image.role} has.")
        steps.append(f"Move that first: ingot promote {image.role} VERSION {listed.channels[0]}")
    if listed.used_by:
        reasons.append(f"{name} is needed by {' and '.join(listed.used_by)}.")
        steps.append("Wait for the end, or cancel it.")
    if reasons:
        raise RefusedError(" ".join(reasons), "\n".join(steps))


def _where(image: ImageVersion) -> str:
    hosts = sorted({artifact.host for artifact in image.artifacts if artifact.host})
    if hosts:
        return f"They are on {' and '.join(hosts)}: delete them there."
    if files := [artifact for artifact in image.artifacts if artifact not in amis.of(image.artifacts)]:
        return f"It has {files[0].location}: delete that where it is."
    return "They were never made, or are deleted already."
