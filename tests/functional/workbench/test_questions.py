"""Questions on any terminal: what is told can be read, what is asked is on the screen, and nothing is asked in vain."""

import threading
from collections.abc import Sequence

import pytest
from patience import PATIENCE
from screen import lines, said, shown, until
from shop import Ruling, Shop
from textual.pilot import Pilot

from core.errors import RefusedError
from tui.app import Ingot
from tui.screens.asked import Asked
from tui.screens.pausing import HowToPause
from tui.screens.questions import Question, trust_question
from tui.screens.reasons import Reasons
from tui.screens.run import RunScreen

FULL = (140, 42)
SIZES = pytest.mark.parametrize("size", [FULL, (80, 24), (60, 15)], ids=["140x42", "80x24", "60x15"])


async def settled(pilot: Pilot[None], app: Ingot) -> None:
    await until(pilot, lambda: app.loaded and app.fresh.worker_asked and not app.discovering)
    await pilot.pause()


async def read_to_the_end(pilot: Pilot[None], app: Ingot, words: str) -> None:
    """Press PgDn as often as it takes until the words show; what is asked shows all the time."""
    asked = next(line for line in reversed(lines(app)) if "Esc no" in line)
    for _ in range(20):
        if words in shown(app):
            return
        await pilot.press("pagedown")
        await pilot.pause(0.05)
        assert asked in lines(app)
    raise AssertionError(f"{words!r} never showed:\n{shown(app)}")


@SIZES
async def test_how_to_pause_is_asked_whole_on_every_terminal(shop: Shop, size: tuple[int, int]) -> None:
    app = shop.app()
    async with app.run_test(size=size) as pilot:
        await settled(pilot, app)
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, HowToPause))
        await pilot.pause(0.2)
        for words in ("On failure", "Never", "at the step named below", "Enter build   Esc no"):
            assert words in shown(app)
        await pilot.press(*"jjjjjj", "space", "enter")
        await until(pilot, lambda: "Name the step, as Packer prints it." in shown(app))
        assert "Enter build   Esc no" in shown(app)
        await read_to_the_end(pilot, app, "says.")


@SIZES
async def test_a_long_question_is_read_with_the_choice_always_on_the_screen(shop: Shop, size: tuple[int, int]) -> None:
    app = shop.app()
    async with app.run_test(size=size) as pilot:
        await settled(pilot, app)
        app.push_screen(trust_question("shop", "/home/ada" + "/a/rather/long/way/to/the/repository" * 5))
        await until(pilot, lambda: "y trust it and build" in shown(app))
        assert "This is the first build" in shown(app)
        await until(pilot, lambda: ("PgDn" in shown(app)) == (size == (60, 15)))
        await read_to_the_end(pilot, app, "anything.")


async def test_a_question_that_cannot_be_shown_takes_no_yes(shop: Shop) -> None:
    answers: list[bool | None] = []
    app = shop.app()
    async with app.run_test(size=(59, 14)) as pilot:
        await settled(pilot, app)
        app.push_screen(trust_question("shop", "/srv/shop"), answers.append)
        await until(pilot, lambda: "needs 60×15" in shown(app))
        await pilot.press("y")
        await pilot.pause()
        assert answers == []
        await pilot.resize_terminal(60, 15)
        await until(pilot, lambda: "y trust it and build" in shown(app))
        await pilot.press("y")
        await until(pilot, lambda: answers == [True])


async def test_the_keyboard_is_where_it_was_after_a_terminal_that_was_too_small(ruled: Ruling, shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot, app)
        await until(pilot, lambda: app.standing.decided.images)
        await pilot.press("j", "2", "j", "colon", *"deprecate", "enter")
        await until(pilot, lambda: isinstance(app.screen, Reasons))
        await pilot.press("a")
        await pilot.resize_terminal(20, 5)
        await until(pilot, lambda: "needs" in shown(app))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Why?" in shown(app))
        await pilot.press("b")
        await until(pilot, lambda: "ab" in shown(app))


async def test_what_cannot_be_deleted_is_said_before_anything_is_asked(shop: Shop) -> None:
    shop.asked.needed["frontend", "0.1.0"] = RefusedError("frontend 0.1.0 is what production has.", "Move that first.")
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("j", "2", "j", "D")
        await until(pilot, lambda: "frontend 0.1.0 is what production has.\nMove that first." in said(app))
        await pilot.pause()
        assert app.screen is app.workbench
        assert shop.asked.heard == []


async def test_of_several_the_next_is_asked_about_when_the_one_before_is_gone(shop: Shop) -> None:
    shop.asked.needed["frontend", "0.1.0"] = RefusedError("frontend 0.1.0 is what production has.")
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("j", "2", "space", "space", "space", "D")
        for name in ("frontend 0.1.0-4-g3f9c2a1", "frontend 0.0.9"):
            await until(pilot, lambda name=name: isinstance(app.screen, Question) and f"Delete {name}?" in shown(app))
            await pilot.press(*name, "enter")
            await until(pilot, lambda name=name: f"delete {name} ({name})" in shop.asked.heard)
        await until(pilot, lambda: app.screen is app.workbench)
        assert len(shop.asked.heard) == 2
        assert "frontend 0.1.0 is what production has." in said(app)


async def test_a_question_that_comes_late_comes_once_and_only_where_it_was_asked_for(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks, go_on = list[str](), threading.Event()
    going = shop.asked.going

    def slowly(role: str, version: str) -> Sequence[str]:
        looks.append(version)
        assert go_on.wait(PATIENCE)
        return going(role, version)

    monkeypatch.setattr(shop.asked, "going", slowly)
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await pilot.press("2", "D", "D")
        await until(pilot, lambda: looks)
        await pilot.press("4", "enter")
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        go_on.set()
        await until(pilot, lambda: "nothing was asked, and nothing done" in said(app))
        assert isinstance(app.screen, RunScreen)
        assert len(looks) == 1
        await pilot.press("escape", "2", "D")
        await until(pilot, lambda: isinstance(app.screen, Question))


async def test_what_is_revoked_is_not_asked_to_be_deprecated(ruled: Ruling, shop: Shop) -> None:
    ruled.revoke("frontend", "0.1.0", "it leaks", typed="frontend 0.1.0")
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await until(pilot, lambda: app.standing.decided.images)
        await pilot.press("colon", *"deprecate frontend 0.1.0", "enter")
        await until(pilot, lambda: "frontend 0.1.0 is revoked already" in said(app))
        assert app.screen is app.workbench


async def test_q_and_esc_go_one_step_back_and_q_leaves_the_first_screen(ruled: Ruling, shop: Shop) -> None:
    ways = {
        "run": ("4", "enter"),
        "image": ("j", "2", "enter"),
        "promote": ("1", "g", "j", "2", "p"),
        "difference": ("1", "g", "j", "2", "equals_sign"),
        "help": ("question_mark",),
        "notices": ("N",),
        "question": ("4", "x"),
        "how to pause": ("1", "B"),
    }
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        await until(pilot, lambda: app.standing.decided.images)
        for name, keys in ways.items():
            for key in ("q", "escape"):
                if name == "question":
                    app.workbench.runs.move_to(next(run.uid for run in app.overview.runs if not run.state.ended))
                await pilot.press(*keys)
                await until(pilot, lambda: app.screen is not app.workbench)
                await pilot.pause(0.1)
                if name in ("run", "image", "promote", "difference"):
                    assert "Esc Back" in lines(app)[-1], name
                    assert "Quit" not in lines(app)[-1], name
                await pilot.press(key)
                await until(pilot, lambda: app.screen is app.workbench)
        assert app.is_running
        assert "q Quit (builds go on)" in lines(app)[-1]
        await pilot.press("4", "q")
        await until(pilot, lambda: not app.is_running)


async def test_leaving_asks_while_something_that_was_asked_for_takes_its_time(shop: Shop) -> None:
    go_on = threading.Event()
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await settled(pilot, app)
        app.carry_out("moving production of web…", go_on.wait, lambda _: None)
        await until(pilot, lambda: "moving production" in lines(app)[0])
        await pilot.press("q")
        await until(pilot, lambda: isinstance(app.screen, Asked) and "moving production of web…" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.workbench)
        go_on.set()
        await until(pilot, lambda: "moving production" not in lines(app)[0])
        await pilot.press("q")
        await until(pilot, lambda: not app.is_running)
