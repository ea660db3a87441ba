"""How far a build is, by when an earlier one of the same role reached the same steps."""

import contextlib
import hashlib
import time
from pathlib import Path

import msgspec

from core.hold import write_whole
from core.stages.stage import StageJob

MOST = 5000
"""Steps that are kept of a build."""


class Pace:
    """Notes when each step of a build begins, and knows from the last good one how much of the whole that is."""

    def __init__(self, file: Path, *, whole: bool) -> None:
        """`whole`: the build is watched from its start, so that it can be a measure for others."""
        self._file = file
        self.whole = whole
        self._began = time.monotonic()
        self._reached: dict[str, float] = {}
        self._before: dict[str, float] = {}
        try:
            self._before = msgspec.json.decode(file.read_bytes(), type=dict[str, float])
        except (OSError, msgspec.DecodeError):
            self._before = {}

    @classmethod
    def of(cls, job: StageJob, build: str) -> "Pace":
        """Kept in the cache: to lose it costs a fraction on the screen once."""
        begun = cls.begun(job, build)
        again = begun.exists()
        begun.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        begun.touch()
        key = "\0".join((job.run.workspace_id, job.run.role, build))
        return cls(job.places.cache / "pace" / hashlib.sha256(key.encode()).hexdigest()[:32], whole=not again)

    @staticmethod
    def begun(job: StageJob, build: str) -> Path:
        """A file that is there once an attempt at the build has begun."""
        return job.directory / "results" / f"{build}.begun"

    def reached(self, marker: str) -> float | None:
        """The step begins. How much of the whole time lies before it (0 to 1), as far as that is known."""
        if len(self._reached) < MOST:
            self._reached.setdefault(marker, time.monotonic() - self._began)
        whole, before = self._before.get("", 0.0), self._before.get(marker)
        return min(before / whole, 1.0) if whole > 0 and before is not None else None

    def keep(self) -> None:
        """The build is good: the next one is measured by it. One that was adopted half-way is not kept, and none
        where it cannot be written. Blocks: in a thread."""
        if not self.whole or not self._reached:
            return
        with contextlib.suppress(OSError):  # a disk that is full now takes no finished build away
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self._file, msgspec.json.encode({**self._reached, "": time.monotonic() - self._began}))
