"""The debug screen: the machine is alive; a shell in it, what went wrong, and what can be done next.

It opens a shell as soon as one can be had, and says what it tried as long as none can. A machine is never cleaned up
from here but by the name of its role, typed.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, ClassVar, cast

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from core.errors import IngotError, NoShellError
from core.model.machine import Machine, MachineState
from core.model.pause import Answer, Pause
from core.services.debugging import DebugView
from core.services.following import RunFollower
from core.text import from_bytes
from tui.actions import Acting, Action, app_of, bindings, key_name, offers
from tui.debug_cells import Try, again, can_do, facts, measured, no_shell
from tui.debug_story import header_parts, mood, story, title
from tui.screens.debug_actions import ACTIONS, TO_ANSWERS
from tui.screens.debug_answers import Answers
from tui.sizes import DEBUG, LEAST, needs
from tui.terminal.widget import Terminal
from tui.theme import Piece, Tone
from tui.waiting import waiting
from tui.widgets.footer import Footer
from tui.widgets.line import Line, Part
from tui.widgets.panel import Panel, PanelRow
from tui.widgets.shells import Shell, Shells

if TYPE_CHECKING:
    from tui.app import Ingot

LOOK = 0.5
"""Seconds between two looks at what became of the pause and the machine."""
MEASURE = 15.0
"""Seconds between two looks at the machine's load and disk."""
CONSOLE = 2.0
"""Seconds between two looks at the machine's console, as long as there is no shell."""
CONSOLE_LINES = 40
LOW = 20
"""Rows below which the facts of the machine give way to what went wrong."""


class DebugScreen(Acting):
    """The machine of one build of a run."""

    AUTO_FOCUS = ""
    """Nothing gets the keyboard by itself: after a question a letter would go to the machine."""
    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(self, run_uid: str, build: str = "") -> None:
        """Without `build` it is the one that needs somebody most, when it is looked first."""
        super().__init__()
        self._uid = run_uid
        self._build = build
        self._follower: RunFollower | None = None
        self._view: DebugView | None = None
        self._trouble = ""
        self._measured: Sequence[tuple[str, str]] = ()
        self._console_says: Sequence[str] = ()
        self._page = "shell"
        self._looking = False
        self._back_to_shell = False
        """The shell had the keyboard when the terminal became too small to show it."""
        self._touched = False
        """Somebody may have done something by hand since: that is in files, and no change of the index tells of it."""
        self.answers = Answers(self)

    @property
    def house(self) -> "Ingot":
        """The app, as what it is."""
        return cast("Ingot", app_of(self))

    @property
    def view(self) -> DebugView | None:
        """How it stands, as last read; None where nothing is known of the run."""
        return self._view

    @property
    def machine(self) -> Machine | None:
        return self._view.machine if self._view else None

    @property
    def checkout(self) -> str:
        """Where playbooks and scripts are read again when a step is repeated; empty where nothing is to be repeated."""
        repeats = any(
            choice.answer in (Answer.RETRY, Answer.RESTART) for choice in (self._view.choices if self._view else ())
        )
        return str(self.house.overviews.places.run(self._uid) / "checkout") if repeats else ""

    def compose(self) -> ComposeResult:
        plain = self.house.ascii_only
        self.header = Line(ascii_only=plain, id="header")
        self.pages = Line(ascii_only=plain, id="debug-pages")
        self.wrong = Panel(ascii_only=plain, id="debug-wrong")
        self.facts = Panel(ascii_only=plain, id="debug-facts")
        self.can = Panel(ascii_only=plain, id="debug-can")
        self.shells = Shells(
            self._open_shell,
            self._explain,
            leave_key=self.house.leave_key,
            clock=self.house.clock,
            ascii_only=plain,
            id="debug-shells",
        )
        self.too_small = Line(ascii_only=plain, id="too-small")
        self.footer = Footer(ascii_only=plain, id="footer")
        yield self.header
        yield self.pages
        with Horizontal(id="debug-body"):
            with Vertical(id="debug-side"):
                yield self.wrong
                yield self.facts
                yield self.can
            yield self.shells
        yield self.too_small
        yield self.footer

    def on_mount(self) -> None:
        try:
            self._follower = RunFollower(self.house.overviews.places, self._uid)
        except IngotError as error:
            self._trouble = error.what
        self._fit(*self.size)
        self._show()
        self.look()
        self.set_interval(LOOK, self.look)
        self.set_interval(1.0, self._tick)
        self.set_interval(MEASURE, self._measure)
        self.set_interval(CONSOLE, self._read_console)

    def on_unmount(self) -> None:
        if self._follower is not None:
            self._follower.close()

    # what is known, and how it stays fresh

    def look(self) -> None:
        """Look whether something was recorded; microseconds when not."""
        follower = self._follower
        if follower is None or self._looking:
            return
        try:
            if follower.changed() or self._touched:
                self._touched = False
                self._looking = True
                self.run_worker(self._read(follower), exit_on_error=False, group="look")
        except IngotError as error:
            self._trouble = error.what
            self._show_header()

    async def _read(self, follower: RunFollower) -> None:
        try:
            view = await asyncio.to_thread(self.house.debugging.view, self._uid, self._build)
            pauses = await asyncio.to_thread(follower.pauses)
            self._trouble = ""
        except IngotError as error:
            self._trouble = error.what
            self._show_header()
            return
        finally:
            self._looking = False
        if view != self._view or view is None:
            self._take(view, pauses)

    def _take(self, view: DebugView | None, pauses: Sequence[Pause]) -> None:
        before, self._view = self._view, view
        if view is not None and view.machine is not None:
            self._build = view.machine.build  # whatever waits later, this screen stays with this machine
        if view is None:
            self._trouble = "There is no record of this run on this machine."
            self.shells.refuse(self._trouble)
        else:
            self.answers.say_what_became(before, pauses)
            self._see_to_shell(view)
        self._show()
        if before is None:
            self._measure()
            self._read_console()

    def _see_to_shell(self, view: DebugView) -> None:
        """Open the first shell, or say why there is none."""
        machine = view.machine
        if machine is not None and machine.state is MachineState.GONE:
            self.shells.refuse("The machine is gone.")
        elif view.run.state.ended and (machine is None or machine.state is not MachineState.KEPT):
            self.shells.refuse("The run has ended, and its machine with it.")
        elif self.house.readonly:
            self.shells.refuse("Ingot was started with --readonly: a shell would mark the image as touched by hand.")
        elif machine is not None and machine.communicator == "winrm":
            self.shells.refuse("This machine is reached over WinRM: there is no SSH, and no shell from here.")
        elif not self.shells.count:
            self.shells.open()
            if self._page == "shell" and self.is_current and not self.has_class("-small"):
                self.set_focus(self.shells)

    async def _open_shell(self, columns: int, rows: int) -> Shell:
        machine = self.machine
        if machine is None:
            raise NoShellError("Packer has not said yet where the machine is.", "It is tried again every few seconds.")
        return await self.house.debugging.shell(machine, columns, rows)

    def _measure(self) -> None:
        """Look at load and disk, where there is somebody to ask, and at who else was in there."""
        self._touched = True
        if self.machine is not None and self.shells.alive and self.is_current:
            self.run_worker(self._ask_machine(self.machine), exit_on_error=False, group="facts", exclusive=True)

    async def _ask_machine(self, machine: Machine) -> None:
        with contextlib.suppress(IngotError):  # it is asked again, and the shell says what is wrong with the connection
            self._measured = measured(await self.house.debugging.facts(machine))
            self._show_side()

    def _read_console(self) -> None:
        if self.machine is not None and not self.shells.alive and self.is_current:
            self.run_worker(self._ask_console(self.machine), exit_on_error=False, group="console", exclusive=True)

    async def _ask_console(self, machine: Machine) -> None:
        try:
            said = await self.house.debugging.console(machine)
        except IngotError as error:
            self._console_says = (error.what,)
        else:
            self._console_says = [from_bytes(line) for line in said.splitlines()[-CONSOLE_LINES:]]
        self.shells.show_console()

    # what is shown

    def _show(self) -> None:
        self._show_header()
        self._show_side()
        self._show_pages()
        self.show_footer()

    def _tick(self) -> None:
        """The countdown goes on."""
        if self.is_current:
            self._show_header()

    def _show_header(self) -> None:
        view = self._view
        if view is None:
            self.header.set_parts([Part(Piece(self._trouble or "Looking at the machine…", Tone.FAINT))])
            return
        parts = header_parts(view, self.house.clock())
        if self._trouble:
            parts.append(Part(Piece(f"! {self._trouble}", Tone.BAD), 2, right=True))
        self.header.set_parts(parts)

    def _show_side(self) -> None:
        view = self._view
        if view is None:
            return
        brief = self.size.height < 34
        for name in ("-now", "-good"):
            self.wrong.set_class(mood(view) == name, name)
        self.wrong.set_rows(
            title(view), lambda width: story(view, width=width, height=self.wrong.content_size.height or 12)
        )
        self.facts.set_rows(
            "The machine",
            lambda width: facts(
                view.machine, self._measured, width=width, since=view.since, checkout=self.checkout, brief=brief
            ),
        )
        self.can.set_rows(
            "What can be done",
            lambda width: can_do(view.choices, view.pause, view.machine, width=width, brief=brief),
        )

    def _show_pages(self) -> None:
        if not self.has_class("-paged"):
            return
        titles = (("why", f"1 {title(self._view)}"), ("shell", "2 Shell"))
        self.pages.set_parts(
            [
                Part(
                    Piece(words, Tone.ACCENT if name == self._page else Tone.FAINT), clicked=partial(self._go_to, name)
                )
                for name, words in titles
            ]
        )

    def _explain(self, tries: Sequence[Try], width: int, height: int) -> list[PanelRow]:
        return no_shell(
            self.machine, tries, self._console_says, refused=self.shells.refused, width=width, height=height
        )

    # panes

    def _fit(self, width: int, height: int) -> None:
        self.set_class(width < DEBUG[0] or height < DEBUG[1], "-paged")
        self.set_class(height < LOW, "-low")
        small = width < LEAST[0] or height < LEAST[1]
        if small and not self.has_class("-small"):
            self._back_to_shell = self.in_shell
            self.set_focus(None)
        self.set_class(small, "-small")
        self.too_small.set_parts(needs(width, height))
        self._go_to(self._page, focus=False)
        if not small and self._back_to_shell:
            # Where it is shown again: what is not shown cannot have the keyboard.
            self._back_to_shell = False
            self.call_after_refresh(self._take_keyboard_back)

    def _take_keyboard_back(self) -> None:
        if self.is_current and self._page == "shell":
            self._go_to("shell")

    def on_resize(self, event: events.Resize) -> None:
        self._fit(event.size.width, event.size.height)
        self.call_after_refresh(self._show_side)

    def _go_to(self, page: str, *, focus: bool = True) -> None:
        self._page = page
        self.set_class(page == "shell", "-shell")
        self._show_pages()
        if focus:
            shell = self.shells if self.shells.connecting else self.shells.terminal
            self.set_focus(shell if page == "shell" else None)
            self.show_footer()

    @property
    def in_shell(self) -> bool:
        """Whether what is typed goes to the machine, or will when it answers."""
        return isinstance(self.focused, Terminal) or (self.focused is self.shells and self.shells.connecting)

    def on_shells_changed(self, message: Shells.Changed) -> None:
        """A shell that was just opened has the keyboard, unless a person is elsewhere."""
        message.stop()
        if self.shells.alive and self._page == "shell" and self.is_current:
            self.set_focus(self.shells.terminal)
            self._measure()
        elif not self.shells.alive and not self.shells.connecting:
            self.set_focus(None)
        self._show()

    def on_terminal_left(self, message: Terminal.Left) -> None:
        """The way out of the machine."""
        message.stop()
        self.set_focus(None)
        self.show_footer()

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self.show_footer()

    def on_descendant_blur(self, event: events.DescendantBlur) -> None:
        self.call_after_refresh(self.show_footer)

    def on_screen_resume(self) -> None:
        self.show_footer()

    def show_footer(self) -> None:
        if self.is_attached and self.is_current:
            self.can.set_class(not self.in_shell, "-here")
            if self.in_shell:
                self.footer.set_offers(offers((self,)), lead=f"{key_name(self.house.leave_key)} then:")
            else:
                self.footer.set_offers(self.house.offers_here())

    # what can be done

    def why_not(self, action: Action) -> str:
        if reason := super().why_not(action):
            return reason
        if action.changes and self.has_class("-small"):
            return "What it does cannot be shown in so small a terminal: make it larger first."
        if action.id in TO_ANSWERS or action.id == "extend":
            return self.answers.why_not(action.id)
        match action.id:
            case "new_shell" if self.shells.refused:
                return self.shells.refused
            case "shell" | "to_machine" if self.in_shell:
                return "What is typed goes to the shell already."
            case "login" if not self.shells.denied:
                return self.shells.refused or "The machine has not turned away anybody."
            case "again" if not self.shells.alive:
                return "There is no shell to type into."
            case "again":
                return again(self._view.failure if self._view else None)[1]
            case "to_machine" | "shell" | "whole" if self.shells.terminal is None:
                return self.shells.refused or "There is no shell yet."
            case "machines" if not self._others():
                return "No other machine waits for anybody."
            case "next_shell" | "previous_shell" if self.shells.count < 2:
                return "There is one shell: n opens another."
            case _:
                return ""

    def do_retry(self, _: str) -> None:
        self.answers.retry()

    def do_restart(self, _: str) -> None:
        self.answers.restart()

    def do_continue(self, _: str) -> None:
        self.answers.go_on()

    def do_keep(self, _: str) -> None:
        self.answers.keep()

    def do_clean_up(self, _: str) -> None:
        self.answers.clean_up()

    def do_extend(self, _: str) -> None:
        self.answers.extend()

    def do_new_shell(self, _: str) -> None:
        self._page = "shell"
        self.shells.open()
        self._go_to("shell")

    def do_login(self, _: str) -> None:
        """Ask how to get in, where what is known does not lead in; all following connections use it."""
        from tui.screens.login import AskLogin

        machine = self.machine
        if machine is not None:
            self.house.push_screen(AskLogin(machine, partial(self.house.debugging.give_login, machine)), self._log_in)

    def _log_in(self, machine: Machine | None) -> None:
        if machine is not None and self._view is not None:
            self._view = replace(self._view, machine=machine)
            self.shells.try_again()
            self._show()

    def do_again(self, _: str) -> None:
        """Put what failed into the shell; it is run when a person presses Enter there."""
        text, _reason = again(self._view.failure if self._view else None)
        self._go_to("shell")
        self.shells.put(text)

    def do_whole(self, _: str) -> None:
        self.toggle_class("-whole")
        self._go_to("shell")

    def do_why(self, _: str) -> None:
        self.remove_class("-whole")
        self._go_to("why")

    def do_shell(self, _: str) -> None:
        self._go_to("shell")

    def do_next_shell(self, _: str) -> None:
        self.shells.step(1)
        self._go_to("shell")

    def do_previous_shell(self, _: str) -> None:
        self.shells.step(-1)
        self._go_to("shell")

    def do_to_machine(self, _: str) -> None:
        """The way out is the way in, too; pressed twice it goes to the machine."""
        self._go_to("shell")
        if self.shells.terminal is not None:
            self.shells.terminal.send_leave_key()

    def _others(self) -> bool:
        here = (self._uid, self._build)
        return any((one.run.uid, one.build) != here for one in waiting(self.house.overview))

    def do_machines(self, _: str) -> None:
        self.house.choose_machine(instead=self)

    def do_log(self, _: str) -> None:
        self.house.open_run(self._uid)

    def do_back(self, _: str) -> None:
        self.dismiss()
