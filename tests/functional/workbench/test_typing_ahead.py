"""Keys that come faster than the screen changes: from a fast typist, over a slow line, on a busy machine."""

import asyncio

import pytest
from patience import PATIENCE
from screen import until
from shop import Shop
from textual import events

from tui import typing_ahead
from tui.app import Ingot
from tui.screens.help import Help
from tui.widgets.typed import Typed

FULL = (140, 42)


def type_at_once(app: Ingot, *keys: str) -> None:
    """All of them are there before the app looks at the first."""
    for key in keys:
        app.post_message(events.Key(key, key if len(key) == 1 else None))


def cursors(app: Ingot) -> list[object]:
    bench = app.workbench
    return [app.focused and app.focused.id, bench.roles.cursor, bench.images.cursor, bench.runs.cursor]


async def test_a_command_is_typed_into_the_line_that_its_colon_opens(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        type_at_once(app, "colon", *"builds")
        app.post_message(events.Paste(" front"))
        await until(pilot, lambda: [line.value for line in app.screen.query(Typed)] == ["builds front"])


async def test_an_arrow_moves_in_the_pane_that_the_key_before_it_went_to(shop: Shop) -> None:
    keys = ("4", "down", "1", "down", "2", "end")
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        for key in keys:
            await pilot.press(key)
        one_by_one = cursors(app)
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        assert cursors(app) != one_by_one
        type_at_once(app, *keys)
        await until(pilot, lambda: cursors(app) == one_by_one)


async def test_a_question_is_answered_before_it_is_seen(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        type_at_once(app, "question_mark", "slash", *":runs", "enter", "enter")
        await until(pilot, lambda: app.screen is app.workbench and app.focused is app.workbench.runs)


async def test_what_hangs_does_not_take_the_keyboard(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(typing_ahead, "PATIENCE", 0.3)
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        over = asyncio.Event()
        app.workbench.roles.focus()
        await pilot.pause()
        app.workbench.roles.call_later(over.wait)
        type_at_once(app, "j")
        await asyncio.sleep(0.05)
        app.workbench.runs.focus()
        type_at_once(app, "question_mark")
        async with asyncio.timeout(PATIENCE):  # no pause of the pilot: that waits for every widget
            while not isinstance(app.screen, Help):  # noqa: ASYNC110 - it sets no event
                await asyncio.sleep(0.02)
        over.set()
