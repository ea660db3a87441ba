"""The workbench: what have I got, what is stale, what is running?

Four panes: roles, the image versions of the chosen role, fleets, runs. On a small terminal each pane is a page.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

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
from core.text import visible
from tui.actions import Acting, Action, app_of, bindings
from tui.cells import image_columns, role_columns, run_columns
from tui.deciding import NO_LEDGER, why_not_restored
from tui.emptiness import NO_FLEETS, NO_ROLE_CHOSEN, no_images, no_roles, no_runs, where
from tui.news import newest_paused
from tui.screens.workbench_actions import ACTIONS
from tui.sizes import LEAST, WORKBENCH, needs
from tui.theme import UNICODE, Piece, Tone
from tui.widgets.footer import Footer
from tui.widgets.header import Header
from tui.widgets.line import Line, Part
from tui.widgets.table import Table

if TYPE_CHECKING:
    from tui.app import Ingot

AGES = 30.0
"""Seconds between two drawings of ages, where nothing runs."""

PANES = ("roles", "images", "fleets", "runs")


class Workbench(Acting):
    """The first screen."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(self, clock: Callable[[], float], *, ascii_only: bool = False) -> None:
        super().__init__()
        self._clock = clock
        self._overview = Overview("")
        self._role: str | None = None
        self._shown_role: str | None = None
        self._choose_run = ""
        """The run that was queued from here last, until it shows among the runs."""
        self._problems: frozenset[Problem] = frozenset()
        """Those of the workspace as a whole that were said already."""
        self._page = "roles"
        self._paged = False
        self.header = Header(ascii_only=ascii_only, id="header")
        self.pages = Line(ascii_only=ascii_only, id="pages")
        self.footer = Footer(ascii_only=ascii_only, id="footer")
        self.too_small = Line(ascii_only=ascii_only, id="too-small")
        self.roles: Table[RoleView] = Table(
            role_columns(), title="1 Roles", id="roles", ascii_only=ascii_only, copied=lambda view: view.role.name
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
            run_columns(clock, lambda: self._overview),
            title="4 Runs",
            id="runs",
            ascii_only=ascii_only,
            copied=lambda run: run.uid,
        )

        self.upper = Horizontal(self.roles, self.images, id="upper")

    @property
    def house(self) -> "Ingot":
        """The app, as what it is."""
        return cast("Ingot", app_of(self))

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
        first = self._overview.workspace is None
        self._overview = overview
        self._say_what_is_missing()
        self.roles.set_rows((view.role.name, view) for view in overview.roles)
        self._say_problems()
        self.runs.set_rows((run.uid, run) for run in overview.runs)
        self._choose_queued()
        self._show_images()
        if first and overview.workspace is not None and self.roles.cursor is None:
            self._page = "roles"
        self._show_pages()
        self.show_footer()

    def _show_images(self) -> None:
        self._role = self.roles.cursor
        if self._role is None:
            self.images.set_title("2 Image versions")
            self.images.set_note(Piece(""))
            self.images.set_empty(NO_ROLE_CHOSEN)
            self.images.set_rows((), subject_changed=self._shown_role is not None)
        else:
            self.images.set_title(f"2 {self._role} · image versions")
            self.images.set_empty(no_images(self._overview, self._role))
            versions = self._overview.images.get(self._role, ())
            changed = self._role != self._shown_role
            view = self._overview.role(self._role)
            stale = f"{UNICODE.stale} {view.stale}" if view is not None and view.stale and versions else ""
            self.images.set_note(Piece(stale, Tone.STALE))
            self.images.set_rows(((image.version, image) for image in versions), subject_changed=changed)
        self._shown_role = self._role

    def stands(self, standing: Standing) -> None:
        """What was decided is known anew."""
        self._show_images()
        self.show_footer()

    def _say_what_is_missing(self) -> None:
        """The one next step, where there is nothing to show."""
        overview, app = self._overview, self.house
        self.roles.set_empty(no_roles(overview, app.overviews.root, app.trouble))
        if not overview.runs:
            self.runs.set_empty(no_runs())

    def _say_problems(self) -> None:
        """What is wrong in `ingot.toml` and elsewhere beyond one role: once in a notice, and as long as it is so."""
        problems = self._overview.problems
        first = where(problems[0]) if problems else ""
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        said = f"{UNICODE.attention} {first}: {problems[0].reason}{more}" if problems and self._overview.roles else ""
        self.roles.set_note(Piece(said, Tone.STALE))
        for problem in problems if self._overview.roles else ():
            if problem not in self._problems:
                self.notify(problem.fix, title=f"{where(problem)}: {problem.reason}", severity="warning", timeout=10)
        self._problems = frozenset(problems)

    def show_header(self, app: "Ingot") -> None:
        self.header.show(
            app.overview,
            app.worker,
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
        if not self.is_attached or not self.is_current:
            return  # what can be done then is the business of the screen on top
        table = self.table
        if table is not None and table.typing:
            self.footer.set_parts(
                [
                    Part((Piece("Enter", Tone.ACCENT), Piece(" Keep", Tone.FAINT))),
                    Part((Piece("Esc", Tone.ACCENT), Piece(" Clear", Tone.FAINT))),
                ]
            )
        else:
            self.footer.set_offers(self.house.offers_here())

    def _tick(self) -> None:
        """Elapsed times go on, once a second, for what runs."""
        if any(not run.state.ended for run in self._overview.runs):
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
        self._fit(event.size.width, event.size.height)

    def _fit(self, width: int, height: int) -> None:
        small = width < LEAST[0] or height < LEAST[1]
        paged = width < WORKBENCH[0] or height < WORKBENCH[1]
        self._paged = paged and not small
        self.set_class(small, "-small")
        self.set_class(self._paged, "-paged")
        self.too_small.set_parts(needs(width, height))
        self._show_pages()

    def _show_pages(self) -> None:
        # Only where panes are pages: each change of a class has Textual style what is below it anew.
        for name, pane in zip(PANES, self.panes, strict=True):
            pane.set_class(self._paged and name == self._page, "-page")
        self.upper.set_class(self._paged and self._page in ("roles", "images"), "-page")
        if not self._paged:
            return
        counts = (len(self.roles.rows), len(self.images.rows), len(self.fleets.rows), len(self.runs.rows))
        self.pages.set_parts(
            [
                Part(
                    (
                        Piece(f"{number} {title}", Tone.ACCENT if name == self._page else Tone.FAINT),
                        Piece(f" {count}", Tone.PLAIN if name == self._page else Tone.FAINT),
                    ),
                    clicked=partial(self._go_to, name),
                )
                for number, (name, title, count) in enumerate(
                    zip(PANES, ("Roles", "Images", "Fleets", "Runs"), counts, strict=True), 1
                )
            ]
        )

    def _go_to(self, name: str) -> None:
        self._page = name
        self._show_pages()
        self.set_focus(self.query_one(f"#{name}"))  # at once, for the next key; `focus` does it later

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        if event.widget.id in PANES:
            self._page = event.widget.id
            self._show_pages()
        self.show_footer()

    def on_table_moved(self, message: Table.Moved) -> None:
        if message.table is self.roles and self.roles.cursor != self._shown_role:
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
            self.house.open_run(message.key)
        elif message.table is self.images and self.images.chosen is not None:
            self.house.open_image(self.images.chosen)

    def do_roles(self, _: str) -> None:
        self._go_to("roles")

    def do_images(self, _: str) -> None:
        self._go_to("images")

    def do_fleets(self, _: str) -> None:
        self._go_to("fleets")

    def do_runs(self, _: str) -> None:
        self._go_to("runs")

    def do_next_pane(self, _: str) -> None:
        self._go_to(PANES[(PANES.index(self._page) + 1) % len(PANES)])

    def do_previous_pane(self, _: str) -> None:
        self._go_to(PANES[(PANES.index(self._page) - 1) % len(PANES)])

    # what can be done

    def why_not(self, action: Action) -> str:
        """Why an action makes no sense here, beyond --readonly. An argument (`:build web`) is judged when it comes."""
        if reason := super().why_not(action):
            return reason
        match action.id:
            case "build" | "build_how":
                if not self._overview.roles:
                    return "There is no role to build."
                if self._page not in ("roles", "images"):
                    return "Choose a role first: 1 goes to the roles."
            case "stale":
                if not any(view.stale for view in self._overview.roles):
                    return "No role is stale: nothing changed since the last images."
            case "outdated":
                if not any(view.outdated for view in self._overview.roles):
                    return "No role is outdated: no parent has a newer good image than the one that was built on."
            case "cancel":
                if self._page != "runs":
                    return "Choose a run first: 4 goes to the runs."
                if not any(not run.state.ended for run in self.runs.chosen_or_marked):
                    return "This run has ended: there is nothing to cancel."
            case "logs":
                if self._run_here() is None:
                    return "No run belongs to what is chosen."
            case "debug":
                return self._why_no_debug()
            case "delete":
                if self._page != "images" or self.images.chosen is None:
                    return "Choose an image version first: 2 goes to them."
            case "promote" | "revoke" | "deprecate" | "restore":
                return self._why_not_decided(action.id)
            case "difference":
                return self._why_no_difference()
            case _:
                pass
        return ""

    def act(self, action: Action, argument: str = "") -> None:
        """With an argument, whatever is chosen does not matter: only --readonly refuses."""
        if argument and not super().why_not(action):
            getattr(self, f"do_{action.id}")(argument)
            return
        super().act(action, argument)

    def _image_here(self) -> ImageVersion | None:
        """The chosen image version; of a role its newest."""
        if self._page == "images":
            return self.images.chosen
        view = self.roles.chosen
        return view.latest if view is not None and self._page == "roles" else None

    def _why_not_decided(self, action: str) -> str:
        image = self._image_here()
        if self.house.deciding is None:
            return NO_LEDGER
        if image is None:
            return "Choose an image version first: 2 goes to them."
        if self._page != "images" and action != "promote":
            return "Choose an image version first: 2 goes to them."
        return why_not_restored(self.house, image) if action == "restore" else ""

    def _why_no_difference(self) -> str:
        if self._page != "images" or self.images.chosen is None:
            return "Choose an image version first: 2 goes to them."
        if len(self.images.rows.marks) > 2:
            return "Mark two image versions with Space, not more."
        if len(self.images.rows) < 2:
            return "There is only this one: a difference takes two."
        return ""

    def _run_here(self) -> Run | None:
        """The run that belongs to what is chosen."""
        if self._page == "runs":
            return self.runs.chosen
        if self._page == "images" and self.images.chosen is not None:
            return self._overview.run(self.images.chosen.run)
        view = self.roles.chosen
        return view.run if view is not None and self._page == "roles" else None

    def _why_no_debug(self) -> str:
        if newest_paused(self._overview):
            return ""
        run = self._run_here()
        if run is None:
            return "No run is paused and no machine is kept: there is nothing to debug."
        if run.state.ended:
            return f"Run {run.id} has ended and its machine is gone: there is nothing to debug."
        return f"Run {run.id} is {run.state.value}: there is a machine to debug when it pauses."

    def do_debug(self, argument: str) -> None:
        """The machine of the run named, else of the chosen one, else the only one that waits."""
        run = self._named_run(argument) if argument else self._run_here()
        if run is not None and (argument or self._overview.debuggable(run.uid)):
            self.house.open_debug(run.uid)
        elif not argument:
            self.house.open_waiting()

    def do_build(self, argument: str) -> None:
        """Build the roles named, else the marked, else the chosen one; asks once whether the workspace is trusted."""
        if roles := self._to_build(argument):
            self.house.asking.build(roles, self._queued)

    def do_build_how(self, argument: str) -> None:
        """The same, after asking when it may pause."""
        from tui.screens.pausing import HowToPause

        roles = self._to_build(argument)

        def answered(pausing: Wish | None) -> None:
            if pausing is not None:
                self.house.asking.build(roles, self._queued, pausing)

        if roles:
            self.house.push_screen(HowToPause(roles), answered)

    def _to_build(self, argument: str) -> list[str]:
        """The roles named, else the marked, else the chosen one; without those that cannot be built, which is said."""
        if argument:
            roles = argument.split()
        elif self._page == "images" and self._role:
            roles = [self._role]
        else:
            roles = [view.role.name for view in self.roles.chosen_or_marked]
        for role in list(roles):
            view = self._overview.role(role)
            if view is None:
                self.notify(f"There is no role {visible(role)} in this workspace.", severity="warning")
                roles.remove(role)
            elif view.role.problems:
                self.notify(no_images(self._overview, role), title="Not built", severity="warning")
                roles.remove(role)
        return roles

    def _queued(self, runs: list[Run]) -> None:
        """Have the newest run chosen for whoever goes to the runs next."""
        self.roles.clear_marks()
        if runs and not self.runs.has_focus:
            self._choose_run = runs[-1].uid
            self._choose_queued()

    def _choose_queued(self) -> None:
        """Once it is among the rows: the index may be read after the queueing is answered."""
        if self._choose_run in {run.uid for run in self._overview.runs}:
            self.runs.move_to(self._choose_run)
            self._choose_run = ""

    def do_stale(self, _: str) -> None:
        """Build everything that is stale, parents first."""
        self.house.asking.build_stale(self._queued)

    def do_outdated(self, _: str) -> None:
        """Build the chain again where a parent has a newer good version, parents first."""
        self.house.asking.build_outdated(self._queued)

    def do_logs(self, argument: str) -> None:
        run = self._named_run(argument) if argument else self._run_here()
        if run is not None:
            self.house.open_run(run.uid)

    def _named_run(self, argument: str) -> Run | None:
        found = next((run for run in self._overview.runs if argument in (str(run.id), run.uid)), None)
        if found is None:
            self.notify(f"There is no run {visible(argument)} in this workspace.", severity="warning")
        return found

    def do_cancel(self, argument: str) -> None:
        """Ask, then cancel the run named, else the marked, else the chosen one."""
        if argument:
            named = self._named_run(argument)
            chosen = [named] if named is not None else []
        else:
            chosen = self.runs.chosen_or_marked
        runs = [run for run in chosen if not run.state.ended]
        if not runs:
            if chosen:
                self.notify("It has ended: there is nothing to cancel.", severity="warning")
            return
        self.house.asking.cancel(runs, self.runs.clear_marks)

    def do_promote(self, argument: str) -> None:
        """To the screen where a channel is moved to the image version named, or to the chosen one."""
        if image := self._named_or_here(argument):
            self.house.decisions.promote(image)

    def do_revoke(self, argument: str) -> None:
        if image := self._named_or_here(argument):
            self.house.decisions.revoke(image)

    def do_deprecate(self, argument: str) -> None:
        if image := self._named_or_here(argument):
            self.house.decisions.deprecate(image)

    def do_restore(self, argument: str) -> None:
        image = self._named_or_here(argument)
        if image is not None and (reason := why_not_restored(self.house, image)):
            self.notify(reason, title="Restore: not now", severity="warning", markup=False)
        elif image is not None:
            self.house.decisions.restore(image)

    def do_difference(self, argument: str) -> None:
        """Of the two marked image versions, the older first; else of the chosen one to the one named, or before it."""
        chosen = self.images.chosen_or_marked
        if argument:
            named, here = self._named_or_here(argument), self._image_here()
            if named is None or here is None:
                return
            chosen = [named, here]
        chosen = sorted(chosen, key=lambda image: image.created)
        if len(chosen) == 1:
            versions = self._overview.images.get(chosen[0].role, ())
            others = [image for image in versions if image.created < chosen[0].created]
            before = max(others, key=lambda image: image.created, default=None)
            if before is None:
                self.notify("It is the oldest: mark another with Space.", severity="warning")
                return
            chosen = [before, chosen[0]]
        self.house.open_difference(chosen[0], chosen[1])

    def _named_or_here(self, argument: str) -> ImageVersion | None:
        if not argument:
            return self._image_here()
        role, _, version = argument.partition(" ")
        named = self._overview.image(role, version)
        if named is None:
            self.notify(f"There is no image version {visible(argument)} here.", severity="warning", markup=False)
        return named

    def do_delete(self, argument: str) -> None:
        """Ask for the names, then delete the files of the marked image versions, or of the chosen one."""
        if argument:
            role, _, version = argument.partition(" ")
            named = self._overview.image(role, version)
            if named is None:
                self.notify(f"There is no image version {visible(argument)} here.", severity="warning")
                return
            images = [named]
        else:
            images = self.images.chosen_or_marked

        self.house.asking.delete(images)
