"""What somebody has to be told of although nobody is looking: a pause, a failure, a machine about to be cleaned up."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from core.model.pause import WARNED_BEFORE


class EventKind(StrEnum):
    PAUSE = "pause"
    """A build is held, its machine alive, and waits for an answer."""
    FAILURE = "failure"
    """A run failed or was lost."""
    CLEAN_UP = "clean-up"
    """A paused or kept machine is about to be ended because its time is over; or, without a time, it could not be."""


class Event(msgspec.Struct, frozen=True):
    """One thing that happened, or is about to."""

    kind: EventKind
    run_uid: str
    run: int
    """The short number that people type."""
    role: str
    workspace: str
    """Its name."""
    stage_key: str
    """`build/qemu.web`; empty where no stage is to blame."""
    why: str
    """One sentence for a person; part of it may come from a tool."""
    at: float
    """When it happened (seconds since the epoch)."""
    until: float | None = None
    """When the machine is ended (seconds since the epoch); None: never, or there is none."""
    about: str = ""
    """Tells events of one kind and stage apart: the number of a pause, what went wrong with a clean-up."""

    @property
    def key(self) -> str:
        """The same for the same event, whoever sees it and when: by it each is told once.

        A clean-up has one for each stage, whatever its time: see `is_news`.
        """
        return "/".join(part for part in (self.kind, self.stage_key, self.about) if part)

    @property
    def title(self) -> str:
        """Some words without anything that a tool said: `frontend: paused (run 12)`."""
        what = {EventKind.PAUSE: "paused", EventKind.FAILURE: "failed", EventKind.CLEAN_UP: "machine ends soon"}
        still_there = self.kind is EventKind.CLEAN_UP and self.until is None
        return f"{self.role}: {'machine still runs' if still_there else what[self.kind]} (run {self.run})"

    @property
    def next_step(self) -> str:
        """What to type."""
        return f"ingot logs {self.run}" if self.kind is EventKind.FAILURE else f"ingot debug {self.run}"


_SAME_TIME = 60.0
"""Seconds by which two times of the same clean-up may differ: it is kept by a holder and told in seconds left."""


def is_news(event: Event, told: Mapping[str, float]) -> bool:
    """Whether nobody was told yet. `told`: key → `until` that was told (0 where there was none).

    A machine whose time was extended ends later than was told: that is news again.
    """
    if event.key not in told:
        return True
    return event.kind is EventKind.CLEAN_UP and (event.until or 0.0) > told[event.key] + _SAME_TIME


def warned_at(since: float, until: float) -> float:
    """When to tell that a machine ends at `until`: WARNED_BEFORE, or at half its time where that is shorter.

    >>> warned_at(0.0, 7200.0), warned_at(0.0, 600.0)
    (6300.0, 300.0)
    """
    return until - min(WARNED_BEFORE, max(until - since, 0.0) / 2)
