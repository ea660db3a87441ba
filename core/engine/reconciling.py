"""What a worker looks for when it starts: runs that an earlier one left, and processes that nobody owns any more."""

import asyncio
import logging

from core.engine.holds import end_tool, holds_of, kept_stages
from core.holding import sweep
from core.living import RUN_MARK, marked
from core.model.run import Run, RunState
from core.places import Places
from core.store.index import Index

log = logging.getLogger("ingot.reconciling")


async def reconcile(index: Index, places: Places) -> list[Run]:
    """End what ended runs have left running; give the runs that an earlier worker had begun, oldest first."""
    for uid in await asyncio.to_thread(_marks):
        run = index.run(uid)
        ours = run is not None or places.run(uid).is_dir()  # of another INGOT_HOME of this user: not ours to judge
        if not ours or (run is not None and not run.state.ended):
            continue
        holds = await holds_of(places, uid, without=kept_stages(index, uid))
        for hold in holds:
            await end_tool(hold)
        swept = await sweep(uid)
        if holds or swept:
            name = f"run {run.id}" if run else f"unknown run {uid}"
            log.warning("ended what %s had left running: %s", name, ", ".join(swept) or f"{len(holds)} tools")
    begun = [run for run in index.runs(active_only=True) if run.state is not RunState.QUEUED]
    return [run for run in reversed(begun) if run.state is not RunState.WAITING or run.current is not None]


def _marks() -> set[str]:
    """Uids of the runs that any living process belongs to."""
    found: set[str] = set()

    def note(marks: dict[str, str]) -> bool:
        if uid := marks.get(RUN_MARK):
            found.add(uid)
        return False

    marked(note)
    return {uid for uid in found if uid.isalnum()}  # it becomes part of a path
