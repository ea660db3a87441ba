"""The debug screen on a terminal that knows nothing but ASCII: the machine's own drawing, too."""

import pytest
from held import NOBODY, Door, hold, put_machine
from into_machine import WAY_OUT, enter, in_machine, keys_count_again
from screen import lines, shown, until
from shop import Shop

FULL = (140, 42)
DRAWN = (
    "größer “x” 日本 👩‍💻 ┌─┐ █▓ … → ✓\r\n".encode()
    + b"\x1b[6 q\x1b(0lqqk\x1b(B \x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\ \x1b[5mdone\x1b[0m\r\n"
)


STEPS = (
    (),
    (WAY_OUT, "1"),
    ("z",),
    (WAY_OUT, "z"),
    (WAY_OUT, "n"),
    (WAY_OUT, "x"),
    ("escape", "2", "shift+pageup", "slash", "d"),
)


@pytest.mark.parametrize("size", [FULL, (60, 15)], ids=["140x42", "60x15"])
async def test_nothing_but_ascii_is_drawn(shop: Shop, size: tuple[int, int]) -> None:
    hold(shop, why="größer “x” ✗")
    door = Door(shop)
    app = shop.app(debugging=door, ascii_only=True)
    async with app.run_test(size=size, notifications=True) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        door.shells[0].say(DRAWN)
        await until(pilot, lambda: "done" in shown(app))
        for keys in STEPS:
            await pilot.press(*keys)
            await pilot.pause()
            drawn = lines(app)
            assert "\n".join(drawn).isascii(), "\n".join(drawn)
            assert {len(line) for line in drawn} == {size[0]}


async def test_what_stands_for_a_shell_and_the_list_of_machines_are_ascii_too(shop: Shop) -> None:
    hold(shop)
    put_machine(shop, hold(shop, role="frontend", why="größer"), port=4011)
    door = Door(shop)
    door.refuse = NOBODY
    door.lines = "größer “x” 日本\r\n".encode()
    app = shop.app(debugging=door, ascii_only=True)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: "refuses the connection" in shown(app) and "console says" in shown(app))
        assert shown(app).isascii()
        await keys_count_again(pilot, app)
        await pilot.press("m")
        await until(pilot, lambda: "Which machine?" in shown(app))
        assert shown(app).isascii()
