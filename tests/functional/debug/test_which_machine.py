"""Where several machines wait, d opens none that nobody chose."""

from held import Door, hold, keep, put_machine
from into_machine import WAY_OUT, enter, in_machine
from msgspec.structs import replace
from screen import line_with, lines, shown, until
from shop import Shop

from core.model.machine import MachineState
from core.model.run import Run
from tui.screens.debug import DebugScreen
from tui.screens.machines import Machines
from tui.screens.run import RunScreen

FULL = (140, 42)


KEY, BUILD = "build/amazon-ebs.database", "amazon-ebs.database"


def with_two_builds(shop: Shop) -> Run:
    """A run of two builds, whose first one waits."""
    request = shop.asked.requests["database"]
    shop.asked.requests["database"] = replace(request, builds=(*request.builds, BUILD))
    return hold(shop)


def second_build(shop: Shop, run: Run) -> None:
    """The other build of the run waits, too."""
    (pause,) = shop.index.pauses(run.uid)
    shop.index.add_pause(replace(pause, stage_key=KEY, why="the second one failed"))
    put_machine(shop, run, stage_key=KEY, build=BUILD, kind="amazon-ebs", host="192.0.2.7")


async def test_of_two_runs_one_is_chosen(shop: Shop) -> None:
    first, second = hold(shop), hold(shop, role="frontend", why="nginx does not start")
    put_machine(shop, second, port=4011)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.pause()
        await pilot.press("escape", "1", "d")
        await until(pilot, lambda: isinstance(app.screen, Machines))
        line_with(app, str(first.id), "database", "qemu.database", "provisioner ansible failed", "1:56:00")
        line_with(app, str(second.id), "frontend", "nginx does not start")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.workbench)
        assert door.heard == []
        await pilot.press("d")
        await until(pilot, lambda: isinstance(app.screen, Machines))
        await pilot.press("slash", *"nginx", "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, DebugScreen))
        await in_machine(pilot, app)
        assert door.heard == ["shell root@127.0.0.1:4011"]
        # And from there to the other one.
        await pilot.press(WAY_OUT, "m")
        await until(pilot, lambda: isinstance(app.screen, Machines))
        await pilot.press("slash", *"ansible", "enter", "enter")
        await until(pilot, lambda: isinstance(app.screen, DebugScreen) and f"run {first.id}" in lines(app)[0])
        await in_machine(pilot, app)
        assert door.heard == ["shell root@127.0.0.1:4011", "shell root@127.0.0.1:3059"]
        assert sum(isinstance(screen, DebugScreen) for screen in app.screen_stack) == 1
        assert door.shells[0].closed


async def test_of_two_builds_of_one_run_one_is_chosen(shop: Shop) -> None:
    run = with_two_builds(shop)
    second_build(shop, run)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: isinstance(app.screen, Machines))
        assert door.heard == []
        await pilot.press("slash", *"second one", "enter", "enter")
        await until(pilot, lambda: "root@192.0.2.7:3059" in lines(app)[0])
        await in_machine(pilot, app)
        assert door.heard == ["shell root@192.0.2.7:3059"]
        await until(pilot, lambda: "amazon-ebs.database" in shown(app))


async def test_the_screen_stays_with_its_machine(shop: Shop) -> None:
    run = with_two_builds(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        second_build(shop, run)
        put_machine(shop, run, state=MachineState.GONE)
        await until(pilot, lambda: "The machine is gone." in shown(app))
        assert "192.0.2.7" not in lines(app)[0]
        assert door.heard == ["shell root@127.0.0.1:3059"]


async def test_the_only_one_is_opened_at_once_and_m_says_that_there_is_no_other(shop: Shop) -> None:
    keep(shop, hold(shop))
    door = Door(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen))
        await pilot.pause()
        await pilot.press("escape", "1", "d")
        await in_machine(pilot, app)
        await pilot.press(WAY_OUT, "m")
        await until(pilot, lambda: any("No other machine waits" in notice.text for notice in app.notices))
