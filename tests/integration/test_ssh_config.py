"""The file with which OpenSSH gets into a machine as Ingot does."""

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from ssh_machine import SshMachine, missing

from core.adapters import ssh, ssh_config

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[tuple[SshMachine, SshMachine]]:
    """The one to get into, and one on the way to it."""
    there, between = SshMachine(tmp_path / "there"), SshMachine(tmp_path / "between")
    there.start()
    between.start()
    yield there, between
    there.stop()
    between.stop()


def said_in(file: Path) -> str:
    done = subprocess.run(
        ("ssh", "-F", str(file), "machine", "echo in it"), capture_output=True, text=True, check=False, timeout=60
    )
    subprocess.run(("ssh", "-F", str(file), "-O", "exit", "machine"), capture_output=True, check=False, timeout=60)
    return done.stdout or done.stderr


@pytest.mark.parametrize("over_another", [False, True])
async def test_openssh_gets_in_with_the_pin_and_over_the_jump_host(
    machines: tuple[SshMachine, SshMachine], tmp_path: Path, over_another: bool
) -> None:
    there, between = machines
    pins = str(tmp_path / "a place" / "known_hosts")
    machine = there.machine(known_hosts=pins, jump=between.as_jump if over_another else None)
    await (await ssh.connect(machine)).close()  # pins
    file = ssh_config.write(tmp_path / "config", machine, tmp_path / "s")
    assert await asyncio.to_thread(said_in, file) == "in it\n"
    if over_another:
        between.stop()
        assert "in it" not in await asyncio.to_thread(said_in, file)
    else:
        Path(pins).write_text(Path(pins).read_text().replace("AAAA", "AAAB"))
        assert "in it" not in await asyncio.to_thread(said_in, file)
