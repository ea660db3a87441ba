"""The machine that the playbook runs in: booted from an overlay, waited for, shut down from inside, or ended.

Without hardware virtualisation a QEMU that is reset takes minutes to unpack the kernel a second time, a few bytes a
second: what it had translated of the first boot stands in its way (QEMU 7.2). There it ends where the machine would
restart, and another is started in its place, on the same disk and port.
"""

import asyncio
import shlex
import signal
import threading
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
_RESTARTS_LOOKED_AT = 0.3
"""Seconds between two looks whether the machine wants to restart."""
_OFF = "sync; systemctl poweroff || poweroff || shutdown -h now"


class Cancelled(Exception):  # noqa: N818 - it is no error
    """Somebody wants the build to end."""


class Booted:
    """One running machine."""

    def __init__(
        self,
        plan: Plan,
        say: Callable[[str], None],
        cancelled: Callable[[], bool],
        restarted: Callable[[int, int], None],
    ) -> None:
        """`restarted` gets the process and the port of a machine that was started again; from another thread."""
        self._plan = plan
        self._say = say
        self._restarted = restarted
        self._cancelled = cancelled
        self._identity: Identity | None = None
        self._restarts = plan.accelerator == "tcg"
        self._ending = threading.Event()
        """From now on its end is wanted."""
        self._lost = ""
        """Why it could not be started again."""
        self._watching: threading.Thread | None = None
        self.port = 0

    @property
    def lives(self) -> bool:
        """It runs, or will in a moment."""
        if self._restarts and not self._ending.is_set():
            return not self._lost
        return self._runs

    @property
    def _runs(self) -> bool:
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
            argv = self._argv
            self._say(f"$ {shlex.join(argv)}")
            self._launch(argv)
            await asyncio.sleep(1.0)
            if self._runs and read(self.pid) is not None:
                if self._restarts:
                    self._watching = threading.Thread(target=self._watch, daemon=True)
                    self._watching.start()
                return
            said = log.read_text(errors="replace").strip()
            if last or ("hostfwd" not in said and "forwarding" not in said):
                raise ToolError(f"QEMU ended at once: {said or 'it did not say why'}")

    @property
    def _argv(self) -> list[str]:
        words = test_machine.arguments(self._plan.guest, self.port)
        return [*words, "-no-reboot"] if self._restarts else words

    def _launch(self, argv: list[str]) -> None:
        directory = self._plan.guest.directory
        environment = process.environment(keep=(RUN_MARK, HOLDER_MARK))
        pid = process.start_detached(argv, cwd=directory, env=environment, log=directory / "qemu.log")
        self._identity = Identity.of(pid)

    def _watch(self) -> None:
        """In a thread, as the playbook has ours: start it again when it has ended to restart."""
        while not self._ending.wait(_RESTARTS_LOOKED_AT):
            if self._runs:
                continue
            try:
                self._launch(self._argv)
            except ToolError as error:
                self._lost = error.what
                return
            self._ending.wait(1.0)
            if not self._runs:
                self._lost = "it ended at once when it was started again"
                return
            self._restarted(self.pid, self.port)

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
        self._stop_watching()
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
        while self._runs:
            if self._cancelled():
                raise Cancelled
            if time.monotonic() > deadline:
                raise ToolError(f"the machine did not shut down within {SHUTDOWN:g} s")
            await asyncio.sleep(0.2)

    def end(self) -> None:
        """By force. Nothing happens when it has ended."""
        self._stop_watching()
        if self._identity is None:
            return
        for number, patience in ((signal.SIGTERM, 5.0), (signal.SIGKILL, 5.0)):
            if not self._identity.signal(number):
                return
            until = time.monotonic() + patience
            while self._runs and time.monotonic() < until:
                time.sleep(0.05)

    def _stop_watching(self) -> None:
        self._ending.set()
        if self._watching is not None:
            self._watching.join()
