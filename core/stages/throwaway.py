"""What the throwaway machines of a test have in common, wherever they run: one is started, waited for until it lets us
in, and ended with all that belongs to it. How that is done here is in booting.py, and in a cloud in booting_cloud.py.
"""

import asyncio
import contextlib
import shutil
import time
import types
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Self

from core.adapters import ssh, ssh_config, ssh_pins
from core.adapters.ssh_keys import KeyPair
from core.errors import ConnectError, DeniedError, HostKeyError, ToolError
from core.model.machine import Machine
from core.stages.stage import StageJob

if TYPE_CHECKING:
    from core.adapters.ssh import Connection

_LOGIN = 60.0
"""Seconds for logging in, once a server is there."""
_LAST_WORDS = 4000
"""Characters of the console that say how far a machine came."""


class BootError(ToolError):
    """The machine did not come up, or lets nobody in."""


class Throwaway(ABC):
    """One machine, from its start to its end (`async with`). Whoever leaves it early leaves nothing of it behind."""

    def __init__(self, job: StageJob, directory: Path, key: KeyPair) -> None:
        self.job = job
        self.directory = directory
        """For what belongs to it here; gone with it."""
        self.key = key
        """The test gets in with it."""
        self.seconds: float | None = None
        """How long it took until it let us in."""
        self._kept = False
        self._connection: Connection | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        await self.close()

    @property
    @abstractmethod
    def machine(self) -> Machine:
        """As far as it is known."""

    @property
    def connection(self) -> "Connection":
        """Only once it has been started."""
        assert self._connection is not None, "it has not been started"
        return self._connection

    @property
    def ssh_config(self) -> Path:
        """A configuration for OpenSSH, in which the machine is called `machine`."""
        machine = self.machine
        socket = self.job.places.runtime / (machine.instance or str(machine.port))
        return ssh_config.write(self.directory / "ssh_config", machine, socket)

    async def start(self, limit: float) -> None:
        """Boot it, and return when it lets us in. Raises BootError when it has not within `limit` seconds, ToolError
        where that is not the image's fault."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                self._connection = await self._let_in()
        except TimeoutError:
            raise BootError(
                f"{self._called} did not let anybody in within {limit:g} s.{await self._hint()}",
                "Look at its console in the log; [test] limit in ingot.toml gives it more time.",
            ) from None
        self.seconds = time.monotonic() - began

    async def last_words(self) -> str:
        """The end of what it printed on its serial console."""
        return (await self._console())[-_LAST_WORDS:].replace("\r", "").strip()

    @abstractmethod
    async def keep(self, seconds: float, why: str) -> bool:
        """Let it live on after the stage, for `seconds` at most, with what is needed for getting in; False where it has
        ended by itself. Raises StoreError where that cannot be written down: it is not kept then."""

    async def close(self) -> None:
        """End it, unless it is kept, and take away what belongs to it."""
        if self._connection is not None:
            await self._connection.close()
            self._connection = None
        await self._end()
        if not self._kept:
            await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)

    # What each kind does in its own way

    @property
    @abstractmethod
    def _called(self) -> str:
        """What it is called at the start of a sentence."""

    @abstractmethod
    async def _let_in(self) -> "Connection":
        """Start it where it does not run yet, and try until it lets us in. Raises BootError where it never will."""

    @abstractmethod
    async def _console(self) -> str:
        """What it printed lately on its serial console; empty for nothing."""

    @abstractmethod
    async def _why_not(self, said: str) -> str:
        """Why nobody was let in, as far as that is known, as a sentence with a space before it. `said` is the end of
        its console."""

    @abstractmethod
    async def _end(self) -> None:
        """End it, or begin to, unless it is kept. Once more does no harm."""

    # What they share on the way in

    async def _tried(self) -> "Connection | None":
        """One attempt at getting in. None where it lets nobody in yet: who may is set up while it boots, so that being
        turned away means nothing. Raises BootError where it shows another host key than it has to."""
        try:
            return await ssh.connect(self.machine, timeout=_LOGIN)
        except HostKeyError as error:
            raise BootError(error.what, error.next_step) from error
        except DeniedError:
            self.job.progress("waiting until the machine lets the test in")
        except ConnectError:
            pass
        return None

    async def _note_host_keys(self) -> bool:
        """Where it shows its fingerprints on its console, they decide even the first contact."""
        with contextlib.suppress(OSError):
            shown = ssh_pins.shown_fingerprints(await self._console())
            await asyncio.to_thread(ssh_pins.note_shown, Path(self.machine.known_hosts), shown)
            return bool(shown)
        return False

    async def _hint(self) -> str:
        """What is known of why, as the end of a sentence; the console goes into the log."""
        said = await self.last_words()
        for line in said.splitlines():
            self.job.say(f"console: {line}")
        return await self._why_not(said)


async def serves_ssh(host: str, port: int, patience: float) -> bool:
    """Somebody there says within `patience` seconds that it is an SSH server. QEMU itself takes the connection at once,
    and holds it until the machine has one who listens."""
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(patience):
            reader, writer = await asyncio.open_connection(host, port)
            return (await reader.read(4)).startswith(b"SSH-")
    except (OSError, TimeoutError):
        return False
    finally:
        if writer is not None:
            writer.close()
