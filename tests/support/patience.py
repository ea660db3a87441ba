"""How tests wait: for a condition, never for a time."""

import asyncio
import time
from collections.abc import Callable

PATIENCE = 120.0
"""Seconds before something that never happens is called so. It measures nothing: what is waited for takes moments, and
may take long beside whatever else the machine does."""
_LOOK_EVERY = 0.02


def wait(condition: Callable[[], object], what: str, state: Callable[[], object] = str) -> None:
    """Until the condition holds. Where it never does, `state` tells how things are by then."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}; {state()}"
        time.sleep(_LOOK_EVERY)


async def until(condition: Callable[[], object], what: str, state: Callable[[], object] = str) -> None:
    """As `wait`, while the event loop goes on."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}; {state()}"
        await asyncio.sleep(_LOOK_EVERY)
