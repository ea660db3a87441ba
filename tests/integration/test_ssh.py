"""Into a machine over SSH: a real sshd on this host."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from ssh_machine import SshMachine, fingerprint_of, missing, ssh_machine

from core.adapters import ssh
from core.adapters.ssh_session import Shell

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshMachine]:
    with ssh_machine(tmp_path / "server") as started:
        yield started


async def read_until(shell: Shell, wanted: bytes) -> bytes:
    got = b""
    while wanted not in got:
        chunk = await shell.read()
        assert chunk, got
        got += chunk
    return got


async def test_a_command_gives_its_status_output_and_errors(server: SshMachine) -> None:
    connection = await ssh.connect(server.machine())
    try:
        assert await connection.run("echo out; echo err >&2; exit 3") == (3, b"out\n", b"err\n")
        assert await connection.run("kill -TERM $$") == (-15, b"", b"")
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
        await shell.close()
    finally:
        await connection.close()


async def test_the_first_contact_pins(server: SshMachine) -> None:
    machine = server.machine()
    assert await ssh.pin(machine) == fingerprint_of(server.host)
    known = Path(machine.known_hosts)
    assert known.read_text().startswith(f"[127.0.0.1]:{server.port} ssh-ed25519 ")
    assert (known.stat().st_mode & 0o777, known.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert await ssh.pin(machine) == fingerprint_of(server.host)
    await (await ssh.connect(machine)).close()
