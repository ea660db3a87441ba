"""Pictures of a machine that waits, at a fixed time: `pytest --snapshot-update` after looking at what changed."""

from collections.abc import Callable
from typing import Any

import pytest
from held import NOBODY, Door, hold, keep
from into_machine import WAY_OUT, enter, in_machine, keys_count_again
from screen import shown, until
from shop import Shop
from textual.pilot import Pilot

from core.model.pause import PauseKind
from tui.app import Ingot
from tui.screens.debug import DebugScreen
from tui.screens.pausing import HowToPause
from tui.screens.run import RunScreen

SIZES = pytest.mark.parametrize("size", [(140, 42), (80, 24)], ids=["140x42", "80x24"])
Compare = Callable[..., bool]
Size = tuple[int, int]


@pytest.fixture(autouse=True)
def same_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a picture shows must not depend on the machine, and no toast comes in between."""

    def nothing(*_: object, **__: object) -> None: ...

    monkeypatch.setattr(Ingot, "notify", nothing)
    monkeypatch.setattr("tui.widgets.shells.TRY_AGAIN", 60.0)
    monkeypatch.setattr("tui.late_keys.QUIET", 0.1)
    monkeypatch.setattr("tui.terminal.drawn._BLINK", 600.0)
    where = "/home/ada/.local/state/ingot/runs/5f0c2f6e/checkout"
    monkeypatch.setattr(DebugScreen, "checkout", property(lambda _: where))


def before(*keys: str, wait: str, shell: bool = True) -> Callable[[Pilot[Any]], Any]:
    """Into the debug screen, then these keys, then wait until this is shown."""

    async def prepare(pilot: Pilot[Any]) -> None:
        app = pilot.app
        await enter(pilot, app)
        if shell:
            await in_machine(pilot, app)
            if app.size.width >= 140:
                # The facts of the machine stand beside the shell and come by themselves; room for all of them, later.
                await until(pilot, lambda: "load 0.31" in shown(app) and "playbooks /home" in shown(app))
        await pilot.press(*keys)
        await until(pilot, lambda: wait in shown(app))
        if not shell:
            await until(pilot, lambda: "refuses" in shown(app))
            await keys_count_again(pilot, app)  # the footer says when they do not
        await pilot.pause()

    return prepare


@SIZES
def test_in_the_machine(snap_compare: Compare, shop: Shop, size: Size) -> None:
    hold(shop)
    assert snap_compare(shop.app(debugging=Door(shop)), terminal_size=size, run_before=before(wait="/dev/vda1"))


def test_what_went_wrong_as_a_page(snap_compare: Compare, shop: Shop) -> None:
    hold(shop)
    app = shop.app(debugging=Door(shop))
    assert snap_compare(app, terminal_size=(80, 24), run_before=before(WAY_OUT, "1", wait="load 0.31"))


@SIZES
def test_before_ssh(snap_compare: Compare, shop: Shop, size: Size) -> None:
    hold(shop, why="timeout waiting for SSH", step="StepConnect", log="ssh-timeout", connected=False)
    door = Door(shop)
    door.refuse = NOBODY
    app = shop.app(debugging=door)
    assert snap_compare(app, terminal_size=size, run_before=before(wait="Started ssh", shell=False))


def test_at_a_breakpoint(snap_compare: Compare, shop: Shop) -> None:
    hold(shop, PauseKind.BREAKPOINT, why="The template has a breakpoint: look at the cluster", step="", log="")
    app = shop.app(debugging=Door(shop))
    assert snap_compare(app, terminal_size=(140, 42), run_before=before(WAY_OUT, wait="Continue"))


def test_a_kept_machine(snap_compare: Compare, shop: Shop) -> None:
    keep(shop, hold(shop))
    app = shop.app(debugging=Door(shop))
    assert snap_compare(app, terminal_size=(140, 42), run_before=before(WAY_OUT, wait="End machine"))


def test_the_question_before_cleaning_up(snap_compare: Compare, shop: Shop) -> None:
    hold(shop)
    app = shop.app(debugging=Door(shop))
    assert snap_compare(app, terminal_size=(140, 42), run_before=before(WAY_OUT, "x", wait="Type database"))


def test_full_screen(snap_compare: Compare, shop: Shop) -> None:
    hold(shop)
    app = shop.app(debugging=Door(shop))
    assert snap_compare(app, terminal_size=(80, 24), run_before=before(WAY_OUT, "z", wait="/dev/vda1"))


def test_the_run_that_waits(snap_compare: Compare, shop: Shop) -> None:
    run = hold(shop, log="ansible-command")  # the other one has a path in it that is not the same everywhere

    async def prepare(pilot: Pilot[Any]) -> None:
        app = pilot.app
        await until(pilot, lambda: "No space left" in shown(app) and "since" in shown(app))
        assert isinstance(app.screen, RunScreen)
        await pilot.pause()
        # The run's uid is random: a picture must not be.
        facts = app.screen.facts
        told = [row for row in facts.rows(36) if run.uid not in str(row.left)]
        facts.set_rows("This run", lambda _: told)
        await pilot.pause()

    assert snap_compare(shop.app(debugging=Door(shop)), terminal_size=(140, 42), run_before=prepare)


@SIZES
def test_the_workbench_says_what_waits(snap_compare: Compare, shop: Shop, size: Size) -> None:
    hold(shop)

    async def prepare(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, Ingot)
        await until(pilot, lambda: "run 6" in shown(app) and app.fresh.worker_asked and not app.discovering)
        await pilot.press("escape", "4")
        await until(pilot, lambda: app.screen is app.workbench and "⏸ paused" in shown(app))
        await pilot.pause()

    assert snap_compare(shop.app(debugging=Door(shop)), terminal_size=size, run_before=prepare)


@SIZES
def test_how_a_build_may_pause(snap_compare: Compare, shop: Shop, size: Size) -> None:
    async def prepare(pilot: Pilot[Any]) -> None:
        app = pilot.app
        assert isinstance(app, Ingot)
        await until(pilot, lambda: app.loaded and app.fresh.worker_asked and not app.discovering)
        app.push_screen(HowToPause(["frontend"]))
        await pilot.pause()
        await pilot.press("j")

    assert snap_compare(shop.app(debugging=Door(shop)), terminal_size=size, run_before=prepare)
