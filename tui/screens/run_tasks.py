"""The tasks of the stage that the run screen shows: read as they are told, and found again in its log."""

import asyncio
from typing import TYPE_CHECKING

from core.errors import IngotError
from core.model.run import Run, Stage
from core.model.tasks import Task

if TYPE_CHECKING:
    from tui.screens.run import RunScreen


class RunTasks:
    """For one run screen."""

    def __init__(self, screen: "RunScreen") -> None:
        self._screen = screen

    def _stage(self) -> tuple[Run, Stage] | None:
        run = self._screen.run
        stage = run.stage(self._screen.shown) if run is not None and self._screen.shown else None
        return (run, stage) if run is not None and stage is not None else None

    def show(self, *, anew: bool = False) -> None:
        """Microseconds when nothing was told since, unless `anew`."""
        follower, what = self._screen.follower, self._stage()
        if follower is None or what is None:
            return
        run, stage = what
        tasks, more = follower.tasks(run, stage)
        if more or anew:
            self._screen.tasks.show(stage.key, tasks, _why_none(run, stage))

    def find(self, task: Task) -> None:
        """Show where a task begins in the log."""
        screen, follower, what = self._screen, self._screen.follower, self._stage()
        if follower is None or what is None:
            return
        run, stage = what

        async def look() -> None:
            try:
                line = await asyncio.to_thread(follower.line_of, run, stage, task)
            except IngotError as error:
                screen.house.complain(error)
                return
            if line is None:
                screen.notify("The log does not show where this task begins.", timeout=3)
            elif screen.shown == stage.key:
                screen.do_log("")
                screen.log_view.go_to(line)

        screen.run_worker(look, exit_on_error=False)


def _why_none(run: Run, stage: Stage) -> str:
    if not stage.build:
        return f"{stage.key} runs no playbook.\nThe builds do: [ and ] go through the stages."
    if stage.state.ended or run.state.ended:
        return "No playbook was begun in this stage.\n2 shows its log."
    return "No playbook has begun.\nIts tasks show here as they come."
