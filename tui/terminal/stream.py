"""Where a terminal's bytes come from and go to, and the one who carries them without holding the event loop."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

SLICE = 4096
"""Bytes that the emulator is given at a time."""
WORK = 0.008
"""Seconds of work after which the event loop has its turn."""
_READS = 64
"""Reads after which it has its turn, however short they were: a read of what is there already does not wait."""


class Stream(Protocol):
    """A program's terminal: a shell in a machine, or anything else that writes to one."""

    async def read(self) -> bytes:
        """What the program wrote, at least one byte; b"" when it has ended. What is not read holds the program up."""
        ...

    def write(self, data: bytes) -> None:
        """What was typed."""
        ...

    def resize(self, columns: int, rows: int) -> None: ...


async def carry(stream: Stream, feed: Callable[[bytes], None], fed: Callable[[], None]) -> None:
    """Give what a stream has to `feed`, in slices, until it ends; `fed` is called when something may be drawn.

    Nothing is read before what came is fed: a program that floods the terminal waits for it, and is heard when it is
    interrupted. Raises what the stream raises.
    """
    worked, reads = 0.0, 0
    while data := await stream.read():
        reads += 1
        for start in range(0, len(data), SLICE):
            began = time.perf_counter()
            feed(data[start : start + SLICE])
            worked += time.perf_counter() - began
            if worked > WORK or reads > _READS:
                fed()
                await asyncio.sleep(0)
                worked, reads = 0.0, 0
        fed()
