"""The machine that the playbook runs in: booted from an overlay, waited for, shut down from inside, or ended."""

import asyncio
import shlex
import signal
import time
from collections.abc import Callable

from core import process
from core.adapters import ssh, test_machine
from core.adapters.qemu_process import read
from core.ansible_tool.plan import Plan
from core.errors import ConnectError, HostKeyError, ToolError
from core.living import HOLDER_MARK, RUN_MARK, Identity

_PORTS = 5
"""Ports that are tried where somebody is always faster."""
BOOT = 900.0
"""Seconds until it lets us in: without hardware virtualisation a busy machine takes long."""
_ANSWER = 60.0
"""Seconds of one attempt to log in."""
SHUTDOWN = 300.0
"""Seconds that it has to end in order."""
_OFF = "sync; systemctl poweroff || poweroff || shutdown -h now"


class Cancelled(Exception):  # noqa: N818 - it is no error
    """Somebody wants the build to end."""


class Booted:
    """One running machine."""

    def __init__(self, plan: Plan, say: Callable[[str], None], cancelled: Callable[[], bool]) -> None:
        self._plan = plan
        self._say = say
        self._cancelled = cancelled
        self._identity: Identity | None = None
        self.port = 0

    @property
    def lives(self) -> bool:
        return self._identity is not None and self._identity.lives

    @property
    def pid(self) -> int:
        return self._identity.pid if self._identity else 0

    async def start(self) -> None:
        """Boot it. Raises ToolError when QEMU does not stay, which the reason is in its log for."""
        guest = self._plan.guest
        log = guest.directory / "qemu.log"
        for last in (*[False] * (_PORTS - 1), True):
            await test_machine.prepare(guest)
            if self._plan.disk_size:
                words = ["qemu-img", "resize", "-q", "-f", "qcow2", str(guest.overlay), self._plan.disk_size]
                await process.run(words, check=True)
            self.port = test_machine.free_port()
            argv = test_machine.arguments(guest, self.port)
            self._say(f"$ {shlex.join(argv)}")
            keep = (RUN_MARK, HOLDER_MARK)
            pid = process.start_detached(argv, cwd=guest.directory, env=process.environment(keep=keep), log=log)
            self._identity = Identity.of(pid)
            await asyncio.sleep(1.0)
            if self.lives and read(pid) is not None:
                return
            said = log.read_text(errors="replace").strip()
            if last or ("hostfwd" not in said and "forwarding" not in said):
                raise ToolError(f"QEMU ended at once: {said or 'it did not say why'}")

    async def let_in(self) -> None:
        """Until it lets us in; its host key is pinned then. Raises ToolError, Cancelled."""
        deadline = time.monotonic() + BOOT
        machine = self._plan.machine(self.port)
        why = ""
        while time.monotonic() < deadline:
            if self._cancelled():
                raise Cancelled
            if not self.lives:
                raise ToolError("the machine ended while it was booting: look at its console")
            try:
                connection = await ssh.connect(machine, timeout=_ANSWER)
            except HostKeyError as error:
                raise ToolError(error.what, error.next_step) from error
            except ConnectError as error:
                why = error.what
                await asyncio.sleep(1.0)
                continue
            await connection.close()
            return
        raise ToolError(f"the machine let nobody in within {BOOT:g} s: {why}")

    async def shut_down(self) -> None:
        """From inside, so that everything is on its disk; returns when QEMU has ended. Raises ToolError, Cancelled."""
        sudo = "" if self._plan.user == "root" else "sudo -n "
        try:
            connection = await ssh.connect(self._plan.machine(self.port), timeout=_ANSWER)
            try:
                # It may take the connection with it before it answers: that it ends is what counts.
                await connection.run(f"{sudo}sh -c {shlex.quote(_OFF)}", timeout=_ANSWER)
            finally:
                await connection.close()
        except ConnectError as error:
            self._say(f"shutting down: {error.what}")
        except ToolError as error:
            self._say(f"shutting down: {error.what}")
        deadline = time.monotonic() + SHUTDOWN
        while self.lives:
            if self._cancelled():
                raise Cancelled
            if time.monotonic() > deadline:
                raise ToolError(f"the machine did not shut down within {SHUTDOWN:g} s")
            await asyncio.sleep(0.2)

    def end(self) -> None:
        """By force. Nothing happens when it has ended."""
        if self._identity is None:
            return
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            if not self._identity.signal(number):
                return
            until = time.monotonic() + patience
            while self.lives and time.monotonic() < until:
                time.sleep(0.05)
