"""Throwaway machines of a stage: started under a holder, waited for until they let us in, and ended with what they
wrote."""

import asyncio
import contextlib
import shlex
import shutil
import time
import types
from pathlib import Path
from typing import TYPE_CHECKING

from core import process
from core.adapters import console, ssh, ssh_config, ssh_pins, test_machine
from core.adapters.ssh_keys import KeyPair
from core.adapters.test_machine import Guest
from core.errors import ConnectError, DeniedError, HostKeyError, IngotError, ToolError
from core.holding import Exit
from core.model.machine import Machine
from core.stages.stage import StageJob

if TYPE_CHECKING:
    from core.adapters.ssh import Connection

_PORTS = 5
"""Ports that are tried where somebody is always faster."""
_BANNER = (3.0, 5.0, 10.0)
"""Seconds that a server has to say that it is one; a machine that has just started answers late, and a busy one too."""
LOGIN = 60.0
"""Seconds for logging in, once a server is there."""
LAST_WORDS = 4000
"""Bytes of the console that say how far a machine came."""


class BootError(ToolError):
    """The machine did not come up, or lets nobody in."""


class Throwaway:
    """One machine, from its start to its end (`async with`). Whoever leaves it early leaves nothing of it behind."""

    def __init__(self, job: StageJob, guest: Guest, image: str) -> None:
        self.guest = guest
        self.seconds: float | None = None
        """How long it took until it let us in."""
        self._job = job
        self._image = image
        self._port = 0
        self._tool = ""
        self._kept = False
        self._began = 0.0
        self._running: asyncio.Task[Exit] | None = None
        self._connection: Connection | None = None

    async def __aenter__(self) -> "Throwaway":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        await self.close()

    @property
    def directory(self) -> Path:
        return self.guest.directory

    @property
    def key(self) -> KeyPair:
        return self.guest.key

    @property
    def machine(self) -> Machine:
        stage = self._job.stage
        return test_machine.machine_of(self.guest, self._port, self._job.run.uid, stage.key, stage.build, self._image)

    @property
    def connection(self) -> "Connection":
        assert self._connection is not None, "it has not been started"
        return self._connection

    @property
    def ssh_config(self) -> Path:
        return ssh_config.write(self.guest.ssh_config, self.machine, self._job.places.runtime / str(self._port))

    async def start(self, limit: float) -> None:
        """Boot it, and return when it lets us in. Raises BootError when it has not within `limit` seconds."""
        self._began = time.monotonic()
        try:
            async with asyncio.timeout(limit):
                await self._boot()
        except TimeoutError:
            raise BootError(
                f"The machine did not let anybody in within {limit:g} s.{await self._hint()}",
                "Look at its console in the log; [test] limit in ingot.toml gives it more time.",
            ) from None
        self.seconds = time.monotonic() - self._began

    async def _boot(self) -> None:
        for last in (*[False] * (_PORTS - 1), True):
            await test_machine.prepare(self.guest)
            self._port = test_machine.free_port()
            self._tool = f"{self.guest.name}-{self._port}"
            argv = test_machine.arguments(self.guest, self._port)
            self._job.say(f"$ {shlex.join(argv)}")
            self._running = asyncio.ensure_future(
                self._job.tool(self._tool, argv, cwd=self.guest.directory, environment=process.environment())
            )
            came_up = asyncio.ensure_future(self._until_in())
            try:
                await asyncio.wait({self._running, came_up}, return_when=asyncio.FIRST_COMPLETED)
                if came_up.done():
                    self._connection = came_up.result()
                    return
            finally:
                came_up.cancel()
                await asyncio.wait({came_up})
            ended = self._running.result()
            if last or (self.guest.console.exists() and self.guest.console.stat().st_size):
                raise BootError(
                    f"QEMU ended by itself, with exit status {ended.code}.{await self._hint()}",
                    "The log of the stage has what it said.",
                )

    async def _until_in(self) -> "Connection":
        """Until it lets us in; who may is set up while it boots, so that being turned away means nothing yet."""
        tries = 0
        while True:
            patience = _BANNER[min(tries, len(_BANNER) - 1)]
            tries += 1
            if await serves_ssh("127.0.0.1", self._port, patience):
                try:
                    await self._note_host_keys()
                    return await ssh.connect(self.machine, timeout=LOGIN)
                except HostKeyError as error:
                    raise BootError(error.what, error.next_step) from error
                except DeniedError:
                    self._job.progress("waiting until the machine lets the test in")
                except ConnectError:
                    pass
            await asyncio.sleep(0.5)

    async def _note_host_keys(self) -> None:
        """Where the machine shows its fingerprints on its console, they decide even the first contact."""
        with contextlib.suppress(IngotError):
            said = (await console.tail(str(self.guest.console))).decode(errors="replace")
            await asyncio.to_thread(ssh_pins.note_shown, self.guest.known_hosts, ssh_pins.shown_fingerprints(said))

    async def _hint(self) -> str:
        """What is known of why, as the end of a sentence; the console goes into the log."""
        said = await self.last_words()
        for line in said.splitlines():
            self._job.say(f"console: {line}")
        if not said:
            return " Nothing came on its serial console: it boots by BIOS here, which a disk for UEFI alone does not."
        if not self._port or not await serves_ssh("127.0.0.1", self._port, _BANNER[0]):
            return ""
        return (
            f" It answers on SSH, and turns the test's key for {self.guest.user} away: an authorized_keys file that the"
            " image brings along stands in the way of the one from its firmware, or it knows neither systemd's"
            " credentials (252 or newer) nor cloud-init."
        )

    async def last_words(self) -> str:
        """The end of what it printed on its serial console."""
        try:
            said = await console.tail(str(self.guest.console), last=LAST_WORDS)
        except IngotError:
            return ""
        return said.decode(errors="replace").replace("\r", "").strip()

    async def keep(self, seconds: float, why: str) -> bool:
        """Let it live on after the stage, for `seconds` at most, with what is needed for getting in; False where it has
        ended by itself."""
        self._kept = await self._job.let_go(self._tool, self.machine, seconds, why)
        return self._kept

    async def close(self) -> None:
        """End it, unless it is kept, and take away what it wrote. When a worker leaves, the next one ends it."""
        if self._connection is not None:
            await self._connection.close()
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
        if not self._kept:
            await asyncio.to_thread(shutil.rmtree, self.guest.directory, ignore_errors=True)


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
