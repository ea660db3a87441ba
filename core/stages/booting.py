"""Throwaway machines of a test here: QEMU under a holder, on an overlay of the image's disk."""

import asyncio
import itertools
import shlex
from typing import TYPE_CHECKING

from core import process
from core.adapters import console, test_machine
from core.adapters.test_machine import Guest
from core.errors import IngotError
from core.holding import Exit
from core.model.machine import Machine
from core.stages.stage import StageJob
from core.stages.throwaway import BootError, Throwaway, serves_ssh

if TYPE_CHECKING:
    from core.adapters.ssh import Connection

_PORTS = 5
"""Ports that are tried where somebody is always faster."""
_TRY_EVERY = 0.5
"""Seconds between two attempts at getting in."""
_BANNER = (3.0, 5.0, 10.0)
"""Seconds that a server has to say that it is one; a machine that has just started answers late, and a busy one too."""


class LocalMachine(Throwaway):
    """One in QEMU. When a worker leaves, the next one ends it."""

    def __init__(self, job: StageJob, guest: Guest, image: str) -> None:
        super().__init__(job, guest.directory, guest.key)
        self.guest = guest
        self._image = image
        self._port = 0
        self._tool = ""
        self._running: asyncio.Task[Exit] | None = None

    @property
    def machine(self) -> Machine:
        stage = self.job.stage
        return test_machine.machine_of(self.guest, self._port, self.job.run.uid, stage.key, stage.build, self._image)

    @property
    def _called(self) -> str:
        return "The machine"

    async def _let_in(self) -> "Connection":
        tries = 0
        while True:
            tries += 1
            await test_machine.prepare(self.guest)
            self._port = test_machine.free_port()
            self._tool = f"{self.guest.name}-{self._port}"
            argv = test_machine.arguments(self.guest, self._port)
            self.job.say(f"$ {shlex.join(argv)}")
            self._running = asyncio.ensure_future(
                self.job.tool(self._tool, argv, cwd=self.guest.directory, environment=process.environment())
            )
            came_up = asyncio.ensure_future(self._until_in())
            try:
                await asyncio.wait({self._running, came_up}, return_when=asyncio.FIRST_COMPLETED)
                if came_up.done():
                    return came_up.result()
            finally:
                came_up.cancel()
                await asyncio.wait({came_up})
            ended = self._running.result()
            if tries == _PORTS or (self.guest.console.exists() and self.guest.console.stat().st_size):
                raise BootError(
                    f"QEMU ended by itself, with exit status {ended.code}.{await self._hint()}",
                    "The log of the stage has what it said.",
                )

    async def _until_in(self) -> "Connection":
        patience = itertools.chain(_BANNER, itertools.repeat(_BANNER[-1]))
        while True:
            if await serves_ssh("127.0.0.1", self._port, next(patience)):
                await self._note_host_keys()
                if connection := await self._tried():
                    return connection
            await asyncio.sleep(_TRY_EVERY)

    async def _why_not(self, said: str) -> str:
        if not said:
            by = "UEFI without Secure Boot" if self.guest.firmware else "BIOS"
            return f" Nothing came on its serial console. It was booted by {by}, as its partitions ask for."
        if not self._port or not await serves_ssh("127.0.0.1", self._port, _BANNER[0]):
            return ""
        return (
            f" It answers on SSH, and turns the test's key for {self.guest.user} away: an authorized_keys file that the"
            " image brings along stands in the way of the one from its firmware, or it knows neither systemd's"
            " credentials (252 or newer) nor cloud-init."
        )

    async def _console(self) -> str:
        try:
            return (await console.tail(str(self.guest.console))).decode(errors="replace")
        except IngotError:
            return ""

    async def keep(self, seconds: float, why: str) -> bool:
        self._kept = await self.job.let_go(self._tool, self.machine, seconds, why)
        return self._kept

    async def _end(self) -> None:
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait({self._running})
