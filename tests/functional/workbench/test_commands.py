"""Help, palette and the command line: all three from the registry, all three carry out what they list."""

import pytest
from screen import line_with, lines, shown, until
from shop import Shop
from textual import events

from tui.actions import Actor, key_name, offers
from tui.app import Ingot
from tui.screens.command import Command, completions
from tui.screens.help import Help
from tui.screens.image import ImageScreen
from tui.widgets.typed import Typed

FULL = (140, 42)


async def test_help_lists_every_key_and_enter_carries_it_out(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("question_mark")
        await until(pilot, lambda: "Keys that work here" in shown(app))
        line_with(app, "b", "Build", ":build role")
        line_with(app, "x", "not now: Choose a run first")
        await pilot.press("slash", *":runs", "enter", "enter")
        await until(pilot, lambda: app.screen is app.workbench and app.focused is app.workbench.runs)


async def test_help_says_why_when_what_it_lists_cannot_be_done(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("question_mark", "slash", *"cancel", "enter", "enter")
        await until(pilot, lambda: app.notices)
        assert "Choose a run first" in app.notices[-1].text


@pytest.mark.parametrize("size", [FULL, (80, 24)], ids=["140x42", "80x24"])
async def test_help_says_why_not_in_the_list_and_whole_below_it(shop: Shop, size: tuple[int, int]) -> None:
    app = shop.app()
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("question_mark")
        await until(pilot, lambda: isinstance(app.screen, Help))
        await pilot.press("slash", *"cancel", "enter")
        await until(pilot, lambda: "Not now: Choose a run first: 4 goes to the runs." in shown(app))
        line_with(app, "▸", "Cancel…", "not now: Choose a run first")


async def test_no_two_actions_of_a_screen_share_a_key_and_all_can_be_carried_out(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        for actor in app.actors():
            assert isinstance(actor, Actor)
            keys = [key for action in actor.ACTIONS for key in action.keys]
            assert len(keys) == len(set(keys))
            for action in actor.ACTIONS:
                assert hasattr(actor, f"do_{action.id}"), action.id
        offered = [key for offer in offers(app.actors()) for key in offer.action.keys]
        assert len(offered) == len(set(offered))


async def test_a_command_is_completed_with_tab_and_carried_out(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("colon")
        await until(pilot, lambda: isinstance(app.screen, Command))
        await pilot.press("b")
        await pilot.press("tab")
        await until(pilot, lambda: ":build" in shown(app))
        await pilot.press(*"fr")
        await until(pilot, lambda: "frontend   stale" in shown(app))
        await pilot.press("tab", "enter")
        await until(pilot, lambda: shop.asked.heard)
        assert shop.asked.heard == ["build frontend"]


async def test_what_is_typed_at_once_after_a_key_that_takes_text_is_text(shop: Shop) -> None:
    """A slow line delivers many keys together: `b` of `:build` must not build, nor `l` of a filter open a log."""
    app = shop.app()
    async with app.run_test(size=(140, 42)) as pilot:
        await until(pilot, lambda: app.loaded and not app.discovering)
        for key, character in ((":", ":"), ("b", "b"), ("x", "x"), ("S", "S")):
            app.post_message(events.Key("colon" if key == ":" else key, character))
        await until(pilot, lambda: [line.value for line in app.screen.query(Typed)] == ["bxS"])
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.workbench)
        for key in "/bl":
            app.post_message(events.Key("slash" if key == "/" else key, key))
        await until(pilot, lambda: app.workbench.roles.rows.needle == "bl")
        assert app.screen is app.workbench
        assert shop.asked.heard == []


async def test_commands_go_to_panes_and_an_unknown_one_is_named(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("colon", *"runs", "enter")
        await until(pilot, lambda: app.focused is app.workbench.runs)
        await pilot.press("colon", *"rm -rf", "enter")
        await until(pilot, lambda: "There is no command rm." in shown(app))
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.workbench)
        await pilot.press("colon", *"build nothing", "enter")
        await until(pilot, lambda: app.notices)
        assert "There is no role nothing" in app.notices[-1].text
        await pilot.press("colon", *"quit", "enter")
        await until(pilot, lambda: not app.is_running)


async def test_completions_know_roles_runs_and_image_versions(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)

        def of(typed: str) -> list[str]:
            return [one.line for one in completions(typed, app.offers_here(), app.overview)]

        assert of("bu") == ["build "]
        assert of("build b") == ["build base", "build backend"]
        assert of("build base b") == ["build base backend"]
        assert of("cancel 4") == ["cancel 4"]
        assert "delete frontend 0.1.0" in of("delete frontend 0")
        assert of("quit now") == []


async def test_the_palette_finds_an_action_by_its_name(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Build stale" in shown(app))
        await pilot.press(*"build sta")
        await until(pilot, lambda: "Build stale" in shown(app) and "Image versions" not in shown(app))
        await pilot.press("down", "enter")
        await until(pilot, lambda: shop.asked.heard)
        assert shop.asked.heard == ["build stale"]


async def test_the_palette_says_that_nothing_is_called_so(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=(60, 15)) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("ctrl+p")
        await until(pilot, lambda: "Build stale" in shown(app))
        await pilot.press(*"zzqx")
        await until(pilot, lambda: "Nothing here is called that" in shown(app))
        await pilot.press("enter")
        await until(pilot, lambda: app.screen is app.workbench)
        assert shop.asked.heard == []


async def test_an_image_version_opens_with_all_that_is_known_and_each_line_copies(shop: Shop) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("j", "2", "enter")
        await until(pilot, lambda: isinstance(app.screen, ImageScreen))
        await pilot.pause()
        for words in (
            "0.1.0-4-g3f9c2a1",
            "verified by ledger",
            "packer 1.11.2",
            "612 MB",
        ):
            line_with(app, words)
        assert lines(app)[-1].endswith("Esc Back ")
        await pilot.press("slash", *"commit", "enter", "y")
        assert app.clipboard.startswith("3f9c2a1d")
        await pilot.press("escape", "7")
        await until(pilot, lambda: "frontend.qcow2" in shown(app))
        line_with(app, "digest", "sha256:a1a1")
        await pilot.press("escape")
        await until(pilot, lambda: app.screen is app.workbench)


def test_keys_are_named_as_people_say_them() -> None:
    names = ("ctrl+p", "question_mark", "f5", "shift+tab", "G", "pageup", "escape", "down")
    assert [key_name(key) for key in names] == ["Ctrl+P", "?", "F5", "Shift+Tab", "G", "PgUp", "Esc", "↓"]


def test_the_app_is_what_its_protocol_says() -> None:
    assert issubclass(Ingot, object)
    assert all(hasattr(Ingot, name) for name in ("why_not", "act", "ACTIONS"))
