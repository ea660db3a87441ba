"""The way out of a machine that a user has chosen in config.toml."""

import pytest
from held import Door, hold
from into_machine import WAY_OUT, enter
from screen import line_with, lines, shown, until
from shop import Shop
from textual import events

from tui.screens.debug import DebugScreen
from tui.terminal import widget
from tui.terminal.widget import Terminal

FULL = (140, 42)
USUAL = WAY_OUT


async def test_the_key_that_was_chosen_leads_out_and_in_again_and_the_usual_one_is_the_machines(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door, leave_key="ctrl+g")
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: door.shells and isinstance(app.focused, Terminal))
        await until(pilot, lambda: "Ctrl+G then:" in lines(app)[-1])
        line_with(app, "shell 1", "Ctrl+G leaves")
        await pilot.press(USUAL, "i")
        assert door.shells[0].typed == b"\x1di"
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.focused is None)
        await pilot.press(USUAL)
        assert app.focused is None, "it leads nowhere now"
        await pilot.press("question_mark")
        await until(pilot, lambda: "Into the shell" in shown(app))
        line_with(app, "Ctrl+G", "Into the shell")
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DebugScreen))
        with monkeypatch.context() as later:
            later.setattr(widget, "TWICE", 0.0)
            await pilot.press("ctrl+g", "j")
        assert door.shells[0].typed == b"\x1dij", "later it is the way in"
        await pilot.press("ctrl+g")
        await until(pilot, lambda: app.focused is None)
        await pilot.press("ctrl+g", "k")
        assert door.shells[0].typed == b"\x1dij\x07k", "pressed twice it goes to the machine"


async def test_pressed_twice_by_a_quick_hand_it_goes_to_the_machine(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door, leave_key="f12")
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: door.shells and isinstance(app.focused, Terminal))
        for _ in range(2):
            app.post_message(events.Key("f12", None))  # both wait before the first is looked at
        await until(pilot, lambda: door.shells[0].typed == b"\x1b[24~")
        assert isinstance(app.focused, Terminal)
