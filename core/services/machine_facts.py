"""What a machine says of itself: one command, for any POSIX shell, and how its answer is read.

The machine is not trusted: what is not understood is left out, and whoever shows a fact makes it harmless (core/text).
"""

import contextlib
import math
import shlex
from collections.abc import Mapping

import msgspec

_SCRIPT = """\
printf 'hostname %s\\n' "$(uname -n)"
printf 'uptime %s\\n' "$(cut -d' ' -f1 /proc/uptime 2>/dev/null)"
printf 'load %s\\n' "$(cut -d' ' -f1-3 /proc/loadavg 2>/dev/null || uptime | sed 's/.*averages*: *//')"
printf 'disk %s\\n' "$(df -Pk / 2>/dev/null | tail -n 1)"
sed 's/^/system /' /etc/os-release 2>/dev/null
sed 's/^/release /' /etc/image-release 2>/dev/null
exit 0
"""
ASKING = f"exec sh -c {shlex.quote(_SCRIPT)}"
"""Read by the user's login shell in the machine, whichever it is; changes nothing there."""

_LONGEST = 500
"""Characters of one value."""


class MachineFacts(msgspec.Struct, frozen=True):
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
    release: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """`/etc/image-release`: what the image that it was started from says that it is."""


def read_facts(answer: bytes) -> MachineFacts:
    """The answer to `ASKING`.

    >>> facts = read_facts(b"hostname web\\nuptime 12.5\\nload 0.1 0.2 0.3\\ndisk /dev/vda1 100 40 60 40% /\\n"
    ...     b'system NAME=Debian\\nsystem PRETTY_NAME="Debian 12"\\nrelease IMAGE_ROLE="base"\\n')
    >>> facts.hostname, facts.system, facts.uptime, facts.disk_used, facts.disk_size, facts.release
    ('web', 'Debian 12', 12.5, 40960, 102400, {'IMAGE_ROLE': 'base'})
    >>> read_facts(b"\\xff\\nuptime nan\\ndisk\\n")
    MachineFacts(hostname='', system='', uptime=None, load='', disk_used=None, disk_size=None, release={})
    """
    told: dict[str, str] = {}
    system: dict[str, str] = {}
    release: dict[str, str] = {}
    for line in answer.decode(errors="replace").splitlines():
        what, _, value = line.partition(" ")
        value = value[:_LONGEST]
        match what:
            case "system" | "release":
                name, given, quoted = value.partition("=")
                if given:
                    (system if what == "system" else release)[name] = _unquoted(quoted)
            case "hostname" | "uptime" | "load" | "disk":
                told[what] = value
            case _:
                pass
    uptime = None
    with contextlib.suppress(ValueError):
        uptime = float(told.get("uptime", ""))
        uptime = uptime if math.isfinite(uptime) else None
    size, used = _disk(told.get("disk", ""))
    return MachineFacts(
        hostname=told.get("hostname", ""),
        system=system.get("PRETTY_NAME") or system.get("NAME", ""),
        uptime=uptime,
        load=told.get("load", ""),
        disk_used=used,
        disk_size=size,
        release=release,
    )


def _disk(line: str) -> tuple[int | None, int | None]:
    """Size and use of a line of `df -Pk`: the device may have spaces in it, so from its end."""
    match line.split():
        case [*_, size, used, _, _, _] if size.isdecimal() and used.isdecimal():
            return int(size) * 1024, int(used) * 1024
        case _:
            return None, None


def _unquoted(value: str) -> str:
    try:
        return "".join(shlex.split(value)[:1])
    except ValueError:
        return value
