"""Getting into a machine over asyncssh: which host keys it may show, what is shown to it, and why it lets nobody in.

Imported with ssh_session.py, which has what can be done once inside.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh

from core.adapters import ssh_pins
from core.adapters.ssh_pins import HostKey
from core.errors import ConnectError, DeniedError, HostKeyError, NoAnswerError
from core.model.machine import Login

ASKED_EVERY = 4.0
"""Seconds between questions whether the other side still lives, when it is silent."""
UNANSWERED = 2
"""So many may stay without an answer: a machine that died is noticed after 4 × (2 + 1) = 12 s."""

# Plain keys only: the pin file holds one. Without SHA-1, as OpenSSH since 8.8.
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip


@dataclass(slots=True)
class Pins:
    """Which host keys one server may show."""

    path: Path
    host: str
    port: int
    refused: HostKeyError | None = None

    def algorithms(self) -> list[str]:
        """Those of the pinned keys first: a server that still has them shows one of them. The others after them, or a
        server without them would only say that nothing fits."""
        known: list[str] = []
        for key in ssh_pins.pinned(self.path):
            known += ["rsa-sha2-512", "rsa-sha2-256"] if key.algorithm == "ssh-rsa" else [key.algorithm]
        return list(dict.fromkeys([*known, *_HOST_KEY_ALGORITHMS]))

    def accept(self, offered: HostKey) -> None:
        """Pin it if nothing is pinned yet. Raises HostKeyError when it is another one."""
        where = f"{self.host}:{self.port}"
        shown = ssh_pins.shown(self.path)
        if shown and offered.fingerprint not in shown:
            raise HostKeyError(
                f"{where} offers the host key {offered}, and the machine's own console shows others: "
                f"{', '.join(sorted(shown))}.",
                "That is not the machine of this build, or somebody is in between. Nothing was sent to it.",
            )
        pinned = ssh_pins.pinned(self.path) or ssh_pins.pin(self.path, self.host, self.port, offered)
        if offered not in pinned:
            raise HostKeyError(
                f"{where} shows another host key than on first contact: expected "
                f"{' or '.join(str(key) for key in pinned)}, offered {offered}. Nothing was sent to it.",
                "A machine keeps its key when it reboots: this may be another one, or somebody in between. If it was "
                f"meant to make new keys, compare the offered one with its console, and remove {self.path}.",
            )


class Client(asyncssh.SSHClient):
    """Decides on the host key, and notices the end."""

    def __init__(self, pins: Pins) -> None:
        self.pins = pins
        self.lost = asyncio.Event()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        try:
            self.pins.accept(host_key(key))
        except HostKeyError as error:
            self.pins.refused = error
        return self.pins.refused is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def log_in(
    name: str, pins: Pins, login: Login, tunnel: asyncssh.SSHClientConnection | None
) -> tuple[asyncssh.SSHClientConnection, Client]:
    """A connection to the server that the pins are for, logged in; `name` is what an error calls it.

    Raises HostKeyError, DeniedError and NoAnswerError.
    """
    client = Client(pins)
    async with _credentials(login) as given:
        try:
            link = await asyncssh.connect(
                pins.host,
                pins.port,
                client_factory=lambda: client,
                config=[],  # not the user's
                known_hosts=([], [], []),  # none without asking the client
                server_host_key_algs=pins.algorithms(),
                username=login.user or (),
                # None, not an empty list: that would be the keys in ~/.ssh.
                client_keys=given.keys or None,
                agent_path=None,  # its keys are among those above
                password=given.password,
                gss_host=None,
                x509_trusted_certs=None,
                tunnel=tunnel,
                keepalive_interval=ASKED_EVERY,
                keepalive_count_max=UNANSWERED,
                connect_timeout=None,
                login_timeout=0,  # the caller has one for all of it
            )
        except (asyncssh.PermissionDenied, asyncssh.DisconnectError, asyncssh.Error, OSError) as error:
            if pins.refused is not None:
                raise pins.refused from error
            if _is_denial(error):
                raise given.denied(name, login.user) from error
            raise not_connected(name, error) from error
    return link, client


@dataclass(slots=True)
class _Credentials:
    """What can be shown to a server, and what cannot though it should."""

    keys: list[Any] = field(default_factory=list[Any])
    password: str | None = None
    tried: list[str] = field(default_factory=list[str])
    unusable: list[str] = field(default_factory=list[str])

    def denied(self, name: str, user: str) -> DeniedError:
        tried = " and ".join(self.tried) or "nothing, as no key, agent or password is known"
        unusable = f" Not tried: {'; '.join(self.unusable)}." if self.unusable else ""
        return DeniedError(
            f"{name} does not let {user or 'anybody'} in. Tried: {tried}.{unusable}",
            "Look at ssh_username and at the key or password of the template's communicator, or give another key.",
        )


@contextlib.asynccontextmanager
async def _credentials(login: Login) -> AsyncGenerator[_Credentials]:
    """They can be used inside; an agent is asked to sign while the server looks at its keys."""
    given = _Credentials()
    for path in login.key_files:
        try:
            key = asyncssh.read_private_key(path)
        except (asyncssh.KeyImportError, OSError) as error:
            given.unusable.append(f"the key {path} ({reason(error)})")
        else:
            given.keys.append(key)
            given.tried.append(f"the key {path} ({key.get_fingerprint()})")
    async with contextlib.AsyncExitStack() as around:
        if login.agent:
            try:
                agent = await around.enter_async_context(asyncssh.SSHAgentClient(login.agent))
                signers: Sequence[asyncssh.SSHKeyPair] = list(await agent.get_keys())
            except (asyncssh.Error, OSError, ValueError) as error:
                given.unusable.append(f"the agent at {login.agent} ({reason(error)})")
            else:
                given.keys += signers
                given.tried.append(f"{len(signers)} key{'s'[: len(signers) != 1]} of the agent at {login.agent}")
        if login.password_file:
            try:
                given.password = Path(login.password_file).read_text().rstrip("\n")
                given.tried.append("the password")
            except (OSError, ValueError) as error:
                given.unusable.append(f"the password in {login.password_file} ({reason(error)})")
        yield given


def host_key(key: asyncssh.SSHKey) -> HostKey:
    """A key that a server shows, as it is pinned."""
    return HostKey(key.get_algorithm(), key.public_data)


def _is_denial(error: Exception) -> bool:
    # OpenSSH hangs up on the sixth key: "Too many authentication failures", as a protocol error.
    return isinstance(error, asyncssh.PermissionDenied) or "authentication failures" in str(error)


def not_connected(name: str, error: Exception) -> ConnectError:
    """What to say where no connection came about."""
    look = "The machine may still be starting, or be gone: look at its console."
    match error:
        case ConnectionRefusedError():
            return NoAnswerError(f"{name} refuses the connection: no SSH server listens there.", look)
        case asyncssh.ChannelOpenError():
            return NoAnswerError(f"The jump host cannot reach {name}: {error.reason}.", look)
        case asyncssh.Error():
            return NoAnswerError(f"{name} ended the connection before it was open: {reason(error)}.", look)
        case _:
            return NoAnswerError(f"{name} cannot be reached: {reason(error)}.", look)


def reason(error: Exception) -> str:
    """What an error of the library or the system says, without its full stop."""
    said = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(said).strip().rstrip(".") or type(error).__name__
