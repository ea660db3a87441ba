"""A notice that is cut on a small terminal says how the whole of it is read, and that is true where it is said."""

import pytest
from screen import line_with, lines, shown, until
from told_runs import House, seen

from tui.app import Ingot
from tui.screens.notices import Notices

WHY = "Step StepProvision failed"
TO_DO = "The machine is cleaned up in 1:59:56. d leads into it."


async def test_beside_a_log_the_rest_of_a_notice_is_where_the_notice_says(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ingot, "NOTIFICATION_TIMEOUT", 600)
    run = house.building()
    app = house.app(run)
    async with app.run_test(size=(60, 15), notifications=True) as pilot:
        await seen(app, "building")
        app.notify(f"{WHY}\n{TO_DO}", title="Run 4 is paused")
        await until(pilot, lambda: "Run 4 is paused" in shown(app))
        line_with(app, "The machine is cleaned up in 1:59:56. d leads")
        line_with(app, "it. … :notices has the rest")
        assert WHY not in shown(app)
        await pilot.press("colon", *"notices", "enter")
        await until(pilot, lambda: isinstance(app.screen, Notices))
        await until(pilot, lambda: "it." in [line.strip("│╰╯─ ") for line in lines(app)])
        line_with(app, "The machine is cleaned up in 1:59:56. d leads into")
        assert WHY in [line.strip("│ ") for line in lines(app)]


async def test_beside_a_log_help_and_palette_have_the_notices(house: House) -> None:
    run = house.building()
    app = house.app(run)
    async with app.run_test(size=(100, 40)) as pilot:
        await seen(app, "building")
        await pilot.press("ctrl+p", *"notices")
        await until(pilot, lambda: "What was said here since the start" in shown(app))
        await pilot.press("escape")
        await seen(app, "building")
        await pilot.press("question_mark", "slash", *":notices")
        await until(pilot, lambda: "What was said here since the start" in shown(app))
