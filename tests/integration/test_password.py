"""A machine that takes a password: a real OpenSSH server with a user of its own, and the program on a real terminal."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import ssh_machine as machines
from installed import Ingot
from paused_run import PausedRuns
from person import Person
from ssh_machine import GUEST, PASSWORD, PasswordMachine, ssh_machine

from core.adapters import ssh
from core.errors import DeniedError
from core.model.machine import Login

WHY_NOT = f"{machines.missing()} is not installed" if machines.missing() else machines.cannot_have_users()

pytestmark = pytest.mark.skipif(bool(WHY_NOT), reason=WHY_NOT)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PasswordMachine]:
    machine = PasswordMachine(tmp_path / "machine")
    machine.start()
    yield machine
    machine.stop()


async def test_the_password_of_a_file_leads_in_and_a_wrong_one_does_not(
    server: PasswordMachine, tmp_path: Path
) -> None:
    right, wrong = tmp_path / "right", tmp_path / "wrong"
    right.write_text(f"{PASSWORD}\n")
    wrong.write_text("guess\n")
    connection = await ssh.connect(server.machine(login=Login(GUEST, password_file=str(right))))
    assert (await connection.run("id -un"))[1] == b"guest\n"
    await connection.close()
    with pytest.raises(DeniedError, match=r"does not let guest in. Tried: the password"):
        await ssh.connect(server.machine(login=Login(GUEST, password_file=str(wrong))))


def test_a_password_is_asked_on_the_terminal_and_counts_from_then_on(
    ingot: Ingot, runs: PausedRuns, server: PasswordMachine, people: list[Person]
) -> None:
    run = runs.run()
    before = runs.machine(run, server, login=Login("root", (str(server.login),)))
    runs.pause(run)
    which = str(run.id)
    refused = ingot("debug", which, "--", "true")
    assert refused.returncode == 1
    assert f"ingot debug {which} --user NAME, with --key FILE or --ask-password" in refused.stderr
    without = ingot("debug", which, "--user", GUEST, "--ask-password", "--", "true")
    assert (without.returncode, "asked for on a terminal" in without.stderr) == (2, True)

    people.append(wrong := Person(ingot, "debug", which, "--user", GUEST, "--ask-password"))
    wrong.sees("Password of guest in 127.0.0.1: ")
    wrong.types("a guess\r")
    assert wrong.ends() == 1
    assert "does not let guest in" in wrong.said.decode()
    assert runs.index.machine(run.uid, "build/qemu.web") == before  # the one before goes on to count
    keys = runs.places.run(run.uid) / "keys" / "qemu.web"
    assert not list(keys.glob("password*"))

    people.append(person := Person(ingot, "debug", which, "--user", GUEST, "--ask-password"))
    person.sees("Password of guest in 127.0.0.1: ")
    person.types(f"{PASSWORD}\r")
    assert PASSWORD not in person.sees("from now on its machine is entered as guest@127.0.0.1")
    person.sees("marked as touched by hand")
    arguments = (
        Path(f"/proc/{person.process.pid}/cmdline").read_bytes()
        + Path(f"/proc/{person.process.pid}/environ").read_bytes()
    )
    assert PASSWORD.encode() not in arguments
    person.types("expr 41 + 1; id -un; exit\r")
    person.sees("42")
    person.sees("guest")
    person.ends()

    again = ingot("debug", which, "--", "id -un")
    assert again.stdout == "guest\n", again.stderr
    (path,) = keys.glob("password*")
    assert path.stat().st_mode & 0o777 == 0o600
    found = b"".join(one.read_bytes() for one in runs.places.home.rglob("*") if one.is_file() and one != path)
    assert PASSWORD.encode() not in found


def test_another_user_or_key_can_be_given(ingot: Ingot, runs: PausedRuns, tmp_path: Path) -> None:
    with ssh_machine(tmp_path / "keyed") as server:
        run = runs.run()
        runs.machine(run, server, login=Login("nobody-here", (str(server.login),)))
        runs.pause(run)
        which = str(run.id)
        done = ingot("debug", which, "--user", server.user, "--", "echo in")
        assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
        wrong = machines.make_key(tmp_path / "other")
        assert ingot("debug", which, "--key", str(wrong), "--", "true").returncode == 1
        assert ingot("debug", which, "--", "echo still").stdout == "still\n"
        assert "cannot be read" in ingot("debug", which, "--key", "/nowhere", "--", "true").stderr
        assert "a login is for entering" in ingot("debug", which, "--user", "a", "--extend", "1h").stderr.lower()
        assert ingot("--readonly", "debug", which, "--user", server.user).returncode == 2
