"""A shell that is being opened behind the chosen one takes the keyboard from nobody."""

import pytest
from held import NOBODY, Door, hold
from into_machine import WAY_OUT, enter, in_machine
from screen import shown, until
from shop import Shop
from textual.pilot import Pilot

from tui.app import Ingot
from tui.screens.questions import Question
from tui.widgets.shells import Shells

FULL = (140, 42)


async def in_front(pilot: Pilot[None], app: Ingot, door: Door) -> None:
    """The first shell is there and chosen, the second one on its way, and keys are for the screen."""
    await enter(pilot, app)
    await in_machine(pilot, app)
    door.opens.clear()
    await pilot.press(WAY_OUT, "n")
    await until(pilot, lambda: isinstance(app.focused, Shells))
    await pilot.press(WAY_OUT, "left_square_bracket")
    await in_machine(pilot, app)
    await pilot.press(WAY_OUT)
    await until(pilot, lambda: app.focused is None)


@pytest.mark.parametrize("opens", [True, False])
async def test_the_keys_of_who_has_left_the_shell_stay_with_the_screen(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, opens: bool
) -> None:
    monkeypatch.setattr("tui.widgets.shells.TRY_AGAIN", 0.5)
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await in_front(pilot, app, door)
        tried = len(door.heard)
        door.refuse = None if opens else NOBODY
        door.opens.set()
        await until(pilot, lambda: len(door.shells) > 1 if opens else len(door.heard) > tried + 2)
        await pilot.pause()
        assert app.focused is None
        await pilot.press("r")
        await until(pilot, lambda: isinstance(app.screen, Question) and "Retry" in shown(app))
        assert door.shells[0].typed == b""
