"""What lies beside each file of an image version, so that the file says by itself what it is; and bringing files to
where they stay."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from core.hold import write_whole
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.model.touch import Touch


class Manifest(msgspec.Struct):
    """`<file>.manifest.json`."""

    role: str
    version: str
    commit: str
    run: str
    created: float
    artifact: Artifact
    upstream: UpstreamRecord
    tools: dict[str, str]
    stamp: str
    """Why it is not stamped inside; empty where it is."""
    marks: tuple[str, ...] = ()
    touches: tuple[Touch, ...] = ()


def manifest_of(image: ImageVersion, artifact: Artifact, tools: Mapping[str, str], stamp: str) -> Manifest:
    """What is to lie beside a file of an image version. `tools` are those that had a hand in it, by name the version;
    `stamp` as in the manifest."""
    return Manifest(
        role=image.role,
        version=image.version,
        commit=image.commit,
        run=image.run,
        created=image.created,
        artifact=artifact,
        upstream=image.upstream,
        tools=dict(tools),
        stamp=stamp,
        marks=image.marks,
        touches=image.touches,
    )


def note_of(file: Path) -> Path:
    """Where the manifest of a file is."""
    return file.with_name(f"{file.name}.manifest.json")


def write_beside(file: Path, manifest: Manifest) -> None:
    """Write the manifest of a file, and make both read-only and safe on the disk. Can be repeated."""
    note = note_of(file)
    # Replaced, never written to: an attempt that was killed here has left it read-only.
    write_whole(note, msgspec.json.format(msgspec.json.encode(manifest), indent=2) + b"\n")
    for path in (file, note):
        path.chmod(0o444)
    flush(file)


def read(note: Path) -> Manifest:
    """Raises msgspec.DecodeError for what is no manifest."""
    return msgspec.json.decode(note.read_bytes(), type=Manifest)


def flush(path: Path) -> None:
    """What the ledger speaks of is on the disk before the ledger does."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
