"""The files of a workspace: their names, and bounded reading of them. Follows no link out of the workspace."""

import fnmatch
import os
import posixpath
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from core.adapters.git import GitRepository
from core.model.role import Problem

SKIPPED = frozenset({".git", ".terraform", "node_modules", "vendor", "packer_cache", ".venv", "__pycache__"})
"""Directories that hold what tools made or what others wrote."""
MAX_FILES = 500_000


class WorkspaceFiles:
    """What is there below a root: names as Git has them, `/` between the parts, relative to the root."""

    def __init__(self, root: Path, names: Iterable[str]) -> None:
        self.root = Path(os.path.realpath(root))
        self.names: dict[str, None] = {}
        self.directories: dict[str, list[str]] = {".": []}
        """Names of the files in each directory."""
        self.problems: list[Problem] = []
        for name in sorted(names):
            self._add(name)

    def _add(self, name: str) -> None:
        directory, _, leaf = name.rpartition("/")
        if not leaf or not SKIPPED.isdisjoint(name.split("/")[:-1]):
            return
        if not _is_text(name):
            if leaf.endswith((".pkr.hcl", ".pkr.json", ".json", ".pkrvars.hcl")):
                shown = name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
                self.problems.append(
                    Problem(shown, "its name is not valid UTF-8, so it is left out", None, "Rename it.")
                )
            return
        self.names[name] = None
        self.directories.setdefault(directory or ".", []).append(leaf)
        while directory:
            self.directories.setdefault(directory, [])
            directory = posixpath.dirname(directory)

    @classmethod
    def of(cls, root: Path, repository: GitRepository | None) -> "WorkspaceFiles":
        """Git's own listing (tracked, and untracked unless ignored; submodules are one name and not looked into)."""
        return cls(root, repository.files() if repository else _walk(root))

    def holds(self, path: str) -> bool:
        return path in self.names or path in self.directories

    def find(self, path: str, bases: Iterable[str]) -> str | None:
        """What a path in a template stands for: relative to the first of the `bases` where something has that name.

        None for what is not there, not in the workspace, or not a plain path (a URL, a pattern of Packer's, `~`).
        """
        if (
            not path
            or len(path) > 4096
            or path.startswith("~")
            or "://" in path
            or "{{" in path
            or not path.isprintable()
        ):
            return None
        path = path.replace("\\", "/")
        if path.startswith("/"):
            inside = posixpath.relpath(posixpath.normpath(path), str(self.root))
            return self._there(inside)
        for base in bases:
            if found := self._there(posixpath.normpath(posixpath.join(base, path))):
                return found
        return None

    def find_all(self, pattern: str, bases: Iterable[str]) -> list[str]:
        """The same for a path with `*` in its last part; a plain path gives at most one."""
        directory, leaf = posixpath.split(pattern)
        if not any(sign in leaf for sign in "*?["):
            found = self.find(pattern, bases)
            return [found] if found else []
        parent = self.find(directory or ".", bases)
        if parent is None or parent not in self.directories:
            return []
        matching = fnmatch.filter(self.directories[parent], leaf)
        return [posixpath.normpath(posixpath.join(parent, name)) for name in matching]

    def _there(self, path: str) -> str | None:
        if path.startswith("../") or path == "..":
            return None
        if self.holds(path):
            return path
        return self._through_link(path)

    def _through_link(self, path: str) -> str | None:
        """A path below a link that is in the workspace, when it leads to another place in the workspace."""
        parts = path.split("/")
        for count in range(1, len(parts)):
            if "/".join(parts[:count]) in self.names:
                real = posixpath.relpath(os.path.realpath(self.root / path), str(self.root))
                return real if self.holds(real) else None
        return None

    def link_target(self, path: str) -> str | None:
        """Where a name that is a link leads to, if that is in the workspace."""
        if path in self.names and (self.root / path).is_symlink():
            real = posixpath.relpath(os.path.realpath(self.root / path), str(self.root))
            return real if self.holds(real) and real != path else None
        return None

    def read(self, path: str, limit: int) -> bytes:
        """The content of a file, at most `limit` bytes of it.

        Raises OSError, with the reason in words: for what cannot be read, is no plain file (a FIFO would block for
        ever), or is a link that leads out of the workspace.
        """
        where = self.root / path
        if where.is_symlink() and not Path(os.path.realpath(where)).is_relative_to(self.root):
            raise OSError("it is a link that leads out of the workspace")
        handle = os.open(where, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        with os.fdopen(handle, "rb") as file:
            if not stat.S_ISREG(os.fstat(handle).st_mode):
                raise OSError("it is not a plain file")
            return file.read(limit)


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _walk(root: Path) -> Iterator[str]:
    """Every plain file below a directory that is in no repository. Links are not followed."""
    waiting = [""]
    count = 0
    while waiting:
        prefix = waiting.pop()
        try:
            entries = list(os.scandir(root / prefix))
        except OSError:
            continue  # an unreadable directory: its neighbours are still shown
        for entry in entries:
            name = f"{prefix}{entry.name}"
            if entry.is_dir(follow_symlinks=False):
                if entry.name not in SKIPPED:
                    waiting.append(f"{name}/")
            elif entry.is_file() or entry.is_symlink():
                yield name
                count += 1
                if count >= MAX_FILES:
                    return
