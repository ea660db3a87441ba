"""Another host key at the machine's place: it gets nothing, the screen says what was expected, and lives on."""

from pathlib import Path

import pytest
from into_machine import in_real_shell, keys_count_again
from screen import shown, until
from shop import Shop
from ssh_machine import SshMachine, missing

from core.store.touches import Touches
from tui.screens.debug import DebugScreen
from tui.screens.questions import Question

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


def changed(real: SshMachine) -> None:
    real.stop()
    real.new_host_key()
    real.start()


async def test_a_shell_does_not_come_back_to_another_host_key_and_no_other_opens(shop: Shop, tmp_path: Path) -> None:
    async with in_real_shell(shop, tmp_path / "machine") as (run, real, app, pilot):
        log = real.place / "sshd.log"
        before = log.read_text().count("Accepted")
        changed(real)
        await until(pilot, lambda: "shows another host key than on first contact" in shown(app))
        await keys_count_again(pilot, app)
        await pilot.press("n")
        await until(pilot, lambda: "No shell yet" in shown(app) and "Nothing was sent to" in shown(app))
        assert "A machine keeps its key when it reboots" in shown(app)
        assert log.read_text().count("Accepted") == before, "nobody was logged in anywhere"
        assert len(Touches(shop.places.run(run.uid)).all()) == 1, "a shell that did not open is no touch"
        await pilot.press("ctrl+right_square_bracket", "r")
        await until(pilot, lambda: isinstance(app.screen, Question))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, DebugScreen))
