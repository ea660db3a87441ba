"""A worker that ends while a stage is at work."""

import asyncio
from typing import Any

from core.engine.surroundings import Surroundings


async def worker_leaves(around: Surroundings, working: "asyncio.Future[Any]") -> None:
    """It lets go of the stage, whose tools go on under their holders; the next worker may begin."""
    around.leaving = True
    working.cancel()
    await asyncio.wait({working})
    around.leaving = False
    assert working.cancelled()
