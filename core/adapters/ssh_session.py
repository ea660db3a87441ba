"""Connections, shells and commands over asyncssh. Imported when the first one is opened (core/adapters/ssh.py)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from core.adapters import ssh_pins
from core.adapters.ssh import jump_pins
from core.adapters.ssh_pins import HostKey
from core.errors import ConnectError, DeniedError, HostKeyError, NoAnswerError
from core.model.machine import Login, Machine

ASKED_EVERY = 4.0
"""Seconds between questions whether the other side still lives, when it is silent."""
UNANSWERED = 2
"""So many may stay without an answer: a machine that died is noticed after 4 × (2 + 1) = 12 s."""
_READ_AT_ONCE = 64 * 1024
_CLOSE_PATIENCE = 1.0
"""Seconds to say goodbye to a machine that may be dead."""

# Plain keys only: the pin file holds one. Without SHA-1, as OpenSSH since 8.8.
_HOST_KEY_ALGORITHMS = (
    "ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "rsa-sha2-512", "rsa-sha2-256",
)  # fmt: skip


Taker = Callable[[bytes], Awaitable[None]]
"""Takes some of a stream; until it has, no more comes."""


class Shell:
    """A program on a terminal in the machine."""

    def __init__(self, process: "asyncssh.SSHClientProcess[bytes]") -> None:
        self._process = process

    @property
    def exit_status(self) -> int | None:
        """None as long as it runs, and when the connection broke; negative: the signal that ended it."""
        return self._process.returncode

    async def read(self) -> bytes:
        """What it printed, some of it; empty at the end, also when the connection broke (`Connection.lost` tells)."""
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
            if got := await self._process.stdout.read(_READ_AT_ONCE):
                return got
            async with asyncio.timeout(_CLOSE_PATIENCE):  # the exit status comes after the end of the output
                await self._process.wait_closed()
        return b""

    def write(self, data: bytes) -> None:
        """Type something. After the end nothing happens."""
        with contextlib.suppress(asyncssh.Error, OSError):
            self._process.stdin.write(data)

    def resize(self, columns: int, rows: int) -> None:
        with contextlib.suppress(asyncssh.Error, OSError):
            self._process.change_terminal_size(max(1, columns), max(1, rows))

    async def close(self) -> None:
        """Hang up on it. The connection stays."""
        self._process.close()
        with contextlib.suppress(TimeoutError, asyncssh.Error, OSError):
            async with asyncio.timeout(_CLOSE_PATIENCE):
                await self._process.wait_closed()


class Connection:
    """A connection into a machine, logged in. Any number of shells and commands at a time."""

    def __init__(
        self,
        machine: Machine,
        link: asyncssh.SSHClientConnection,
        client: "_Client",
        tunnel: asyncssh.SSHClientConnection | None,
    ) -> None:
        self.machine = machine
        self.lost = client.lost
        """Set as soon as the connection is gone: closed, broken, or silent for 12 s."""
        self._link = link
        self._tunnel = tunnel

    async def run(self, command: str, *, timeout: float | None = None) -> tuple[int, bytes, bytes]:  # noqa: ASYNC109
        """Exit status, output and errors of a command; the rest is as with `stream`.

        Raises NoAnswerError also when the time (in seconds) is up: the command is told to end then, but may go on.
        """
        out, err = bytearray(), bytearray()

        async def printed(data: bytes) -> None:
            out.extend(data)

        async def complained(data: bytes) -> None:
            err.extend(data)

        try:
            async with asyncio.timeout(timeout):
                status = await self.stream(command, printed, complained)
        except TimeoutError:
            raise NoAnswerError(
                f"The command did not end within {timeout:g} s in {self.machine.address}: {command}",
                "Run it in a shell, where its output can be seen.",
            ) from None
        return status, bytes(out), bytes(err)

    async def stream(self, command: str, out: Taker, err: Taker) -> int:
        """Run a command, which the user's shell in the machine reads, and give what it prints and what it complains as
        it comes; gives its exit status, below zero the signal that ended it. No terminal, and nothing to read from.

        A command that prints faster than it is taken waits. Raises NoAnswerError when the connection breaks, and what
        `out` and `err` raise: the command is told to end then, but may go on.
        """
        try:
            process: asyncssh.SSHClientProcess[bytes] = await self._link.create_process(
                command, encoding=None, stdin=asyncssh.DEVNULL
            )
        except (asyncssh.Error, OSError) as error:
            raise _broke(self.machine.address, error) from error
        passing = [
            asyncio.ensure_future(self._pass_on(process.stdout, out)),
            asyncio.ensure_future(self._pass_on(process.stderr, err)),
        ]
        try:
            await asyncio.gather(*passing)
            await process.wait_closed()
        finally:
            for one in passing:
                one.cancel()
            process.close()
        if process.returncode is None:
            raise _broke(self.machine.address, None)
        return process.returncode

    async def _pass_on(self, reader: "asyncssh.SSHReader[bytes]", take: Taker) -> None:
        while True:
            try:
                data = await reader.read(_READ_AT_ONCE)
            except (asyncssh.Error, OSError) as error:
                raise _broke(self.machine.address, error) from error
            if not data:
                return
            await take(data)

    async def shell(self, columns: int, rows: int, term: str = "xterm-256color", command: str | None = None) -> Shell:
        """The user's login shell, or a command, on a terminal of this size. Raises NoAnswerError."""
        try:
            process: asyncssh.SSHClientProcess[bytes] = await self._link.create_process(
                command,
                request_pty="force",
                term_type=term,
                term_size=(max(1, columns), max(1, rows)),
                encoding=None,
                stderr=asyncssh.STDOUT,
                window=_READ_AT_ONCE,
            )
        except (asyncssh.Error, OSError) as error:
            raise _broke(self.machine.address, error) from error
        return Shell(process)

    async def close(self) -> None:
        """Says goodbye; takes a second at most, also when the machine is dead."""
        await _close(self._link)
        await _close(self._tunnel)


async def connect(machine: Machine, timeout: float) -> Connection:  # noqa: ASYNC109 - it is named in the error
    """See `ssh.connect`."""
    return await _within(timeout, machine.address, _connect(machine))


async def _connect(machine: Machine) -> Connection:
    pins = _Pins(Path(machine.known_hosts), machine.host, machine.port)
    tunnel = await _to_jump(machine)
    try:
        link, client = await _log_in(machine.address, pins, machine.login, tunnel)
    except BaseException:
        await _close(tunnel)
        raise
    return Connection(machine, link, client, tunnel)


async def pin(machine: Machine, timeout: float) -> str:  # noqa: ASYNC109 - it is in the error
    """See `ssh.pin`."""
    return await _within(timeout, machine.address, _pin(machine))


async def _pin(machine: Machine) -> str:
    pins = _Pins(Path(machine.known_hosts), machine.host, machine.port)
    tunnel = await _to_jump(machine)
    try:
        found = await asyncssh.get_server_host_key(
            pins.host, pins.port, tunnel=tunnel or (), config=[], server_host_key_algs=pins.algorithms()
        )
    except (asyncssh.Error, OSError) as error:
        raise _not_connected(machine.address, error) from error
    finally:
        await _close(tunnel)
    if found is None:
        raise NoAnswerError(f"{machine.address} showed no host key.", "Is that an SSH server?")
    offered = _host_key(found)
    pins.accept(offered)
    return offered.fingerprint


async def _to_jump(machine: Machine) -> asyncssh.SSHClientConnection | None:
    if (jump := machine.jump) is None:
        return None
    user = f"{jump.login.user}@" if jump.login.user else ""
    pins = _Pins(jump_pins(machine), jump.host, jump.port)
    link, _ = await _log_in(f"The jump host {user}{jump.host}:{jump.port}", pins, jump.login, None)
    return link


@dataclass(slots=True)
class _Pins:
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


class _Client(asyncssh.SSHClient):
    """Decides on the host key, and notices the end."""

    def __init__(self, pins: _Pins) -> None:
        self.pins = pins
        self.lost = asyncio.Event()

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        try:
            self.pins.accept(_host_key(key))
        except HostKeyError as error:
            self.pins.refused = error
        return self.pins.refused is None

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set()


async def _log_in(
    name: str, pins: _Pins, login: Login, tunnel: asyncssh.SSHClientConnection | None
) -> tuple[asyncssh.SSHClientConnection, _Client]:
    client = _Client(pins)
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
            raise _not_connected(name, error) from error
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
            given.unusable.append(f"the key {path} ({_reason(error)})")
        else:
            given.keys.append(key)
            given.tried.append(f"the key {path} ({key.get_fingerprint()})")
    async with contextlib.AsyncExitStack() as around:
        if login.agent:
            try:
                agent = await around.enter_async_context(asyncssh.SSHAgentClient(login.agent))
                signers: Sequence[asyncssh.SSHKeyPair] = list(await agent.get_keys())
            except (asyncssh.Error, OSError, ValueError) as error:
                given.unusable.append(f"the agent at {login.agent} ({_reason(error)})")
            else:
                given.keys += signers
                given.tried.append(f"{len(signers)} key{'s'[: len(signers) != 1]} of the agent at {login.agent}")
        if login.password_file:
            try:
                given.password = Path(login.password_file).read_text().rstrip("\n")
                given.tried.append("the password")
            except (OSError, ValueError) as error:
                given.unusable.append(f"the password in {login.password_file} ({_reason(error)})")
        yield given


def _host_key(key: asyncssh.SSHKey) -> HostKey:
    return HostKey(key.get_algorithm(), key.public_data)


def _is_denial(error: Exception) -> bool:
    # OpenSSH hangs up on the sixth key: "Too many authentication failures", as a protocol error.
    return isinstance(error, asyncssh.PermissionDenied) or "authentication failures" in str(error)


def _not_connected(name: str, error: Exception) -> ConnectError:
    look = "The machine may still be starting, or be gone: look at its console."
    match error:
        case ConnectionRefusedError():
            return NoAnswerError(f"{name} refuses the connection: no SSH server listens there.", look)
        case asyncssh.ChannelOpenError():
            return NoAnswerError(f"The jump host cannot reach {name}: {error.reason}.", look)
        case asyncssh.Error():
            return NoAnswerError(f"{name} ended the connection before it was open: {_reason(error)}.", look)
        case _:
            return NoAnswerError(f"{name} cannot be reached: {_reason(error)}.", look)


def _broke(name: str, error: Exception | None) -> NoAnswerError:
    why = f": {_reason(error)}" if error is not None else ""
    return NoAnswerError(
        f"The connection to {name} broke{why}.", "A machine that reboots is back in a minute: connect again."
    )


def _reason(error: Exception) -> str:
    said = getattr(error, "reason", None) or getattr(error, "strerror", None) or str(error)
    return str(said).strip().rstrip(".") or type(error).__name__


_T = TypeVar("_T")


async def _within(seconds: float, name: str, doing: Awaitable[_T]) -> _T:
    try:
        async with asyncio.timeout(seconds):
            return await doing
    except TimeoutError:
        raise NoAnswerError(
            f"{name} did not answer within {seconds:g} s.",
            "It may still be starting, hang, or be behind a firewall: look at its console.",
        ) from None


async def _close(link: asyncssh.SSHClientConnection | None) -> None:
    if link is None:
        return
    link.close()
    try:
        async with asyncio.timeout(_CLOSE_PATIENCE):
            await link.wait_closed()
    except TimeoutError:
        link.abort()
        await link.wait_closed()


async def methods(machine: Machine, timeout: float) -> tuple[str, ...]:  # noqa: ASYNC109 - it is in the error
    """See `ssh.methods`."""
    return await _within(timeout, machine.address, _methods(machine))


async def _methods(machine: Machine) -> tuple[str, ...]:
    try:
        found = await asyncssh.get_server_auth_methods(machine.host, machine.port, machine.login.user, config=[])
    except (asyncssh.Error, OSError) as error:
        raise _not_connected(machine.address, error) from error
    return tuple(found)
