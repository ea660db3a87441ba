"""What the host key of a machine in a cloud was compared with is on the screen, and another one is told loudly."""

from pathlib import Path

import pytest
from held import Door, hold, put_machine
from into_machine import enter, in_machine
from screen import said, shown, until
from shop import Shop

from core.adapters import ssh_pins
from core.adapters.ssh_pins import HostKey
from tui.screens.debug import DebugScreen

KEY = HostKey("ssh-ed25519", b"a key")


@pytest.mark.parametrize("size", [(140, 42), (80, 24)])
async def test_a_key_that_was_compared_with_nothing_is_told_and_one_that_is_another_loudly(
    shop: Shop, tmp_path: Path, size: tuple[int, int]
) -> None:
    pins = tmp_path / "keys" / "known_hosts"
    ssh_pins.pin(pins, "192.0.2.7", 22, KEY)
    run = hold(shop)
    put_machine(shop, run, kind="amazon-ebs", instance="i-0abc", host="192.0.2.7", port=22, known_hosts=str(pins))
    app = shop.app(debugging=Door(shop))
    async with app.run_test(size=size) as pilot:
        await enter(pilot, app)
        await in_machine(pilot, app)
        if size[0] < 140:
            await pilot.press("ctrl+right_square_bracket", "1")
        await until(pilot, lambda: "host key pinned on first contact" in shown(app))
        ssh_pins.note_shown(pins, ["SHA256:" + "A" * 43])
        screen = app.screen
        assert isinstance(screen, DebugScreen)
        screen.watching.look_in_any_case()  # as it does every 15 s
        await until(pilot, lambda: "may not be the machine of this build" in said(app))
        await until(pilot, lambda: "! the pinned host key is none" in shown(app))
