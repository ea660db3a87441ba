"""The difference between two image versions: of which two, what differs, and looking through it."""

from at_image import opened
from screen import line_with, lines, shown, until
from shop import Ruling, Shop

from tui.screens.difference import DifferenceScreen

FULL = (140, 42)


async def test_two_marked_versions_are_compared_the_older_first(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await opened(pilot, app, "0.1.0")
        await pilot.press("space", "space", "equals_sign")
        await until(pilot, lambda: isinstance(app.screen, DifferenceScreen) and "telnet" in shown(app))
        line_with(app, "difference ▸ frontend", "0.0.9", "→", "0.1.0")
        line_with(app, "- telnet", "0.17+2.4-2")
        line_with(app, "Commits", "2")
        line_with(app, "libnginx-mod-http-geoip2]")
        await pilot.press("slash", *"geoip", "enter")
        await pilot.pause()
        assert "telnet" not in shown(app)
        await pilot.press("y")
        assert app.clipboard == "+ libnginx-mod-http-geoip2 – → 1:3.4-4"
        await pilot.press("escape", "right_square_bracket")
        await pilot.pause()
        screen = app.screen
        assert isinstance(screen, DifferenceScreen)
        assert screen.changes.chosen is not None
        assert screen.changes.chosen.name == "Services"


async def test_one_version_is_compared_with_the_one_before_or_the_one_named(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await opened(pilot, app, "0.1.0")
        await pilot.press("equals_sign")
        await until(pilot, lambda: isinstance(app.screen, DifferenceScreen))
        await until(pilot, lambda: "0.0.9" in lines(app)[0])
        await pilot.press("escape", "colon", *"difference frontend 0.1.0.2", "enter")
        await until(pilot, lambda: isinstance(app.screen, DifferenceScreen) and "0.1.0.2" in lines(app)[0])
        await until(pilot, lambda: "Nobody looked what is in them" in shown(app))
