"""What went wrong in the run that the run screen shows, or what it waits for: told above its log, and found in it."""

import asyncio
from typing import TYPE_CHECKING

from core.errors import IngotError
from core.model.failure import Failure
from core.model.pause import Pause
from core.model.run import Run, RunState, Stage, StageState
from core.services.following import RunView
from tui.debug_cells import paused, paused_title
from tui.run_cells import waits, went_wrong
from tui.widgets.panel import PanelRow

if TYPE_CHECKING:
    from tui.screens.run import RunScreen


class WhatWentWrong:
    """For one run screen."""

    def __init__(self, screen: "RunScreen") -> None:
        self._screen = screen
        self._failures: dict[tuple[str, str, int, int], Failure | None] = {}
        """What the logs say went wrong, by run, stage, attempt and pause: after each the log has more to say."""

    def _failure(self, run: Run, stage: Stage | None) -> Failure | None:
        """None as long as the log was not read, and where it does not say."""
        return self._failures.get(self._key(run, stage)) if stage is not None else None

    def _key(self, run: Run, stage: Stage) -> tuple[str, str, int, int]:
        pause = self._screen.view.pause if self._screen.view is not None else None
        return run.uid, stage.key, stage.attempt, pause.number if pause is not None else 0

    def show(self, view: RunView) -> None:
        """Fill the panel; without anything to tell it goes away."""
        run, screen = view.run, self._screen
        if view.pause is not None:
            self._show_paused(view, view.pause)
            return
        stage = run.failed_stage or run.lost_stage or (run.current if run.state is RunState.LOST else None)
        if run.state in (RunState.FAILED, RunState.LOST) or stage is not None:
            if stage is not None and stage.state is StageState.FAILED:
                self._diagnose(run, stage)
            failure = self._failure(run, stage)
            title = "What was lost" if run.state is RunState.LOST or run.lost_stage else "What went wrong"
            height = 12 if screen.size.height >= 30 else 8
            kept = paused(None, view.machine, screen.house.clock()) if view.machine is not None else []
            room = height - len(kept)
            screen.wrong.set_rows(
                title, lambda width: [*went_wrong(run, stage, failure, width=width, height=room), *kept]
            )
            self._show_panel("-bad")
        elif run.state is RunState.WAITING:
            screen.wrong.set_rows("What it waits for", lambda width: waits(run, width))
            self._show_panel("-waiting")
        else:
            self._show_panel("")

    def _show_paused(self, view: RunView, pause: Pause) -> None:
        """Why it waits, since and until when, and what can be done: above the log, in the place of a failure."""
        run, screen = view.run, self._screen
        stage = run.stage(pause.stage_key)
        failure = None
        if pause.kind.is_failure and stage is not None:
            self._diagnose(run, stage)
            failure = self._failure(run, stage)
        waits_on = paused(pause, view.machine, screen.house.clock(), said=failure is not None)
        height = (12 if screen.size.height >= 30 else 8) - len(waits_on)

        def rows(width: int) -> list[PanelRow]:
            why = went_wrong(run, stage, failure, width=width, height=height) if failure is not None else []
            return [*why, *waits_on]

        screen.wrong.set_rows(paused_title(pause), rows)
        self._show_panel("-waiting")

    def _show_panel(self, kind: str) -> None:
        for name in ("-bad", "-waiting"):
            self._screen.wrong.set_class(name == kind, name)

    def _diagnose(self, run: Run, stage: Stage) -> None:
        """Read what went wrong out of the log, once, in a thread."""
        key = self._key(run, stage)
        screen, follower = self._screen, self._screen.follower
        if key in self._failures or follower is None:
            return
        self._failures[key] = None

        async def read() -> None:
            try:
                self._failures[key] = await asyncio.to_thread(follower.failure, run, stage)
            except IngotError as error:
                screen.house.complain(error)
                return
            view = screen.view
            if view is not None and view.run.uid == run.uid:
                self.show(view)
                self.go_to_line(run, stage)

        screen.run_worker(read, exit_on_error=False)

    def go_to_line(self, run: Run, stage: Stage, *, fresh: bool = False) -> None:
        """Show the line that says what went wrong, unless a person is reading elsewhere in the log already."""
        screen = self._screen
        # What went wrong takes its room from the log, and only when the log has heard of that it knows what shows.
        screen.call_after_refresh(screen.log_view.call_later, self._go_to_line, run, stage, fresh)

    def _go_to_line(self, run: Run, stage: Stage, fresh: bool) -> None:
        failure, log = self._failure(run, stage), self._screen.log_view
        fresh = fresh or log.following or log.cursor >= log.line_count - 1
        if failure is not None and self._screen.shown == stage.key and fresh:
            log.go_to(failure.first_line)
