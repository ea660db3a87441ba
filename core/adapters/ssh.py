"""SSH into a machine of a build: shells and commands over one connection, with its host key pinned.

Who shows another host key than the pinned one gets nothing: no user name, no key, no password. The first contact pins
(trust on first use), and where the cloud shows the machine's fingerprints they decide even that one. Neither the
user's own SSH configuration nor keys that lie in `~/.ssh` are looked at: what leads into the machine is in the Machine.

Light to import: the library behind it (core/adapters/ssh_session.py) is loaded by the first connection, or `load`.
"""

import asyncio
import importlib
import shlex
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from core.adapters import ssh_pins
from core.errors import HostKeyError, NoShellError
from core.model.machine import Jump, Login, Machine, into_winrm, no_ssh

if TYPE_CHECKING:
    from core.adapters.ssh_session import Connection as Connection
    from core.adapters.ssh_session import Shell as Shell
    from core.adapters.ssh_session import Taker as Taker

PATIENCE = 10.0
"""Seconds that a machine has to answer, prove its key and let us in."""


async def load() -> None:
    """Have what connects at hand. It takes a quarter of a second, in a thread: the event loop must not stand still."""
    await asyncio.to_thread(importlib.import_module, "core.adapters.ssh_session")


async def connect(machine: Machine, *, timeout: float = PATIENCE) -> "Connection":  # noqa: ASYNC109 - it is named in the error
    """A connection that is logged in. Pins the host key when nobody has yet.

    Raises NoShellError (WinRM, or no address yet), NoAnswerError (refused, silent, gone), HostKeyError, DeniedError.
    """
    check(machine)
    await load()
    from core.adapters import ssh_session

    return await ssh_session.connect(machine, timeout)


async def pin(machine: Machine, *, shown: Collection[str] = (), timeout: float = PATIENCE) -> str:  # noqa: ASYNC109
    """Pin the machine's host key, or compare it with what is pinned, and give its fingerprint. Logs in nowhere but at
    the jump host.

    `shown` are the fingerprints that the cloud's console shows (`ssh_pins.shown_fingerprints`). They are kept, and from
    now on only these keys count, whatever was pinned before. Raises what `connect` raises.
    """
    check(machine)
    await load()
    from core.adapters import ssh_session

    await asyncio.to_thread(ssh_pins.note_shown, Path(machine.known_hosts), shown)
    return await ssh_session.pin(machine, timeout)


async def methods(machine: Machine, *, timeout: float = PATIENCE) -> tuple[str, ...]:  # noqa: ASYNC109 - as above
    """How the machine would let its user in: `publickey`, `password`, … (RFC 4252). Shows it nothing but the user's
    name, and believes whoever answers. Raises NoAnswerError."""
    await load()
    from core.adapters import ssh_session

    return await ssh_session.methods(machine, timeout)


def check(machine: Machine) -> None:
    """Raises NoShellError when SSH does not lead to this machine, HostKeyError when there is no place for its pin."""
    if machine.communicator == "winrm":
        raise NoShellError(no_ssh(machine), into_winrm(machine))
    if machine.communicator == "none":
        raise NoShellError(
            f"{machine.build} has no communicator: Packer itself never logs in to it.",
            "Look at its console.",
        )
    if not machine.host:
        raise NoShellError(
            f"Packer has not said yet where the machine of {machine.build} is.", "Wait, or look at its console."
        )
    if not machine.known_hosts:
        raise HostKeyError(
            f"There is no place to pin the host key of {machine.address}.", "Is the run's directory still there?"
        )


def jump_pins(machine: Machine) -> Path:
    """The file that pins the jump host's key: beside the machine's."""
    return Path(f"{machine.known_hosts}.jump")


def ssh_command(machine: Machine) -> list[str]:
    """An OpenSSH command line into the machine, with the same keys, pin, port and jump host; for a person to use.

    Not quoted for a shell. It holds no secret: where a password is needed, ssh asks for it. It works once the host key
    is pinned (`pin`). Raises NoShellError, and HostKeyError when the console shows another key than the pinned one.
    """
    check(machine)
    known_hosts = Path(machine.known_hosts)
    shown, pinned = ssh_pins.shown(known_hosts), ssh_pins.pinned(known_hosts)
    if shown and not all(key.fingerprint in shown for key in pinned):
        raise HostKeyError(
            f"The pinned host key of {machine.address} is not one of those that the machine's own console shows.",
            "That was not the machine of this build, or somebody is in between.",
        )
    words = ["ssh", *_options(machine.login, machine.known_hosts)]
    if machine.jump is not None:
        words += ["-o", f"ProxyCommand={proxy_command(machine, machine.jump)}"]
    return [*words, *_destination(machine.host, machine.port, machine.login)]


def _options(login: Login, known_hosts: str) -> list[str]:
    options = [
        f"UserKnownHostsFile={_path_value(known_hosts)}",
        "GlobalKnownHostsFile=/dev/null",
        "StrictHostKeyChecking=yes",
        "UpdateHostKeys=no",  # else ssh adds the server's other keys to the pin
        f"IdentityAgent={_path_value(login.agent) if login.agent else 'none'}",
    ]
    if not login.agent:
        options.append("IdentitiesOnly=yes" if login.key_files else "PubkeyAuthentication=no")
    words = ["-F", "none"]
    for option in options:
        words += ["-o", option]
    for key in login.key_files:
        # -i takes a path as it is when it looks for the file, and expands it when it reads it (ssh.c).
        words += ["-o", f"IdentityFile={_path_value(key)}"] if "%" in key else ["-i", key]
    return words


def _destination(host: str, port: int, login: Login) -> list[str]:
    return ["-p", str(port), "--", f"{login.user}@{host}" if login.user else host]


def proxy_command(machine: Machine, jump: Jump) -> str:
    """What OpenSSH gets to the machine with over its jump host: expanded by ssh (`%`), then run by a shell."""
    to = f"[{machine.host}]:{machine.port}" if ":" in machine.host else f"{machine.host}:{machine.port}"
    words = ["ssh", *_options(jump.login, str(jump_pins(machine))), "-W", to]
    return shlex.join([*words, *_destination(jump.host, jump.port, jump.login)]).replace("%", "%%")


def _path_value(path: str) -> str:
    """A path as the value of an option: spaces end it, `%` and a leading `~` stand for something."""
    escaped = path.replace("%", "%%").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"' if any(sign in path for sign in " \t'\"\\#") else escaped
