"""The debug screen: the machine is alive; a shell in it, what went wrong, and what can be done next.

It opens a shell as soon as one can be had, and says what it tried as long as none can. A machine is never cleaned up
from here but by the name of its role, typed.
"""

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from msgspec.structs import replace
from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal

from core.errors import NoShellError
from core.model.machine import KeyProof, Machine
from core.model.pause import Answer, Pause
from core.services.debugging import DebugView
from tui.actions import Acting, Action, bindings, key_name, offers
from tui.debug_cells import Try, again, no_shell, why_no_shell
from tui.debug_story import header_parts, title
from tui.screens.debug_actions import ACTIONS, TO_ANSWERS
from tui.screens.debug_answers import Answers
from tui.screens.debug_machine import MachineSays
from tui.screens.debug_watching import Watching
from tui.sizes import DEBUG, LEAST, needs
from tui.terminal.widget import Terminal
from tui.theme import Piece, Tone
from tui.waiting import waiting
from tui.widgets.debug_side import DebugSide
from tui.widgets.footer import Footer
from tui.widgets.line import Line, Part
from tui.widgets.machine_tab import Shell
from tui.widgets.pages import Pages
from tui.widgets.panel import PanelRow
from tui.widgets.shells import Shells

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
        super().__init__(classes="-shell")
        self.uid = run_uid
        self.build = build
        """Empty as long as it is not known which one it is."""
        self._view: DebugView | None = None
        self._page = "shell"
        self._back_to_shell = False
        """The shell had the keyboard when the terminal became too small to show it."""
        self.watching = Watching(self)
        self.machine_says = MachineSays(self)
        self.answers = Answers(self)

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
        return str(self.house.overviews.places.run(self.uid) / "checkout") if repeats else ""

    def compose(self) -> ComposeResult:
        plain = self.house.ascii_only
        self.header = Line(ascii_only=plain, id="header")
        self.pages = Pages(ascii_only=plain, id="debug-pages")
        self.side = DebugSide(ascii_only=plain)
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
            yield self.side
            yield self.shells
        yield self.too_small
        yield self.footer

    def on_mount(self) -> None:
        self.watching.begin()
        self._fit(*self.size)
        self._show()
        self.watching.look()
        self.run_worker(self.house.debugging.prepare, exit_on_error=False, group="prepare")
        self.set_interval(1.0, self._tick)
        self.machine_says.begin()

    def on_unmount(self) -> None:
        self.watching.end()

    # what is known

    def take(self, view: DebugView | None, pauses: Sequence[Pause]) -> None:
        """Go on from what was read: how it stands, and all pauses of the run."""
        before, self._view = self._view, view
        if view is not None and view.machine is not None:
            self.build = view.machine.build  # whatever waits later, this screen stays with this machine
        if view is None:
            self.shells.refuse(self.watching.trouble)
        else:
            self.answers.say_what_became(before, pauses)
            self._be_careful(before, view)
            self._warn_of(view.key_proof, before)
            self._see_to_shell(view)
        self._show()
        if before is None:
            self.machine_says.measure()
            self.machine_says.read_console()

    def _be_careful(self, before: DebugView | None, view: DebugView) -> None:
        """Another pause has begun: what is typed right now is an answer to the one before it."""
        known = before is None or view.pause is None or (before.pause is not None and before.pause.id == view.pause.id)
        if not known and not self.in_shell:
            self.shells.late.begin("Another pause")

    def _warn_of(self, proof: KeyProof, before: DebugView | None) -> None:
        """The console showed the machine's fingerprints, and they are others: whoever is in there must know at once."""
        if proof is KeyProof.OTHER and (before is None or before.key_proof is not proof):
            told = (
                "What is in front of you may not be the machine of this build.",
                "Leave it, and type no secret into it.",
            )
            self.house.notify("\n".join(told), title=f"{self.build}: {proof.value}", severity="error", timeout=60)
            self.house.bell()

    def _see_to_shell(self, view: DebugView) -> None:
        """Open the first shell, or say why there is none."""
        if reason := why_no_shell(view.run, view.machine, readonly=self.house.readonly):
            self.shells.refuse(reason)
        elif not self.shells.count:
            self.shells.open()
            if self._page == "shell" and self.is_current and not self.has_class("-small"):
                self.set_focus(self.shells)

    async def _open_shell(self, columns: int, rows: int) -> Shell:
        machine = self.machine
        if machine is None:
            raise NoShellError("Packer has not said yet where the machine is.", "It is tried again every few seconds.")
        return await self.house.debugging.shell(machine, columns, rows)

    # what is shown

    def _show(self) -> None:
        self.show_header()
        self.show_side()
        self._show_pages()
        self.show_footer()

    def _tick(self) -> None:
        """The countdown goes on."""
        if self.is_current:
            self.show_header()

    def show_header(self) -> None:
        """Also why what is known may be old, or why nothing is."""
        view = self._view
        if view is None:
            self.header.set_parts([Part(Piece(self.watching.trouble or "Looking at the machine…", Tone.FAINT))])
            return
        parts = header_parts(view, self.house.clock())
        if self.watching.trouble:
            parts.append(Part(Piece(f"! {self.watching.trouble}", Tone.BAD), 2, right=True))
        self.header.set_parts(parts)

    def show_side(self) -> None:
        """What is beside the shell, as it stands and with what the machine said last."""
        if self._view is not None:
            self.side.show(self._view, self.machine_says.measured, self.checkout)

    def _show_pages(self) -> None:
        if self.has_class("-paged"):
            self.pages.set_pages({"why": f"1 {title(self._view)}", "shell": "2 Shell"}, self._page, self._go_to)

    def _explain(self, tries: Sequence[Try], width: int, height: int) -> list[PanelRow]:
        return no_shell(
            self.machine, tries, self.machine_says.console, refused=self.shells.refused, width=width, height=height
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
        self.call_after_refresh(self.show_side)

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
        return isinstance(self.focused, Terminal | Shells) and self.focused.takes_every_key

    def on_shells_changed(self, message: Shells.Changed) -> None:
        """A shell that was just opened has the keyboard, unless a person is elsewhere: in another one, too."""
        message.stop()
        if not message.here:
            pass
        elif self.shells.alive and self._page == "shell" and self.is_current:
            self.set_focus(self.shells.terminal)
            self.machine_says.measure()
        elif not self.shells.alive and not self.shells.connecting:
            self.set_focus(None)
        self._show()

    def on_key(self, event: events.Key) -> None:
        self.shells.late.swallows(event)

    def on_shells_late(self, message: Shells.Late) -> None:
        message.stop()
        self.show_footer()

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
            self.side.set_here(not self.in_shell)
            if (why := self.shells.late.why) and not self.in_shell:
                back = [offer for offer in offers((self,)) if offer.action.id == "back"]
                self.footer.set_offers(back, lead=f"{why}: keys do nothing until you stop for a second")
            elif self.in_shell:
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
            self.house.push_screen(AskLogin(machine, partial(self.house.debugging.log_in, machine)), self._log_in)

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
        here = (self.uid, self.build)
        return any((one.run.uid, one.build) != here for one in waiting(self.house.overview))

    def do_machines(self, _: str) -> None:
        self.house.opening.choose_machine(instead=self)

    def do_log(self, _: str) -> None:
        self.house.opening.run(self.uid)

    def do_back(self, _: str) -> None:
        self.dismiss()
