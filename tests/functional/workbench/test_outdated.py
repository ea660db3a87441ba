"""A parent with a newer good image: said beside the roles, and the chain is built again with one key."""

from msgspec.structs import replace
from screen import lines, shown, until
from shop import Shop

from core.model.image import ImageState
from core.model.role import Upstream, UpstreamKind

DAY = 86_400
FULL = (140, 42)


def on_base(shop: Shop, *, newer: bool) -> None:
    """frontend is built on base, of which there is a newer good version or not."""
    frontend = replace(shop.role("frontend"), upstream=Upstream(UpstreamKind.ROLE, role="base"))
    shop.save([shop.role("base"), frontend])
    images = [
        shop.image("base", "0.1.0", 3 * DAY, ImageState.GOOD),
        shop.image("frontend", "0.1.0", 2 * DAY, ImageState.GOOD, "0.1.0"),
    ]
    if newer:
        images.append(shop.image("base", "0.2.0", DAY, ImageState.GOOD))
    shop.index.replace_images(shop.workspace.id, images, f"head-{newer}")
    why = {"frontend": "parent base has newer good 0.2.0"} if newer else {}
    shop.index.save_stale(shop.workspace.id, why)


async def test_an_outdated_role_says_why_and_one_key_builds_the_chain_again(shop: Shop) -> None:
    on_base(shop, newer=True)
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("j")
        await until(pilot, lambda: "parent base has newer good 0.2.0" in shown(app))
        assert any("frontend" in line and "outdated" in line for line in lines(app))
        await pilot.press("O")
        await until(pilot, lambda: shop.asked.heard)
        assert shop.asked.heard == ["build outdated"]


async def test_where_nothing_is_outdated_the_key_says_so(shop: Shop) -> None:
    on_base(shop, newer=False)
    app = shop.app()
    async with app.run_test(size=FULL) as pilot:
        await until(pilot, lambda: app.loaded)
        await pilot.press("O")
        await until(pilot, lambda: app.notices)
        assert "No role is outdated" in app.notices[-1].text
        assert shop.asked.heard == []
