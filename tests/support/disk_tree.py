"""A directory as if it were a disk that was read (core/adapters/disk_reading.py)."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from core.adapters.disk_reading import expression
from core.model.inventory import PATHS
from core.model.listing import Entry, Listing


def entry(path: str, content: bytes | None = b"", *, mode: int = 0o644, target: str = "", uid: int = 0) -> Entry:
    """A file; with a target a link, without content a directory."""
    kind = "l" if target else "d" if content is None else "f"
    return Entry(path, kind, mode, uid, 0, len(content or b""), 0.0, target)


def disk_of(files: Mapping[str, bytes | str | Entry]) -> tuple[Listing, Callable[[str], bytes | None]]:
    """The listing of a disk with these files, and what is in those that an inventory reads. A text is a file's content
    or, behind `-> `, where a link points to."""
    entries: dict[str, Entry] = {"/": entry("/", None, mode=0o755)}
    contents: dict[str, bytes] = {}
    for path, what in files.items():
        for parent in list(Path(path).parents)[:-1]:
            entries.setdefault(str(parent), entry(str(parent), None, mode=0o755))
        if isinstance(what, Entry):
            entries[path] = what
        elif isinstance(what, str) and what.startswith("-> "):
            entries[path] = entry(path, mode=0o777, target=what[3:])
        else:
            contents[path] = what.encode() if isinstance(what, str) else what
            entries[path] = entry(path, contents[path])
    listing = Listing(entries.values())
    wanted = re.compile(expression(PATHS))

    def content(path: str) -> bytes | None:
        found = listing.resolved(path)
        return contents.get(found.path) if found and wanted.fullmatch(f".{found.path}") else None

    return listing, content
