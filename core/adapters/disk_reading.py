"""Reads a whole disk image once, read-only: the names of all that is in it, and what is in a few of its files.

libguestfs boots a small machine around the disk (12 s without hardware virtualisation): two commands in that machine
do it all. Its own programs read the disk there, none of the disk's, and follow no link. What they found comes out as
base64 in parts, since one answer of libguestfs' holds 4 MB; here it is unpacked into files of ours with names that
cannot leave their directory. The disk's file systems are mounted where its /etc/fstab says.
"""

import asyncio
import re
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import msgspec

from core.adapters import guestfs
from core.errors import RefusedError, ToolError
from core.model.listing import GLOB_SIGNS, Entry, Listing

LARGEST_FILE = 128 * 1024 * 1024
"""Bytes: larger ones are listed and not copied."""
MOST = 1024 * 1024 * 1024
"""Bytes of the list and the copies together."""

_PATTERN = re.compile(r"/[A-Za-z0-9/._+*?@-]+")
FIELDS = r"%y\0%m\0%U\0%G\0%s\0%T@\0%P\0%l\0"
"""What find(1) says of each path, NUL after each, as `entries` takes it."""
_PART = 2 * 1024 * 1024

# Each is one command of guestfish's; a quoted text there ends at the next quote.
_FIND = (
    'debug sh \'cd /sysroot && find . -regextype posix-extended -fprintf /tmp/listing "{fields}"'
    ' -type f -size -{largest}c -regex "{wanted}" -print0 > /tmp/names'
    " && tar --create --null --no-recursion --hard-dereference --numeric-owner --format=gnu"
    " -C /tmp listing -C /sysroot --files-from=/tmp/names | gzip -1 > /tmp/whole"
    " && mkdir /tmp/parts && cd /tmp/parts && split -d -a 4 -b {part} /tmp/whole part. && ls | wc -l'"
)
_TAKE = (
    r"""sed -nE "1s/^ *([0-9]{1,4}) *$/\1/p" parts | while read parts; do"""
    r""" seq -f "debug sh 'base64 -w0 /tmp/parts/part.%04g' | base64 -d >> packed" 0 $((parts - 1)); done"""
)


class Reading:
    """What `read_disk` left in a directory."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        entries = msgspec.json.decode((directory / "listing.json").read_bytes(), type=list[Entry])
        self.listing = Listing(entries)

    def content(self, path: str) -> bytes | None:
        """What is in a file, links followed as the system in the disk would; None when it was not copied."""
        entry = self.listing.resolved(path)
        if entry is None or entry.kind != "f":
            return None
        copy = self.directory / "tree" / entry.path.lstrip("/")
        return copy.read_bytes() if copy.is_file() else None


async def read_disk(disk: Path, disk_format: str, wanted: Sequence[str], into: Path) -> None:
    """Leave `listing.json` (a list of model.listing.Entry) and `tree/`, with copies of the wanted files, in `into`.

    `wanted` are absolute paths or globs: `*` and `?` stand for no `/`, `**` for anything. A link is no file: name its
    target as well. `into` is replaced, and is there only when it is whole. Raises ToolError.
    """
    script = "\n".join(
        (
            _FIND.format(fields=FIELDS, largest=LARGEST_FILE, wanted=expression(wanted), part=_PART) + " | cat > parts",
            f"<! {_TAKE}",
            "",
        )
    )
    into.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{into.name}-", dir=into.parent) as name:
        directory = Path(name)
        of_qemu = "vpc" if disk_format == "vhd" else disk_format
        await guestfs.guestfish(disk, of_qemu, script, directory, "--ro", "-i")
        await asyncio.to_thread(unpack, disk, directory / "packed", directory / "done")
        await asyncio.to_thread(shutil.rmtree, into, ignore_errors=True)
        (directory / "done").rename(into)


def expression(wanted: Sequence[str]) -> str:
    """The patterns as one extended regular expression of find(1), about paths that begin with `./`. Without special
    characters of the shell's inside double quotes.

    >>> expression(["/etc/passwd", "/home/*/.ssh/**"])
    '[.]/(etc/passwd|home/[^/]*/[.]ssh/.*)'
    """
    parts: list[str] = []
    for pattern in wanted:
        if not _PATTERN.fullmatch(pattern):
            raise RefusedError(f"{pattern!r} is no pattern for paths in an image.", "Write it from the root: /…")
        pieces = re.split(r"(\*\*/|\*\*|[*?])", pattern.lstrip("/"))
        parts.append("".join(GLOB_SIGNS.get(piece) or re.sub(r"[.+]", r"[\g<0>]", piece) for piece in pieces))
    return f"[.]/({'|'.join(parts)})"


def unpack(disk: Path, packed: Path, into: Path) -> None:
    """Raises ToolError."""
    try:
        with tarfile.open(packed, "r|gz") as archive:
            take_apart(archive, into, disk.name)
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise ToolError(
            f"What libguestfs said of {disk.name} is not whole: {error}.",
            "`libguestfs-test-tool` says whether it works.",
        ) from error
    if not (into / "listing.json").is_file():
        raise ToolError(f"libguestfs gave no list of {disk.name}.", "`libguestfs-test-tool` says whether it works.")


def take_apart(archive: tarfile.TarFile, into: Path, name: str) -> None:
    """Make `into` of an archive with the copies of files and, where it has one, the list as `listing`.

    Raises ToolError where there is more than anybody looks at, and what reading the archive raises.
    """
    into.mkdir(mode=0o700)
    (into / "tree").mkdir(mode=0o700)
    left = MOST
    for member in archive:
        left -= member.size
        if left < 0:
            raise ToolError(f"There is more in {name} than can be looked at.", "Look into it by hand.")
        stream = archive.extractfile(member) if member.isreg() else None
        if stream is None:
            continue
        if member.name == "listing":
            write_listing(into, stream.read())
        elif place := _place(into / "tree", member.name):
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with place.open("xb") as copy:
                shutil.copyfileobj(stream, copy)


def write_listing(into: Path, listing: bytes) -> None:
    """Keep what find(1) said."""
    (into / "listing.json").write_bytes(msgspec.json.encode(list(entries(listing))))


def _place(tree: Path, name: str) -> Path | None:
    """Where a copy goes; None for names that leave the tree, or that no file of ours can have."""
    if not name.startswith("./"):
        return None
    parts = PurePosixPath(_readable(name.encode(errors="surrogateescape"))).parts
    if not parts or any(part in ("..", "/") or len(part.encode()) > 255 for part in parts):
        return None
    return tree.joinpath(*parts)


def entries(listing: bytes) -> Iterator[Entry]:
    """What find(1) printed with NUL after each field."""
    fields = listing.split(b"\0")
    for at in range(0, len(fields) - 8, 8):
        kind, mode, uid, gid, size, mtime, path, target = fields[at : at + 8]
        yield Entry(
            path=_absolute(_readable(path)),
            kind=kind.decode("ascii"),
            mode=int(mode, 8),
            uid=int(uid),
            gid=int(gid),
            size=int(size),
            mtime=float(mtime),
            target=_readable(target),
        )


def _absolute(path: str) -> str:
    """find(1) begins with the place where it began to look, `.`, unless it was told to leave that out."""
    return "/" if path == "." else f"/{path.removeprefix('./')}"


def _readable(name: bytes) -> str:
    return name.decode(errors="backslashreplace")
