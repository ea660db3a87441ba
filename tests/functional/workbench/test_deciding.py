"""What is decided about images from the screens: what shows, what is asked first, and what the ledger is told."""

from collections.abc import Callable

import pytest
from at_image import opened, typed
from msgspec.structs import replace
from screen import line_with, said, shown, until
from shop import Ruling, Shop
from textual import events
from textual.pilot import Pilot

from core.errors import LedgerError
from core.model.states import Act
from tui.app import Ingot
from tui.screens.difference import DifferenceScreen
from tui.screens.image import ImageScreen
from tui.screens.promote import PromoteScreen
from tui.screens.reasons import Reasons
from tui.widgets.typed import Typed

FULL = (140, 42)
SMALL = (80, 24)
NASTY = "\x1b[31m[bold]0wned[/bold]\x1b]0;title\x07"


async def promoting(pilot: Pilot[None], app: Ingot, version: str, channel: str) -> PromoteScreen:
    """The promote screen with its checks known."""
    await opened(pilot, app, version)
    await pilot.press("p")
    await until(pilot, lambda: isinstance(app.screen, PromoteScreen) and app.screen.found is not None)
    screen = app.screen
    assert isinstance(screen, PromoteScreen)
    screen.channels.move_to(channel)
    await until(pilot, lambda: screen.channel is not None and screen.channel.name == channel)
    await pilot.pause()
    return screen


async def test_the_list_shows_what_was_decided(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await opened(pilot, app, "0.1.0")
        line_with(app, "0.1.0-4-g3f9c2a1", "· candidate", "✗ failed")
        line_with(app, "0.1.0.2", "· candidate", "· untested", "! by hand")
        line_with(app, "0.1.0 ", "✓ good", "✓ passed", "staging")
        line_with(app, "0.0.9", "✓ good", "production", "↻ outdated")
        ruled.change("base", "0.0.9", Act.REVOKED, why="a key is in it")
        app.read_standing()
        await until(pilot, lambda: "with base 0.0.9" in shown(app))
        line_with(app, "0.0.9", "✗ revoked", "✗ production", "with base 0.0.9")


async def test_a_channel_is_moved_for_a_reason_and_one_key_takes_it_back(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        screen = await promoting(pilot, app, "0.1.0", "production")
        for words in (("✓ State", "good, which production takes"), ("✓ Tests", "passed, 10 cases"), ("✓ Sealed",)):
            line_with(app, *words)
        await until(pilot, lambda: "libnginx-mod-http-geoip2" in shown(app))
        line_with(app, "▼ nginx", "1.24.0-1", "→ 1.22.1-9")
        await pilot.press("enter")
        await typed(pilot, app, "tried")
        await until(pilot, lambda: ruled.heard)
        assert ruled.heard == ["promote frontend 0.1.0 production from 0.0.9: tried"]
        await until(pilot, lambda: screen.channel is not None and screen.channel.here)
        await pilot.pause()
        line_with(app, "production", "0.1.0", "this one", "tried")
        line_with(app, "✓ It has this one.", "u takes it back to 0.0.9")
        await pilot.press("u")
        await until(pilot, lambda: len(ruled.heard) == 2)
        assert ruled.heard[1].startswith("back frontend production from 0.1.0 to 0.0.9: ")
        await until(pilot, lambda: screen.channel is not None and not screen.channel.here)
        assert app.standing.decided.trail("frontend", "production").version == "0.0.9"


async def test_a_channel_that_others_moved_goes_back_only_for_a_reason(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await promoting(pilot, app, "0.1.0", "staging")
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Reasons))
        assert "staging of frontend goes back from 0.1.0 to 0.0.9" in shown(app)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Reasons))
        assert ruled.heard == []
        await pilot.press("u")
        await typed(pilot, app, "slow")
        await until(pilot, lambda: ruled.heard == ["back frontend staging from 0.1.0 to 0.0.9: slow"])


async def test_a_channel_that_would_go_elsewhere_than_was_said_stays(shop: Shop, ruled: Ruling) -> None:
    ruled.good("frontend", "0.1.0.2", 10)
    ruled.move("frontend", "staging", "0.1.0.2")
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        screen = await promoting(pilot, app, "0.1.0.2", "staging")
        await pilot.press("u")
        await until(pilot, lambda: isinstance(app.screen, Reasons))
        assert "staging of frontend goes back from 0.1.0.2 to 0.1.0," in shown(app)
        ruled.change("frontend", "0.1.0", Act.REVOKED, by="Grace Lee <grace@example.org>", why="it leaks")
        await typed(pilot, app, "slow")
        await until(pilot, lambda: "would not go back to 0.1.0 any more, but to 0.0.9" in said(app))
        assert app.standing.decided.trail("frontend", "staging").version == "0.1.0.2"
        await until(pilot, lambda: screen.channel is not None and screen.channel.back_to == "0.0.9")


async def test_what_others_moved_meanwhile_does_not_go_back_with_one_key(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        screen = await promoting(pilot, app, "0.1.0", "production")
        await pilot.press("enter")
        await typed(pilot, app, "tried")
        await until(pilot, lambda: screen.channel is not None and screen.channel.here)
        ruled.good("frontend", "0.1.0.2", 10)
        ruled.move("frontend", "production", "0.1.0.2", by="Grace Lee <grace@example.org>", why="0.1.0 is slow")
        await pilot.press("u")
        await until(pilot, lambda: "moved by Grace Lee" in said(app))
        await until(pilot, lambda: screen.channel is not None and screen.channel.version == "0.1.0.2")
        await pilot.pause()
        line_with(app, "production", "0.1.0.2", "Grace Lee", "0.1.0 is slow")


async def test_warnings_want_a_yes(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await promoting(pilot, app, "0.1.0.2", "staging")
        line_with(app, "! By hand", "touched by Grace Lee")
        line_with(app, "! Sealed", "not sealed: no report")
        line_with(app, "! Tests", "not tested yet")
        await pilot.press("enter")
        await typed(pilot, app, "a try", "y")
        assert "That is not yes" in shown(app)
        assert ruled.heard == []
        await pilot.press("e", "s", "enter")
        await until(pilot, lambda: ruled.heard)
        assert ruled.heard == ["promote frontend 0.1.0.2 staging from 0.1.0: a try"]


async def test_what_is_in_the_way_cannot_be_passed(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await promoting(pilot, app, "0.1.0-4-g3f9c2a1", "production")
        line_with(app, "✗ State", "candidate, and production takes what is good or")
        line_with(app, "✗ Tests", "port 80 answers")
        await pilot.press("enter")
        await until(pilot, lambda: "Move the channel…: not now" in said(app))
        assert not isinstance(app.screen, Reasons)
        assert "ingot test frontend 0.1.0-4-g3f9c2a1" in said(app)
        assert ruled.heard == []


async def test_who_was_second_is_told_who_was_first_and_sees_it(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        screen = await promoting(pilot, app, "0.1.0", "production")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, Reasons))
        ruled.good("frontend", "0.1.0.2", 10)
        ruled.move("frontend", "production", "0.1.0.2", by="Grace Lee <grace@example.org>", why="I was first")
        app.read_standing()  # what is known behind the question is not what the person saw
        await until(pilot, lambda: app.standing.decided.trail("frontend", "production").version == "0.1.0.2")
        await typed(pilot, app, "tried")
        await until(pilot, lambda: "moved by Grace Lee" in said(app))
        await until(pilot, lambda: screen.channel is not None and screen.channel.version == "0.1.0.2")
        await pilot.pause()
        line_with(app, "production", "0.1.0.2", "Grace Lee", "I was first")
        assert len(ruled.moves["frontend", "production"]) == 2


async def test_readonly_looks_and_moves_nothing(shop: Shop, ruled: Ruling) -> None:
    app = shop.app(readonly=True)
    async with app.run_test(size=FULL) as pilot:
        await promoting(pilot, app, "0.1.0", "production")
        line_with(app, "--readonly: nothing is moved from here")
        await pilot.press("enter", "u")
        await pilot.pause()
        assert not isinstance(app.screen, Reasons)
        await pilot.press("escape")
        for action in ("revoke", "deprecate", "restore"):
            app.workbench.action_act(action)
            assert f"{action.capitalize()}…: not now" in said(app)
        assert ruled.heard == []


async def test_revoking_says_what_goes_with_it_and_wants_reason_and_name(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await opened(pilot, app, "0.1.0", "base")
        await pilot.press("colon", *"revoke", "enter")
        await until(pilot, lambda: isinstance(app.screen, Reasons))
        for words in ("frontend 0.1.0", "backend 0.1.0", "production of base, at 0.1.0, is blocked"):
            assert words in shown(app)
        await typed(pilot, app, "a key", "base 0.1")
        assert "That is not base 0.1.0" in shown(app)
        assert ruled.heard == ["consequences base 0.1.0"]
        await pilot.press(".", "0", "enter")
        await until(pilot, lambda: len(ruled.heard) == 2)
        assert ruled.heard[1] == "revoke base 0.1.0 (base 0.1.0): a key"
        await until(pilot, lambda: "✗ revoked" in shown(app))
        app.workbench.action_act("restore")
        await typed(pilot, app, "no key")
        await until(pilot, lambda: ruled.heard[-1] == "restore base 0.1.0: no key")


async def test_what_is_typed_ahead_goes_to_the_next_field(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await opened(pilot, app, "0.0.9")
        app.workbench.action_act("revoke")
        await until(pilot, lambda: isinstance(app.screen, Reasons) and isinstance(app.focused, Typed))
        for key in ("o", "l", "d", "enter", *"frontend", "space", "0", "full_stop", "0", "full_stop", "9", "enter"):
            character = {"space": " ", "full_stop": "."}.get(key, key)
            app.post_message(events.Key(key, character if len(character) == 1 else None))
        await until(pilot, lambda: ruled.heard[-1] == "revoke frontend 0.0.9 (frontend 0.0.9): old")


@pytest.mark.parametrize("action", ["revoke", "deprecate", "convert"])
async def test_enter_alone_says_what_is_missing_and_the_question_stays(shop: Shop, ruled: Ruling, action: str) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        image = await opened(pilot, app, "0.0.9")
        if action == "convert":
            app.decisions.convert(image, lambda _: None)
        else:
            app.workbench.action_act(action)
        await until(pilot, lambda: isinstance(app.screen, Reasons) and isinstance(app.focused, Typed))
        await pilot.press("enter")
        await until(pilot, lambda: "This is missing. Esc leaves everything as it is." in shown(app))
        assert isinstance(app.screen, Reasons)
        await pilot.press("escape")
        await until(pilot, lambda: not isinstance(app.screen, Reasons))
    assert not [heard for heard in ruled.heard if heard.startswith(action)]


async def test_deprecating_names_what_to_take_instead(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await opened(pilot, app, "0.0.9")
        app.workbench.action_act("deprecate")
        await typed(pilot, app, "old nginx", "0.1.0")
        await until(pilot, lambda: ruled.heard == ["deprecate frontend 0.0.9 for 0.1.0: old nginx"])
        await until(pilot, lambda: "! deprecated" in shown(app))


async def test_what_cannot_be_restored_says_so(shop: Shop, ruled: Ruling) -> None:
    ruled.change("base", "0.0.9", Act.REVOKED, why="old")
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await opened(pilot, app, "0.0.9")
        app.workbench.action_act("restore")
        await until(pilot, lambda: "base 0.0.9 is, which it is built on: restore that" in said(app))


async def test_a_ledger_that_cannot_be_read_is_said_where_it_is_missed(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        image = await opened(pilot, app, "0.1.0")
        ruled.refuse = LedgerError("The ledger cannot be read.", "Look at .git.")
        app.decisions.promote(image)
        await until(pilot, lambda: "The ledger cannot be read." in shown(app))
        await pilot.press("escape", "enter")
        await until(pilot, lambda: isinstance(app.screen, ImageScreen) and "! The ledger cannot be read." in shown(app))
        line_with(app, "commit", image.commit)


# what others wrote


@pytest.mark.parametrize("size", [FULL, SMALL], ids=["140x42", "80x24"])
async def test_whatever_others_wrote_is_shown_and_harmless(shop: Shop, ruled: Ruling, size: tuple[int, int]) -> None:
    ruled.move("frontend", "staging", "0.0.9", by=f"{NASTY} <x@example.org>", why=NASTY)
    key = ("frontend", "0.1.0")
    known = ruled.dossiers[key]
    packages = tuple(replace(item, name=NASTY, says=NASTY) for item in known.packages[:3])
    problems = (f"The report {NASTY} cannot be read.",)
    ruled.dossiers[key] = replace(known, packages=packages, problems=problems)
    found = ruled.differences["0.0.9", "0.1.0"]
    ruled.differences["0.0.9", "0.1.0"] = replace(found, notes=(NASTY,), patch=f"+{NASTY}\n-[link=x]y[/link]")
    app = shop.app()
    async with app.run_test(size=size) as pilot:
        await promoting(pilot, app, "0.1.0", "staging")
        await until(pilot, lambda: "[bold]0wned" in shown(app))
        steps: tuple[tuple[str, Callable[[], bool]], ...] = (
            ("equals_sign", lambda: isinstance(app.screen, DifferenceScreen)),
            ("G", lambda: "[link=x]y[/link]" in shown(app)),
            ("escape", lambda: isinstance(app.screen, PromoteScreen)),
            ("i", lambda: isinstance(app.screen, ImageScreen)),
            ("4", lambda: "[bold]0wned" in shown(app)),
            ("9", lambda: "[bold]0wned" in shown(app)),
        )
        for key_pressed, came in steps:
            await pilot.press(key_pressed)
            await until(pilot, came)
            assert "\x1b" not in shown(app)
            assert "\x07" not in shown(app)
