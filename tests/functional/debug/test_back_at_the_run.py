"""Between a paused run and its machine: what the run screen says of the machine, and how it is when one comes back."""

from held import Door, hold
from into_machine import WAY_OUT, in_machine
from screen import said, shown, until
from shop import Shop

from tui.screens.run import RunScreen

FULL = (140, 42)


def half_done(screen: RunScreen) -> bool:
    """The run screen has looked, though another is in front of it."""
    return screen.run is not None and any(stage.progress == "half done" for stage in screen.run.stages)


async def test_the_footer_of_the_run_is_its_own_again(shop: Shop) -> None:
    run = hold(shop)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "d Debug" in shown(app))
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await pilot.press("d")
        await in_machine(pilot, app)
        shop.index.update_stage(run.uid, "build/qemu.database", progress="half done")
        await until(pilot, lambda: half_done(screen))
        await pilot.press(WAY_OUT, "escape")
        await until(pilot, lambda: app.screen is screen)
        await until(pilot, lambda: "d Debug" in shown(app).splitlines()[-1] and "x Cancel" in shown(app))


async def test_what_builds_again_says_where_a_step_is_repeated(shop: Shop) -> None:
    hold(shop)
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "d Debug" in shown(app))
        await pilot.press("r")
        await until(pilot, lambda: "d opens the machine, where r repeats the step." in said(app))
