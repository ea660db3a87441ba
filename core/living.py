"""Who lives on this machine: identities, descendants and marks of processes, read from proc(5). Starts nothing.

A process id alone is no identity: numbers are used again. Boot, id and start time together are one.
"""

import contextlib
import os
import signal
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path

import msgspec

RUN_MARK = "INGOT_RUN"
"""Environment variable with the run's uid in everything that a holder starts."""
HOLDER_MARK = "INGOT_HOLDER"
"""Environment variable with the holder's identity (`str(Identity)`) in everything that it starts."""


@cache
def boot() -> str:
    """An id of this start of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


class Identity(msgspec.Struct, frozen=True):
    """One process, for ever."""

    pid: int
    started: int
    """Clock ticks since the boot (proc(5), `starttime`)."""
    boot: str

    def __str__(self) -> str:
        return f"{self.boot}:{self.pid}:{self.started}"

    @classmethod
    def parse(cls, text: str) -> "Identity | None":
        boot_id, _, rest = text.partition(":")
        pid, _, started = rest.partition(":")
        return cls(int(pid), int(started), boot_id) if pid.isdecimal() and started.isdecimal() else None

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """None when there is no such process, or nothing of it but its exit status."""
        found = _entry(pid)
        return cls(pid, found.started, boot()) if found is not None and not found.dead else None

    @property
    def lives(self) -> bool:
        return self.boot == boot() and Identity.of(self.pid) == self

    def signal(self, number: int) -> bool:
        """Send it a signal. False when it no longer lives. Through a descriptor: between the look and the signal it
        cannot become somebody else (pidfd_open(2))."""
        try:
            handle = os.pidfd_open(self.pid)
        except OSError:
            return False
        try:
            if not self.lives:
                return False
            signal.pidfd_send_signal(handle, number)
        except (ProcessLookupError, PermissionError):
            return False
        finally:
            os.close(handle)
        return True


class _Entry(msgspec.Struct, frozen=True):
    pid: int
    parent: int
    started: int
    dead: bool


def _entry(pid: int) -> _Entry | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except OSError:
        return None
    # The second field is the program's name in brackets, and may hold anything, brackets too.
    fields = text.rpartition(")")[2].split()
    return _Entry(pid, int(fields[1]), int(fields[19]), fields[0] in "ZX")


def _all() -> list[_Entry]:
    entries = (_entry(int(name)) for name in os.listdir("/proc") if name.isdecimal())  # noqa: PTH208 - names will do
    return [entry for entry in entries if entry is not None]


def descendants(ancestors: Iterable[int]) -> list[Identity]:
    """All that live below these process ids, parents before children. Not the ancestors themselves."""
    children: dict[int, list[_Entry]] = {}
    for entry in _all():
        children.setdefault(entry.parent, []).append(entry)
    found: list[Identity] = []
    seen = set(ancestors)
    level = list(seen)
    while level:
        below = [entry for pid in level for entry in children.get(pid, ()) if entry.pid not in seen]
        seen.update(entry.pid for entry in below)
        found += [Identity(entry.pid, entry.started, boot()) for entry in below if not entry.dead]
        level = [entry.pid for entry in below]
    return found


def marks(pid: int) -> dict[str, str]:
    """Ingot's marks in a process's environment; empty where we may not look."""
    with contextlib.suppress(OSError):
        raw = Path(f"/proc/{pid}/environ").read_bytes()
        pairs = (
            pair.decode(errors="replace").partition("=") for pair in raw.split(b"\0") if pair.startswith(b"INGOT_")
        )
        return {name: value for name, _, value in pairs}
    return {}


def marked(wanted: Callable[[dict[str, str]], bool]) -> list[Identity]:
    """All that live and whose marks are wanted, and what they started, marked or not. Never the caller."""
    roots = [
        Identity(entry.pid, entry.started, boot()) for entry in _all() if not entry.dead and wanted(marks(entry.pid))
    ]
    found = {identity.pid: identity for identity in roots}
    found |= {identity.pid: identity for identity in descendants(found)}
    found.pop(os.getpid(), None)
    return list(found.values())


def command(pid: int) -> str:
    """The program's name, for people; never its arguments, which may say too much."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/comm").read_text(errors="replace").strip()
    return ""
