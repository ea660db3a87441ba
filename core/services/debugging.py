"""Machines that wait for a person: what is known of them, the way in, and what becomes of them.

All that screens and commands see of pauses and machines. What is done by hand is written down before it begins
(core/store/touches.py); an answer goes to the holder of the paused tool itself, so it counts whether a worker lives or
not.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from core.model.failure import Failure
from core.model.machine import Machine
from core.model.pause import Answer, Choice, Pause
from core.model.run import Run, Stage
from core.model.touch import Touch
from core.places import Places


@dataclass(frozen=True, slots=True)
class DebugView:
    """One build of a run, and what can be done about its machine now."""

    run: Run
    stage: Stage | None = None
    """The build that pauses, or whose machine is kept."""
    pause: Pause | None = None
    """The open one; None where nothing waits for an answer now."""
    machine: Machine | None = None
    """None as long as none is known."""
    choices: tuple[Choice, ...] = ()
    """What can be done about the pause; empty without one."""
    failure: Failure | None = None
    """What went wrong, from the log."""
    touches: tuple[Touch, ...] = ()
    """What was done by hand in this run, the oldest first."""
    until: float | None = None
    """When the machine is cleaned up, seconds since the epoch; None: never, or nothing waits."""

    def seconds_left(self, now: float) -> float | None:
        """Until the machine is cleaned up, never below 0; None: nothing ends it."""
        return None if self.until is None else max(self.until - now, 0.0)


@dataclass(frozen=True, slots=True)
class MachineFacts:
    """What a machine says of itself. What it does not tell is empty or None."""

    hostname: str = ""
    system: str = ""
    """`Debian GNU/Linux 12 (bookworm)`, from os-release(5)."""
    uptime: float | None = None
    """Seconds."""
    load: str = ""
    """Of the last 1, 5 and 15 minutes, `0.42 0.31 0.20`."""
    disk_used: int | None = None
    """Bytes of `/`."""
    disk_size: int | None = None
    """Bytes of `/`."""
    release: Mapping[str, str] = field(default_factory=dict[str, str])
    """`/etc/image-release`: what the image that it was started from says that it is."""


class DebugShell:
    """A shell in a machine. It goes on where the machine reboots: it says so, and opens a shell again."""

    async def read(self) -> bytes:
        """What came from the machine, some of it; empty at the end."""
        raise NotImplementedError

    def write(self, data: bytes) -> None:
        """Type something. While the connection is lost nothing happens."""
        raise NotImplementedError

    def resize(self, columns: int, rows: int) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        """Leave: the shell ends, the machine stays."""
        raise NotImplementedError

    async def reconnect(self) -> None:
        """Try again now, without waiting for the next time."""
        raise NotImplementedError

    @property
    def exit_status(self) -> int | None:
        """Of the shell; None as long as it runs, and when the connection was lost for good."""
        raise NotImplementedError


class Debugging:
    """What the person whose shell `environ` is can do about machines."""

    def __init__(self, places: Places, environ: Mapping[str, str]) -> None:
        self._places = places
        self._environ = environ

    def pauses(self, run_uid: str | None = None) -> list[Pause]:
        """The open pauses, the oldest first: of one run, or all on this machine. Raises StoreError."""
        raise NotImplementedError

    def machines(self, run_uid: str | None = None) -> list[Machine]:
        """The machines that are not gone. Raises StoreError."""
        raise NotImplementedError

    def view(self, run_uid: str, build: str = "") -> DebugView | None:
        """How it stands with a run, or with one build of it: first one that pauses, then one whose machine is kept.

        None when there is no such run. Reads its log: call it in a thread. Raises StoreError.
        """
        raise NotImplementedError

    async def answer(self, pause: Pause, answer: Answer) -> str:
        """Answer a pause; gives what happens now, in a sentence.

        Raises RefusedError when it allows no such answer, or somebody was first: who, when and what.
        """
        raise NotImplementedError

    async def extend(self, held: Pause | Machine, seconds: float) -> float:
        """Keep a paused or kept machine for longer; gives when it is cleaned up now (epoch). Raises RefusedError."""
        raise NotImplementedError

    async def end_machine(self, machine: Machine) -> None:
        """End a kept machine: it and its disk are destroyed. Raises RefusedError for one that is not kept."""
        raise NotImplementedError

    async def shell(
        self, machine: Machine, columns: int, rows: int, on_output: Callable[[bytes], None] | None = None
    ) -> DebugShell:
        """A shell in the machine, in a terminal of this size. The run is marked as touched before it opens.

        `on_output` gets what `read` gives. Raises ConnectError when there is no way in, StoreError when it cannot be
        written down.
        """
        raise NotImplementedError

    async def command(self, machine: Machine, command: str) -> tuple[int, bytes, bytes]:
        """Run a command in the machine, without a terminal: exit status, output, errors. Marks as `shell` does."""
        raise NotImplementedError

    def ssh_command(self, machine: Machine) -> str:
        """A command line that opens a shell from any terminal on this machine. Marks as `shell` does: what will be done
        with it nobody knows."""
        raise NotImplementedError

    async def facts(self, machine: Machine) -> MachineFacts:
        """What the machine says of itself. Does not mark. Raises ConnectError."""
        raise NotImplementedError

    async def console(self, machine: Machine, last: int = 64 * 1024) -> bytes:
        """The last bytes of its serial console. Raises IngotError when it has none, or it cannot be read."""
        raise NotImplementedError
