"""The palette on what others named: nothing of it is markup."""

from at_image import opened
from msgspec.structs import replace
from screen import shown, until
from shop import Ruling, Shop
from textual.command import CommandPalette

from tui.screens.promote import PromoteScreen


def fails(ruled: Ruling, name: str) -> None:
    """Staging takes the newest frontend but for one test of it, which is called so."""
    key = ("frontend", "0.1.0-4-g3f9c2a1")
    known = ruled.dossiers[key]
    found = known.rounds[0]
    assert found.report is not None
    cases = tuple(replace(case, name=name) if case.outcome.bad else case for case in found.cases)
    ruled.dossiers[key] = replace(known, rounds=(replace(found, report=replace(found.report, cases=cases)),))


async def test_the_palette_finds_what_a_test_with_brackets_in_its_name_forbids(shop: Shop, ruled: Ruling) -> None:
    fails(ruled, "test_get[/health]")
    app = shop.app()
    async with app.run_test(size=(140, 42)) as pilot:
        await opened(pilot, app, "0.1.0-4-g3f9c2a1")
        await pilot.press("p")
        await until(pilot, lambda: isinstance(app.screen, PromoteScreen) and app.screen.found is not None)
        screen = app.screen
        assert isinstance(screen, PromoteScreen)
        screen.channels.move_to("staging")
        await until(pilot, lambda: any("[/health]" in offer.why_not for offer in app.offers_here()))
        await pilot.press("ctrl+p", *"move")
        await until(pilot, lambda: isinstance(app.screen, CommandPalette) and "asks why, and for a yes" in shown(app))
        assert app.is_running
