"""What stands in the place of a shell can be read whole, and copied, in the smallest usual terminal."""

from held import Door, hold
from into_machine import enter
from screen import lines, shown, until
from shop import Shop

from core.errors import HostKeyError

EXPECTED, OFFERED = "SHA256:" + "e" * 43, "SHA256:" + "o" * 43
PATH = "/home/operations/.local/share/ingot/runs/019d3a7c5f2e4b8a9c01/keys/qemu.database/known_hosts"


async def test_the_file_to_remove_is_told_whole(shop: Shop) -> None:
    hold(shop)
    door = Door(shop)
    door.refuse = HostKeyError(
        f"127.0.0.1:3059 shows another host key than on first contact: expected {EXPECTED} (ssh-ed25519), offered "
        f"{OFFERED} (ssh-ed25519). Nothing was sent to it.",
        "A machine keeps its key when it reboots: this may be another one, or somebody in between. If it was meant to "
        f"make new keys, compare the offered one with its console, and remove {PATH}.",
    )
    app = shop.app(debugging=door)
    async with app.run_test(size=(80, 24)) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: "No shell yet" in shown(app) and "and remove" in shown(app))
        told = "".join(line.strip(" │") for line in lines(app))
        for words in (EXPECTED, OFFERED, f"{PATH}."):
            assert words in told
