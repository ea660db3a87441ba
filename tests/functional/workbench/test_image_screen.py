"""The image screen: every section of it, what can be opened from there, and what is asked for."""

from at_image import on_its_screen, typed
from screen import line_with, lines, shown, until
from shop import Ruling, Shop

from tui.screens.image import ImageScreen

FULL = (140, 42)
SMALL = (80, 24)


async def test_every_section_of_an_image_is_a_key_away(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await on_its_screen(pilot, app, "0.1.0", "holds")
        wanted: dict[str, tuple[tuple[str, ...], ...]] = {
            "1": (("tests", "✓ passed"), ("holds", "240 packages", "2 services"), ("channels", "staging")),
            "2": (
                ("Debian bookworm, signed archive", "✓ signature", "0b0b0b0b0b0b"),
                ("└ base 0.1.0", "✓ good", "✓ ledger"),
                ("└ frontend 0.1.0", "this one"),
            ),
            "3": (("✓ checkout",), ("✓ register",), ("run", "6, begun")),
            "4": (("port", "tcp 80", "nginx"), ("deb", "openssl", "3.0.15-1~deb12u1")),
            "5": (("✓ clean", "machine id"), ("! kept", "caches")),
            "6": (("✓ passed", "9 passed, 1 skipped", "let in after 21 s"), ("✓ port 80 answers", "tests/frontend")),
            "7": (("qcow2", "612 MB", "✓ here", "✓ inside"), ("digest", "sha256:" + "a1" * 32)),
            "8": (("channel", "staging", "Grace Lee: geoip"),),
            "9": (("staging 0.0.9 → 0.1.0", "Grace Lee"), ("✓ tested, passed",), ("built", "from 3f9c2a1")),
        }
        for key, expected in wanted.items():
            await pilot.press(key)
            await pilot.pause()
            for words in expected:
                line_with(app, *words)


async def test_a_test_that_failed_shows_what_it_printed_and_copies_it(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=SMALL) as pilot:
        await on_its_screen(pilot, app, "0.1.0-4-g3f9c2a1", "✗ 1 left")
        await pilot.press("6", "j")
        await pilot.pause()
        line_with(app, "✗ port 80 answers", "curl: (7)")
        assert "exit status 7" in shown(app)
        await pilot.press("y")
        assert "curl -sS http://127.0.0.1/" in app.clipboard
        await pilot.press("5")
        await pilot.pause()
        line_with(app, "✗ found", "machine id", "/etc/machine-id")


async def test_what_is_built_on_each_other_can_be_walked(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await on_its_screen(pilot, app, "0.1.0", "holds")
        await pilot.press("2", "j", "enter")
        await until(pilot, lambda: "image ▸ base" in lines(app)[0])
        await pilot.press("8")
        await until(pilot, lambda: "backend 0.1.0" in shown(app))
        line_with(app, "built on it", "backend 0.1.0", "✓ good")
        await pilot.press("escape", "escape")
        await until(pilot, lambda: app.screen is app.workbench)


async def test_what_nobody_looked_at_says_how_to_look(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await on_its_screen(pilot, app, "0.1.0.2", "touched by hand")
        for key, words in (
            ("3", "The run that made it is not known on this machine."),
            ("4", "Nobody looked what is in it."),
            ("5", "[roles.frontend.seal] in ingot.toml"),
            ("6", "ingot test frontend 0.1.0.2"),
            ("8", "ingot promote frontend 0.1.0.2 CHANNEL"),
        ):
            await pilot.press(key)
            await until(pilot, lambda words=words: words in shown(app))


async def test_an_image_is_tested_again_and_converted_from_its_screen(shop: Shop, ruled: Ruling) -> None:
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await on_its_screen(pilot, app, "0.1.0")
        await pilot.press("t")
        await until(pilot, lambda: ruled.heard == ["test frontend 0.1.0"])
        await pilot.press("c")
        await typed(pilot, app, "vhd, ova")
        await until(pilot, lambda: ruled.heard[-1] == "convert frontend 0.1.0 to vhd ova")
        await pilot.press("8")
        await until(pilot, lambda: "8 convert" in shown(app))
        line_with(app, "run", "7 test", "queued")


async def test_a_row_is_found_by_its_whole_digest(shop: Shop, ruled: Ruling) -> None:
    """Its cell shows the beginning of it."""
    wanted = {"7": ("sha256:" + "a1" * 32, "qcow2"), "2": ("sha256:" + "0b" * 32, "Debian bookworm")}
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await on_its_screen(pilot, app, "0.1.0", "holds")
        for key, (digest, words) in wanted.items():
            await pilot.press(key, "slash", *digest)
            screen = app.screen
            assert isinstance(screen, ImageScreen)
            await until(pilot, lambda screen=screen: not screen.table.rows.working)
            assert len(screen.table.rows.shown) == 1
            line_with(app, words)
            await pilot.press("enter", "escape")
