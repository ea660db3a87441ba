"""The image versions of a workspace, with what they take on this disk and what needs them."""

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core.errors import LedgerError
from core.model.decided import Decided, Effective
from core.model.image import Artifact, ImageVersion
from core.model.machine import MachineState
from core.model.pipeline import Purpose
from core.model.run import Run
from core.model.stale import outdated
from core.model.states import Verdict
from core.model.workspace import Workspace
from core.places import Places
from core.services import amis, disk
from core.stages import file_manifest
from core.stages.leftovers import file_name, workspace_key
from core.store.index import Index
from core.store.ledger import Ledger
from core.store.ledger_contents import Contents


class ListedImage(msgspec.Struct, frozen=True):
    """An image version as it is on this machine."""

    image: ImageVersion
    on_disk: tuple[str, ...]
    """Locations of the artifacts whose files are here."""
    missing: tuple[str, ...]
    """Those of artifacts that should be here and are not."""
    size: int | None
    """Bytes: on the disk where files are here, else as recorded."""
    children: tuple[str, ...]
    """`web 0.1.0`: images that are built on it and still have artifacts."""
    used_by: tuple[str, ...]
    """`run 12`: runs that are not over and need it, and those whose kept machine does."""
    channels: tuple[str, ...] | None
    """The channels that are at it; None where the ledger does not say."""
    effective: Effective
    """Its state now, and why."""
    outdated: str = ""
    """The newer good version of what it is built on; empty where there is none."""


def listing(places: Places, workspace: Workspace, role: str = "") -> list[ListedImage]:
    """The image versions of a workspace, or of one role, newest first, as the index has them; their states and
    channels are those of the ledger now. Where that cannot be read, which discovery says, they are the last known."""
    index = Index(places.index)
    try:
        images = index.images(workspace.id)
        active = _active(index, workspace)
    finally:
        index.close()
    try:
        decided = Ledger(Path(workspace.root), workspace.remote).read().decided
    except LedgerError:
        decided = Decided()
    now = time.time()
    newer = outdated(
        replace(image, state=decided.effective((image.role, image.version), now).state)
        if (image.role, image.version) in decided.images
        else image
        for image in images
    )
    return [
        replace(
            _listed(places, workspace, image, images, active, decided),
            outdated=newer.get((image.role, image.version), ""),
        )
        for image in images
        if role in ("", image.role)
    ]


def look_at(places: Places, workspace: Workspace, image: ImageVersion, contents: Contents) -> ListedImage:
    """One image version as it is on this machine; `contents` is the ledger now. Raises StoreError."""
    index = Index(places.index)
    try:
        active = _active(index, workspace)
    finally:
        index.close()
    return _listed(places, workspace, image, contents.images, active, contents.decided)


def _listed(
    places: Places,
    workspace: Workspace,
    image: ImageVersion,
    images: Sequence[ImageVersion],
    active: Sequence[tuple[Run, object]],
    decided: Decided,
) -> ListedImage:
    key = (image.role, image.version)
    known = key in decided.images
    effective = decided.effective(key, time.time()) if known else Effective(image.state, image.state, Verdict.UNKNOWN)
    place = directory_of(places, workspace, image)
    locations = [artifact.location for artifact in own(image, place)]
    here = tuple(location for location in locations if Path(location).is_file())
    clouds = [artifact.location.partition(":")[2] for artifact in amis.of(image.artifacts)]
    return ListedImage(
        image=replace(image, state=effective.state),
        on_disk=here,
        missing=tuple(location for location in locations if location not in here),
        size=disk.size_of(place) if place.is_dir() else image.size,
        children=tuple(
            f"{child.role} {child.version}"
            for child in images
            if (child.upstream.role, child.upstream.version) == (image.role, image.version) and child.artifacts
        ),
        used_by=tuple(_user(run) for run, upstream in active if _needs(run, upstream, image, [*locations, *clouds])),
        channels=decided.channels_at(key) if known else None,
        effective=effective,
    )


def _needs(run: Run, upstream: object, image: ImageVersion, locations: Sequence[str]) -> bool:
    """A run needs the image that it makes or is about, the one that it chose to build on and, until then, any it may
    choose. `locations` are paths of its files here, and ids of its AMIs."""
    if run.uid == image.run:
        return True
    if run.request.purpose is not Purpose.BUILD:
        return (run.role, run.request.version) == (image.role, image.version)
    if upstream is None:
        return not run.state.ended and run.request.role.upstream.role == image.role
    return upstream in locations


def _user(run: Run) -> str:
    return f"the kept machine of run {run.id}" if run.state.ended else f"run {run.id}"


def _active(index: Index, workspace: Workspace) -> list[tuple[Run, object]]:
    """The runs that are not over or whose machine is kept, each with the path or the AMI of the upstream that it chose
    (None: not yet)."""
    runs = index.runs(workspace.id, active_only=True)
    kept = {machine.run_uid for machine in index.machines() if machine.state is MachineState.KEPT}
    for uid in sorted(kept - {run.uid for run in runs}):
        run = index.run(uid)
        if run is not None and run.workspace_id == workspace.id:
            runs.append(run)
    chosen = [index.stage_result(run.uid, "upstream") for run in runs]
    return [(run, result.get("ami") or result.get("path")) for run, result in zip(runs, chosen, strict=True)]


def directory_of(places: Places, workspace: Workspace, image: ImageVersion) -> Path:
    """Where Ingot puts the files of an image version, on every machine; no manifest is believed for that."""
    return places.images / workspace_key(workspace) / file_name(image.role) / file_name(image.version)


def lies_here(places: Places, workspace: Workspace, image: ImageVersion, ledger: Ledger) -> bool:
    """Whether files of it are on this machine, or were left when deleting them failed. What lies in its place may be of
    an image that was made here offline and lost the version to this one."""
    place = directory_of(places, workspace, image)
    return place.is_dir() and bool(own(image, place) or own(ledger.manifest(image.role, image.version), place))


def own(image: ImageVersion, place: Path) -> list[Artifact]:
    """The artifacts that lie there on this machine: another may have files of its own at the same path."""
    of_place = [artifact for artifact in image.artifacts if _is_in(artifact.location, place)]
    mine = {artifact.location for artifact in of_place if artifact.host == socket.gethostname()}
    return [
        artifact
        for artifact in of_place
        if artifact.host == socket.gethostname()
        # It may have been called otherwise when the file was made.
        or (artifact.location not in mine and (not artifact.host or _is_that_file(image, artifact)))
    ]


def _is_that_file(image: ImageVersion, artifact: Artifact) -> bool:
    """Whether what lies there says that it is this very artifact: on a machine with the same paths, another version
    that lost the name to this one lies there just so."""
    file = Path(artifact.location)
    try:
        said = file_manifest.read(file_manifest.note_of(file))
    except (OSError, msgspec.MsgspecError):
        return False
    return file.is_file() and (said.run, said.artifact.digest) == (image.run, artifact.digest)


def _is_in(location: str, place: Path) -> bool:
    return os.path.realpath(Path(location).parent) == os.path.realpath(place) and Path(location).name not in ("", "..")
