"""A shell in a machine of a build that outlives the machine's reboots, and whose output is kept."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, TypeVar

from core.errors import ConnectError, DeniedError, HostKeyError, NoShellError
from core.store.transcripts import TranscriptWriter
from core.terminal_reset import AS_NEW
from core.text import visible

if TYPE_CHECKING:
    from core.adapters.ssh import Connection, Shell

AGAIN = 2.0
"""Seconds between two attempts to reach a machine again."""
_NOTICED = 1.0
"""Seconds in which a connection that broke is known to be broken, after its shell has ended."""

_BY_SIGNALS = frozenset({128 + 1, 128 + 9, 128 + 15})
"""Exit statuses of shells that say so where a signal ended what they ran: SIGHUP, SIGKILL, SIGTERM."""

T = TypeVar("T")


class DebugShell:
    """A shell in a machine. Where the connection breaks it says so in a line of its output and opens a shell again, as
    soon as the machine answers with the host key that it had; until the machine is gone, or somebody leaves.

    One reader at a time.
    """

    def __init__(
        self,
        name: str,
        connection: "Connection",
        shell: "Shell",
        size: tuple[int, int],
        *,
        connect: "Callable[[], Awaitable[Connection]]",
        gone: Callable[[], Awaitable[str]],
        transcript: TranscriptWriter,
        term: str,
        on_output: Callable[[bytes], None] | None,
    ) -> None:
        """`gone` says why the machine is not to be waited for any more; empty where it is."""
        self._name = name
        self._connection = connection
        self._shell: Shell | None = shell
        self._size = size
        self._connect = connect
        self._gone = gone
        self._transcript = transcript
        self._term = term
        self._on_output = on_output
        self._exit_status: int | None = None
        self._left = asyncio.Event()
        self._again = asyncio.Event()
        self._ended = False
        self._denied = False
        """It has been said that the machine, back again, does not let us in."""

    @property
    def connection(self) -> "Connection":
        """The one that it is in now."""
        return self._connection

    @property
    def connected(self) -> bool:
        """False while the machine is waited for, and after the end."""
        return self._shell is not None

    @property
    def exit_status(self) -> int | None:
        """Of the shell, below zero the signal that ended it; None as long as it runs, and when the machine is gone."""
        return self._exit_status

    async def read(self) -> bytes:
        """What came from the machine, some of it; empty at the end."""
        if self._ended:
            return b""
        if self._shell is None:
            return self._given(await self._reconnected())
        if data := await self._shell.read():
            return self._given(data)
        if not await self._is_lost():
            self._end()
            return b""
        self._shell = None
        # What ran has gone without a word: its screen, its mouse and half of a sequence would swallow what comes next.
        return self._given(AS_NEW + _line(f"the connection to {self._name} is lost; trying again every {AGAIN:g} s"))

    def write(self, data: bytes) -> None:
        """Type something. While the machine is waited for nothing happens."""
        if self._shell is not None:
            self._shell.write(data)

    def resize(self, columns: int, rows: int) -> None:
        if (columns, rows) == self._size:
            return
        self._size = (columns, rows)
        self._transcript.resized(columns, rows)
        if self._shell is not None:
            self._shell.resize(columns, rows)

    async def reconnect(self) -> None:
        """Try again now. With a shell: it is hung up on, and another one opens."""
        if self._shell is not None:
            await self._connection.close()
        self._again.set()

    async def close(self) -> None:
        """Leave: the shell is hung up on, the machine stays. Can be repeated."""
        self._left.set()
        self._transcript.close()
        if self._shell is not None:
            await self._shell.close()
        await self._connection.close()

    def _given(self, data: bytes) -> bytes:
        if data:
            self._transcript.output(data)
            if self._on_output is not None:
                self._on_output(data)
        return data

    def _end(self) -> None:
        self._ended = True
        self._exit_status = self._shell.exit_status if self._shell is not None else None
        self._transcript.close()

    async def _is_lost(self) -> bool:
        """Whether the connection broke, and the shell did not just end. A machine that goes down ends shells first, by
        a signal."""
        assert self._shell is not None
        status = self._shell.exit_status
        if self._left.is_set() or (status is not None and status >= 0 and status not in _BY_SIGNALS):
            return False
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NOTICED):
                await self._connection.lost.wait()
        return self._connection.lost.is_set() and not self._left.is_set()

    async def _reconnected(self) -> bytes:
        """Wait for the machine; gives the line that says how that goes. Empty: somebody left."""
        while not self._left.is_set():
            if why := await self._gone():
                self._end()
                return _line(why)
            try:
                opened = await self._unless_left(self._open())
            except (HostKeyError, NoShellError) as error:  # that will not change
                self._end()
                return _line(error.what)
            except ConnectError as error:
                await self._pause()
                if isinstance(error, DeniedError) and not self._denied:  # a machine that starts may let nobody in yet
                    self._denied = True
                    return _line(f"{error.what} Trying again.")
                continue
            if opened is not None:
                self._connection, self._shell = opened
                self._denied = False
                if self._left.is_set():
                    await self._connection.close()
                    break
                return _line(f"{self._name} is back, in a new shell")
        self._end()
        return b""

    async def _open(self) -> "tuple[Connection, Shell]":
        connection = await self._connect()
        try:
            return connection, await connection.shell(*self._size, self._term)
        except BaseException:
            await connection.close()
            raise

    async def _pause(self) -> None:
        self._again.clear()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._again, self._left)]
        await asyncio.wait(waits, timeout=AGAIN, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()

    async def _unless_left(self, work: Coroutine[None, None, T]) -> T | None:
        """What the work gives; None, and it is cancelled, when somebody leaves meanwhile."""
        doing, left = asyncio.ensure_future(work), asyncio.ensure_future(self._left.wait())
        try:
            await asyncio.wait({doing, left}, return_when=asyncio.FIRST_COMPLETED)
            return await doing if doing.done() else None
        finally:
            left.cancel()
            doing.cancel()


def _line(said: str) -> bytes:
    return f"\r\n[Ingot: {visible(said)}]\r\n".encode()
