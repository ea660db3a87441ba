"""The workbench's app: opens on the index, keeps what it shows fresh, and carries out what a person asks for.

It starts no build and reads no repository: it asks services, in threads or in a process of their own, and the event
loop is never held. Closing it ends nothing but itself.
"""

import asyncio
import gc
import signal
import time
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

import msgspec
from textual import events
from textual.app import App, SystemCommand
from textual.binding import BindingType
from textual.filter import LineFilter
from textual.notifications import SeverityLevel
from textual.screen import ModalScreen, Screen

from core.errors import IngotError
from core.model.standing import Standing
from core.services import terminal_settings
from core.services.overview import Overview, Overviews, WorkerView
from core.text import visible
from tui.actions import NO_KEYMAP, Action, Offer, bindings, find, key_of, offers
from tui.ahead import Ahead
from tui.ascii import OnlyAscii
from tui.asking import Asking
from tui.everywhere import EVERYWHERE
from tui.freshness import Freshness
from tui.leaving import Leaving
from tui.news import newest_paused
from tui.notice_room import BREAKPOINTS, is_cut, notice_rows, notice_that_fits
from tui.opening import Opening
from tui.palette import Offers
from tui.ports import Changes, Debugs, Decides
from tui.screens.workbench import Workbench
from tui.telling import Telling
from tui.theme import INGOT
from tui.timers import VISIBLE_WAIT, once
from tui.typing_ahead import TypingAhead

if TYPE_CHECKING:
    from tui.deciding import Decisions

_R = TypeVar("_R")

TERMINATED = 128 + signal.SIGTERM
"""Exit status of a program that was asked to end, as a shell gives it."""


class Notice(msgspec.Struct, frozen=True):
    """Something that was said once, and can be read again."""

    at: float
    title: str
    text: str
    severity: SeverityLevel


def stylesheet() -> Path:
    """screens.css: next to the package when installed from a wheel, else at the root of the source tree."""
    package = Path(__file__).parent
    installed = package / "screens.css"
    return installed if installed.exists() else package.parent / "screens.css"


class Ingot(App[None]):
    """The workbench."""

    TITLE = "Ingot"
    CSS_PATH = stylesheet()
    ENABLE_COMMAND_PALETTE = True
    COMMANDS: ClassVar[set[Any]] = {Offers}
    ACTIONS: ClassVar[tuple[Action, ...]] = EVERYWHERE
    BINDINGS: ClassVar[list[BindingType]] = bindings(EVERYWHERE)
    NOTIFICATION_TIMEOUT = 6
    HORIZONTAL_BREAKPOINTS, VERTICAL_BREAKPOINTS = BREAKPOINTS

    def __init__(
        self,
        overviews: Overviews,
        changes: Changes,
        to_debug: Callable[[], Debugs],
        deciding: Decides | None = None,
        *,
        readonly: bool = False,
        ascii_only: bool = False,
        run_uid: str = "",
        leave_key: str = terminal_settings.LEAVE_KEY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`to_debug` gives the way into machines when somebody first goes it. Without `deciding`, nothing is known of
        decisions. `run_uid` opens that run's screen; `leave_key` is the way out of a machine's terminal (`ctrl+]`);
        `clock` is what ages and elapsed times are counted from."""
        super().__init__()
        self.overviews = overviews
        self.changes = changes
        self._to_debug = to_debug
        self.deciding = deciding
        self.asking = Asking(self)
        self.readonly = readonly
        self.ascii_only = ascii_only
        self.clock = clock
        self.leave_key = key_of(leave_key)
        self.keymap = {"to_machine": self.leave_key} if leave_key != terminal_settings.LEAVE_KEY else NO_KEYMAP
        """The keys that the user chose, by the id of the action."""
        self.set_keymap(dict(self.keymap))
        self.notices: list[Notice] = []
        self.busy: list[str] = []
        """What goes on in the background, for the header."""
        self.leaving = Leaving(self)
        self.first_run = run_uid
        """Uid of the run whose screen opens first; empty: what waits for a person does."""
        self.opening = Opening(self)
        self.telling = Telling(self)
        self.fresh = Freshness(self)
        self.ahead = Ahead(self)
        self._typing_ahead = TypingAhead(self, super().on_event)
        self.register_theme(INGOT)
        self.set_reactive(App.theme, "ingot")
        self._styled_with = self.get_css_variables()
        self.stylesheet.set_variables(self._styled_with)
        self._only_ascii = [OnlyAscii()] if ascii_only else []

    @cached_property
    def debugging(self) -> Debugs:
        """The way into machines that wait for a person."""
        return self._to_debug()

    @cached_property
    def decisions(self) -> "Decisions":
        """The questions before a decision about an image version."""
        from tui.deciding import Decisions  # here: the first picture does not wait for it

        return Decisions(self)

    def refresh_css(self, animate: bool = True) -> None:
        """Parse the stylesheet again only for other colours: Textual does so at the start, for those that it has."""
        variables = self.get_css_variables()
        if variables != self._styled_with:
            self._styled_with = variables
            super().refresh_css(animate)

    def get_line_filters(self) -> Sequence[LineFilter]:
        """What whatever is drawn goes through last."""
        return [*super().get_line_filters(), *self._only_ascii]

    async def on_event(self, event: events.Event) -> None:
        """Keys and pasted text that are new go to what has the focus, one after the other; everything else at once."""
        if not isinstance(event, (events.Key, events.Paste)):
            await super().on_event(event)
        elif not event.is_forwarded:
            await self._typing_ahead.take(event)
        elif self.screen_stack:  # else the workbench was closed while a pane had the key: it is for nobody
            await super().on_event(event)

    # what is shown, and how it stays fresh

    @property
    def overview(self) -> Overview:
        """What is shown, as it was read last."""
        return self.fresh.overview

    @property
    def standing(self) -> Standing:
        """What was decided about the images, as the ledger was read last."""
        return self.fresh.standing

    @property
    def worker(self) -> WorkerView | None:
        return self.fresh.worker

    @property
    def loaded(self) -> bool:
        """The overview was read at least once."""
        return self.fresh.loaded

    @property
    def trouble(self) -> str:
        """Why what is shown may be old."""
        return self.fresh.trouble

    @property
    def discovering(self) -> bool:
        return self.fresh.discovering

    def get_default_screen(self) -> Screen[Any]:
        self.workbench = Workbench(self.clock, ascii_only=self.ascii_only)
        return self.workbench

    def on_mount(self) -> None:
        self.fresh.begin()
        # Asked to end, it leaves the terminal as it found it.
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, partial(self.exit, return_code=TERMINATED))
        self.call_after_refresh(self._after_first_picture)
        # After `fg` the terminal is empty, and nothing has changed that would be drawn.
        resumed = self.app_resume_signal  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] - of any app
        resumed.subscribe(self, self._drawn_again)  # pyright: ignore[reportUnknownMemberType] - likewise

    def _drawn_again(self, _: object) -> None:
        self.refresh(repaint=True, layout=True)

    def _after_first_picture(self) -> None:
        # core/cli/workbench.py switched it off for the start; what is there now stays until the end.
        gc.freeze()
        gc.enable()
        if self.first_run:
            self.opening.run(self.first_run)
        self.read_standing()
        self.discover()
        self.ahead.begin()

    def read_standing(self) -> None:
        """Read what was decided anew, in the background: the ledger moved, or was decided on."""
        self.fresh.read_standing()

    def discover(self) -> None:
        """Find roles, images and staleness anew, in the background."""
        self.fresh.discover()

    def show_header(self) -> None:
        self.workbench.show_header(self)

    def now_busy(self, words: str) -> None:
        """Show what goes on, until `no_longer_busy`."""
        self.busy.append(words)
        self.show_header()

    def no_longer_busy(self, words: str) -> None:
        if words in self.busy:
            self.busy.remove(words)
        self.show_header()

    # carrying things out

    def carry_out(self, words: str, work: Callable[[], _R], done: Callable[[_R], None]) -> None:
        """Do in a thread what a service does; then `done` with its result, or a notice that says what went wrong.

        `words` are shown in the header when it takes longer than the eye forgives; who leaves then is asked first.
        """

        async def carry() -> None:
            late = once(self, VISIBLE_WAIT, partial(self._takes_long, words))
            try:
                result = await asyncio.to_thread(work)
            except IngotError as error:
                self.complain(error)
            except Exception as error:  # noqa: BLE001 - whatever a service did wrong, the screen stays and says so
                self.complain(IngotError(f"{words} failed: {type(error).__name__}: {error}", "This is a bug in Ingot."))
            else:
                done(result)
            finally:
                late.stop()
                self.no_longer_busy(words)
                self.leaving.over(words)

        self.run_worker(carry, exit_on_error=False, group="asked")

    def _takes_long(self, words: str) -> None:
        self.leaving.asked_for(words)
        self.now_busy(words)

    def complain(self, error: IngotError) -> None:
        """Say an error in a notice: what happened, what is safe, and what to do."""
        rest = "\n".join(part for part in (error.kept, error.next_step) if part)
        self.notify(rest or error.what, title=error.what if rest else "", severity="error", timeout=12)

    def notify(
        self,
        message: str,
        *,
        title: str = "",
        severity: SeverityLevel = "information",
        timeout: float | None = None,
        markup: bool = False,
    ) -> None:
        """Say something once; it stays in the list of notices. Never markup, whatever a caller says."""
        title = visible(title)
        lines = "\n".join(visible(line) for line in message.splitlines())
        self.notices.append(Notice(self.clock(), title, lines, severity))
        width, height = self.size
        if is_cut(width, height):
            rows = notice_rows(height, over_shell=self.screen.has_class("-shell"))
            title, lines = notice_that_fits(title, lines, width, rows)
        super().notify(lines, title=title, severity=severity, timeout=timeout, markup=False)

    # the registry: who can do what, here and now

    def actors(self) -> list[object]:
        """Whoever has a table of actions here, the nearest first."""
        # A screen that was just pushed has nothing yet that could be asked; whoever asks is below it still.
        screen = self.screen if self.screen.is_mounted else None
        return [widget for widget in (self.focused, screen, self) if widget is not None]

    def offers_here(self) -> list[Offer]:
        """What can be done here, each with why it cannot be now."""
        return offers(self.actors(), self.keymap)

    def why_not(self, action: Action) -> str:
        if action.id == "refresh" and self.overviews.root is None:
            return f"{self.overviews.directory} is in no Git repository: there is nothing to look through."
        if action.id == "refresh" and self.discovering:
            return "It is being looked through right now."
        if action.id == "debug" and not newest_paused(self.overview):
            return "No run is paused and no machine is kept: there is nothing to debug."
        return ""

    def act(self, action: Action, argument: str = "") -> None:
        if reason := self.why_not(action):
            self.notify(reason, title=f"{action.title}: not now", severity="warning")
            return
        carry_out = getattr(self, f"do_{action.id}")
        carry_out(argument) if action.argument else carry_out()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Not the app's own keys where all of them are for somebody else."""
        if getattr(self.focused, "takes_every_key", False):
            return False  # a machine gets them, those of the app too
        known = find(EVERYWHERE, str(parameters[0])) if action == "act" and parameters else None
        if known is not None and known.id == "debug":
            return not isinstance(self.screen, ModalScreen)
        return True

    def action_act(self, action_id: str) -> None:
        if action := find(EVERYWHERE, action_id):
            self.act(action)

    def do_suspend(self) -> None:
        self.action_suspend_process()

    def do_quit(self) -> None:
        self.leaving.leave()

    async def action_quit(self) -> None:
        """Textual's own key for it, which works everywhere."""
        self.do_quit()

    def do_refresh(self) -> None:
        self.discover()

    def do_help(self) -> None:
        from tui.screens.help import Help

        self._read()
        self.push_screen(Help(self.offers_here(), ascii_only=self.ascii_only), self._chosen)

    def do_command(self) -> None:
        from tui.screens.command import Command

        self._read()
        self.push_screen(Command(self.offers_here(), self.overview), self._chosen)

    def _chosen(self, chosen: tuple[Offer, str] | None) -> None:
        """An offer that was picked on another screen is carried out on the one it came from."""
        if chosen is not None:
            offer, argument = chosen
            # Later: the screen that it was picked on has still to go, and gives the focus back when it does.
            self.call_after_refresh(offer.actor.act, offer.action, argument)

    def _read(self) -> None:
        """What was said was seen by whoever goes on to say what to do: it stays in the list, and in nobody's way."""
        self.clear_notifications()

    def do_palette(self) -> None:
        self.action_command_palette()

    def action_command_palette(self) -> None:
        """Textual's own key for it, which works everywhere."""
        self._read()
        super().action_command_palette()

    def do_notices(self) -> None:
        from tui.screens.notices import Notices

        self._read()
        self.push_screen(Notices(self.notices, self.clock, ascii_only=self.ascii_only))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """None of Textual's own: the palette shows what the registry has."""
        return ()

    def do_debug(self, argument: str) -> None:
        """Of the run named, else of the machine that waits; of several one is chosen."""
        named = next((run.uid for run in self.overview.runs if argument in (str(run.id), run.uid)), "")
        if argument and not named:
            self.notify(f"There is no run {argument} in this workspace.", severity="warning")
        elif named:
            self.opening.debug(named)
        else:
            self.opening.what_waits()

    def on_unmount(self) -> None:
        self.fresh.end()
