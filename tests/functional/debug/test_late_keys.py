"""Who types into a shell does not stop in the moment in which it is gone: no such key is an answer."""

import asyncio

import pytest
from held import NOBODY, Door, hold, pause_in
from into_machine import WAY_OUT, enter, in_machine
from msgspec.structs import replace
from screen import lines, shown, until
from shop import NOW, Shop
from textual import events
from textual.pilot import Pilot

from core.model.machine import MachineState
from core.model.pause import Answer, PauseKind
from tui import late_keys
from tui.app import Ingot
from tui.screens.debug import DebugScreen
from tui.screens.questions import Question
from tui.screens.run import RunScreen
from tui.widgets.machine_tab import MachineTerminal
from tui.widgets.shells import Shells

FULL = (140, 42)


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """The keys of a test may come slowly: only `the_hands_rest` ends it."""
    monkeypatch.setattr(late_keys, "QUIET", 600.0)


def at_breakpoint(shop: Shop) -> None:
    hold(shop, PauseKind.BREAKPOINT, why="Breakpoint: look", step="look", log="")


def careful(app: Ingot, why: str) -> bool:
    return f"{why}: keys do nothing until you stop for a second" in lines(app)[-1]


async def the_hands_rest(pilot: Pilot[None], app: Ingot, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more key that is for nobody, and then none."""
    monkeypatch.setattr(late_keys, "QUIET", 0.1)
    await pilot.press("c")
    await until(pilot, lambda: "keys do nothing" not in lines(app)[-1])


async def test_the_rest_of_a_line_is_no_answer_when_the_shell_ends(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    at_breakpoint(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        door.shells[0].say(b"")
        for key in "cat":
            app.post_message(events.Key(key, key))
        await until(pilot, lambda: careful(app, "No shell any more"))
        await pilot.press(*"c c", "enter")
        assert not any("continue" in said for said in door.heard)
        assert isinstance(app.screen, DebugScreen)
        await the_hands_rest(pilot, app, monkeypatch)
        await pilot.press("c")
        await until(pilot, lambda: "continue 1" in door.heard)


async def test_the_rest_of_a_line_is_no_answer_when_no_shell_can_be_opened(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    door.opens.clear()
    door.refuse = NOBODY
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: isinstance(app.focused, Shells))
        await pilot.press(*"g")
        door.opens.set()
        await until(pilot, lambda: careful(app, "No shell yet"))
        await pilot.press(*"rep -r yum", "enter")
        assert isinstance(app.screen, DebugScreen)
        assert all(said.startswith("shell ") for said in door.heard)
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))


async def test_after_the_way_out_keys_are_for_the_screen_at_once(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        door.shells[0].say(b"")
        await until(pilot, lambda: careful(app, "No shell any more"))
        await pilot.press("x", WAY_OUT, "r")
        await until(pilot, lambda: isinstance(app.screen, Question))


async def test_the_rest_of_a_line_is_no_key_of_the_screen_when_the_machine_goes(shop: Shop) -> None:
    run = hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        (machine,) = shop.index.machines(run.uid)
        shop.index.save_machine(replace(machine, state=MachineState.GONE))
        await until(pilot, lambda: careful(app, "No shell any more"))
        await pilot.press(*"ls")
        assert isinstance(app.screen, DebugScreen), "l is the log"


@pytest.mark.parametrize("where", ["on the screen", "in a shell that has ended"])
async def test_a_late_answer_to_one_pause_does_not_answer_the_next(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    run = hold(shop, PauseKind.STEP, why="one", step="StepOne", log="")
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        await pilot.press(WAY_OUT)
        if where == "in a shell that has ended":
            door.shells[0].say(b"")
            await until(pilot, lambda: "The connection is lost." in shown(app))
            await pilot.press("enter")
        shop.index.answered(f"{run.uid}/build/qemu.database/1", Answer.CONTINUE.value, "Bob <bob@example.org>", NOW)
        pause_in(shop, run, PauseKind.STEP, 2, why="two", step="StepTwo")
        await until(pilot, lambda: careful(app, "Another pause"))
        await pilot.press("c")
        assert "continue 2" not in door.heard
        await the_hands_rest(pilot, app, monkeypatch)
        assert "continue 2" not in door.heard
        await pilot.press("c")
        await until(pilot, lambda: "continue 2" in door.heard)


async def test_a_key_that_comes_while_the_terminal_is_made_is_the_shells(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_breakpoint(shop)
    door = Door(shop)
    door.opens.clear()
    app = shop.app(debugging=door)
    attach = MachineTerminal.attach

    def typed_meanwhile(self: MachineTerminal, stream: object) -> None:
        """A key was given to what has the keyboard, and is not carried out before this is done."""
        attach(self, stream)  # pyright: ignore[reportArgumentType]
        app.screen.query_one(Shells)._forward_event(events.Key("c", "c"))  # pyright: ignore[reportPrivateUsage]

    monkeypatch.setattr(MachineTerminal, "attach", typed_meanwhile)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: isinstance(app.focused, Shells))
        await pilot.press("a", "b")
        door.opens.set()
        await in_machine(pilot, app)
        await pilot.press("d")
        await asyncio.sleep(0)
        assert door.shells[0].typed == b"abcd"
        assert not any("continue" in said for said in door.heard)


async def test_what_is_pasted_while_the_shell_is_being_opened_is_for_the_shell(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    door.opens.clear()
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: isinstance(app.focused, Shells))
        await pilot.press("a")
        app.post_message(events.Paste("echo \x1bé\r\nls"))
        await pilot.press("b")
        app.post_message(events.Paste("rm -rf /tmp/" + "x" * 1000))
        await until(pilot, lambda: any("this would be more" in notice.text for notice in app.notices))
        await pilot.press("enter")
        door.opens.set()
        await in_machine(pilot, app)
        assert door.shells[0].typed == "aecho  é\rlsb\r".encode()
