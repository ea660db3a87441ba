"""Disk formats by qemu-img: how each is made, read back and compared; and the footer of a VHD, by ourselves.

Each disk is named with its format: one that is found out from the content could be what a guest wrote there.
"""

import re
import struct
from pathlib import Path

import msgspec

from core import process
from core.errors import ToolError

_PERCENT = re.compile(rb"\((\d{1,3}\.\d\d)/100%\)")
_TAIL = 256
"""Bytes at the end of a log that the newest percentage is in."""
STREAM_OPTIMIZED = b'createType="streamOptimized"'
_VHD_FOOTER = struct.Struct(">8sIIQI4sI4sQQ4sII16sB427x")
_FIXED = 2


class Source(msgspec.Struct, frozen=True):
    """A disk, or one that lies inside another file."""

    path: Path
    of_qemu: str
    """QEMU's name of its format."""
    offset: int = 0
    """Where in the file it begins, in bytes."""
    length: int | None = None
    """Bytes of it in the file; None: to the end."""

    def options(self) -> str:
        """For `--image-opts`."""
        file = f"file.filename={str(self.path.absolute()).replace(',', ',,')}"
        if self.length is None:
            return f"driver={self.of_qemu},file.driver=file,{file}"
        return (
            f"driver={self.of_qemu},file.driver=raw,file.offset={self.offset},file.size={self.length},"
            f"file.file.driver=file,file.{file}"
        )


class VhdFooter(msgspec.Struct, frozen=True):
    """The last 512 bytes of a VHD (Microsoft, Virtual Hard Disk Image Format Specification 1.0)."""

    fixed: bool
    size: int
    """Bytes that the machine sees."""
    whole: bool
    """Its checksum is right, and the file has as many bytes as it says."""


class _Measured(msgspec.Struct):
    required: int


def create(target: Path, of_qemu: str, options: tuple[str, ...], size: int) -> list[str]:
    """The command that makes an empty disk of `size` bytes."""
    return ["qemu-img", "create", "-q", "-f", of_qemu, *_set(options), str(target.absolute()), str(size)]


def convert(
    source: Source, target: Path, of_qemu: str, options: tuple[str, ...], *, into: bool = False, lasting: bool = False
) -> list[str]:
    """The command that makes a copy of a disk in another format, and says on its way how far it is.

    `into` an empty disk that is there already. `lasting`: when it has ended well, no power cut takes anything of the
    copy; not for a VMDK, for which qemu-img then waits for the disk at every cluster.
    """
    how = ["-n", "--target-is-zero"] if into else _set(options)  # -n takes no options: the target is as it is
    how += ["-t", "writeback"] if lasting else []  # as it is, nothing is flushed (qemu-img(1): unsafe)
    return [
        *("qemu-img", "convert", "-p", "--image-opts", *how),
        *("-O", of_qemu, source.options(), str(target.absolute())),
    ]


def compare(one: Source, other: Source) -> list[str]:
    """The command that ends with 0 when a machine sees the same in both disks; one may be longer by zeros."""
    return ["qemu-img", "compare", "-p", "--image-opts", one.options(), other.options()]


def fraction(log: Path) -> float | None:
    """How far qemu-img is by what it last said at the end of a log; None before it said so."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - _TAIL))
            said = _PERCENT.findall(file.read(_TAIL).rpartition(b"\n")[2])
    except OSError:
        return None
    return min(float(said[-1]) / 100, 1.0) if said else None


async def measured(source: Source) -> int:
    """Bytes that a sparse copy of the disk takes, at most. Raises ToolError."""
    said = await process.run(
        ["qemu-img", "measure", "--output=json", "-O", "qcow2", "--image-opts", source.options()], timeout=600
    )
    if said.code != 0:
        raise ToolError(
            f"qemu-img cannot read {source.path}: {last_words(said.err.decode(errors='replace'))}",
            "Is it a disk image, and whole?",
        )
    return msgspec.json.decode(said.out, type=_Measured).required


async def check(source: Source) -> None:
    """Raises ToolError when the tables of a disk are damaged. Formats that have none pass."""
    said = await process.run(["qemu-img", "check", "--image-opts", source.options()])
    if said.code not in (0, 3, 63):  # qemu-img(1): 2 is damage, 3 only wasted room, 63 a format without checks
        words = last_words((said.err or said.out).decode(errors="replace"))
        raise ToolError(f"{source.path} is damaged: {words}", "Do not use it; make it again.")


def last_words(said: str) -> str:
    """The last line of what qemu-img said, without its percentages and its name."""
    lines = [line.rpartition("\r")[2].strip() for line in said.strip().splitlines()]
    lines = [line for line in lines if line and not line.startswith("(")]
    return lines[-1].removeprefix("qemu-img: ") if lines else "it did not say why."


def vhd_footer(path: Path) -> VhdFooter | None:
    """The footer of a VHD; None where there is none."""
    size = path.stat().st_size
    if size < _VHD_FOOTER.size:
        return None
    with path.open("rb") as file:
        file.seek(size - _VHD_FOOTER.size)
        raw = file.read(_VHD_FOOTER.size)
    cookie, _, _, _, _, _, _, _, _, current, _, kind, checksum, _, _ = _VHD_FOOTER.unpack(raw)
    if cookie != b"conectix":
        return None
    summed = ~(sum(raw[:64]) + sum(raw[68:])) & 0xFFFFFFFF
    return VhdFooter(kind == _FIXED, current, checksum == summed and size == current + _VHD_FOOTER.size)


def is_stream_optimized(vmdk: Path) -> bool:
    """Whether the VMDK is one that can be written and read in one go, as an OVA has it."""
    with vmdk.open("rb") as file:
        return STREAM_OPTIMIZED in file.read(64 * 1024)


def _set(options: tuple[str, ...]) -> list[str]:
    return ["-o", ",".join(options)] if options else []
