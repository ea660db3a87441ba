"""Saying when a build may pause, before it starts."""

from screen import shown, until
from shop import Shop

from tui.screens.pausing import HowToPause


async def test_b_leaves_it_to_what_is_usual_and_capital_b_asks(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=(140, 42)) as pilot:
        await until(pilot, lambda: app.loaded and not app.discovering)
        await pilot.press("j", "b")
        await until(pilot, lambda: shop.asked.heard == ["build frontend"])
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, HowToPause))
        assert "Build frontend: when may it pause?" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.workbench)
        await pilot.press("B")
        await until(pilot, lambda: isinstance(app.screen, HowToPause))
        await pilot.press("j", "j", "enter")
        await until(pilot, lambda: shop.asked.heard[1:] == ["build frontend pausing never"])


async def test_stepping_through_stops_where_a_person_says(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(pilot, lambda: app.loaded and not app.discovering)
        await pilot.press("j", "B")
        await until(pilot, lambda: isinstance(app.screen, HowToPause))
        await pilot.press("j", "j", "j", "space", "j", "space", "j", "j", "space")
        await pilot.press(*"no name!", "enter")
        await until(pilot, lambda: "no name! is no name of a step." in shown(app))
        await pilot.press("ctrl+u", *"StepProvision", "enter")
        await until(pilot, lambda: shop.asked.heard)
        assert shop.asked.heard == ["build frontend pausing step each-provisioner StepProvision"]
