"""The way into a machine that waits, as a person takes it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

from held import hold, key_of, with_real_shells
from screen import shown, until
from shop import Shop
from ssh_machine import SshMachine
from textual.app import App
from textual.pilot import Pilot

from core.model.run import Run
from tui.app import Ingot
from tui.screens.run import RunScreen
from tui.terminal.widget import Terminal
from tui.widgets.shells import Shells

WAY_OUT = "ctrl+right_square_bracket"


async def enter(pilot: Pilot[None], app: App[None]) -> None:
    """One key, from what is shown first."""
    await until(pilot, lambda: isinstance(app.screen, RunScreen))
    await pilot.pause()
    await pilot.press("d")


async def in_machine(pilot: Pilot[None], app: App[None]) -> None:
    """Wait until what is typed goes to the machine, in a shell of `held.Door`."""
    await until(pilot, lambda: isinstance(app.focused, Terminal) and "df -h" in shown(app))


async def keys_count_again(pilot: Pilot[None], app: App[None]) -> None:
    """Wait until there is no shell, and what is typed is not taken for the rest of what was meant for it."""
    shells = app.screen.query_one(Shells)
    await until(pilot, lambda: not (shells.alive or shells.connecting or shells.late.why))
    await pilot.pause()


class Inside(NamedTuple):
    """A person in a shell of a machine with a real SSH server."""

    run: Run
    real: SshMachine
    app: Ingot
    pilot: Pilot[None]


@asynccontextmanager
async def in_real_shell(shop: Shop, place: Path) -> AsyncGenerator[Inside]:
    """A run that is paused, and a shell in its machine, whose server keeps its things in `place`."""
    run = hold(shop)
    real = SshMachine(place)
    real.start()
    try:
        app = with_real_shells(shop, real.machine(run_uid=run.uid, stage_key=key_of(run), build="qemu.database"))
        async with app.run_test(size=(140, 42)) as pilot:
            await enter(pilot, app)
            await until(pilot, lambda: isinstance(app.focused, Terminal))
            yield Inside(run, real, app, pilot)
    finally:
        real.stop()
