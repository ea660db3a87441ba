"""What is on a disk: every path of it, as the systems in it see them."""

import re
from collections.abc import Iterable, Mapping
from posixpath import dirname, join

import msgspec

_MOST_LINKS = 40
"""As many as Linux follows (path_resolution(7))."""


class Entry(msgspec.Struct, frozen=True):
    """One path. Names that are no UTF-8 have `\\xNN` for the bytes that are none."""

    path: str
    """Absolute, as the system in the disk sees it; the root is `/`."""
    kind: str
    """As find(1) says it: `f` file, `d` directory, `l` link, `b`, `c`, `p`, `s`."""
    mode: int
    uid: int
    gid: int
    size: int
    """Bytes."""
    mtime: float
    """Seconds since 1970."""
    target: str = ""
    """Where a link points to, as it says it."""


GLOB_SIGNS = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
"""What stands for what in a glob, as regular expressions of any dialect."""
_SIGN = re.compile(r"(\*\*/|\*\*|[*?]|\[[^]/]+\])")


def globs(*patterns: str) -> re.Pattern[str]:
    """What matches a whole path where one of the patterns does. `*` and `?` stand for no `/`, `**` for anything.

    >>> paths = globs("/home/*/.ssh/**", "/etc/**/*.conf", "/tmp/a[0-9]")
    >>> [bool(paths.fullmatch(path)) for path in ("/home/u/.ssh/a/b", "/home/u/v/.ssh/a", "/etc/x.conf", "/tmp/a1")]
    [True, False, True, True]
    >>> globs().fullmatch("") is None
    True
    """
    return re.compile(
        "|".join("".join(_expression(piece) for piece in _SIGN.split(glob)) for glob in patterns) or "(?!)"
    )


def _expression(piece: str) -> str:
    if piece.startswith("[") and piece.endswith("]"):
        signs = "[" + re.sub(r"^!", "^", piece[1:-1]).replace("\\", "\\\\").replace("[", r"\[") + "]"
        try:
            re.compile(signs)
        except re.error:  # such as [z-a]: it stands for itself
            return re.escape(piece)
        return signs
    return GLOB_SIGNS.get(piece) or re.escape(piece)


class Listing:
    """All paths of a disk, by name. Links are followed as the system in the disk would."""

    def __init__(self, entries: Iterable[Entry]) -> None:
        self.entries: Mapping[str, Entry] = {entry.path: entry for entry in entries}

    def resolved(self, path: str) -> Entry | None:
        """The entry that a path leads to, all links followed; None where that is nothing."""
        links = 0
        waiting = [part for part in reversed(path.split("/")) if part not in ("", ".")]
        at = "/"
        while waiting:
            part = waiting.pop()
            if part == "..":
                at = dirname(at)
                continue
            entry = self.entries.get(join(at, part))
            if entry is None:
                return None
            if entry.kind != "l":
                at = entry.path
                continue
            links += 1
            if links > _MOST_LINKS:
                return None
            if entry.target.startswith("/"):
                at = "/"
            waiting.extend(part for part in reversed(entry.target.split("/")) if part not in ("", "."))
        return self.entries.get(at)
