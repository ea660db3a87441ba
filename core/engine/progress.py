"""What a stage does now, shown as often as it says so and written a few times a second."""

import asyncio
import contextlib
import time
from collections.abc import Callable

from core.errors import StoreError
from core.store.index import Index

_SHOWN_EVERY = 0.25
"""Seconds between two writes of a stage's progress."""


class Progress:
    """The progress of one stage. Lives on the loop on which it is made."""

    def __init__(self, index: Index, uid: str, key: str, redacted: Callable[[str], str]) -> None:
        self._index = index
        self._uid = uid
        self._key = key
        self._redacted = redacted
        self._loop = asyncio.get_running_loop()
        self._shown_at = 0.0
        self._to_show: tuple[str, float | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._stays = False

    def show(self, text: str, fraction: float | None) -> None:
        """Now, or with the next write."""
        if self._closed or self._stays:
            return
        self._to_show = (text, fraction)
        if self._timer is None:
            wait = max(0.0, self._shown_at + _SHOWN_EVERY - time.monotonic())
            if wait == 0.0:
                self._write()
            else:
                self._timer = self._loop.call_later(wait, self._write)

    def stay(self, text: str) -> None:
        """Show this until `go_on`, whatever else is said: a line may be told late."""
        self._stays = False
        self.show(text, None)
        self._stays = True

    def go_on(self, text: str) -> None:
        """Show this, and what comes after it."""
        self._stays = False
        self.show(text, None)

    def close(self) -> None:
        """Nothing is shown any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()

    def _write(self) -> None:
        self._timer = None
        self._shown_at = time.monotonic()
        if self._to_show is not None:
            text, fraction = self._to_show
            self._to_show = None
            # Only shown: a full disk must not end the tool whose progress it is.
            with contextlib.suppress(StoreError):
                self._index.update_stage(self._uid, self._key, progress=self._redacted(text), fraction=fraction)
