"""What ends a question: an answer to what can be read, and never what stands in front of it."""

import asyncio
from collections.abc import Mapping

import pytest
from screen import shown, until
from shop import Shop

from core.model.machine import Login, Machine, MachineState
from core.model.pause import Wish
from tui.screens.login import AskLogin
from tui.screens.pausing import HowToPause
from tui.screens.questions import Question
from tui.screens.reasons import Reasons

MACHINE = Machine("uid", "build/qemu.web", "qemu.web", "qemu", MachineState.PAUSED, login=Login("root"))


async def test_who_is_let_in_while_the_palette_is_open_comes_to_the_machine(shop: Shop) -> None:
    tried, lets_in = asyncio.Event(), asyncio.Event()
    answers: list[Machine | None] = []

    async def log_in(*_: str) -> Machine:
        tried.set()
        await lets_in.wait()
        return MACHINE

    app = shop.app()
    async with app.run_test(size=(140, 42)) as pilot:
        await until(pilot, lambda: app.loaded and not app.discovering)
        asked = AskLogin(MACHINE, log_in)
        app.push_screen(asked, answers.append)
        await until(pilot, lambda: "Enter log in" in shown(app))
        await pilot.press(*"key", "enter")
        await until(pilot, tried.is_set)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: app.screen is not asked)
        lets_in.set()
        await until(pilot, lambda: not asked.workers or all(one.is_finished for one in asked.workers))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.workbench)
        await pilot.press("escape")
        assert answers == [MACHINE]
        assert app.is_running


@pytest.mark.parametrize("which", ["how to pause", "name", "reason"])
async def test_nothing_that_is_typed_blindly_is_an_answer(shop: Shop, which: str) -> None:
    answers: list[bool | Wish | Mapping[str, str] | None] = []
    app = shop.app()
    async with app.run_test(size=(59, 14)) as pilot:
        await until(pilot, lambda: app.loaded and not app.discovering)
        if which == "how to pause":
            app.push_screen(HowToPause(["web"]), answers.append)
        elif which == "name":
            app.push_screen(Question("Delete?", (), yes="delete it", name="web"), answers.append)
        else:
            app.push_screen(Reasons("Revoke?", (), yes="revoke it"), answers.append)
        await until(pilot, lambda: "needs 60×15" in shown(app))
        await pilot.press(*"web", "enter")
        assert not [answer for answer in answers if answer], "nobody reads what is asked"
