"""Asking for other formats of an image version that there is. It blocks, for as long as Git and a worker's start take.

Nothing of the workspace is executed for it, so nobody has to trust it. What may be wrong with the request is found
here, and not minutes later in a run.
"""

import os
import socket
import time
from collections.abc import Sequence
from pathlib import Path

from core.adapters.git import GitRepository
from core.engine.client import Engine
from core.errors import RefusedError
from core.model.decided import Key
from core.model.formats import READABLE, Disk, disks_on, hint, in_order, unknown
from core.model.image import ImageState, ImageVersion
from core.model.pipeline import Purpose
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest
from core.model.workspace import Workspace
from core.places import Places
from core.services import catalogue
from core.store.index import Index
from core.store.ledger import Ledger
from core.store.ledger_contents import Contents


class Converting:
    """Conversions of the images that lie on this machine."""

    def __init__(self, places: Places, *, engine: Engine | None = None) -> None:
        self._places = places
        self._engine = engine or Engine(places)

    def convert(self, root: Path, role: str, version: str, formats: Sequence[str]) -> Run:
        """Queue the making of some formats of an image version.

        Raises RefusedError where there is no such format or image, it is revoked, no file of it is on this machine, or
        it has all of them already; IngotError for the rest.
        """
        if wrong := unknown(formats):
            raise RefusedError(f"{wrong!r} is no format that Ingot makes.", hint(wrong))
        workspace = catalogue.identify(root)
        contents = Ledger(Path(workspace.root), workspace.remote).read()
        image = _image(contents, (role, version))
        self._refuse_revoked(contents, image)
        disks = _disks(image)
        wanted = in_order(formats)
        builds = tuple(dict.fromkeys(disk.build for disk in disks if any(_is_missing(disk, one) for one in wanted)))
        if not builds:
            raise RefusedError(
                f"{role} {version} has {' and '.join(wanted)} already.", f"Where it is: ingot images {role} --json"
            )
        repository = GitRepository.find(root)
        request = RunRequest(
            workspace=workspace,
            role=self._role(workspace, image),
            commit=image.commit,
            ref=version,
            builds=builds,
            asked_by=repository.identity() if repository else "",
            asked_at=time.time(),
            purpose=Purpose.CONVERT,
            version=version,
            formats=wanted,
        )
        return self._engine.submit(request)

    def _refuse_revoked(self, contents: Contents, image: ImageVersion) -> None:
        if image.state is not ImageState.REVOKED:
            return
        effective = contents.decided.effective((image.role, image.version), time.time())
        by = f" with {effective.inherited}" if effective.inherited else ""
        why = f" ({effective.because.why})" if effective.because and effective.because.why else ""
        raise RefusedError(f"{image.role} {image.version} is revoked{by}{why}: nothing is made of it.")

    def _role(self, workspace: Workspace, image: ImageVersion) -> Role:
        """The role as it was last seen; one that is gone needs no more than its name for this."""
        self._places.create()
        index = Index(self._places.index)
        try:
            known = index.catalogue(workspace.id, workspace.root)
        finally:
            index.close()
        found = next((role for role in known.roles if role.name == image.role), None) if known else None
        builds = tuple(dict.fromkeys(Build(one.build, one.build.split(".")[0]) for one in image.artifacts))
        return found or Role(image.role, image.template, Syntax.HCL2, builds=builds)


def _image(contents: Contents, key: Key) -> ImageVersion:
    of_role = [one for one in contents.images if one.role == key[0]]
    found = next((one for one in of_role if one.version == key[1]), None)
    if found is None:
        newest = max(of_role, key=lambda one: one.created, default=None)
        fix = f"The newest is {newest.version}; ingot images {key[0]} lists them." if newest else "See: ingot images"
        raise RefusedError(f"There is no image {' '.join(key)} on the ledger.", fix)
    return found


def _disks(image: ImageVersion) -> list[Disk]:
    """The disks of which a file is here. Raises RefusedError, saying where else they are, when there are none."""
    name, host = f"{image.role} {image.version}", socket.gethostname()
    on_record = disks_on(image, host)
    disks = [disk for disk in on_record if any(_is_source(file.format, file.location) for file in disk.files)]
    if disks:
        return disks
    if on_record:
        gone = " and ".join(file.location for disk in on_record for file in disk.files)
        raise RefusedError(f"The files of {name} are gone from this machine: {gone}.", "Build it again.")
    elsewhere = sorted({one.host for one in image.artifacts if one.host})
    if elsewhere:
        raise RefusedError(f"The files of {name} are on {' and '.join(elsewhere)}.", "Convert it there.")
    if image.artifacts:
        raise RefusedError(
            f"{name} is only in a cloud: {', '.join(one.location for one in image.artifacts)}.",
            "Only disks on this machine are converted: give its role a build that makes one, such as qemu.",
        )
    raise RefusedError(f"{name} has no files any more: they were deleted.", "Build it again.")


def _is_source(disk_format: str, location: str) -> bool:
    return disk_format in READABLE and os.path.isfile(location)  # noqa: PTH113 - a location may be any text


def _is_missing(disk: Disk, wanted: str) -> bool:
    file = disk.file(wanted)
    return file is None or not Path(file.location).is_file()
