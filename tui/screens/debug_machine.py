"""What the machine of the debug screen says of itself, asked now and then: its load and disk, and on its console."""

import contextlib
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from core.errors import IngotError
from core.model.machine import Machine
from core.text import from_bytes
from tui.debug_cells import measured

if TYPE_CHECKING:
    from tui.screens.debug import DebugScreen

MEASURE = 15.0
"""Seconds between two looks at the machine's load and disk."""
CONSOLE = 2.0
"""Seconds between two looks at the machine's console, as long as there is no shell."""
CONSOLE_LINES = 40


class MachineSays:
    """For one debug screen. Nobody asks while the screen is not the one on top."""

    def __init__(self, screen: "DebugScreen") -> None:
        self._screen = screen
        self.measured: Sequence[tuple[str, str]] = ()
        """Names and values, as `facts` takes them."""
        self.console: Sequence[str] = ()
        """The last lines, or why there are none."""

    def begin(self) -> None:
        """Ask from now on, as long as the screen lives."""
        self._screen.set_interval(MEASURE, self.measure)
        self._screen.set_interval(CONSOLE, self.read_console)

    def measure(self) -> None:
        """Look at load and disk, where there is somebody to ask, and at who else was in there."""
        screen = self._screen
        screen.watching.look_in_any_case()
        if screen.machine is not None and screen.shells.alive and screen.is_current:
            screen.run_worker(partial(self._ask, screen.machine), exit_on_error=False, group="facts", exclusive=True)

    async def _ask(self, machine: Machine) -> None:
        with contextlib.suppress(IngotError):  # it is asked again, and the shell says what is wrong with the connection
            self.measured = measured(await self._screen.house.debugging.facts(machine))
            self._screen.show_side()

    def read_console(self) -> None:
        """A shell that works says more than the console."""
        screen = self._screen
        if screen.machine is not None and not screen.shells.alive and screen.is_current:
            screen.run_worker(
                partial(self._ask_console, screen.machine), exit_on_error=False, group="console", exclusive=True
            )

    async def _ask_console(self, machine: Machine) -> None:
        try:
            said = await self._screen.house.debugging.console(machine)
        except IngotError as error:
            self.console = (error.what,)
        else:
            self.console = [from_bytes(line) for line in said.splitlines()[-CONSOLE_LINES:]]
        self._screen.shells.show_console()
