"""Who leaves while an answer to a machine is on its way is asked first, and it arrives."""

import asyncio
import threading

import pytest
from held import Door, hold
from into_machine import WAY_OUT, enter, in_machine
from patience import PATIENCE
from screen import shown, until
from shop import Shop
from textual.pilot import Pilot

from core.model.pause import Answer, Pause
from tui.app import Ingot
from tui.screens.debug import DebugScreen
from tui.screens.questions import Leave, Question

FULL = (140, 42)


class Slow(Door):
    """A holder that takes its time."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop)
        self.asked = False
        self.goes_on = asyncio.Event()

    async def answer(self, pause: Pause, answer: Answer) -> str:
        self.asked = True
        await asyncio.wait_for(self.goes_on.wait(), PATIENCE)
        return await super().answer(pause, answer)


async def keep(pilot: Pilot[None], app: Ingot) -> None:
    """From the first screen into the machine, to say that it is to be kept."""
    await enter(pilot, app)
    await in_machine(pilot, app)
    await pilot.press(WAY_OUT, "k")
    await until(pilot, lambda: isinstance(app.screen, Question))
    await pilot.press("y")


@pytest.mark.parametrize("way", [("q", "y"), ("ctrl+q", "ctrl+q")], ids=["yes", "asked twice"])
async def test_an_answer_arrives_though_a_person_leaves_after_it(shop: Shop, way: tuple[str, str]) -> None:
    hold(shop)
    door = Slow(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await keep(pilot, app)
        await until(pilot, lambda: isinstance(app.screen, DebugScreen) and door.asked)
        for _ in range(2):  # to the run, and to the workbench
            before = app.screen
            await pilot.press("q")
            await until(pilot, lambda before=before: app.screen is not before)
        assert app.screen is app.workbench
        await pilot.press(way[0])
        await until(pilot, lambda: isinstance(app.screen, Leave) and "answering: keep" in shown(app))
        await pilot.press(way[1])
        await until(pilot, lambda: "leaving…" in app.busy)
        assert "keep 1" not in door.heard
        door.goes_on.set()
        await until(pilot, lambda: not app.is_running)
    assert "keep 1" in door.heard


async def test_an_answer_that_was_given_is_not_asked_about(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await keep(pilot, app)
        await until(pilot, lambda: "It goes on." in [notice.text for notice in app.notices])
        await pilot.press("ctrl+q")
        await until(pilot, lambda: not app.is_running)


@pytest.mark.parametrize("size", [FULL, (59, 14)])
async def test_who_asks_again_leaves_at_once(shop: Shop, size: tuple[int, int]) -> None:
    go_on = threading.Event()
    app = shop.app()
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.loaded and not app.discovering)
        app.carry_out("moving production of web…", go_on.wait, lambda _: None)
        await until(pilot, lambda: "moving production of web…" in app.busy)
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Leave))
        await pilot.press("y" if size == FULL else "q")  # too small for the question: the same key
        await until(pilot, lambda: "leaving…" in app.busy)
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
        go_on.set()
