"""Connections, shells and commands over asyncssh. Imported when the first one is opened (core/adapters/ssh.py).

Which server may answer, and what it is shown, is in ssh_login.py.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import asyncssh

from core.adapters.ssh import jump_pins
from core.adapters.ssh_login import Client, Pins, host_key, log_in, not_connected, reason
from core.errors import NoAnswerError
from core.model.machine import Machine

_READ_AT_ONCE = 64 * 1024
_CLOSE_PATIENCE = 1.0
"""Seconds to say goodbye to a machine that may be dead."""


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
        client: Client,
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
    pins = Pins(Path(machine.known_hosts), machine.host, machine.port)
    tunnel = await _to_jump(machine)
    try:
        link, client = await log_in(machine.address, pins, machine.login, tunnel)
    except BaseException:
        await _close(tunnel)
        raise
    return Connection(machine, link, client, tunnel)


async def pin(machine: Machine, timeout: float) -> str:  # noqa: ASYNC109 - it is in the error
    """See `ssh.pin`."""
    return await _within(timeout, machine.address, _pin(machine))


async def _pin(machine: Machine) -> str:
    pins = Pins(Path(machine.known_hosts), machine.host, machine.port)
    tunnel = await _to_jump(machine)
    try:
        found = await asyncssh.get_server_host_key(
            pins.host, pins.port, tunnel=tunnel or (), config=[], server_host_key_algs=pins.algorithms()
        )
    except (asyncssh.Error, OSError) as error:
        raise not_connected(machine.address, error) from error
    finally:
        await _close(tunnel)
    if found is None:
        raise NoAnswerError(f"{machine.address} showed no host key.", "Is that an SSH server?")
    offered = host_key(found)
    pins.accept(offered)
    return offered.fingerprint


async def _to_jump(machine: Machine) -> asyncssh.SSHClientConnection | None:
    if (jump := machine.jump) is None:
        return None
    user = f"{jump.login.user}@" if jump.login.user else ""
    pins = Pins(jump_pins(machine), jump.host, jump.port)
    link, _ = await log_in(f"The jump host {user}{jump.host}:{jump.port}", pins, jump.login, None)
    return link


def _broke(name: str, error: Exception | None) -> NoAnswerError:
    why = f": {reason(error)}" if error is not None else ""
    return NoAnswerError(
        f"The connection to {name} broke{why}.", "A machine that reboots is back in a minute: connect again."
    )


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
        raise not_connected(machine.address, error) from error
    return tuple(found)
