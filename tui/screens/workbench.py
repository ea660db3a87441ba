"""The workbench: what have I got, what is stale, what is running?

Four panes: roles, the image versions of the chosen role, fleets, runs. On a small terminal each pane is a page.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from core.model.image import ImageVersion
from core.model.pause import Wish
from core.model.role import Problem
from core.model.run import Run
from core.model.standing import Standing
from core.services.overview import Overview, RoleView
from tui.actions import Acting, Action, bindings
from tui.cells import image_columns, role_columns, run_columns
from tui.emptiness import NO_FLEETS, NO_ROLE_CHOSEN, no_images, no_roles, no_runs, where
from tui.screens.workbench_actions import ACTIONS
from tui.screens.workbench_subjects import Subjects
from tui.theme import UNICODE, Piece, Tone
from tui.undecided import why_not_restored
from tui.widgets.footer import Footer
from tui.widgets.header import Header
from tui.widgets.pages import Pages
from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

if TYPE_CHECKING:
    from tui.app import Ingot

AGES = 30.0
"""Seconds between two drawings of ages, where nothing runs."""

PAGES = {"roles": "1 Roles", "images": "2 Images", "fleets": "3 Fleets", "runs": "4 Runs"}
"""What the panes are called where they are pages, by their ids."""
PANES = tuple(PAGES)


class Workbench(Acting):
    """The first screen."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(self, clock: Callable[[], float], *, ascii_only: bool = False) -> None:
        super().__init__()
        self._clock = clock
        self.overview = Overview("")
        """What is shown, as it was read last."""
        self.shown_role: str | None = None
        """The role whose image versions show."""
        self._choose_run = ""
        """The run that was queued from here last, until it shows among the runs."""
        self.subjects = Subjects(self)
        self._problems: frozenset[Problem] = frozenset()
        """Those of the workspace as a whole that were said already."""
        self.page = "roles"
        """The pane that was gone to last; where panes are pages, the one that shows."""
        self._paged = False
        self.header = Header(ascii_only=ascii_only, id="header")
        self.pages = Pages(ascii_only=ascii_only, id="pages")
        self.footer = Footer(ascii_only=ascii_only, id="footer")
        self.too_small = TooSmall(ascii_only=ascii_only)
        self.roles: Table[RoleView] = Table(
            role_columns(lambda: self.roles.is_sorted),
            title="1 Roles",
            id="roles",
            ascii_only=ascii_only,
            copied=lambda view: view.role.name,
        )
        self.images: Table[ImageVersion] = Table(
            image_columns(clock, lambda: self.house.standing),
            title="2 Image versions",
            id="images",
            ascii_only=ascii_only,
            copied=lambda image: f"{image.role} {image.version}",
        )
        self.fleets: Table[str] = Table((), title="3 Fleets", empty=NO_FLEETS, id="fleets", ascii_only=ascii_only)
        self.runs: Table[Run] = Table(
            run_columns(clock, lambda: self.overview),
            title="4 Runs",
            id="runs",
            ascii_only=ascii_only,
            copied=lambda run: run.uid,
        )

        self.upper = Horizontal(self.roles, self.images, id="upper")

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.pages
        with Vertical(id="panes"):
            yield self.upper
            yield self.fleets
            yield self.runs
        yield self.too_small
        yield self.footer

    def on_mount(self) -> None:
        self.set_interval(1.0, self._tick)
        self.set_interval(AGES, self._tick_ages)
        self.show_footer()

    # what is shown

    @property
    def panes(self) -> Sequence[Table[Any]]:
        return (self.roles, self.images, self.fleets, self.runs)

    def show(self, overview: Overview) -> None:
        """Show what was read. What was chosen stays chosen."""
        first = self.overview.workspace is None
        self.overview = overview
        self._say_what_is_missing()
        self.roles.set_rows((view.role.name, view) for view in overview.roles)
        self._say_problems()
        self.runs.set_rows((run.uid, run) for run in overview.runs)
        self._choose_queued()
        self._show_images()
        if first and overview.workspace is not None and self.roles.cursor is None:
            self.page = "roles"
        self._show_pages()
        self.show_footer()

    def _show_images(self) -> None:
        role, before = self.roles.cursor, self.shown_role
        self.shown_role = role
        if role is None:
            self.images.set_title("2 Image versions")
            self.images.set_note(Piece(""))
            self.images.set_empty(NO_ROLE_CHOSEN)
            self.images.set_rows((), subject_changed=before is not None)
            return
        self.images.set_title(f"2 {role} · image versions")
        self.images.set_empty(no_images(self.overview, role))
        versions = self.overview.images.get(role, ())
        view = self.overview.role(role)
        stale = f"{UNICODE.stale} {view.stale}" if view is not None and view.stale and versions else ""
        self.images.set_note(Piece(stale, Tone.STALE))
        self.images.set_rows(((image.version, image) for image in versions), subject_changed=role != before)

    def stands(self, standing: Standing) -> None:
        """What was decided is known anew."""
        self._show_images()
        self.show_footer()

    def _say_what_is_missing(self) -> None:
        """The one next step, where there is nothing to show."""
        overview, app = self.overview, self.house
        self.roles.set_empty(no_roles(overview, app.overviews.root, app.trouble))
        if not overview.runs:
            self.runs.set_empty(no_runs(overview))

    def _say_problems(self) -> None:
        """What is wrong in `ingot.toml` and elsewhere beyond one role: once in a notice, and as long as it is so."""
        problems = self.overview.problems
        first = where(problems[0]) if problems else ""
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        said = f"{UNICODE.attention} {first}: {problems[0].reason}{more}" if problems and self.overview.roles else ""
        self.roles.set_note(Piece(said, Tone.STALE))
        for problem in problems if self.overview.roles else ():
            if problem not in self._problems:
                self.notify(problem.fix, title=f"{where(problem)}: {problem.reason}", severity="warning", timeout=10)
        self._problems = frozenset(problems)

    def show_header(self, app: "Ingot") -> None:
        self.header.show(
            app.overview,
            app.worker,
            asked=app.fresh.worker_asked,
            busy=app.busy[-1] if app.busy else "",
            trouble=app.trouble,
            readonly=app.readonly,
        )

    def discovered(self) -> None:
        """Discovery has ended, well or not."""
        self._say_what_is_missing()
        self.show_footer()

    def on_screen_resume(self) -> None:
        self.show_footer()

    def show_footer(self) -> None:
        if not self.is_attached or not self.is_active:
            return  # what can be done then is the business of the screen on top
        table = self.table
        if table is not None and table.typing:
            self.footer.set_typing()
        else:
            self.footer.set_offers(self.house.offers_here())

    def _tick(self) -> None:
        """Elapsed times go on, once a second, for what runs."""
        if any(not run.state.ended for run in self.overview.runs):
            self.runs.tick()

    def _tick_ages(self) -> None:
        self.images.tick()
        self.runs.tick()

    # panes and pages

    @property
    def table(self) -> Table[Any] | None:
        """The pane that has the focus."""
        return next((pane for pane in self.panes if pane is self.focused), None)

    def on_resize(self, event: events.Resize) -> None:
        if self.too_small.fit(event.size):
            self.set_focus(self.query_one(f"#{self.page}"))
        self._paged = self.has_class("-paged")
        self._show_pages()

    def _show_pages(self) -> None:
        # Only where panes are pages: each change of a class has Textual style what is below it anew.
        for name, pane in zip(PANES, self.panes, strict=True):
            pane.set_class(self._paged and name == self.page, "-page")
        self.upper.set_class(self._paged and self.page in ("roles", "images"), "-page")
        if not self._paged:
            return
        counts = {name: len(pane.rows) for name, pane in zip(PANES, self.panes, strict=True)}
        self.pages.set_pages(PAGES, self.page, self._go_to, counts)

    def _go_to(self, name: str) -> None:
        self.page = name
        self._show_pages()
        self.set_focus(self.query_one(f"#{name}"))  # at once, for the next key; `focus` does it later

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if event.widget.id in PANES:
            self.page = event.widget.id
            self._show_pages()
        self.show_footer()

    def on_table_moved(self, message: Table.Moved) -> None:
        if message.table is self.roles and self.roles.cursor != self.shown_role:
            self._show_images()
            self._show_pages()
        self.show_footer()

    def on_table_left(self, message: Table.Left) -> None:
        """Esc with nothing to undo in the list: back to the roles."""
        if message.table is not self.roles:
            self._go_to("roles")

    def on_table_typing(self, message: Table.Typing) -> None:
        self.show_footer()

    def on_table_chosen(self, message: Table.Chosen) -> None:
        if message.table is self.roles:
            self._go_to("images")
        elif message.table is self.runs:
            self.house.opening.run(message.key)
        elif message.table is self.images and self.images.chosen is not None:
            self.house.opening.image(self.images.chosen)

    def do_roles(self, _: str) -> None:
        self._go_to("roles")

    def do_images(self, _: str) -> None:
        self._go_to("images")

    def do_fleets(self, _: str) -> None:
        self._go_to("fleets")

    def do_runs(self, _: str) -> None:
        self._go_to("runs")

    def do_next_pane(self, _: str) -> None:
        self._go_to(PANES[(PANES.index(self.page) + 1) % len(PANES)])

    def do_previous_pane(self, _: str) -> None:
        self._go_to(PANES[(PANES.index(self.page) - 1) % len(PANES)])

    # what can be done

    def why_not(self, action: Action) -> str:
        """Why an action makes no sense here, beyond --readonly. An argument (`:build web`) is judged when it comes."""
        return super().why_not(action) or self.subjects.why_not(action.id)

    def act(self, action: Action, argument: str = "") -> None:
        """With an argument, whatever is chosen does not matter: only --readonly refuses."""
        if argument and not super().why_not(action):
            getattr(self, f"do_{action.id}")(argument)
            return
        super().act(action, argument)

    def do_debug(self, argument: str) -> None:
        """The machine of the run named, else of the chosen one, else the only one that waits."""
        run = self.subjects.run(argument)
        if run is not None and (argument or self.overview.debuggable(run.uid)):
            self.house.opening.debug(run.uid)
        elif not argument:
            self.house.opening.what_waits()

    def do_build(self, argument: str) -> None:
        """Build the roles named, else the marked, else the chosen one; asks once whether the workspace is trusted."""
        if roles := self.subjects.roles(argument):
            self.house.asking.build(roles, self._queued)

    def do_build_how(self, argument: str) -> None:
        """The same, after asking when it may pause."""
        from tui.screens.pausing import HowToPause

        roles = self.subjects.roles(argument)

        def answered(pausing: Wish | None) -> None:
            if pausing is not None:
                self.house.asking.build(roles, self._queued, pausing)

        if roles:
            self.house.push_screen(HowToPause(roles, ascii_only=self.house.ascii_only), answered)

    def _queued(self, runs: list[Run]) -> None:
        """Have the newest run chosen for whoever goes to the runs next."""
        self.roles.clear_marks()
        if runs and not self.runs.has_focus:
            self._choose_run = runs[-1].uid
            self._choose_queued()

    def _choose_queued(self) -> None:
        """Once it is among the rows: the index may be read after the queueing is answered."""
        if self._choose_run in {run.uid for run in self.overview.runs}:
            self.runs.move_to(self._choose_run)
            self._choose_run = ""

    def do_stale(self, _: str) -> None:
        """Build everything that is stale, parents first."""
        self.house.asking.build_stale(self._queued)

    def do_outdated(self, _: str) -> None:
        """Build the chain again where a parent has a newer good version, parents first."""
        self.house.asking.build_outdated(self._queued)

    def do_logs(self, argument: str) -> None:
        run = self.subjects.run(argument)
        if run is not None:
            self.house.opening.run(run.uid)

    def do_cancel(self, argument: str) -> None:
        """Ask, then cancel the run named, else the marked, else the chosen one."""
        chosen = self.subjects.runs(argument)
        runs = [run for run in chosen if not run.state.ended]
        if runs:
            self.house.asking.cancel(runs, self.runs.clear_marks)
        elif chosen:
            self.notify("It has ended: there is nothing to cancel.", severity="warning")

    def do_promote(self, argument: str) -> None:
        """To the screen where a channel is moved to the image version named, or to the chosen one."""
        if image := self.subjects.image(argument):
            self.house.decisions.promote(image)

    def do_revoke(self, argument: str) -> None:
        if image := self.subjects.image(argument):
            self.house.decisions.revoke(image)

    def do_deprecate(self, argument: str) -> None:
        if image := self.subjects.image(argument):
            self.house.decisions.deprecate(image)

    def do_restore(self, argument: str) -> None:
        image = self.subjects.image(argument)
        if image is not None and (reason := why_not_restored(self.house, image)):
            self.notify(reason, title="Restore: not now", severity="warning", markup=False)
        elif image is not None:
            self.house.decisions.restore(image)

    def do_difference(self, argument: str) -> None:
        """Of the two marked image versions, the older first; else of the chosen one to the one named, or before it."""
        if two := self.subjects.two_images(argument):
            self.house.opening.difference(*two)

    def do_delete(self, argument: str) -> None:
        """Ask for the names, then delete the files of the marked image versions, or of the chosen one."""
        if images := self.subjects.images(argument):
            self.house.asking.delete(images)
