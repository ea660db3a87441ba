"""What a disk boots by, BIOS or UEFI, and the UEFI firmware that QEMU has on this machine.

A distribution tells which firmware it has in descriptors: QEMU's docs/interop/firmware.json says what is in one and in
which directories they lie. A disk tells what it boots by in its first sectors (UEFI Specification 2.10, chapter 5).
"""

import struct
import tempfile
import uuid
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Literal

import msgspec

from core import process
from core.errors import ToolError

BootMode = Literal["bios", "uefi"]

DESCRIPTORS = (Path("/etc/qemu/firmware"), Path("/usr/share/qemu/firmware"))
"""Where descriptors lie. A file hides those of its name in the directories after it."""
MACHINE = "pc-i440fx"
"""The kind of machine that throwaway machines are."""

_SECTOR = 512
_LOOKED_AT = 64 * 1024
"""Bytes of a disk's beginning in which its partition table is."""
_PARTITIONS = 446
"""Where the four partitions of the old kind of table are, 16 bytes each; the first says that it is active, the fifth
of which type it is."""
_ACTIVE, _SYSTEM_MBR = 0x80, 0xEF
_SYSTEM = uuid.UUID("c12a7328-f81f-11d2-ba4b-00a0c93ec93b").bytes_le
_BIOS_BOOT = uuid.UUID("21686148-6449-6e6f-744e-656564454649").bytes_le
"""Types of the partition from which UEFI boots, and of the one in which GRUB has its part for a BIOS."""
_GPT_HEADER = struct.Struct("<8s64xQII")
"""Its signature, where its entries begin (in sectors), how many there are, and how long each is (in bytes)."""
_GPT_ENTRY = struct.Struct("<16s32xQ")
"""The partition's type, and its attributes."""
_FOR_A_BIOS = 1 << 2
"""Attribute: a loader in the first sector starts this one."""
_LONGEST_ENTRY = 4096


class Firmware(msgspec.Struct, frozen=True):
    """A UEFI firmware without Secure Boot, as QEMU takes it."""

    code: str
    """The file that is the same for all machines."""
    code_format: str
    variables: str
    """The file of which each machine has a copy of its own."""
    variables_format: str


class _File(msgspec.Struct, frozen=True):
    filename: str
    format: str = "raw"


class _Mapping(msgspec.Struct, frozen=True, rename="kebab"):
    device: str = ""
    executable: _File | None = None
    nvram_template: _File | None = None


class _Target(msgspec.Struct, frozen=True):
    architecture: str
    machines: tuple[str, ...]


class _Descriptor(msgspec.Struct, frozen=True, rename="kebab"):
    interface_types: tuple[str, ...]
    mapping: _Mapping
    targets: tuple[_Target, ...]
    features: tuple[str, ...] = ()

    @property
    def fits(self) -> bool:
        """Whether throwaway machines boot by it, whoever has signed the loader, or nobody."""
        return (
            "uefi" in self.interface_types
            and self.mapping.device == "flash"
            and not {"secure-boot", "requires-smm"} & set(self.features)
            and any(
                target.architecture == "x86_64" and fnmatchcase(f"{MACHINE}-0.0", pattern)
                for target in self.targets
                for pattern in target.machines
            )
        )


def uefi(directories: Sequence[Path] = DESCRIPTORS) -> Firmware:
    """The firmware that the distribution prefers. Raises ToolError where it has none that fits."""
    for path in _in_order(directories):
        try:
            found = msgspec.json.decode(path.read_bytes(), type=_Descriptor)
        except (OSError, msgspec.DecodeError):  # an empty one says that those of its name do not count
            continue
        code, variables = found.mapping.executable, found.mapping.nvram_template
        if found.fits and code and variables and all(Path(one.filename).is_file() for one in (code, variables)):
            return Firmware(code.filename, code.format, variables.filename, variables.format)
    raise ToolError(
        "The disk boots by UEFI alone, and this machine has no UEFI firmware for QEMU.",
        "Install it (Debian: apt install ovmf; Fedora: dnf install edk2-ovmf), then do it again.",
    )


def _in_order(directories: Iterable[Path]) -> list[Path]:
    """By name: so a distribution says which it prefers."""
    by_name: dict[str, Path] = {}
    for directory in directories:
        for path in directory.glob("*.json"):
            by_name.setdefault(path.name, path)
    return [by_name[name] for name in sorted(by_name)]


async def boot_mode(disk: Path, disk_format: str) -> BootMode:
    """What a machine has to boot a disk by: `bios` wherever that can be. `disk_format` is QEMU's name of it.

    Raises ToolError when qemu-img cannot read it.
    """
    with tempfile.TemporaryDirectory(prefix="ingot-") as directory:
        beginning = Path(directory) / "beginning"
        argv = ["qemu-img", "dd", "-U", "-f", disk_format, "-O", "raw", f"bs={_LOOKED_AT}", "count=1"]
        await process.run([*argv, f"if={disk.absolute()}", f"of={beginning}"], check=True)
        return boot_mode_of(beginning.read_bytes())


def boot_mode_of(beginning: bytes) -> BootMode:
    """The same, of the first 64 KiB of a disk: `uefi` where it has a partition for that, and none that a BIOS boots.
    Disks with both, as clouds have them, boot as they always did."""
    if beginning[_SECTOR - 2 : _SECTOR] != b"\x55\xaa":
        return "bios"
    if (entries := _gpt(beginning)) is not None:
        types = {kind for kind, _ in entries}
        for_a_bios = _BIOS_BOOT in types or any(attributes & _FOR_A_BIOS for _, attributes in entries)
        return "uefi" if _SYSTEM in types and not for_a_bios else "bios"
    table = [beginning[at : at + 16] for at in range(_PARTITIONS, _SECTOR - 2, 16)]
    active = any(entry[0] == _ACTIVE for entry in table)
    return "uefi" if not active and any(entry[4] == _SYSTEM_MBR for entry in table) else "bios"


def _gpt(beginning: bytes) -> list[tuple[bytes, int]] | None:
    """Type and attributes of its partitions; None of a disk without such a table."""
    header = beginning[_SECTOR : _SECTOR + _GPT_HEADER.size]
    if len(header) < _GPT_HEADER.size:
        return None
    signature, first, count, length = _GPT_HEADER.unpack(header)
    if signature != b"EFI PART" or not _GPT_ENTRY.size <= length <= _LONGEST_ENTRY:
        return None
    begin = first * _SECTOR
    end = min(begin + count * length, len(beginning) - _GPT_ENTRY.size)
    return [_GPT_ENTRY.unpack_from(beginning, at) for at in range(begin, end, length)]
