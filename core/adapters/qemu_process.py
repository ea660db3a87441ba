"""What a running QEMU says of itself on its command line: where its serial console, screen, monitor and disks are, and
what it was given of this host.

Read from proc(5) and qemu-system(1); nothing is started and nothing is asked. Packer's qemu builder writes the command
line from its template's options and `qemuargs` (builder/qemu/step_run.go).
"""

import contextlib
import math
import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from core import living
from core.living import RUN_MARK

_FIRST_VNC_PORT = 5900
"""Display N listens on this port + N (qemu-system(1), -vnc)."""


class QemuProcess(msgspec.Struct, frozen=True):
    """One running virtual machine."""

    pid: int
    consoles: tuple[str, ...] = ()
    """Files and UNIX sockets of its serial ports, absolute, the first port first."""
    vnc: str = ""
    """`127.0.0.1:5901`, or the path of a UNIX socket."""
    monitor: str = ""
    """UNIX socket of its monitor (QMP or for people)."""
    disks: tuple[str, ...] = ()
    forwarded: tuple[int, ...] = ()
    """Ports of this host that lead into the machine."""
    memory: int = 0
    """Bytes that the machine has; 0 where it was not said (QEMU's default)."""
    cpus: int = 1

    @property
    def console(self) -> str:
        return self.consoles[0] if self.consoles else ""


def of_run(run_uid: str) -> list[QemuProcess]:
    """Those that the run's tools started and that live, also after Packer let go of them: the mark stays in their
    environment. Looks at every process of the machine: call it in a thread."""
    marked = living.marked(lambda marks: marks.get(RUN_MARK) == run_uid)
    found = (read(identity.pid) for identity in marked if living.command(identity.pid).startswith("qemu-system"))
    return [process for process in found if process is not None]


def of_build(run_uid: str, port: int, output: Path) -> QemuProcess | None:
    """The machine of one build of the run: the one to which `port` of this host leads, or whose disk is in `output`, or
    the only one."""
    running = of_run(run_uid)
    by_port = [one for one in running if port in one.forwarded]
    by_disk = [one for one in running if any(Path(disk).is_relative_to(output) for disk in one.disks)]
    found = by_port or by_disk or (running if len(running) == 1 else [])
    return found[0] if found else None


def read(pid: int) -> QemuProcess | None:
    """None when it is gone or not ours to look at."""
    with contextlib.suppress(OSError):
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        directory = Path(f"/proc/{pid}/cwd").readlink()
        return parse(pid, [os.fsdecode(word) for word in words[:-1]], directory)
    return None


def parse(pid: int, words: Sequence[str], directory: Path) -> QemuProcess:
    """`words` is the command line, `directory` where relative paths count from.

    >>> parse(7, ["qemu", "-vnc", "127.0.0.1:17", "-serial", "file:boot.log"], Path("/run")).consoles
    ('/run/boot.log',)
    """
    options = list(_options(words))
    chardevs = {
        name: place
        for option, value in options
        if option == "chardev" and (name := _field(value, "id")) and (place := _chardev(value, directory))
    }
    consoles: list[str] = []
    vnc = monitor = ""
    disks: list[str] = []
    forwarded: list[int] = []
    memory, cpus = 0, 1
    for option, value in options:
        match option:
            case "serial":
                consoles += [place] if (place := _place(value, chardevs, directory)) else []
            case "device" if value.startswith(("isa-serial", "pci-serial", "virtconsole", "virtserialport")):
                consoles += [place] if (place := chardevs.get(_field(value, "chardev"), "")) else []
            case "vnc":
                vnc = _vnc(value, directory)
            case "monitor" | "qmp":
                monitor = monitor or _place(value, chardevs, directory)
            case "mon":
                monitor = monitor or chardevs.get(_field(value, "chardev"), "")
            case "drive" | "hda" | "hdb":
                if file := _field(value, "file") if option == "drive" else value:
                    disks.append(str(directory / file))
            case "netdev" | "nic":
                forwarded += [int(port) for port in re.findall(r"hostfwd=(?:tcp)?:[^:,]*:(\d+)-", value)]
            case "m":
                memory = _memory(value)
            case "smp":
                cpus = _cpus(value)
            case _:
                pass
    return QemuProcess(pid, tuple(consoles), vnc, monitor, tuple(disks), tuple(forwarded), memory, cpus)


def _memory(value: str) -> int:
    """Bytes of `-m`, whose plain numbers are megabytes; 0 for what is none.

    >>> _memory("1024M"), _memory("size=2G,maxmem=8G"), _memory("512"), _memory("a lot")
    (1073741824, 2147483648, 536870912, 0)
    """
    found = re.fullmatch(r"(\d+)([KMGT]?)B?", (_field(value, "size") or value.partition(",")[0]).upper())
    return int(found[1]) << {"K": 10, "M": 20, "": 20, "G": 30, "T": 40}[found[2]] if found else 0


def _cpus(value: str) -> int:
    """Processors of `-smp`: their number, or the product of what they are arranged in.

    >>> _cpus("2"), _cpus("cpus=2,sockets=2"), _cpus("sockets=2,cores=3"), _cpus("many")
    (2, 2, 6, 1)
    """
    said = _field(value, "cpus") or value.partition(",")[0]
    if said.isdecimal():
        return int(said)
    parts = (_field(value, name) for name in ("sockets", "dies", "clusters", "cores", "threads"))
    return math.prod(int(part) for part in parts if part.isdecimal())


def disk_use(process: QemuProcess, within: Path) -> int:
    """Bytes that its disks below a directory take on this host now; files with holes take less than their size."""
    total = 0
    for disk in process.disks:
        with contextlib.suppress(OSError):
            if Path(disk).is_relative_to(within):
                total += Path(disk).stat().st_blocks * 512  # stat(2): of 512 bytes, whatever the file system has
    return total


def _options(words: Iterable[str]) -> Iterable[tuple[str, str]]:
    """Options with their values; QEMU takes one dash or two."""
    option = ""
    for word in words:
        if option and not word.startswith("-"):
            yield option, word
            option = ""
        elif word.startswith("-"):
            option = word.lstrip("-")


def _field(value: str, name: str) -> str:
    """One `name=value` of an option; a comma in it is written twice."""
    for part in re.split(r"(?<!,),(?!,)", value):
        given, equals, text = part.partition("=")
        if equals and given == name:
            return text.replace(",,", ",")
    return ""


def _chardev(value: str, directory: Path) -> str:
    """Where a `-chardev` leads, when that is a path: of a UNIX socket, of a file, or of the log of what it carries."""
    kind = value.partition(",")[0]
    place = _field(value, "path") if kind in ("socket", "file", "serial", "tty") else ""
    place = place or _field(value, "logfile")
    return str(directory / place) if place else ""


def _place(value: str, chardevs: dict[str, str], directory: Path) -> str:
    """Where a `-serial` or `-monitor` leads, when that is a path."""
    kind, _, rest = value.removeprefix("mon:").partition(":")
    if kind == "chardev":
        return chardevs.get(rest, "")
    if kind in ("unix", "file") and rest:
        return str(directory / rest.partition(",")[0])
    return ""


def _vnc(value: str, directory: Path) -> str:
    display = value.partition(",")[0]
    if display.startswith("unix:"):
        return str(directory / display.removeprefix("unix:"))
    host, colon, number = display.rpartition(":")
    if not colon or not number.isdecimal():
        return ""  # `none`
    return f"{host or '127.0.0.1'}:{_FIRST_VNC_PORT + int(number)}"
