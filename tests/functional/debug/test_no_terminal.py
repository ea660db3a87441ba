"""What goes wrong when a shell opens is said, and leaves nothing behind in the machine."""

from collections.abc import Callable

import pytest
from held import Door, Scripted, hold
from into_machine import enter, in_machine, keys_count_again
from screen import shown, until
from shop import Shop

from core.errors import IngotError
from core.model.machine import Machine
from tui.terminal.widget import Terminal
from tui.widgets.machine_tab import MachineTerminal

FULL = (140, 42)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tui.widgets.shells.TRY_AGAIN", 0.5)


@pytest.mark.parametrize("error", [IngotError("No terminal can be drawn here.", "Try ssh."), RuntimeError("no render")])
async def test_a_shell_that_cannot_be_drawn_is_closed_and_no_other_is_opened(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(_: MachineTerminal) -> None:
        raise error

    hold(shop)
    door = Door(shop)
    app = shop.app(debugging=door)
    with monkeypatch.context() as patch:
        patch.setattr(MachineTerminal, "new_emulator", fails)
        async with app.run_test(size=FULL) as pilot:
            await enter(pilot, app)
            await until(pilot, lambda: str(error).split(".")[0] in shown(app))
            await keys_count_again(pilot, app)
            assert len(door.shells) == 1
            assert door.shells[0].closed
            patch.undo()
            await pilot.press("n")
            await until(pilot, lambda: isinstance(app.focused, Terminal))
            assert [shell.closed for shell in door.shells] == [True, False]


class Astonishing(Door):
    """Fails in a way that nobody thought of, for a while."""

    fails = True

    async def shell(
        self, machine: Machine, columns: int, rows: int, on_output: Callable[[bytes], None] | None = None
    ) -> Scripted:
        if self.fails:
            raise RuntimeError("the moon is full")
        return await super().shell(machine, columns, rows, on_output)


async def test_an_error_that_nobody_expected_is_shown_and_it_is_tried_again(shop: Shop) -> None:
    hold(shop)
    door = Astonishing(shop)
    app = shop.app(debugging=door)
    async with app.run_test(size=FULL) as pilot:
        await enter(pilot, app)
        await until(pilot, lambda: "RuntimeError: the moon is full" in shown(app))
        door.fails = False
        await in_machine(pilot, app)
        assert [shell.closed for shell in door.shells] == [False]
