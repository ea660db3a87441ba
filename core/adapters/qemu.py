"""QEMU: which accelerator really works on this machine, and what disk images are.

Disks are given to qemu-img by absolute path: a relative one could be taken for a protocol (`nbd:…`, `json:…`).
"""

import asyncio
import tempfile
from pathlib import Path
from typing import Literal

import msgspec

from core import process
from core.errors import ToolError

Accelerator = Literal["kvm", "tcg"]

_PROBE_PATIENCE = 30.0
"""Seconds that the probe may take on a busy machine; it needs a tenth of one."""

# A boot sector: mov al, 0x10; out 0xf4, al; hlt. The device isa-debug-exit at port 0xf4 then ends QEMU with the status
# 2 × 0x10 + 1.
_BOOT_SECTOR = b"\xb0\x10\xe6\xf4\xf4".ljust(510, b"\0") + b"\x55\xaa"
_RAN = 33


class _Extent(msgspec.Struct, frozen=True):
    filename: str


class _Data(msgspec.Struct, frozen=True):
    extents: tuple[_Extent, ...] = ()


class _OfFormat(msgspec.Struct, frozen=True):
    data: _Data = _Data()


class ImageInfo(msgspec.Struct, frozen=True, rename="kebab"):
    """A disk image as `qemu-img info` sees it."""

    format: str
    """`qcow2`, `raw`, `vpc` (VHD), `vmdk`, …"""
    virtual_size: int
    """Bytes that the machine sees as its disk."""
    backing_filename: str = ""
    """The image that this one only holds the differences to, as it is written in it; empty for a whole one."""
    cluster_size: int = 0
    """Bytes that the format gives out at once; 0 where it gives out none."""
    format_specific: _OfFormat | None = None

    @property
    def extents(self) -> tuple[str, ...]:
        """The files that a VMDK says its data is in, itself as a rule."""
        return tuple(one.filename for one in self.format_specific.data.extents) if self.format_specific else ()


async def accelerator() -> Accelerator:
    """`kvm` where a virtual processor runs with it, else `tcg`. /dev/kvm may be there and not work."""
    device = Path("/dev/kvm")
    if not device.exists():
        return "tcg"
    key = (str(process.find("qemu-system-x86_64")), device.stat().st_ctime_ns)
    if key not in _kvm_works and await runs_with("kvm"):
        _kvm_works.add(key)
    return "kvm" if key in _kvm_works else "tcg"


_kvm_works: set[tuple[str, int]] = set()
"""Where it was seen to work: a run asks three times. A failure is not kept; it may have been the machine's load."""


async def runs_with(wanted: Accelerator) -> bool:
    """Whether a machine such as builds use comes up with this accelerator, through its firmware into its boot sector.

    With every feature of the processor: there are hosts where KVM runs a few instructions of a plain processor, and
    then refuses the first real one.
    """
    with tempfile.TemporaryDirectory(prefix="ingot-") as directory:
        disk = Path(directory) / "disk"
        disk.write_bytes(_BOOT_SECTOR)
        argv = ["qemu-system-x86_64", "-machine", f"pc,accel={wanted}", "-cpu", "max", "-smp", "2", "-m", "64"]
        argv += ["-no-user-config", "-nodefaults", "-display", "none", "-no-reboot"]
        argv += ["-drive", f"file={disk},format=raw,if=ide", "-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"]
        try:
            return (await process.run(argv, timeout=_PROBE_PATIENCE)).code == _RAN
        except ToolError:  # not installed, or it hangs
            return False


async def info(disk: Path, disk_format: str = "") -> ImageInfo:
    """What a disk is; also while a machine has it open.

    Without `disk_format` it is told from the content, which may be a lie of the machine that wrote it. Raises ToolError
    when the file is no disk that qemu-img can read.
    """
    argv = ["qemu-img", "info", "--force-share", "--output=json"]
    argv += ["-f", disk_format] if disk_format else []
    answer = await process.run([*argv, str(disk.absolute())])
    if answer.code != 0:
        raise ToolError(f"qemu-img cannot read {disk}: {_last_line(answer.err)}", "Is it a disk image, and whole?")
    try:
        return msgspec.json.decode(answer.out, type=ImageInfo)
    except msgspec.DecodeError as error:
        raise ToolError(
            f"qemu-img says of {disk} what cannot be understood: {error}.", "Is this QEMU 5 or newer?"
        ) from error


class _Repaired(msgspec.Struct, frozen=True, rename="kebab"):
    leaks_fixed: int = 0


_SOUND, _DAMAGED, _LEAKS, _UNCHECKED = 0, 2, 3, 63
"""How `qemu-img check` ends (qemu-img(1)): leaks are only wasted room; the last is for a format without checks."""


async def check(disk: Path, disk_format: str = "") -> bool:
    """Whether it wastes no room: a QEMU that was killed may have left clusters of a qcow2 that belong to nothing.

    Raises ToolError when the disk's own tables are damaged. Formats that have none (raw) pass. `disk_format` as for
    `info`.
    """
    stated = ["-f", disk_format] if disk_format else []
    answer = await process.run(["qemu-img", "check", "--output=json", *stated, str(disk.absolute())])
    _passed(disk, answer)
    return answer.code != _LEAKS


async def free_leaks(disk: Path, disk_format: str) -> int:
    """Give the disk's own format back what belongs to nothing: bytes that it can write to again. The file is as long
    as it was.

    Nobody may have the disk open. Raises ToolError when it is damaged, or cannot be written to.
    """
    answer = await process.run(
        ["qemu-img", "check", "-r", "leaks", "--output=json", "-f", disk_format, str(disk.absolute())]
    )
    _passed(disk, answer)
    if answer.code == _UNCHECKED:
        return 0
    return msgspec.json.decode(answer.out, type=_Repaired).leaks_fixed * (await info(disk, disk_format)).cluster_size


def _passed(disk: Path, answer: process.Finished) -> None:
    if answer.code in (_SOUND, _LEAKS, _UNCHECKED):
        return
    words = _last_line(answer.err or answer.out)
    if answer.code == _DAMAGED:
        raise ToolError(f"{disk} is damaged: {words}", "Do not use it; build it again.")
    raise ToolError(f"{disk} cannot be checked: {words}", "Mend what qemu-img says, and build it again.")


async def convert(
    source: Path, destination: Path, disk_format: str, *, of: str = "qcow2", compress: bool = False
) -> None:
    """A copy of `source`, which has the format `of`, in another format. Until it is whole it has another name; nothing
    is left when it fails.

    `compress` is for qcow2 only (zstd: four times as fast as the default at the same size). Raises ToolError.
    """
    part = destination.with_name(f".{destination.name}.part")
    argv = ["qemu-img", "convert", "-f", of, "-O", disk_format]
    argv += ["-c", "-o", "compression_type=zstd"] if compress else []
    try:
        await process.run([*argv, str(source.absolute()), str(part.absolute())], check=True)
        await asyncio.to_thread(part.replace, destination)
    finally:
        part.unlink(missing_ok=True)


def _last_line(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1].removeprefix("qemu-img: ") if lines else "it did not say why."
