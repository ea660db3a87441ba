"""Where the tools of a run are held, and how they are found and ended (core/holding.py)."""

import asyncio
import contextlib
from collections.abc import Collection
from pathlib import Path

from core.errors import EngineError
from core.holding import Hold, VanishedError
from core.model.machine import MachineState
from core.places import Places
from core.store.index import Index


def tools_directory(places: Places, uid: str, stage_key: str) -> Path:
    """Where the holds of a stage's tools are."""
    return places.run(uid) / "tools" / stage_key.replace("/", ".")


def tool_directory(places: Places, uid: str, stage_key: str, name: str) -> Path:
    return tools_directory(places, uid, stage_key) / name


def build_directory(places: Places, uid: str, stage_key: str) -> Path:
    """The hold of the tool that has the machine of a build."""
    ansible = tool_directory(places, uid, stage_key, "ansible")
    return ansible if ansible.is_dir() else tool_directory(places, uid, stage_key, "packer")


def kept_stages(index: Index, uid: str) -> set[str]:
    """The stages of a run whose machine lives on after them (core/engine/keeping.py ends it)."""
    return {machine.stage_key for machine in index.machines(uid) if machine.state is MachineState.KEPT}


async def kept_hold(places: Places, uid: str, stage_key: str) -> Hold | None:
    """The hold of a stage that still has its machine though the stage has ended: of a build, whose tool let go of it;
    or of a test, where the machine itself is the tool."""
    built = await Hold.adopt(build_directory(places, uid, stage_key))
    if built is not None and built.keeps:
        return built
    living = await holds_of(places, uid, stage_key)
    return living[0] if living else None


async def holds_of(
    places: Places, uid: str, stage_key: str | None = None, *, without: Collection[str] = ()
) -> list[Hold]:
    """The living holds of a run, or of one stage of it; of a run `without` those of some stages."""
    pattern = "*/*" if stage_key is None else "*"
    base = places.run(uid) / "tools" if stage_key is None else tools_directory(places, uid, stage_key)
    left_out = {tools_directory(places, uid, key) for key in without}
    directories = [path for path in sorted(base.glob(pattern)) if path.is_dir() and path.parent not in left_out]
    found = [await Hold.adopt(directory) for directory in directories]
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
