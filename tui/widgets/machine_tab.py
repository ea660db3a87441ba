"""One shell in a machine, as a tab has it: its terminal, the tries to open it, and what was typed until then."""

from dataclasses import dataclass, field
from typing import Protocol

from core.errors import DeniedError, IngotError
from core.text import visible
from tui.debug_cells import Try
from tui.terminal.frame import Styled
from tui.terminal.widget import Terminal

AHEAD = 1000
"""Characters that are kept for a shell that is not there yet."""


class Shell(Protocol):
    """A shell in the machine (core.services.debugging.DebugShell): it goes on by itself where a machine reboots."""

    @property
    def exit_status(self) -> int | None: ...

    async def read(self) -> bytes: ...
    def write(self, data: bytes) -> None: ...
    def resize(self, columns: int, rows: int) -> None: ...
    async def close(self) -> None: ...


class MachineTerminal(Terminal):
    """Lets go of the keyboard in the moment in which the way out is pressed, and says in its frame why it has ended.

    Keys are given out one after the other (tui/typing_ahead.py): the one after the way out comes when the keyboard is
    the screen's, and does nothing in the machine.
    """

    ended = ""
    """Why there is no shell any more; said in the frame, as what the machine drew is its own."""

    def end(self, why: str) -> None:
        """The shell is gone; what it showed stays as it is."""
        self.ended = why
        self.detach()

    def below(self) -> list[Styled]:
        """What the lower edge says."""
        return super().below() or [(visible(self.ended), "terminal--key")]

    def leave(self) -> None:
        super().leave()
        if self.screen.focused is self:
            self.screen.set_focus(None)


@dataclass(eq=False, slots=True)
class MachineTab:
    """One shell, or the tries to open it, and what was typed until it is there."""

    number: int
    terminal: MachineTerminal
    shell: Shell | None = None
    tries: list[Try] = field(default_factory=list[Try])
    hopeless: bool = False
    """It is not tried again by itself."""
    over: bool = False
    """The shell has ended."""
    _ahead: list[tuple[str, bool]] = field(default_factory=list[tuple[str, bool]])
    """What was typed before the shell was there; True: it was pasted."""

    def keep(self, text: str, *, pasted: bool = False) -> bool:
        """For the shell that is not there yet; False where it is too much."""
        if sum(len(kept) for kept, _ in self._ahead) + len(text) > AHEAD:
            return False
        self._ahead.append((text, pasted))
        return True

    def forget_kept(self) -> None:
        """Nothing of what was typed goes to the shell."""
        self._ahead.clear()

    def begin(self, shell: Shell) -> None:
        """The shell is there and drawn: what was typed meanwhile goes to it."""
        self.shell = shell
        self.tries.clear()
        for text, pasted in self._ahead:
            self.terminal.paste(text) if pasted else shell.write(text.encode())
        self.forget_kept()

    def failed(self, at: float, error: IngotError, *, hopeless: bool) -> None:
        """It could not be opened; what was typed was for a shell that would have been there at once."""
        if self.tries and self.tries[-1].error.what == error.what:
            self.tries[-1] = Try(at, error, self.tries[-1].times + 1)
        else:
            self.tries.append(Try(at, error))
        self.hopeless = hopeless
        self.forget_kept()

    def try_again(self) -> None:
        """As if it had not been tried yet."""
        self.hopeless = False
        self.tries.clear()

    @property
    def denied(self) -> bool:
        """The machine lets nobody in with what is known."""
        return self.shell is None and bool(self.tries) and isinstance(self.tries[-1].error, DeniedError)
