"""A machine that turns away what is known of it: another key is given on the screen, and the shell opens."""

from pathlib import Path

import pytest
from held import hold, key_of, with_real_shells
from into_machine import enter, keys_count_again
from msgspec.structs import replace
from screen import shown, until
from shop import Shop
from ssh_machine import GUEST, PASSWORD, PasswordMachine, SshMachine, cannot_have_users, make_key, missing
from textual import events
from textual.pilot import Pilot
from textual.widgets import Static

from core.adapters import ssh
from core.errors import RefusedError
from core.model.machine import Login, Machine, MachineState
from core.services.debugging import Debugging
from tui.app import Ingot
from tui.screens.login import AskLogin
from tui.terminal.widget import Terminal
from tui.widgets.typed import Typed


async def turned_away(pilot: Pilot[None], app: Ingot) -> None:
    """From the run to its machine, which lets nobody in, and to the question for another login."""
    await enter(pilot, app)
    await until(pilot, lambda: "Other user, key or password" in shown(app))
    await keys_count_again(pilot, app)
    await pilot.press("u")
    await until(pilot, lambda: isinstance(app.screen, AskLogin))


async def paste_key(pilot: Pilot[None], app: Ingot, key: Path) -> None:
    app.post_message(events.Paste(str(key)))
    await until(pilot, lambda: str(key) in [typed.value for typed in app.screen.query(Typed)])
    await pilot.press("enter")


@pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")
async def test_the_wrong_key_is_denied_and_the_right_one_leads_in(shop: Shop, tmp_path: Path) -> None:
    run = hold(shop)
    real = SshMachine(tmp_path / "machine")
    real.start()
    try:
        wrong = Login(real.user, (str(make_key(tmp_path / "wrong")),))
        machine = real.machine(run_uid=run.uid, stage_key=key_of(run), build="qemu.database", login=wrong)
        app = with_real_shells(shop, machine)
        async with app.run_test(size=(140, 42)) as pilot:
            await turned_away(pilot, app)
            await pilot.press(*"/nowhere", "enter")
            await until(pilot, lambda: "The key /nowhere cannot be read." in shown(app))
            await pilot.press("ctrl+u")
            await paste_key(pilot, app, make_key(tmp_path / "other"))
            await until(pilot, lambda: "does not let" in str(app.screen.query_one("#wrong", Static).content))
            known = shop.index.machine(run.uid, key_of(run))
            assert known is not None
            assert known.login == wrong, "one that does not lead in does not count"
            await pilot.press("ctrl+u")
            await paste_key(pilot, app, real.login)
            await until(pilot, lambda: isinstance(app.focused, Terminal))
            await pilot.press(*"expr 41 + 1", "enter")
            await until(pilot, lambda: "42" in "".join(shown(app).split("expr 41 + 1")[1:]))
        kept = shop.index.machine(run.uid, key_of(run))
        assert kept is not None
        assert kept.login.key_files == (str(real.login),)
        assert kept.state is MachineState.PAUSED
    finally:
        real.stop()


class LetIn:
    async def close(self) -> None: ...


async def test_a_password_is_in_a_private_file_and_nowhere_else(
    shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def connect(_: Machine) -> LetIn:
        return LetIn()

    monkeypatch.setattr(ssh, "connect", connect)
    run = hold(shop, known_hosts=str(tmp_path / "known_hosts"))
    machine = shop.index.machine(run.uid, key_of(run))
    assert machine is not None
    debugging = Debugging(shop.places, {})
    for user, key, password in (("", "", "x"), ("ada", "", ""), ("ada", "/nowhere", "")):
        with pytest.raises(RefusedError):
            await debugging.log_in(machine, user, key, password)
    given = await debugging.log_in(machine, "ada", password="hunter 2 and 3")
    path = Path(given.login.password_file)
    assert path.read_text() == "hunter 2 and 3"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.is_relative_to(shop.places.run(run.uid) / "keys")
    assert shop.index.machine(run.uid, key_of(run)) == given
    assert b"hunter" not in b"".join(one.read_bytes() for one in shop.places.home.glob("index.sqlite*"))
    assert (await debugging.log_in(machine, "bob")).login == replace(given.login, user="bob")


@pytest.mark.skipif(bool(missing() or cannot_have_users()), reason=missing() or cannot_have_users())
async def test_a_password_is_given_on_the_screen(shop: Shop, tmp_path: Path) -> None:
    run = hold(shop)
    server = PasswordMachine(tmp_path / "machine")
    server.start()
    try:
        machine = server.machine(run_uid=run.uid, stage_key=key_of(run), build="qemu.database", login=Login("root"))
        app = with_real_shells(shop, machine)
        async with app.run_test(size=(140, 42)) as pilot:
            await turned_away(pilot, app)
            await pilot.press("shift+tab", "ctrl+u", *GUEST, "tab", "tab", *PASSWORD)
            assert PASSWORD not in shown(app)
            await pilot.press("enter")
            await until(pilot, lambda: isinstance(app.focused, Terminal))
            await pilot.press(*"id -un", "enter")
            await until(pilot, lambda: "\n│guest" in shown(app) or "guest" in shown(app).split("id -un")[-1])
    finally:
        server.stop()
