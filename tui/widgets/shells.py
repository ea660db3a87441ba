"""Shells in a machine: one terminal for each, as tabs; and as long as there is none, what was tried and what came back.

Knows no SSH and no screen: it is given how a shell is opened, and what to say while none can be.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

from textual import events
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.message import Message

from core.errors import DeniedError, HostKeyError, IngotError
from core.services.terminal_settings import LEAVE_KEY
from tui.actions import key_of
from tui.debug_cells import Try
from tui.late_keys import LateKeys
from tui.terminal.rehearsal import load
from tui.terminal.widget import Terminal
from tui.theme import Piece, Tone
from tui.widgets.line import Line, Part
from tui.widgets.machine_tab import AHEAD, MachineTab, MachineTerminal, Shell
from tui.widgets.panel import Panel, PanelRow

TRY_AGAIN = 3.0
"""Seconds until a connection is tried again that failed."""
_SENDS = {"enter": "\r", "tab": "\t", "backspace": "\x7f", "escape": "\x1b"}
"""What keys without a sign of their own send to a shell."""
_HOPELESS = (DeniedError, HostKeyError)
"""What does not become better by itself; trying on could lock somebody out."""


Opener = Callable[[int, int], Awaitable[Shell]]
"""Opens a shell of so many columns and rows. Raises IngotError."""
Explain = Callable[[Sequence[Try], int, int], list[PanelRow]]
"""What stands in the place of a shell: after these tries, in this width and height."""


class Shells(Vertical):
    """The tabs, and the terminal or the tries of the chosen one."""

    can_focus = True
    """It has the keyboard while the first try to connect is on its way: what is typed then is meant for the shell."""

    class Changed(Message):
        """Another shell is chosen, one was opened, could not be opened, or has ended."""

        def __init__(self, *, here: bool) -> None:
            """`here`: it is the chosen one, and not one in the background."""
            super().__init__()
            self.here = here

    class Late(Message):
        """Keys are swallowed from now on, or not any more: see `late`."""

    def __init__(
        self,
        opener: Opener,
        explain: Explain,
        *,
        leave_key: str = LEAVE_KEY,
        clock: Callable[[], float] = time.time,
        ascii_only: bool = False,
        id: str | None = None,  # noqa: A002 - as Textual names it
    ) -> None:
        super().__init__(id=id)
        self._opener = opener
        self._explain = explain
        self._leave_key = leave_key
        self._clock = clock
        self._ascii = ascii_only
        self._tabs: list[MachineTab] = []
        self._at = 0
        self._count = 0
        self._over = ""
        """Why there will be no shell any more, or from the start."""
        self.late = LateKeys(self, key_of(leave_key), lambda: self.post_message(self.Late()))
        """Keys for a shell that is gone, or could not be opened."""
        self.tabs = Line(ascii_only=ascii_only, id="shell-tabs")
        self.instead = Panel(ascii_only=ascii_only, id="shell-instead")

    def compose(self) -> ComposeResult:
        yield self.tabs
        yield self.instead

    def on_mount(self) -> None:
        self._show()

    def on_resize(self) -> None:
        self._explain_again()

    def on_unmount(self) -> None:
        for tab in self._tabs:
            if tab.shell is not None:
                _hang_up(tab.shell)

    # what there is

    @property
    def terminal(self) -> Terminal | None:
        """The chosen terminal, where there is a shell in it, or was."""
        tab = self._tab
        return tab.terminal if tab is not None and tab.shell is not None else None

    @property
    def alive(self) -> bool:
        """Whether there is a shell that can be typed into."""
        tab = self._tab
        return tab is not None and tab.shell is not None and not tab.over and not self._over

    @property
    def connecting(self) -> bool:
        """A shell is being opened, and nothing has spoken against it yet."""
        tab = self._tab
        return tab is not None and tab.shell is None and not tab.tries and not self._over

    @property
    def takes_every_key(self) -> bool:
        """As a terminal does: no key of the screen or the app is one now."""
        return self.connecting

    @property
    def count(self) -> int:
        return len(self._tabs)

    async def _on_key(self, event: events.Key) -> None:
        """Keep what is typed for the shell; the way out leads back to the screen already.

        A key may still come here when the shell is there already, and is the shell's then. What a terminal lets pass
        whose shell is gone was meant for the shell: it is swallowed, and no key of the screen.
        """
        tab = self._tab
        if tab is not None and self.connecting:
            if event.key == tab.terminal.leave_key:
                tab.forget_kept()
                self.screen.set_focus(None)
                self._say_changed()
            else:
                tab.keep(_SENDS.get(event.key, event.character or ""))
        elif tab is not None and self.alive:
            tab.terminal.take_key(event)
        else:
            self.late.swallows(event)
            return
        event.stop()
        event.prevent_default()

    async def _on_paste(self, event: events.Paste) -> None:
        """As with keys. A paste is kept whole or not at all: half a command is another one."""
        event.stop()
        event.prevent_default()
        tab = self._tab
        if tab is not None and self.connecting:
            if not tab.keep(event.text, pasted=True):
                self.notify(
                    f"Until the shell is there {AHEAD:,} characters are kept, and this would be more. "
                    "Paste it again when the shell is there.",
                    title="Not pasted",
                    severity="warning",
                    markup=False,
                )
        elif tab is not None and self.alive:
            tab.terminal.paste(event.text)

    @property
    def _tab(self) -> MachineTab | None:
        return self._tabs[self._at] if self._tabs else None

    def _say_changed(self, tab: MachineTab | None = None) -> None:
        """Of one shell, or of all."""
        self.post_message(self.Changed(here=tab is None or tab is self._tab))

    # opening and closing

    def open(self) -> None:
        """Open one more shell, and choose it."""
        self._over = ""
        self._count += 1
        terminal = MachineTerminal(f"shell {self._count}", leave_key=self._leave_key, ascii_only=self._ascii)
        tab = MachineTab(self._count, terminal)
        self._tabs.append(tab)
        self._at = len(self._tabs) - 1
        terminal.display = False
        self.mount(terminal)
        self.call_after_refresh(self._begin, tab)
        self._show()

    def _begin(self, tab: MachineTab) -> None:
        self.run_worker(partial(self._connect, tab), exit_on_error=False, group=f"shell {tab.number}")

    async def _connect(self, tab: MachineTab) -> None:
        """Until there is a shell, or it cannot be any more."""
        loading = asyncio.ensure_future(asyncio.to_thread(load))
        while not self._over:
            try:
                shell = await self._opener(*self._room())
            except Exception as error:  # noqa: BLE001 - whatever comes back is shown, and the screen stays
                self._note(tab, _told(error, "It is tried again every few seconds."), isinstance(error, _HOPELESS))
                if tab.hopeless:
                    return
                await asyncio.sleep(TRY_AGAIN)
                continue
            try:
                await loading
                tab.terminal.attach(shell)
            except BaseException as error:
                _hang_up(shell)  # nobody will see it
                if not isinstance(error, Exception):
                    raise
                # The next one could not be drawn either, and each opens a shell in the machine.
                self._note(tab, _told(error, "n tries once more; ingot debug RUN needs no such terminal."), True)
                return
            tab.begin(shell)
            self._show()
            if tab is self._tab and self.screen.focused is self:
                self.screen.set_focus(tab.terminal)  # now: what is typed next is for the shell
            self._say_changed(tab)
            return

    @property
    def denied(self) -> bool:
        """The machine lets nobody in with what is known."""
        return self._tab is not None and self._tab.denied

    def try_again(self) -> None:
        """What was hopeless may not be any more: there is another way to be let in."""
        for tab in self._tabs:
            if tab.hopeless and tab.shell is None:
                tab.try_again()
                self._begin(tab)
        self._show()

    def _room(self) -> tuple[int, int]:
        """Columns and rows of a terminal here, within its border."""
        size = self.content_size
        return max(size.width - 2, 20), max(size.height - 2 - (1 if self.tabs.display else 0), 5)

    def _note(self, tab: MachineTab, error: IngotError, hopeless: bool) -> None:
        tab.failed(self._clock(), error, hopeless=hopeless)
        self._lose(tab, "No shell yet")
        self._show()
        self._say_changed(tab)

    def _lose(self, tab: MachineTab, why: str) -> None:
        """It takes no keys any more: who types into it right now does not know that yet."""
        if tab is self._tab and self.screen.focused in (self, tab.terminal):
            self.late.begin(why)

    def refuse(self, why: str) -> None:
        """No shell from now on, and why; what is on the terminals stays to be read."""
        if why == self._over:
            return
        self._over = why
        for tab in self._tabs:
            self._lose(tab, "No shell any more")
            if tab.shell is not None:
                tab.terminal.end(why)
        self._show()
        self._say_changed()

    @property
    def refused(self) -> str:
        return self._over

    def on_terminal_ended(self, message: Terminal.Ended) -> None:
        """The shell was left, or the connection is lost for good: a shell goes on by itself where a machine reboots."""
        message.stop()
        tab = next((tab for tab in self._tabs if tab.terminal is message.terminal), None)
        if tab is None or tab.shell is None or self._over:
            return
        status = tab.shell.exit_status
        ended = "The connection is lost." if status is None else f"This shell has ended with status {status}."
        tab.over = True
        self._lose(tab, "No shell any more")
        tab.terminal.end(f"{ended} n opens a new one.")
        self._say_changed(tab)

    # choosing

    def choose(self, at: int) -> None:
        """The tab at this place."""
        if 0 <= at < len(self._tabs) and at != self._at:
            self._at = at
            self._show()
            self._say_changed()

    def step(self, by: int) -> None:
        if self._tabs:
            self.choose((self._at + by) % len(self._tabs))

    def put(self, text: str) -> None:
        """Put text into the chosen shell, as if it were pasted: nothing is carried out."""
        if self.terminal is not None:
            self.terminal.paste(text)

    # what is shown

    def _show(self) -> None:
        chosen = self._tab
        for tab in self._tabs:
            tab.terminal.display = tab is chosen and tab.shell is not None
        self.instead.display = chosen is None or chosen.shell is None
        self.tabs.display = len(self._tabs) > 1
        self.tabs.set_parts(
            [
                Part(
                    Piece(f"shell {tab.number}", Tone.ACCENT if tab is chosen else Tone.FAINT),
                    clicked=partial(self.choose, at),
                )
                for at, tab in enumerate(self._tabs)
            ]
        )
        self._explain_again()

    def show_console(self) -> None:
        """What the machine's console says has changed."""
        if self.instead.display:
            self._explain_again()

    def _explain_again(self) -> None:
        tries = tuple(self._tab.tries) if self._tab is not None else ()
        height = max(self.size.height - 2, 1)
        title = "No shell" if self._over else "No shell yet"
        self.instead.set_rows(title, lambda width: self._explain(tries, width, height))


_CLOSING: set["asyncio.Future[None]"] = set()
"""Shells on their way out: a task that nobody holds may be collected before it is done."""


def _hang_up(shell: Shell) -> None:
    """Close it. The loop may be about to end; the connection goes with the process at the latest."""
    closing = asyncio.ensure_future(shell.close())
    _CLOSING.add(closing)
    closing.add_done_callback(_CLOSING.discard)


def _told(error: Exception, next_step: str) -> IngotError:
    """An error as it can be shown: one that nobody expected says what it is."""
    return error if isinstance(error, IngotError) else IngotError(f"{type(error).__name__}: {error}", next_step)
