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
from core.model.role import Problem
from core.model.run import Run, RunState
from core.services.overview import Overview, RoleState, RoleView, has_packer
from core.text import visible
from tui.actions import Acting, Action, app_of, bindings
from tui.cells import image_columns, role_columns, run_columns
from tui.theme import UNICODE, Piece, Tone
from tui.widgets.footer import Footer
from tui.widgets.header import Header
from tui.widgets.line import Line, Part
from tui.widgets.table import Table

if TYPE_CHECKING:
    from tui.app import Ingot

FULL = (100, 30)
"""Columns and rows from which all panes show at once; below, panes are pages."""
LEAST = (60, 15)
"""Columns and rows that the workbench needs at all."""
AGES = 30.0
"""Seconds between two drawings of ages, where nothing runs."""

NO_FLEETS = (
    "No fleets yet.\n"
    "A fleet is a group of machines launched from one role's images. What it should run, what it runs, and which"
    " machines are behind will show here."
)

PANES = ("roles", "images", "fleets", "runs")

ACTIONS = (
    Action(
        "build",
        "Build",
        ("b",),
        "Build the image of the role, or of the marked roles",
        "Workbench",
        True,
        1,
        command="build",
        argument="role",
    ),
    Action(
        "stale",
        "Build stale",
        ("S",),
        "Build every role whose sources changed since its last image, parents first",
        "Workbench",
        True,
        6,
        command="stale",
    ),
    Action(
        "logs",
        "Logs",
        ("l",),
        "The log of the run; of a role its newest run, of an image the run that made it",
        "Workbench",
        rank=4,
        command="logs",
        argument="run",
    ),
    Action(
        "cancel",
        "Cancel…",
        ("x",),
        "End the run, or the marked runs; what they started is cleaned up",
        "Workbench",
        True,
        3,
        command="cancel",
        argument="run",
    ),
    Action(
        "delete",
        "Delete…",
        ("D",),
        "Delete the files of the image version, or of the marked ones",
        "Workbench",
        True,
        7,
        command="delete",
        argument="image",
    ),
    Action("roles", "Roles", ("1",), "To the roles", "Panes", command="roles"),
    Action("images", "Image versions", ("2",), "To the image versions of the chosen role", "Panes", command="images"),
    Action("fleets", "Fleets", ("3",), "To the fleets", "Panes", command="fleets"),
    Action("runs", "Runs", ("4",), "To the runs", "Panes", command="runs"),
    Action("next_pane", "Next pane", ("tab",), "To the next pane", "Panes"),
    Action("previous_pane", "Previous pane", ("shift+tab",), "To the pane before", "Panes"),
)


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
            image_columns(clock),
            title="2 Image versions",
            id="images",
            ascii_only=ascii_only,
            copied=lambda image: f"{image.role} {image.version}",
        )
        self.fleets: Table[str] = Table((), title="3 Fleets", empty=NO_FLEETS, id="fleets", ascii_only=ascii_only)
        self.runs: Table[Run] = Table(
            run_columns(clock), title="4 Runs", id="runs", ascii_only=ascii_only, copied=lambda run: run.uid
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
            self.images.set_empty("Image versions of the chosen role will show here.")
            self.images.set_rows((), subject_changed=self._shown_role is not None)
        else:
            self.images.set_title(f"2 {self._role} · image versions")
            self.images.set_empty(self._why_no_images(self._role))
            versions = self._overview.images.get(self._role, ())
            changed = self._role != self._shown_role
            view = self._overview.role(self._role)
            stale = f"{UNICODE.stale} {view.stale}" if view is not None and view.stale and versions else ""
            self.images.set_note(Piece(stale, Tone.STALE))
            self.images.set_rows(((image.version, image) for image in versions), subject_changed=changed)
        self._shown_role = self._role

    def _why_no_images(self, role: str) -> str:
        view = self._overview.role(role)
        if view is not None and view.role.problems:
            problem = view.role.problems[0]
            fix = f"\n{problem.fix}" if problem.fix else ""
            return f"{role} cannot be built.\n{_where(problem)}: {problem.reason}{fix}"
        state = view.state if view is not None else RoleState.NO_IMAGE
        if state is RoleState.BUILDING and view is not None and view.run is not None:
            return f"The first image of {role} is being made.\nl shows the log of run {view.run.id}."
        if state is RoleState.QUEUED:
            return f"The first image of {role} is queued.\nIt begins when a build that runs now has ended."
        if state is RoleState.FAILED and view is not None and view.run is not None:
            return f"No images yet: run {view.run.id} failed.\nl shows its log; b builds {role} again."
        return f"No images yet.\nPress b to build the role {role}."

    def _say_what_is_missing(self) -> None:
        """The one next step, where there is nothing to show."""
        overview, app = self._overview, self.house
        if app.overviews.root is None:
            self.roles.set_empty(
                f"No Git repository.\nLooked for .git in {overview.root} and above."
                "\nStart ingot in a repository with Packer templates, or try: ingot demo"
            )
        elif app.trouble and not overview.roles:
            self.roles.set_empty(f"Nothing could be read.\n{app.trouble}\nF5 tries again; N shows what was said.")
        elif overview.workspace is None or not overview.read_at:
            self.roles.set_empty("Looking through the repository…")
        elif overview.problems and not overview.roles:
            problem = overview.problems[0]
            self.roles.set_empty(f"No roles.\n{_where(problem)}: {problem.reason}\n{problem.fix}")
        else:
            self.roles.set_empty(
                "No Packer templates.\nLooked for *.pkr.hcl, *.pkr.json and JSON files with builders in the whole"
                " repository.\nAdd one, name it in ingot.toml, or see how it looks with: ingot demo"
            )
        if not overview.runs:
            packer = "" if has_packer() else "\n! Packer is not installed here: ingot doctor says how to get it."
            self.runs.set_empty(f"No runs yet.\nPress b on a role to start one.{packer}")

    def _say_problems(self) -> None:
        """What is wrong in `ingot.toml` and elsewhere beyond one role: once in a notice, and as long as it is so."""
        problems = self._overview.problems
        first = _where(problems[0]) if problems else ""
        more = f" and {len(problems) - 1} more" if len(problems) > 1 else ""
        said = f"{UNICODE.attention} {first}: {problems[0].reason}{more}" if problems and self._overview.roles else ""
        self.roles.set_note(Piece(said, Tone.STALE))
        for problem in problems if self._overview.roles else ():
            if problem not in self._problems:
                self.notify(problem.fix, title=f"{_where(problem)}: {problem.reason}", severity="warning", timeout=10)
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
        paged = width < FULL[0] or height < FULL[1]
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
            from tui.screens.image import ImageScreen

            app_of(self).push_screen(ImageScreen(self.images.chosen, self._clock, ascii_only=self.house.ascii_only))

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
            case "build":
                if not self._overview.roles:
                    return "There is no role to build."
                if self._page not in ("roles", "images"):
                    return "Choose a role first: 1 goes to the roles."
            case "stale":
                if not any(view.stale for view in self._overview.roles):
                    return "No role is stale: nothing changed since the last images."
            case "cancel":
                if self._page != "runs":
                    return "Choose a run first: 4 goes to the runs."
                if not any(not run.state.ended for run in self.runs.chosen_or_marked):
                    return "This run has ended: there is nothing to cancel."
            case "logs":
                if self._run_here() is None:
                    return "No run belongs to what is chosen."
            case "delete":
                if self._page != "images" or self.images.chosen is None:
                    return "Choose an image version first: 2 goes to them."
            case _:
                pass
        return ""

    def act(self, action: Action, argument: str = "") -> None:
        """With an argument, whatever is chosen does not matter: only --readonly refuses."""
        if argument and not super().why_not(action):
            getattr(self, f"do_{action.id}")(argument)
            return
        super().act(action, argument)

    def _run_here(self) -> Run | None:
        """The run that belongs to what is chosen."""
        if self._page == "runs":
            return self.runs.chosen
        if self._page == "images" and self.images.chosen is not None:
            return self._overview.run(self.images.chosen.run)
        view = self.roles.chosen
        return view.run if view is not None and self._page == "roles" else None

    def do_build(self, argument: str) -> None:
        """Build the roles named, else the marked, else the chosen one; asks once whether the workspace is trusted."""
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
                self.notify(self._why_no_images(role), title="Not built", severity="warning")
                roles.remove(role)
        if roles:
            self._when_trusted(partial(self._build, roles))

    def _build(self, roles: list[str], trust: bool) -> None:
        """All in one request: parents are queued before those built on them, and a refusal queues none."""
        what = roles[0] if len(roles) == 1 else f"{len(roles)} roles"
        self.house.carry_out(
            f"asking for a build of {what}…", partial(self.house.changes.build, roles, trust=trust), self._queued
        )
        self.roles.clear_marks()

    def _queued(self, runs: list[Run]) -> None:
        """Say it once, and have the newest run chosen for whoever goes to the runs next."""
        if len(runs) == 1:
            self.notify(f"Run {runs[0].id} queued: build {runs[0].role}", timeout=4)
        elif runs:
            names = ", ".join(f"{run.role} (run {run.id})" for run in runs)
            self.notify(f"Queued: {names}", timeout=4)
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
        self._when_trusted(self._build_stale)

    def _build_stale(self, trust: bool) -> None:
        def done(runs: list[Run]) -> None:
            if not runs:
                self.notify("Nothing is stale, or it is being built already.", timeout=4)
            self._queued(runs)

        self.house.carry_out(
            "asking for builds of what is stale…", partial(self.house.changes.build_stale, trust=trust), done
        )

    def _when_trusted(self, go: Callable[[bool], None]) -> None:
        if self._overview.trusted:
            go(False)
            return
        from tui.screens.questions import trust_question

        name = self._overview.workspace.name if self._overview.workspace else self._overview.root

        def answered(yes: bool | None) -> None:
            if yes:
                go(True)

        app_of(self).push_screen(trust_question(name, self._overview.root), answered)

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
        from tui.screens.questions import cancel_question

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

        def answered(yes: bool | None) -> None:
            for run in runs if yes else ():
                self.house.carry_out(
                    f"cancelling run {run.id}…",
                    partial(self.house.changes.cancel, run.uid),
                    lambda run: self.notify(_cancelled(run), timeout=4),
                )
            if yes:
                self.runs.clear_marks()

        app_of(self).push_screen(cancel_question(runs), answered)

    def do_delete(self, argument: str) -> None:
        """Ask for the names, then delete the files of the marked image versions, or of the chosen one."""
        from tui.screens.questions import delete_question

        if argument:
            role, _, version = argument.partition(" ")
            named = self._overview.image(role, version)
            if named is None:
                self.notify(f"There is no image version {visible(argument)} here.", severity="warning")
                return
            images = [named]
        else:
            images = self.images.chosen_or_marked

        def ask(rest: list[ImageVersion]) -> None:
            """One question for each: a name typed once must not stand for what was not read."""
            image, *following = rest
            question = delete_question(image)

            def answered(yes: bool | None) -> None:
                if not yes:
                    return
                self.house.carry_out(
                    f"deleting {image.role} {image.version}…",
                    partial(self.house.changes.delete, image.role, image.version, typed=question.typed),
                    lambda freed: self._deleted(image, freed),
                )
                if following:
                    ask(following)

            app_of(self).push_screen(question, answered)

        ask(images)

    def _deleted(self, image: ImageVersion, freed: int) -> None:
        from core.text import size

        self.notify(f"{size(freed)} free again.", title=f"Deleted the files of {image.role} {image.version}")
        self.house.discover()


def needs(width: int, height: int) -> list[Part]:
    """What a terminal that is too small is told, in what fits there."""
    if width < 38:
        return [Part(f"needs {LEAST[0]}×{LEAST[1]}")]
    return [Part(f"Ingot needs {LEAST[0]}×{LEAST[1]}, here are {width}×{height}"), Part(f"{LEAST[0]}×{LEAST[1]}", 2)]


def _where(problem: Problem) -> str:
    return f"{problem.path}:{problem.line}" if problem.line else problem.path


def _cancelled(run: Run) -> str:
    if run.state is RunState.CANCELLED:
        return f"Run {run.id} cancelled."
    return f"Run {run.id} is being cancelled; what it started is cleaned up."
