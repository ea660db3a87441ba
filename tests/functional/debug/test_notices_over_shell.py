"""Notices where a shell has the screen: what is typed into it stays in sight."""

import pytest
from held import Door, hold
from into_machine import WAY_OUT, enter, in_machine
from screen import lines, shown, until
from shop import Shop
from textual.widgets._toast import Toast

from tui.app import Ingot

FIVE = "one\ntwo\nthree\nfour\nfive"


@pytest.mark.parametrize(("size", "whole"), [((80, 24), False), ((60, 15), False), ((80, 24), True), ((140, 42), True)])
async def test_a_notice_covers_no_line_of_a_shell(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, size: tuple[int, int], whole: bool
) -> None:
    monkeypatch.setattr(Ingot, "NOTIFICATION_TIMEOUT", 600)
    hold(shop)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=size, notifications=True) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        if whole:
            await pilot.press(WAY_OUT, "z")
            await in_machine(pilot, app)
        app.clear_notifications()
        await pilot.pause()
        assert app.focused is not None
        top = app.focused.content_region.y
        shell = lines(app)[top:]
        app.notify(FIVE, title="Run 12 is paused")
        await until(pilot, lambda: any(isinstance(widget, Toast) for widget in app.screen.walk_children()))
        await until(pilot, lambda: "Run 12 is paused" in shown(app))
        await pilot.pause()
        assert lines(app)[top:] == shell
