"""What a run must not leave when it has ended, however it ended; and where its image version has its place."""

import hashlib
import re
import shutil
from pathlib import Path

from core.adapters import ssh_keys
from core.errors import IngotError
from core.model.run import Run, RunRequest
from core.model.workspace import Workspace
from core.places import Places
from core.stages.environment import keys_of, tmp_name
from core.store.ledger import Ledger

RUN_NOTE = ".run"
"""Beside the artifacts of a version as long as it is not in the ledger: the uid of the run that brings it there."""


def clean_up(places: Places, run: Run, *, succeeded: bool, kept: bool = False) -> None:
    """Take away keys, temporary files, reports and what came from outside Git always; the checkout when the run
    succeeded, for after a failure a person may want to look at it. Logs stay. An image version that never came into the
    ledger has no place under `images/`. Can be repeated.

    `kept`: a machine of the run lives on, with its disk, the keys that open it and the files that it was started with;
    these go when it has gone.
    """
    directory = places.run(run.uid)
    # Of the reports the ledger has those that it takes, and without any secret.
    for name in ("register", "convert", "reading", "seal", "evidence"):
        shutil.rmtree(directory / name, ignore_errors=True)
    for note in (directory / "results").glob("test-*"):  # what came of a boot test is on the ledger
        note.unlink(missing_ok=True)
    if not kept:
        ssh_keys.remove(keys_of(directory))
        for path in (directory / "tmp", places.runtime / tmp_name(run.uid), directory / "output", directory / "test"):
            shutil.rmtree(path, ignore_errors=True)
    if succeeded:
        for name in ("checkout", "galaxy"):
            shutil.rmtree(directory / name, ignore_errors=True)
    else:
        _remove_outside(directory / "checkout", run.request.role.outside)
    if run.version:
        _give_back(places, run)


def _remove_outside(checkout: Path, names: tuple[str, ...]) -> None:
    for name in names:
        path = checkout / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        elif checkout.is_dir():
            path.unlink(missing_ok=True)


def _give_back(places: Places, run: Run) -> None:
    """Of a run that registered nothing: its version string, for the next one, and what it had under `images/`."""
    place = version_directory(places, run.request, run.version)
    mine = (place / RUN_NOTE).is_file() and (place / RUN_NOTE).read_text() == run.uid
    workspace = run.request.workspace
    ledger = Ledger(Path(workspace.root), workspace.remote)
    try:
        contents = ledger.read()
        if contents.hides_images:
            return  # what cannot be read may be the image of this run
        # One that lost its version to somebody else is on the ledger all the same, and names its files.
        registered = any(image.run == run.uid for image in (*contents.images, *contents.lost))
        if not registered:
            ledger.release(run.role, run.uid, run.request.asked_by, "the run registered nothing")
    except IngotError:
        return  # that cannot be known now, and a registered image must not lose its disk
    if mine and registered:
        (place / RUN_NOTE).unlink()
    elif mine:
        shutil.rmtree(place, ignore_errors=True)


def workspace_key(workspace: Workspace) -> str:
    """The directory of a workspace below `images/`: its name, to be recognised, and what tells it from others of that
    name."""
    digest = hashlib.sha256(workspace.id.encode()).hexdigest()[:10]
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", workspace.name).strip(".-")[:40] or "workspace"
    return f"{name}-{digest}"


def version_directory(places: Places, request: RunRequest, version: str) -> Path:
    """Where the artifacts of an image version belong: `images/<workspace key>/<role>/<version>`."""
    return places.images / workspace_key(request.workspace) / file_name(request.role.name) / file_name(version)


def file_name(wanted: str) -> str:
    """As a file name: roles and versions have safe names by their own rules; what comes from elsewhere is made so."""
    return re.sub(r"[^A-Za-z0-9._+-]", "_", wanted).lstrip(".") or "_"
