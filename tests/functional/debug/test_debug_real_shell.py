"""The debug screen with a real SSH server behind it: what is typed is carried out there, and it is written down."""

from pathlib import Path

import pytest
from into_machine import in_real_shell
from screen import shown, until
from shop import Shop
from ssh_machine import missing
from textual.app import App

from core.store.touches import Touches
from tui.terminal.widget import Terminal

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


def lines(app: App[None]) -> list[str]:
    """What the terminal shows."""
    assert isinstance(app.focused, Terminal)
    return [line.strip() for line in app.focused.screen_lines() if line.strip()]


async def test_what_is_typed_is_carried_out_in_the_machine_and_marks_the_run(shop: Shop, tmp_path: Path) -> None:
    async with in_real_shell(shop, tmp_path / "machine") as (run, real, app, pilot):
        await pilot.press(*"expr 41 + 1", "enter")
        await until(pilot, lambda: lines(app)[-2:-1] == ["42"])
        prompt = lines(app)[-1]  # not the one before: what is typed before a shell asks is drawn in front of its prompt
        await until(pilot, lambda: "touched by hand" in shown(app))
        assert [touch.kind.value for touch in Touches(shop.places.run(run.uid)).all()] == ["shell"]
        await pilot.press(*r"printf '\033[?1049h\033[>1uh''alf\033]0;'", "enter")
        await until(pilot, lambda: "half" in shown(app))
        real.stop()
        await until(pilot, lambda: "is lost" in shown(app))
        assert "expr 41 + 1" in shown(app), "the screen of what ran is left"
        real.start()
        await until(pilot, lambda: "is back" in shown(app))
        # Said by who is interrupted: a shell that is still giving the terminal away loses the key.
        await pilot.press(*"sh -c 'echo sl\"\"eeps; exec sleep 1000'", "enter")
        await until(pilot, lambda: "sleeps" in lines(app))
        await pilot.press("ctrl+c")
        await until(pilot, lambda: lines(app)[-1] == prompt)
        await pilot.press(*"expr 21 + 2", "enter")
        await until(pilot, lambda: "23" in "".join(shown(app).split("expr 21 + 2")[1:]))
