"""The disks that builds made, between the build and the register: found, made whole, and written to by nobody else."""

import asyncio
import contextlib
from pathlib import Path

import msgspec

from core import process, text
from core.adapters import guestfs, qemu
from core.errors import ToolError
from core.model.image import UpstreamRecord
from core.model.stamp import Stamp, differences, read_back, release_text
from core.stages.artifacts import Made, signed_as
from core.stages.environment import version_of
from core.stages.stage import StageJob

OPENED = frozenset({"qcow2", "raw", "vmdk", "vhd", "vhdx", "vdi"})
"""Formats that libguestfs can open."""


def made_by(job: StageJob, build: str) -> list[Made]:
    """What a build of this run made."""
    return msgspec.convert(job.result(f"build/{build}").get("made") or [], list[Made])


def disk_of(job: StageJob, build: str) -> Made | None:
    """The disk that a build made and that its machine boots: the first one. None where it made no disk that can be
    opened here."""
    first = next((made for made in made_by(job, build) if made.path), None)
    return first if first is not None and first.format in OPENED else None


def only_one(job: StageJob, build: str) -> None:
    """Raises ToolError where a build made several disks, an OVA among them: all of them are registered under the
    version, and one is sealed, proved and tested."""
    made = [Path(one.path).name for one in made_by(job, build) if one.path and one.format in {*OPENED, "ova"}]
    if len(made) > 1:
        raise ToolError(
            f"{build} left {len(made)} disks ({', '.join(made)}), and only one can be sealed and proven.",
            "Let the template make one disk, without post-processors that copy it: other formats are made of the "
            "sealed one (formats of the role in ingot.toml, or ingot convert).",
        )


def of_qemu(disk_format: str) -> str:
    """The format as QEMU and libguestfs call it."""
    return "vpc" if disk_format == "vhd" else disk_format


def stamp_of(job: StageJob, built: float | None = None) -> Stamp:
    """What the image version of this run says it is."""
    upstream = msgspec.convert(job.result("upstream").get("record"), UpstreamRecord | None)
    return Stamp(
        job.run.request.role.name,
        version_of(job),
        job.run.request.commit,
        job.run.uid,
        built,
        upstream.digest if upstream else "",
    )


async def ready(job: StageJob, made: Made) -> None:
    """Wait until a disk can be written to, and have it whole. Raises ToolError."""
    disk = Path(made.path)
    disk.chmod(0o600)  # an earlier attempt may have made it read-only
    await _nobody_has(job, disk)
    await _make_whole(job, disk, made.format)


async def sound(job: StageJob, made: Made) -> None:
    """What writes to a disk may have been killed, and the disk written to again: it is checked, and room in it that
    belongs to nothing is given back. Raises ToolError for one that is damaged."""
    disk, of = Path(made.path), of_qemu(made.format)
    if not await qemu.check(disk, of):
        freed = await qemu.free_leaks(disk, of)
        job.say(f"{disk.name}: {text.size(freed)} in it belonged to nothing, as after a QEMU that was killed: freed.")


async def stamped(job: StageJob, made: Made, built: float | None) -> str:
    """Have the version inside a disk: read back where the template wrote it, else written, and read back then. Gives
    why that cannot be, or nothing."""
    if process.find("guestfish") is None:
        return "libguestfs is not installed (guestfish)"
    stamp = stamp_of(job, built)
    try:
        there = await guestfs.stamp(Path(made.path), release_text(stamp), of_qemu(made.format), enough=2)
    except ToolError as error:
        return error.what.rstrip(".")
    found = read_back(there)
    # What its template wrote by itself may say more, and knows less of Ingot.
    wrong = differences(Stamp(found.role, found.version), Stamp(stamp.role, stamp.version))
    return f"{guestfs.RELEASE_FILE} names another image" if wrong else ""


async def _nobody_has(job: StageJob, disk: Path) -> None:
    """A guestfish of a worker that was killed ends by itself; two at one disk would spoil it."""
    while await asyncio.to_thread(is_open, disk):
        job.progress(f"waiting until an earlier attempt lets go of {disk.name}")
        await asyncio.sleep(1.0)


def is_open(file: Path) -> bool:
    """Some program of ours has it open (proc_pid_fd(5); those of others cannot be seen)."""
    real = file.resolve()
    for program in Path("/proc").glob("[0-9]*"):
        # It may end while it is looked at.
        with contextlib.suppress(OSError):
            for link in (program / "fd").iterdir():
                with contextlib.suppress(OSError):
                    if link.readlink() == real:
                        return True
    return False


async def _make_whole(job: StageJob, disk: Path, disk_format: str) -> None:
    """A disk that only holds the differences to its upstream (`use_backing_file`) gets all of it: upstreams can be
    deleted.

    Raises ToolError when it points to anything else: a guest that can write all of its disk could have written that,
    to get at a file of this machine. So could it make a raw disk one of another format, for whoever opens it later.
    """
    if disk_format == "raw" and (signed := signed_as(disk)):
        raise ToolError(
            f"{disk.name} is a raw disk, and what its machine wrote at its beginning or end makes it look like "
            f"{signed}.",
            "Find out what in the build writes there. If it is no raw disk, its template must not say so (format).",
        )
    if _data_is_elsewhere(disk):
        raise ToolError(f"The data of {disk.name} is in another file.", "Let the build make one whole disk.")
    found = await qemu.info(disk, of_qemu(disk_format))
    if any(Path(file) != disk.absolute() for file in found.extents):
        raise ToolError(f"The data of {disk.name} is in another file.", "Let the build make one whole disk.")
    if not found.backing_filename:
        return
    upstream = str(job.result("upstream").get("path") or "")
    if not upstream or not _is_file(disk, found.backing_filename, Path(upstream)):
        raise ToolError(
            f"{disk.name} only holds the differences to {found.backing_filename}, which is not its upstream.",
            "Set use_backing_file = false in the template.",
        )
    job.progress(f"making {disk.name} whole")
    await qemu.convert(disk, disk, of_qemu(disk_format), of=of_qemu(disk_format))


def _is_file(disk: Path, name: str, file: Path) -> bool:
    """A name in a disk means that file, for QEMU too: before the first `/` a colon makes it a protocol (`json:…`,
    `nbd:…`), whatever path it looks like."""
    return ":" not in name.partition("/")[0] and (disk.parent / name).resolve() == file.resolve()


def _data_is_elsewhere(disk: Path) -> bool:
    """A qcow2 whose header says that its data is in an external file (QEMU, docs/interop/qcow2.txt, incompatible bit
    2)."""
    with disk.open("rb") as file:
        header = file.read(80)
    version, features = int.from_bytes(header[4:8], "big"), int.from_bytes(header[72:80], "big")
    return header[:4] == b"QFI\xfb" and version >= 3 and bool(features & 4)
