"""Where the tools of a run are held, and how they are found and ended (core/holding.py)."""

import asyncio
import contextlib
from pathlib import Path

from core.errors import EngineError
from core.holding import Hold, VanishedError
from core.places import Places


def tools_directory(places: Places, uid: str, stage_key: str) -> Path:
    """Where the holds of a stage's tools are."""
    return places.run(uid) / "tools" / stage_key.replace("/", ".")


def tool_directory(places: Places, uid: str, stage_key: str, name: str) -> Path:
    return tools_directory(places, uid, stage_key) / name


async def holds_of(places: Places, uid: str, stage_key: str | None = None) -> list[Hold]:
    """The living holds of a run, or of one stage of it."""
    pattern = "*/*" if stage_key is None else "*"
    base = places.run(uid) / "tools" if stage_key is None else tools_directory(places, uid, stage_key)
    found = [await Hold.adopt(directory) for directory in sorted(base.glob(pattern)) if directory.is_dir()]
    return [hold for hold in found if hold is not None and hold.exit is None]


async def end_tool(hold: Hold) -> None:
    """Interrupt a tool and wait until it has cleaned up; its holder ends it by force when that takes too long."""
    with contextlib.suppress(VanishedError):
        ended = asyncio.ensure_future(hold.wait())
        try:
            while not ended.done():
                # A holder that does not answer now may be writing to a slow disk; asking twice does no harm.
                with contextlib.suppress(EngineError):
                    await hold.interrupt()
                    break
                await asyncio.wait({ended}, timeout=1.0)
            await ended
        finally:
            ended.cancel()
