"""Blocking work of a stage: in a thread, with its progress shown, and ended before the stage is."""

import asyncio
import fcntl
import os
import threading
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ParamSpec, TypeVar

from core import text
from core.stages.stage import StageJob

P = ParamSpec("P")
T = TypeVar("T")

SHOWN_EVERY = 0.25
"""Seconds between two looks at a meter."""


class Stopped(Exception):  # noqa: N818 - not an error: the work was told to end
    """Raised in the thread when the stage was cancelled."""


class Meter:
    """Counts bytes in the working thread; the stage looks at it."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = None
        self._stop = threading.Event()

    def advance(self, count: int) -> None:
        """Call it at least once a second of work: it is also where a cancelled thread ends, by raising Stopped."""
        self.done += count
        if self._stop.is_set():
            raise Stopped

    def pause(self, seconds: float) -> None:
        """Sleep in the thread, unless told to end."""
        if self._stop.wait(seconds):
            raise Stopped

    def stop(self) -> None:
        self._stop.set()

    @property
    def fraction(self) -> float | None:
        return min(self.done / self.total, 1.0) if self.total else None


async def metered(job: StageJob, doing: str, work: Callable[[Meter], T]) -> T:
    """Carry out `work` in a thread and show `doing` with the bytes and the fraction done.

    When the stage is cancelled, the thread is told to stop and waited for, so that nothing writes after the stage's
    end.
    """
    meter = Meter()
    thread = asyncio.ensure_future(asyncio.to_thread(work, meter))
    job.progress(doing)
    try:
        while not (await asyncio.wait({thread}, timeout=SHOWN_EVERY))[0]:
            of = f" of {text.size(meter.total)}" if meter.total else ""
            job.progress(f"{doing}: {text.size(meter.done)}{of}" if meter.done else doing, meter.fraction)
    except asyncio.CancelledError:
        meter.stop()
        await asyncio.wait({thread})
        if not thread.cancelled():
            thread.exception()  # looked at: it is no news that the thread stopped
        raise
    return thread.result()


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Blocking work that cannot be stopped half-way. A stage that is cancelled waits for its end: what comes after the
    stage takes away what the work made, and would miss what it makes then."""
    thread = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(thread)
    except asyncio.CancelledError:
        await asyncio.wait({thread})
        if not thread.cancelled():
            thread.exception()  # looked at: the cancel is what counts
        raise


@asynccontextmanager
async def alone(job: StageJob, lock: Path, what: str) -> AsyncGenerator[None]:
    """Only one run at a time on this machine does what is inside; the others are shown as waiting for `what`.

    The lock is flock(2) on a file: it is gone with the process that held it, however that ended.
    """
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    async def taken() -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    try:
        if not await taken():
            await job.waiting(f"another run {what}", taken, every=0.5)
        yield
    finally:
        os.close(descriptor)
