"""What a person must hear of wherever they are: a machine that begins to wait for them, and a run that failed."""

from typing import NamedTuple

from core.model.run import Run, RunState
from core.services.overview import Overview
from tui.cells import doing, until, what_for
from tui.theme import plain


class News(NamedTuple):
    """A title and what there is to know and do."""

    title: str
    text: str


def begun(before: Overview, after: Overview, now: float) -> list[News]:
    """The pauses that began meanwhile."""
    known = {pause.id for pause in before.pauses}
    found: list[News] = []
    for pause in after.pauses:
        run = after.run(pause.run_uid)
        if pause.id not in known and run is not None:
            what = f"{pause.why}\nThe machine is {until(pause.until, now)}. d leads into it."
            found.append(News(f"Run {run.id} is paused: {what_for(run)}", what))
    return found


def failed(before: Overview, after: Overview) -> list[News]:
    """The runs that failed or were lost meanwhile."""

    def ended_badly(run: Run) -> bool:
        earlier = before.run(run.uid)
        return earlier is not None and not earlier.state.ended and run.state in (RunState.FAILED, RunState.LOST)

    return [
        News(f"Run {run.id} {run.state.value}: {what_for(run)}", plain(doing(run)) or "Its log says why.")
        for run in after.runs
        if ended_badly(run)
    ]


def newest_paused(overview: Overview) -> str:
    """Uid of the run whose machine began to wait last; of one whose machine is kept where none is paused; or empty."""
    if overview.pauses:
        return max(overview.pauses, key=lambda pause: pause.since).run_uid
    return next((run.uid for run in overview.runs if overview.kept(run.uid) is not None), "")
