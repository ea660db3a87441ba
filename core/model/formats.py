"""The formats that an image version is handed out in, and from which of its files each is made."""

import difflib
from collections.abc import Mapping, Sequence
from pathlib import PurePath

import msgspec

from core.model.image import Artifact, ImageVersion

MIB = 1 << 20


class DiskFormat(msgspec.Struct, frozen=True):
    """One format that Ingot makes."""

    name: str
    """As people, the ledger and file names have it."""
    of_qemu: str
    """QEMU's name of it; of an OVA that of the disk in it."""
    options: tuple[str, ...] = ()
    """What qemu-img is told when it makes one (`-o`)."""
    multiple_of: int = 1
    """Bytes: the disk that the machine sees is a multiple of it."""


FORMATS: Mapping[str, DiskFormat] = {
    one.name: one
    for one in (
        DiskFormat("qcow2", "qcow2"),
        DiskFormat("raw", "raw"),
        # Azure takes no other: fixed, whole MiB, and the size as it is and not as cylinders × heads × sectors give it.
        DiskFormat("vhd", "vpc", ("subformat=fixed", "force_size=on"), MIB),
        DiskFormat("vhdx", "vhdx", ("subformat=dynamic",)),
        DiskFormat("vmdk", "vmdk", ("subformat=streamOptimized",)),
        DiskFormat("ova", "vmdk", ("subformat=streamOptimized",)),
    )
}
"""By name, in the order in which they are made: an OVA takes the VMDK that is there."""

READABLE: Mapping[str, str] = {
    "qcow2": "qcow2",
    "raw": "raw",
    "vmdk": "vmdk",
    "vhdx": "vhdx",
    "vhd": "vpc",
    "vdi": "vdi",
}
"""Formats of artifacts that others can be made from → QEMU's names of them."""


class Disk(msgspec.Struct, frozen=True):
    """One disk of an image version, in all the formats that one machine has of it."""

    build: str
    name: str
    """Of its files, without the ending: `qemu.web`."""
    files: tuple[Artifact, ...]
    """As registered first, then as made later."""

    @property
    def formats(self) -> frozenset[str]:
        return frozenset(file.format for file in self.files)

    def file(self, disk_format: str) -> Artifact | None:
        return next((file for file in self.files if file.format == disk_format), None)


def disks_on(image: ImageVersion, host: str, builds: Sequence[str] = ()) -> list[Disk]:
    """The disks of an image version whose files are on `host`, of all its builds or of some."""
    found: dict[tuple[str, str], list[Artifact]] = {}
    for artifact in image.artifacts:
        known = artifact.format in READABLE or artifact.format in FORMATS
        if known and artifact.host == host and (not builds or artifact.build in builds):
            found.setdefault((artifact.build, PurePath(artifact.location).stem), []).append(artifact)
    return [Disk(build, name, tuple(files)) for (build, name), files in found.items()]


def in_order(wanted: Sequence[str]) -> tuple[str, ...]:
    """The formats, once each, in the order in which they are made.

    >>> in_order(["ova", "raw", "vmdk", "ova"])
    ('raw', 'vmdk', 'ova')
    """
    return tuple(name for name in FORMATS if name in wanted)


def unknown(wanted: Sequence[str]) -> str:
    """The first of them that is no format; empty when all are.

    >>> unknown(["vhd", "vdh"])
    'vdh'
    """
    return next((name for name in wanted if name not in FORMATS), "")


def hint(name: str) -> str:
    """What somebody may have meant who wrote a format that there is not.

    >>> hint("VHDX"), hint("streamoptimized")
    ('Did you mean vhdx?', 'Use: qcow2, raw, vhd, vhdx, vmdk, ova.')
    """
    near = difflib.get_close_matches(name.lower(), FORMATS, n=1, cutoff=0.6)
    return f"Did you mean {near[0]}?" if near else f"Use: {', '.join(FORMATS)}."


def virtual_size(disk_format: str, size: int) -> int:
    """Bytes that a machine sees of a disk of `size` bytes in this format: some take whole MiB only.

    >>> virtual_size("vhd", 3 * MIB + 1) == 4 * MIB, virtual_size("raw", 1025)
    (True, 1025)
    """
    step = FORMATS[disk_format].multiple_of
    return -(-size // step) * step
