"""Room on the disk: asked for before work that needs it, and waited for, visibly."""

import shutil
from pathlib import Path

from core import text
from core.errors import SpaceError
from core.stages.stage import StageJob

MARGIN = 256 * 1024**2
"""Bytes that are left alone: logs, the ledger and the rest of the machine need some."""


def free(path: Path) -> int:
    """Bytes that this user can still write on the file system of `path`, which need not exist yet."""
    return shutil.disk_usage(_existing(path)).free


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


def _existing(path: Path) -> Path:
    return next(parent for parent in (path, *path.parents) if parent.exists())
