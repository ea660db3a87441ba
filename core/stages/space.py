"""Room on the disk: asked for before work that needs it, and waited for, visibly."""

import asyncio
import errno
import shutil
from pathlib import Path

from core import text
from core.errors import SpaceError
from core.model.role import DISK_BUILDERS, Build
from core.stages.pace import Pace
from core.stages.stage import StageJob

MARGIN = 256 * 1024**2
"""Bytes that are left alone: logs, the ledger and the rest of the machine need some."""


def free(path: Path) -> int:
    """Bytes that this user can still write on the file system of `path`, which need not exist yet."""
    return shutil.disk_usage(_existing(path)).free


UNKNOWN_DISK = 4 * 1024**3
"""Bytes reserved for a disk that nothing is known of."""


async def for_build(job: StageJob, build: Build, role: str) -> None:
    """A disk is written once while the machine runs, and once more when it is converted."""
    if Pace.begun(job, build.name).exists():
        return  # one that runs has its room, and adopting it must not wait for more
    if build.kind not in DISK_BUILDERS:
        needed, how = 64 * 1024**2, "the build"
    else:
        upstream = job.result("upstream")
        images = await asyncio.to_thread(job.ledger.images)
        sizes = [
            artifact.size
            for image in sorted(images, key=lambda image: image.created)
            if image.role == role
            for artifact in image.artifacts
            if artifact.build == build.name and artifact.size
        ]
        if sizes:
            needed, how = int(sizes[-1] * 2.2), "the build (by the last one's size)"
        elif size := int(str(upstream.get("size") or 0)):
            # The upstream may be compressed, to a third of it; and nothing grows beyond what the machine sees.
            whole = int(str(upstream.get("virtual_size") or 0)) or size * 3
            needed, how = 2 * min(size * 3, whole), "the build (by its upstream's size)"
        else:
            needed, how = UNKNOWN_DISK, "the build (its size is not known yet)"
    await make_sure_of(job, job.directory, needed, how)


async def make_sure_of(job: StageJob, path: Path, needed: int, what: str) -> None:
    """Go on when `path` has room for `needed` bytes; say so in the log; until then the run waits.

    Raises SpaceError when no clearing up could ever make that much room there.
    """
    usage = shutil.disk_usage(_existing(path))
    if needed + MARGIN > usage.total:
        raise SpaceError(
            f"{what} needs {text.size(needed)}, and the whole file system of {path} has {text.size(usage.total)}.",
            "Set INGOT_HOME to a directory on a larger one.",
        )
    job.say(
        f"Disk space: {what} needs about {text.size(needed)}; {text.size(usage.free)} are free in {_existing(path)}."
    )
    if usage.free >= needed + MARGIN:
        return

    async def enough() -> bool:
        return free(path) >= needed + MARGIN

    short = needed + MARGIN - usage.free
    await job.waiting(
        f"disk space: {what} needs {text.size(needed)}, {text.size(usage.free)} are free; "
        f"{text.size(short)} more, please (ingot cache shows what can go)",
        enough,
    )


def is_full(error: OSError) -> bool:
    """Whether something could not be written as the disk, or what its user may take of it, is full."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def full(what: str, then: str = "start the run again", *, kept: str) -> SpaceError:
    """For a disk that is full all the same. `what` says which, or what has no room; `then` is what to do after making
    room."""
    return SpaceError(what, f"Make room (ingot sweep, ingot cache, ingot prune), then {then}.", kept=kept)


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
