"""The run screen: what is it doing, and where did it fail?

Its stages at the left, the log of one of them at the right, live; above the log what went wrong, when something did.
It shows the stage that is at work until a person chooses another. On a small terminal the stages are one line of signs.
"""

from collections.abc import Callable
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical
from textual.geometry import Size
from textual.widget import Widget

from core.errors import IngotError
from core.model.run import Run, RunState, Stage, StageState
from core.services.following import RunFollower, RunView
from tui.actions import Acting, Action, bindings
from tui.cells import what_for
from tui.news import newest_paused
from tui.run_cells import facts, header_parts, log_title, signs, stage_columns, why_no_lines
from tui.screens.run_actions import ACTIONS, TO_THE_LOG
from tui.screens.run_tasks import RunTasks
from tui.screens.run_wrong import WhatWentWrong
from tui.sizes import RUN
from tui.theme import Piece, Tone
from tui.widgets.footer import Footer
from tui.widgets.line import Line, Part
from tui.widgets.log_view import LogView
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.task_view import TaskView
from tui.widgets.too_small import TooSmall

POLL = 0.25
"""Seconds between two looks at whether the run's record changed."""


class RunScreen(Acting):
    """One run."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(self, run_uid: str) -> None:
        super().__init__()
        self._uid = run_uid
        self._follower: RunFollower | None = None
        self._view: RunView | None = None
        self._trouble = ""
        self._chosen: str | None = None
        """The stage that a person chose; None shows the one at work."""
        self._shown: str | None = None
        self._at_stages = False
        """The stages had the focus last, not the log."""

    @property
    def view(self) -> RunView | None:
        """How it stands, as last read; None where nothing is known of the run."""
        return self._view

    @property
    def run(self) -> Run | None:
        """The run as last read."""
        return self._view.run if self._view else None

    @property
    def follower(self) -> RunFollower | None:
        """What reads the run; None where there is no index."""
        return self._follower

    @property
    def shown(self) -> str | None:
        """Key of the stage whose log shows."""
        return self._shown

    def compose(self) -> ComposeResult:
        plain = self.house.ascii_only
        clock = self.house.clock
        self.header = Line(ascii_only=plain, id="header")
        self.signs = Line(ascii_only=plain, id="run-signs")
        self.stages: Table[Stage] = Table(
            stage_columns(lambda: self.run, clock), title="1 Stages", id="run-stages", ascii_only=plain
        )
        self.facts = Panel(ascii_only=plain, id="run-facts")
        self.wrong = Panel(ascii_only=plain, id="run-wrong")
        self.log_view = LogView(ascii_only=plain, id="run-log")
        self.tasks = TaskView(clock, ascii_only=plain, id="run-tasks")
        self.tasks_of_run = RunTasks(self)
        self.what_went_wrong = WhatWentWrong(self)
        self.too_small = TooSmall(ascii_only=plain)
        self.footer = Footer(ascii_only=plain, id="footer")
        yield self.header
        yield self.signs
        with Horizontal(id="run-body"):
            with Vertical(id="run-side"):
                yield self.stages
                yield self.facts
            with Vertical(id="run-main"):
                yield self.wrong
                yield self.log_view
                yield self.tasks
        yield self.too_small
        yield self.footer

    def on_mount(self) -> None:
        self.log_view.focus()
        self.too_small.fit(self.size, RUN)
        self._begin()
        self.set_interval(POLL, self._poll)
        self.set_interval(1.0, self._tick)

    def on_unmount(self) -> None:
        if self._follower is not None:
            self._follower.close()

    # what is shown, and how it stays fresh

    def _begin(self) -> None:
        """Take up the run `_uid`."""
        if self._follower is not None:
            self._follower.close()
            self._follower = None
        self._view, self._chosen, self._shown = None, None, None
        try:
            self._follower = RunFollower(self.house.overviews.places, self._uid)
        except IngotError as error:
            self._trouble = error.what
        self._poll()

    def _poll(self) -> None:
        """Look whether something was recorded; microseconds when not."""
        if self._follower is None:
            return
        if self._tasks_show and self.is_current:
            self.tasks_of_run.show()
        try:
            if not self._follower.changed():
                return
            self._view = self._follower.read()
            self._trouble = ""
        except IngotError as error:
            self._trouble = error.what
        self._show()

    def _tick(self) -> None:
        """Times go on, once a second, while the run does."""
        run = self.run
        if run is not None and not run.state.ended and self.is_current:
            self._show_header(run)
            self.stages.tick()
            self.tasks.table.tick()
            if self._view is not None and self._view.pause is not None:
                self.what_went_wrong.show(self._view)

    def _show(self) -> None:
        view = self._view
        if view is None:
            self.header.set_parts([Part(Piece(self._trouble or "This run is not known here.", Tone.BAD))])
            self.log_view.show(
                None, "", empty="There is no record of this run on this machine.\nEsc goes back; 4 lists the runs."
            )
            return
        run = view.run
        self._show_header(run)
        self.stages.set_rows((stage.key, stage) for stage in run.stages)
        self.facts.set_rows("This run", lambda _: facts(run))
        self._show_stage(view)
        self.what_went_wrong.show(view)
        self.show_footer()

    def _show_header(self, run: Run) -> None:
        now = self.house.clock()
        self.header.set_parts(header_parts(run, now, self._trouble))
        self.signs.set_parts(
            [
                Part(cell, 1 if key == self._shown else 2 + at, clicked=partial(self.choose, key))
                for at, (key, cell) in enumerate(signs(run.stages, run, self._shown or "", now))
            ]
        )

    def _at_work(self, run: Run) -> Stage | None:
        """The stage to show as long as nobody chooses: the one that failed, else the one at work, else the first."""
        return run.failed_stage or run.current or next(iter(run.stages), None)

    def _show_stage(self, view: RunView) -> None:
        run = view.run
        stage = (run.stage(self._chosen) if self._chosen else None) or self._at_work(run)
        if stage is None or self._follower is None:
            return
        changed = stage.key != self._shown
        self._shown = stage.key
        if changed:  # else it is there, or a person has just moved on
            self.stages.move_to(stage.key)
        growing = not run.state.ended and not stage.state.ended
        self.log_view.show(
            self._follower.log(run, stage),
            f"2 {log_title(stage)}",
            empty=why_no_lines(view, stage),
            growing=growing,
            speaker=stage.build,
        )
        if changed:
            self._show_header(run)
            if self._tasks_show:
                self.tasks_of_run.show(anew=True)
            if stage.state in (StageState.FAILED, StageState.LOST, StageState.CANCELLED):
                # Where it ended tells more than where it began; where it went wrong tells most.
                self.log_view.go_to(self.log_view.line_count - 1)
                self.what_went_wrong.go_to_line(run, stage, fresh=True)

    # choosing a stage

    def choose(self, key: str) -> None:
        """Show the log of a stage; choosing the one at work lets the screen move on with the run again."""
        run = self.run
        if run is None or self._view is None or key == self._shown:
            return
        at_work = self._at_work(run)
        self._chosen = None if at_work is not None and at_work.key == key and not run.state.ended else key
        self._show_stage(self._view)
        self.show_footer()

    def _step(self, by: int) -> None:
        keys = [stage.key for stage in self.run.stages] if self.run else []
        if self._shown in keys:
            self.choose(keys[max(0, min(keys.index(self._shown) + by, len(keys) - 1))])

    def do_next_stage(self, _: str) -> None:
        self._step(1)

    def do_previous_stage(self, _: str) -> None:
        self._step(-1)

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        moved_on = message.key != self.stages.cursor
        if message.key is not None and not moved_on and self.stages.has_focus:
            self.choose(message.key)

    def on_table_chosen(self, message: Table.Chosen) -> None:
        message.stop()
        self.choose(message.key)
        self._main.focus()

    # panes

    def _fit(self, size: Size) -> None:
        if self.too_small.fit(size, RUN):
            self.set_focus(self.stages if self._at_stages and not self.has_class("-paged") else self._main)

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size)
        if self._view is not None:
            self.what_went_wrong.show(self._view)

    @property
    def _main(self) -> Widget:
        """The log, or the tasks in its place."""
        return self.tasks.table if self._tasks_show else self.log_view

    def do_stages(self, _: str) -> None:
        self.stages.focus()

    def do_log(self, _: str) -> None:
        self.remove_class("-tasks")
        self.log_view.focus()

    def do_tasks(self, _: str) -> None:
        if self._tasks_show and self.tasks.table.has_focus:
            self.do_log("")
            return
        self.add_class("-tasks")
        self.tasks_of_run.show(anew=True)
        self.tasks.table.focus()

    def on_task_view_left(self, message: TaskView.Left) -> None:
        message.stop()
        self.do_log("")

    def on_task_view_chosen(self, message: TaskView.Chosen) -> None:
        message.stop()
        self.tasks_of_run.find(message.task)

    def do_other_pane(self, _: str) -> None:
        if not self.stages.has_focus and not self.has_class("-paged"):
            self.stages.focus()
        else:
            self._main.focus()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._at_stages = event.widget is self.stages
        self.show_footer()

    def on_table_typing(self, message: Table.Typing) -> None:
        self.show_footer()

    def on_log_view_typing(self, message: LogView.Typing) -> None:
        self.show_footer()

    def on_table_left(self, message: Table.Left) -> None:
        self.dismiss()

    def on_log_view_left(self, message: LogView.Left) -> None:
        self.dismiss()

    def on_screen_resume(self) -> None:
        self.show_footer()

    def show_footer(self) -> None:
        if not self.is_attached or not self.is_active:
            return  # what can be done then is the business of the screen on top
        if self.stages.typing or self.log_view.typing or self.tasks.table.typing:
            self.footer.set_typing()
        else:
            self.footer.set_offers(self.house.offers_here())

    # what can be done

    def why_not(self, action: Action) -> str:
        if action.id in TO_THE_LOG:
            return (
                "The tasks show in place of the log: 2 shows it." if self._tasks_show else self.log_view.why_not(action)
            )
        if reason := super().why_not(action):
            return reason
        run = self.run
        if action.id in ("cancel", "rebuild") and run is None:
            return "There is no record of this run."
        if action.id == "cancel" and run is not None:
            if run.state.ended:
                return "This run has ended: there is nothing to cancel."
            if run.state is RunState.CANCELLING:
                return "It is being cancelled: what it started is cleaned up first."
        if action.id == "debug":
            return self._why_no_debug()
        if action.id == "rebuild" and run is not None and not run.state.ended:
            if run.state is RunState.PAUSED:
                return "It is paused: d opens the machine, where r repeats the step."
            return "It has not ended: x cancels it."
        if action.id == "stages" and self.has_class("-paged"):
            return "The stages are the line above; [ and ] go through them."
        return ""

    @property
    def _tasks_show(self) -> bool:
        return self.has_class("-tasks")

    def _why_no_debug(self) -> str:
        view = self._view
        if view is None:
            return "There is no record of this run."
        if view.pause is not None or view.machine is not None or newest_paused(self.house.overview):
            return ""
        if view.run.state.ended:
            return "This run has ended and its machine is gone: there is nothing to debug."
        return f"This run is {view.run.state.value}: there is a machine to debug when it pauses."

    def act(self, action: Action, argument: str = "") -> None:
        if action.id in TO_THE_LOG and not self._tasks_show:
            self.log_view.act(action)
            return
        super().act(action, argument)

    def do_back(self, _: str) -> None:
        self.dismiss()

    def do_cancel(self, _: str) -> None:
        if self.run is not None:
            self.house.asking.cancel([self.run])

    def do_debug(self, _: str) -> None:
        """The machine of this run, else the one that waits; of several one is chosen."""
        view = self._view
        if view is not None and (view.pause is not None or view.machine is not None):
            self.house.opening.debug(self._uid)
        else:
            self.house.opening.what_waits()

    def do_rebuild(self, _: str) -> None:
        """The same request again; the screen goes over to the new run."""
        run, follower = self.run, self._follower
        if run is None or follower is None:
            return

        def queued_again(new: Run) -> None:
            self.notify(f"Run {new.id} queued: {what_for(new)}", timeout=4)
            if self.is_attached:
                self._uid = new.uid
                self._begin()

        again: Callable[[], Run] = partial(follower.rebuild, run)
        self.house.carry_out(f"asking for {what_for(run)} once more…", again, queued_again)
