"""Finding what a build made: in the directory that it was given, or wherever its template puts things."""

import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from core.adapters import packer
from core.adapters.communicator import disk_settings
from core.adapters.packer_output import OutputReader
from core.model.role import DISK_BUILDERS
from core.stages.environment import Preparation, template_variables

NOT_DISKS = frozenset(
    {
        ".fd",
        ".log",
        ".json",
        ".txt",
        ".md5",
        ".sha1",
        ".sha256",
        ".sha512",
        ".checksum",
        ".checksums",
        ".sum",
        ".pid",
        ".nvram",
        ".ovf",
        ".mf",
    }
)
"""Endings of files that lie beside a disk and are none: firmware variables, checksums, manifests."""

_MAGIC: tuple[tuple[int, bytes, str], ...] = (
    (0, b"QFI\xfb", "qcow2"),
    (0, b"KDMV", "vmdk"),
    (0, b"# Disk DescriptorFile", "vmdk"),
    (0, b"conectix", "vhd"),
    (0, b"vhdxfile", "vhdx"),
    (64, b"\x7f\x10\xda\xbe", "vdi"),
)
"""Offset, signature, format (QEMU's block/*.c)."""
_ENDINGS = {
    ".img": "raw",
    ".raw": "raw",
    ".vhd": "vhd",
    ".vpc": "vhd",
    ".ova": "ova",
    ".vmdk": "vmdk",
    ".qcow2": "qcow2",
}


class Made(msgspec.Struct, frozen=True):
    """One thing that a build made: a file, or something in a cloud."""

    format: str
    """As core/model/image.Artifact has it; `file` where it is no disk that we know."""
    path: str = ""
    location: str = ""
    """`region:ami-…`."""


class Declared(msgspec.Struct, frozen=True):
    """What a template says of the disks that a build of it makes; empty where it says nothing."""

    format: str = ""
    """`raw`, `qcow2`: of QEMU alone."""
    directory: str = ""
    """Where its builder puts them, absolute."""


def declared_by(preparation: Preparation) -> Declared:
    """Reads the template: in a thread, and before the build, where an error takes nothing finished away."""
    build = preparation.build
    if build.kind not in DISK_BUILDERS:
        return Declared()
    variables = {**template_variables(preparation.environment), **preparation.variables}
    said, directory = disk_settings(preparation.role, preparation.checkout, variables, build)
    return Declared(said if build.kind == "qemu" else "", directory)


def signed_as(path: Path) -> str:
    """The format of a file by what is in it; empty where that tells none."""
    with path.open("rb") as file:
        start = file.read(512)
        for offset, signature, name in _MAGIC:
            if start[offset : offset + len(signature)] == signature:
                return name
        if start[257:262] == b"ustar" and path.suffix == ".ova":
            return "ova"
        if path.stat().st_size >= 512:
            file.seek(-512, 2)  # a fixed VHD has its signature at the end
            if file.read(8) == b"conectix":
                return "vhd"
    return ""


def format_of(path: Path, kind: str = "", declared: str = "") -> str:
    """The format of a file: by what is in it, else by its name, else `raw` where it can be one, the builder makes disks
    and its template declares no other format: an archive of whole blocks beside a disk is none.

    What is in a disk that its template declares to be raw was written by the machine, so there only a name that says
    the same makes it another format: a post-processor's copy.
    """
    ending, signed = path.suffix.lower(), signed_as(path)
    if declared == "raw" and signed and _ENDINGS.get(ending, ending[1:]) != signed:
        return "raw"
    if signed:
        return signed
    size = path.stat().st_size
    # A disk has whole sectors: a list or a machine's settings beside one hardly ever do.
    may_be_raw = kind in DISK_BUILDERS and declared in ("", "raw") and size and not size % 512
    return _ENDINGS.get(ending) or ("raw" if may_be_raw else "file")


def made_by(preparation: Preparation, declared: Declared, reader: OutputReader, started: float) -> list[Made]:
    """What the build made, once each, the main disk first. Empty when it made nothing that can be kept (`null`). Reads
    files: in a thread."""
    amis = list(dict.fromkeys(ami for result in reader.results for ami in result.amis))
    files = list(_files(preparation, reader, started))
    disks = [file for file in files if file.suffix.lower() not in NOT_DISKS]
    # Where everything has such an ending, that is what the template makes.
    return [*_made_of(preparation, declared, disks or files), *(Made("ami", location=ami) for ami in amis)]


def unnamed(preparation: Preparation, declared: Declared, reader: OutputReader, region: str) -> list[Made]:
    """What a build made whose every step went well, but which Packer calls failed: it names nothing then, and runs no
    post-processor. Reads files: in a thread."""
    kind, name = preparation.build.kind, preparation.build.name
    if kind.startswith("amazon-"):
        return [Made("ami", location=f"{region}:{reader.ami}")] if reader.ami and region else []
    if kind not in DISK_BUILDERS:
        return []
    # What it is called where the template does not say it (builder/qemu/config.go).
    place = (
        Path(declared.directory) if declared.directory else preparation.directory / f"output-{name.rpartition('.')[2]}"
    )
    files = _in(place) if place.is_dir() else []
    disks = [file for file in files if file.suffix.lower() not in NOT_DISKS]
    return _made_of(preparation, declared, disks or files)


def _made_of(preparation: Preparation, declared: Declared, files: Iterable[Path]) -> list[Made]:
    made = [Made(format_of(file, preparation.build.kind, declared.format), path=str(file)) for file in files]
    return sorted(made, key=lambda one: one.format == "file")  # what is no disk is never the main one


def _files(preparation: Preparation, reader: OutputReader, started: float) -> Iterable[Path]:
    if preparation.output.is_dir() and (found := _in(preparation.output)):
        return found
    said: dict[Path, None] = {}
    for result in reader.results:
        if result.directory:
            said.update(dict.fromkeys(_in(preparation.directory / result.directory)))
        elif result.file:
            said.update(dict.fromkeys(path for path in [preparation.directory / result.file] if path.is_file()))
    # Packer hides a sensitive value wherever it occurs, in the middle of a path too; manifests are not changed.
    return said or _in_manifests(preparation, started)


def _in(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file() and not path.is_symlink())


def _in_manifests(preparation: Preparation, started: float) -> list[Path]:
    """Files that the template's manifest post-processor lists; its file is one that was written since the build
    began."""
    found: dict[Path, None] = {}
    earliest = min(started, time.time()) - 2  # file systems keep coarse times
    for place in (preparation.directory, preparation.checkout / preparation.template, preparation.checkout):
        for file in sorted(place.glob("*.json")) if place.is_dir() else ():
            if file.stat().st_mtime < earliest or not (manifest := packer.read_manifest(file)):
                continue
            for build in manifest.of_last_run():
                for listed in build.files or ():
                    if (path := preparation.directory / listed.name).is_file():
                        found[path] = None
    return list(found)
