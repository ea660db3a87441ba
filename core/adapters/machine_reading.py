"""Reads what is on the disks of a machine that runs, over a connection into it: the names of all that is there, and
what is in a few files. It leaves what core/adapters/disk_reading.py leaves of a disk that does not run.

Three commands do it, as root, and none writes anything in the machine. They need GNU's find and tar there, which all
but the smallest systems have. Its own programs read its disks here, so a machine that means to deceive can; and what
lies below another file system, such as files in the /tmp of the disk below a tmpfs, is not seen.
"""

import asyncio
import errno
import gzip
import shlex
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from core.adapters.disk_reading import FIELDS, LARGEST_FILE, MOST, expression, take_apart, write_listing
from core.errors import ToolError

if TYPE_CHECKING:
    from core.adapters.ssh import Connection

_PATIENCE = 900.0
"""Seconds for one of the commands: a small machine with a million files."""
_LONGEST_LIST = 512 * 1024 * 1024
"""Bytes: some million files."""
_NO_ROOT, _NO_FIND = 77, 78

# The root and whatever else of a disk is mounted, but images in files (snaps) and names that a shell would take apart.
_PLACES = r"""
PATH=$PATH:/usr/sbin:/sbin LC_ALL=C
export PATH LC_ALL
cd / || exit 1
find . -maxdepth 0 -regextype posix-extended -printf "" 2>/dev/null || exit 78
set -- .
while read -r device place rest; do
  case "$device" in /dev/loop*) continue;; /dev/*) ;; *) continue;; esac
  case "$place" in /|*[!A-Za-z0-9/._-]*) continue;; esac
  [ -d ".$place" ] && set -- "$@" ".$place"
done < /proc/self/mounts
"""
_LIST = _PLACES + 'find "$@" -xdev -printf "{fields}" 2>/dev/null | gzip -1'
_COPY = (
    _PLACES
    + 'find "$@" -xdev -regextype posix-extended -type f -size -{largest}c -regex "{wanted}" -print0 2>/dev/null'
    " | tar --create --null --no-recursion --hard-dereference --numeric-owner --format=gnu --ignore-failed-read"
    " --files-from=- 2>/dev/null | gzip -1"
)
_BOOTED = "sed -n 's/^btime //p' /proc/stat"


async def read_machine(connection: "Connection", wanted: Sequence[str], into: Path) -> float:
    """Leave `listing.json` and `tree/` in `into`, as `read_disk` does, and give when the machine began to boot, in
    seconds since the epoch by its own clock.

    Raises ToolError where it cannot be read, ConnectError where the machine does not answer, OSError for a full disk
    here.
    """
    _, out, _ = await connection.run(_BOOTED, timeout=_PATIENCE)
    booted = out.decode(errors="replace").strip()
    if not booted.isdecimal():
        raise ToolError("The machine does not say when it booted (/proc/stat).", "Is /proc mounted in it?")
    into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{into.name}-", dir=into.parent) as name:
        directory = Path(name)
        list_fields = FIELDS.replace(r"%P", "%p")  # several places are looked through, and %P would not say which
        await _fetch(connection, _LIST.format(fields=list_fields), directory / "list")
        copy = _COPY.format(largest=LARGEST_FILE, wanted=expression(wanted))
        await _fetch(connection, copy, directory / "copies")
        await asyncio.to_thread(_unpack, directory, connection.machine.address)
        await asyncio.to_thread(shutil.rmtree, into, ignore_errors=True)
        (directory / "done").rename(into)
    return float(booted)


async def _fetch(connection: "Connection", script: str, file: Path) -> None:
    """What a script says that runs there as root. Raises ToolError."""
    quoted = shlex.quote(script)
    command = (
        f'if [ "$(id -u)" = 0 ]; then sh -c {quoted}; '
        f"elif sudo -n true 2>/dev/null; then sudo -n sh -c {quoted}; else exit {_NO_ROOT}; fi"
    )
    left = MOST
    with file.open("wb") as kept:

        async def take(data: bytes) -> None:
            nonlocal left
            left -= len(data)
            if left < 0:
                raise ToolError("There is more in the machine than can be looked at.", "Look into it by hand.")
            await asyncio.to_thread(kept.write, data)

        async def complaint(_: bytes) -> None:
            pass

        try:
            async with asyncio.timeout(_PATIENCE):
                status = await connection.stream(command, take, complaint)
        except TimeoutError:
            raise ToolError(
                f"The machine has not said what is on its disks within {_PATIENCE / 60:g} minutes.",
                "Is it very slow, or are its disks very full?",
            ) from None
    user = connection.machine.login.user
    if status == _NO_ROOT:
        raise ToolError(
            f"{user} is not root in the machine, and sudo asks for a password.",
            f"Let {user} use sudo without one, or enter it as another user: [test.amazon] user.",
        )
    if status == _NO_FIND:
        raise ToolError("The find of the machine is not GNU's.", "Install findutils in it.")


def _unpack(directory: Path, address: str) -> None:
    try:
        with tarfile.open(directory / "copies", "r|gz") as archive:
            take_apart(archive, directory / "done", address)
        with gzip.open(directory / "list") as listing:
            said = listing.read(_LONGEST_LIST + 1)
        if len(said) > _LONGEST_LIST:
            raise ToolError(f"{address} has more files than can be looked at.", "Look into it by hand.")
        write_listing(directory / "done", said)
    except (tarfile.TarError, EOFError, zlib.error, OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise  # of a full disk here the machine is not to blame
        raise ToolError(
            f"What {address} said of its disks is not whole: {error}.", "Are gzip, GNU find and GNU tar in it?"
        ) from error
    if not said:
        raise ToolError(f"{address} gave no list of what is on its disks.", "Is GNU find in it?")
