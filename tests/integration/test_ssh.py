"""Into a machine over SSH: a real sshd on this host."""

import asyncio
import os
import shlex
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncssh
import pytest
from msgspec.structs import replace
from patience import PATIENCE
from ssh_machine import SshMachine, fingerprint_of, free_port, make_key, missing, ssh_machine

from core.adapters import ssh
from core.adapters.ssh_login import ASKED_EVERY, UNANSWERED
from core.adapters.ssh_session import Shell
from core.errors import DeniedError, HostKeyError, NoAnswerError, NoShellError
from core.model.machine import Jump, Login, Machine

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshMachine]:
    with ssh_machine(tmp_path / "server") as started:
        yield started


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[str]:
    """The socket of an SSH agent without keys."""
    place = tmp_path / "agent"
    with subprocess.Popen(("ssh-agent", "-D", "-a", str(place)), stdout=subprocess.DEVNULL) as running:
        asks = {**os.environ, "SSH_AUTH_SOCK": str(place)}
        while subprocess.run(("ssh-add", "-l"), env=asks, capture_output=True, check=False).returncode == 2:
            assert running.poll() is None
        yield str(place)
        running.terminate()


def ran(*argv: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE)


async def read_until(shell: Shell, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        chunk = await shell.read()
        assert chunk, got
        got += chunk
    return got


async def says(machine: Machine, command: str = "echo in") -> bytes:
    connection = await ssh.connect(machine)
    try:
        return (await connection.run(command))[1]
    finally:
        await connection.close()


async def test_a_command_gives_its_status_output_and_errors(server: SshMachine) -> None:
    connection = await ssh.connect(server.machine())
    try:
        assert await connection.run("echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
        assert await connection.run("kill -TERM $$") == (-15, b"", b"")
        with pytest.raises(NoAnswerError, match=r"did not end within 0\.2 s"):
            await connection.run("sleep 60", timeout=0.2)
        assert (await connection.run("head -c 3000000 /dev/zero | wc -c"))[1] == b"3000000\n"
    finally:
        await connection.close()


async def test_a_shell_has_a_terminal_whose_size_follows(server: SshMachine) -> None:
    connection = await ssh.connect(server.machine())
    try:
        shell = await connection.shell(91, 33, command="stty size; echo $TERM; read line; stty size; exit 4")
        assert b"33 91\r\nxterm-256color\r\n" in await read_until(shell, b"256color\r\n")
        shell.resize(50, 20)
        shell.write(b"go\n")
        await read_until(shell, b"20 50\r\n")
        assert await shell.read() == b""
        assert shell.exit_status == 4
        shell.write(b"too late")
        shell.resize(1, 1)
        await shell.close()
    finally:
        await connection.close()


async def test_two_are_in_the_same_machine(server: SshMachine) -> None:
    both = [await ssh.connect(server.machine()) for _ in range(2)]
    shells = [await connection.shell(80, 24) for connection in both]
    for shell in shells:
        shell.write(b"echo $((6 * 7))-here\n")
    await asyncio.gather(*(read_until(shell, b"42-here") for shell in shells))
    for shell, connection in zip(shells, both, strict=True):
        await shell.close()
        await connection.close()


async def test_the_first_contact_pins(server: SshMachine) -> None:
    machine = server.machine()
    assert await ssh.pin(machine) == fingerprint_of(server.host)
    known = Path(machine.known_hosts)
    assert known.read_text().startswith(f"[127.0.0.1]:{server.port} ssh-ed25519 ")
    assert (known.stat().st_mode & 0o777, known.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert [path.name for path in known.parent.iterdir()] == ["known_hosts"]
    assert await ssh.pin(machine) == fingerprint_of(server.host)
    assert await says(machine) == b"in\n"


async def test_of_two_first_contacts_one_pins_and_the_other_compares(server: SshMachine, tmp_path: Path) -> None:
    with ssh_machine(tmp_path / "other") as other:
        here, there = server.machine(), replace(server.machine(), port=other.port)
        results = await asyncio.gather(ssh.pin(here), ssh.pin(there), ssh.pin(here), return_exceptions=True)
        good = {one for one in results if isinstance(one, str)}
        assert len(good) == 1
        assert any(isinstance(one, HostKeyError) for one in results)
        assert len(Path(here.known_hosts).read_text().splitlines()) == 1


async def test_a_changed_host_key_gets_nothing(server: SshMachine) -> None:
    machine = server.machine()
    before = await ssh.pin(machine)
    server.stop()
    server.new_host_key()
    server.start()
    after = fingerprint_of(server.host)
    for attempt in (ssh.connect, ssh.pin):
        with pytest.raises(HostKeyError) as caught:
            await attempt(machine)
        assert f"expected {before} (ssh-ed25519), offered {after} (ssh-ed25519)" in str(caught.value)
        assert machine.known_hosts in caught.value.next_step
    assert "Accepted" not in (server.place / "sshd.log").read_text()


async def test_a_changed_kind_of_host_key_is_a_change_as_well(server: SshMachine, tmp_path: Path) -> None:
    machine = server.machine()
    await ssh.pin(machine)
    server.stop()
    server.start(f"HostKey {make_key(tmp_path / 'ecdsa', 'ecdsa')}")
    with pytest.raises(HostKeyError, match=r"offered SHA256:\S+ \(ecdsa-sha2-nistp256\)"):
        await ssh.connect(machine)


async def test_a_machine_that_has_other_host_keys_as_well_is_the_same(server: SshMachine, tmp_path: Path) -> None:
    server.stop()
    server.start(f"HostKey {make_key(tmp_path / 'rsa', 'rsa')}")
    machine = server.machine()
    await ssh.pin(machine)
    server.stop()
    server.start(f"HostKey {server.host}", f"HostKey {tmp_path / 'rsa'}")
    assert await says(machine) == b"in\n"


async def test_the_consoles_fingerprints_decide_the_first_contact(server: SshMachine) -> None:
    machine = server.machine()
    assert await ssh.pin(machine, shown=["SHA256:" + "x" * 43, fingerprint_of(server.host)])
    with pytest.raises(HostKeyError, match="console shows others: SHA256:yyy"):
        await ssh.pin(machine, shown=["SHA256:" + "y" * 43])
    with pytest.raises(HostKeyError):
        await ssh.connect(machine)
    with pytest.raises(HostKeyError):
        ssh.ssh_command(machine)


async def test_a_damaged_pin_is_no_pin(server: SshMachine) -> None:
    machine = server.machine()
    await ssh.pin(machine)
    Path(machine.known_hosts).write_text("\n")
    with pytest.raises(HostKeyError, match="damaged"):
        await ssh.connect(machine)


async def test_a_wrong_key_is_named(server: SshMachine, tmp_path: Path) -> None:
    wrong, locked = make_key(tmp_path / "wrong"), make_key(tmp_path / "locked", passphrase="secret")
    login = Login(server.user, (str(wrong), str(locked), str(tmp_path / "none")))
    with pytest.raises(DeniedError) as caught:
        await ssh.connect(server.machine(login=login))
    said = caught.value.what
    assert f"{server.user}@127.0.0.1:{server.port} does not let {server.user} in" in said
    assert f"the key {wrong} ({fingerprint_of(wrong)})" in said
    assert f"the key {locked} (" in said
    assert "No such file" in said
    assert "ssh_username" in caught.value.next_step


async def test_keys_in_the_home_directory_are_never_offered(
    server: SshMachine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519").write_bytes(server.login.read_bytes())
    (tmp_path / ".ssh" / "config").write_text("Host *\n  User nobody\n  Port 1\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(DeniedError, match="Tried: nothing"):
        await ssh.connect(server.machine(login=Login(server.user)))
    assert await says(server.machine()) == b"in\n"


async def test_the_agents_keys_are_used_only_where_the_template_says_so(
    server: SshMachine, agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    with pytest.raises(DeniedError, match="0 keys of the agent"):
        await ssh.connect(server.machine(login=Login(server.user, agent=agent)))
    assert ran("ssh-add", "-q", str(server.login)).returncode == 0
    assert await says(server.machine(login=Login(server.user, agent=agent))) == b"in\n"
    for login in (Login(server.user), Login(server.user, (str(make_key(tmp_path / "wrong")),))):
        with pytest.raises(DeniedError):
            await ssh.connect(server.machine(login=login))
    with pytest.raises(DeniedError, match="Not tried: the agent at /nowhere"):
        await ssh.connect(server.machine(login=Login(server.user, agent="/nowhere")))


class PasswordServer(asyncssh.SSHServer):
    def begin_auth(self, username: str) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("packer", "s3cret pass")


@pytest.fixture
async def password_port(tmp_path: Path) -> AsyncIterator[int]:
    """A server that asks for a password: sshd does that for root alone."""
    key = make_key(tmp_path / "password-host")
    listening = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=PasswordServer, server_host_keys=[str(key)], process_factory=_answer
    )
    async with listening:
        yield listening.get_port()


async def _answer(process: "asyncssh.SSHServerProcess[str]") -> None:
    process.stdout.write("in\n")
    process.exit(0)


async def test_a_password_comes_from_its_file(server: SshMachine, password_port: int, tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("s3cret pass")
    machine = server.machine(port=password_port, login=Login("packer", password_file=str(password)))
    assert await says(machine) == b"in\n"
    password.write_text("wrong")
    with pytest.raises(DeniedError, match=r"Tried: the password\.") as caught:
        await ssh.connect(machine)
    assert "wrong" not in str(caught.value)


async def test_through_a_jump_host_both_are_pinned(server: SshMachine, tmp_path: Path) -> None:
    with ssh_machine(tmp_path / "jump") as jump:
        machine = server.machine(jump=jump.as_jump)
        assert await ssh.pin(machine) == fingerprint_of(server.host)
        assert await says(machine) == b"in\n"
        assert Path(machine.known_hosts + ".jump").read_text().startswith(f"[127.0.0.1]:{jump.port} ")
        assert "Accepted publickey" in (jump.place / "sshd.log").read_text()

        with pytest.raises(NoAnswerError, match="jump host cannot reach"):
            await ssh.connect(replace(machine, port=free_port()))
        with pytest.raises(DeniedError, match="The jump host nobody@"):
            await ssh.connect(replace(machine, jump=replace(jump.as_jump, login=Login("nobody"))))
        jump.stop()
        jump.new_host_key()
        jump.start()
        with pytest.raises(HostKeyError, match=f"127.0.0.1:{jump.port} shows another"):
            await ssh.connect(machine)


async def test_nobody_there_refuses_and_a_silent_one_takes_too_long(server: SshMachine) -> None:
    with pytest.raises(NoAnswerError, match="refuses the connection"):
        await ssh.connect(server.machine(port=free_port()))
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(NoAnswerError, match=r"did not answer within 0\.3 s"):
            await ssh.connect(server.machine(port=silent.getsockname()[1]), timeout=0.3)
        with pytest.raises(NoAnswerError):
            await ssh.pin(server.machine(port=silent.getsockname()[1]), timeout=0.3)
    with pytest.raises(NoAnswerError, match="cannot be reached"):
        await ssh.connect(server.machine(host="no-such-host.invalid"))


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"communicator": "winrm"}, "WinRM"),
        ({"communicator": "none"}, "no communicator"),
        ({"host": ""}, "not said yet where"),
    ],
)
async def test_without_ssh_it_says_why(server: SshMachine, more: dict[str, str], says: str) -> None:
    for attempt in (ssh.connect, ssh.pin):
        with pytest.raises(NoShellError, match=says):
            await attempt(server.machine(**more))


async def test_a_machine_whose_power_fails_is_lost_at_once_and_found_again_after_the_boot(server: SshMachine) -> None:
    connection = await ssh.connect(server.machine())
    shell = await connection.shell(80, 24)
    assert not connection.lost.is_set()
    server.stop()
    assert await asyncio.wait_for(_to_the_end(shell), PATIENCE)
    await asyncio.wait_for(connection.lost.wait(), PATIENCE)
    assert shell.exit_status is None
    with pytest.raises(NoAnswerError, match="broke"):
        await connection.run("true")
    with pytest.raises(NoAnswerError, match="broke"):
        await connection.shell(80, 24)
    await shell.close()
    await connection.close()
    with pytest.raises(NoAnswerError, match="refuses"):
        await ssh.connect(server.machine())
    server.start()
    assert await says(server.machine()) == b"in\n"


async def _to_the_end(shell: Shell) -> bool:
    while await shell.read():
        pass
    return True


async def test_a_machine_that_hangs_is_lost(server: SshMachine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ASKED_EVERY * (UNANSWERED + 1) < 15
    monkeypatch.setattr("core.adapters.ssh_login.ASKED_EVERY", 1.0)
    connection = await ssh.connect(server.machine())
    shell = await connection.shell(80, 24)
    server.freeze()
    await asyncio.wait_for(connection.lost.wait(), PATIENCE)
    assert await asyncio.wait_for(_to_the_end(shell), PATIENCE)
    await connection.close()


async def test_the_command_line_for_another_client_leads_into_the_machine(server: SshMachine, tmp_path: Path) -> None:
    odd = tmp_path / "an odd 100% place"
    odd.mkdir()
    key = odd / "key"
    key.write_bytes(server.login.read_bytes())
    key.chmod(0o600)
    with ssh_machine(tmp_path / "jump") as jump:
        login = Login(server.user, (str(key),))
        machine = server.machine(known_hosts=str(odd / "keys" / "known_hosts"), login=login)
        for one in (machine, replace(machine, jump=jump.as_jump)):
            await ssh.pin(one)
            line = shlex.join([*ssh.ssh_command(one), "echo", "in"])
            done = ran("sh", "-c", line)
            assert (done.returncode, done.stdout) == (0, "in\n"), done.stderr
        assert len(Path(machine.known_hosts).read_text().splitlines()) == 1


async def test_the_command_line_is_as_careful_as_we_are(
    server: SshMachine, agent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attempt(machine: Machine) -> "subprocess.CompletedProcess[str]":
        argv = [*ssh.ssh_command(machine), "echo", "in"]
        argv[1:1] = ["-o", "BatchMode=yes"]
        return ran(*argv)

    machine = server.machine()
    assert attempt(machine).returncode == 255  # nothing is pinned
    await ssh.pin(machine)
    monkeypatch.setenv("SSH_AUTH_SOCK", agent)
    assert ran("ssh-add", "-q", str(server.login)).returncode == 0
    assert attempt(server.machine(login=Login(server.user))).returncode == 255  # the agent is not the template's
    assert attempt(server.machine(login=Login(server.user, agent=agent))).returncode == 0
    server.stop()
    server.new_host_key()
    server.start()
    assert "Host key verification failed" in attempt(machine).stderr


def test_names_that_look_like_options_stay_names() -> None:
    machine = Machine("1", "b", "qemu.web", "qemu", host="-oProxyCommand=x", known_hosts="/k", login=Login("-l"))
    words = ssh.ssh_command(replace(machine, jump=Jump("-v", 22, Login("a b"))))
    assert words[-2:] == ["--", "-l@-oProxyCommand=x"]
    proxy = next(word for word in words if word.startswith("ProxyCommand="))
    assert shlex.split(proxy)[-2:] == ["--", "a b@-v"]
