"""The debug screen with a real SSH server behind it: what is typed is carried out there, and it is written down."""

from pathlib import Path

import pytest
from held import hold, key_of, with_real_shells
from screen import shown, until
from shop import Shop
from ssh_machine import SshMachine, missing

from core.store.touches import Touches
from tui.screens.run import RunScreen
from tui.terminal.widget import Terminal

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


async def test_what_is_typed_is_carried_out_in_the_machine_and_marks_the_run(shop: Shop, tmp_path: Path) -> None:
    run = hold(shop)
    real = SshMachine(tmp_path / "machine")
    real.start()
    try:
        machine = real.machine(run_uid=run.uid, stage_key=key_of(run), build="qemu.database")
        app = with_real_shells(shop, machine)
        async with app.run_test(size=(140, 42)) as pilot:
            await until(pilot, lambda: isinstance(app.screen, RunScreen))
            await pilot.pause()
            await pilot.press("d")
            await until(pilot, lambda: isinstance(app.focused, Terminal))
            await pilot.press(*"expr 41 + 1", "enter")
            await until(pilot, lambda: "42" in "".join(shown(app).split("expr 41 + 1")[1:]))
            await until(pilot, lambda: "touched by hand" in shown(app))
            assert [touch.kind.value for touch in Touches(shop.places.run(run.uid)).all()] == ["shell"]
            await pilot.press(*r"printf '\033[?1049h\033[>1uh''alf\033]0;'", "enter")
            await until(pilot, lambda: "half" in shown(app))
            real.stop()
            await until(pilot, lambda: "is lost" in shown(app))
            assert "expr 41 + 1" in shown(app), "the screen of what ran is left"
            real.start()
            await until(pilot, lambda: "is back" in shown(app))
            await pilot.press(*"sleep 1000", "enter", "ctrl+c", *"expr 21 + 2", "enter")
            await until(pilot, lambda: "23" in "".join(shown(app).split("expr 21 + 2")[1:]))
    finally:
        real.stop()
