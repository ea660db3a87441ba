"""What happened in a Git repository between two commits: the commits, and how files differ."""

import re
from collections.abc import Sequence
from pathlib import PurePosixPath

import msgspec

from core.adapters.git import GitRepository

MOST_COMMITS = 200
LARGEST_PATCH = 512 * 1024
"""Bytes: what people read, and more than that they look at with Git itself."""
_PATHS_AT_ONCE = 500
_HASH = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_FORMAT = "--format=%H%x00%ct%x00%aN%x00%s"


class Logged(msgspec.Struct, frozen=True):
    """One commit."""

    hash: str
    at: float
    """Seconds since the epoch, when it was committed."""
    author: str
    subject: str


class FileChange(msgspec.Struct, frozen=True):
    """One file that differs."""

    path: str
    status: str
    """`A`, `D`, `M` or `T`, as git-diff(1) has them."""
    added: int | None
    """Lines; None for what is no text."""
    removed: int | None


def has(repository: GitRepository, commit: str) -> bool:
    """Whether the commit, by its full hash, is in this clone. What is no full hash is in none."""
    if not _HASH.fullmatch(commit):
        return False
    return repository.git("cat-file", "-e", f"{commit}^{{commit}}").code == 0


def commits_between(repository: GitRepository, old: str, new: str) -> list[Logged]:
    """The commits that `new` is made of and `old` is not, the newest first, MOST_COMMITS of them at most."""
    answer = repository.git(
        "log", "-z", f"--max-count={MOST_COMMITS}", _FORMAT, "--end-of-options", f"{old}..{new}", "--",
        doing="Reading the history",
    )  # fmt: skip
    fields = answer.out.decode(errors="replace").split("\0")
    return [
        Logged(fields[at], float(fields[at + 1]), fields[at + 2], fields[at + 3]) for at in range(0, len(fields) - 3, 4)
    ]


def files_between(repository: GitRepository, old: str, new: str, paths: Sequence[str]) -> list[FileChange]:
    """How the files below `paths` (`.` for all) differ, by path."""
    counted: dict[str, tuple[int | None, int | None]] = {}
    changed: dict[str, str] = {}
    for some in _in_portions(paths):
        numbers = _diff(repository, old, new, some, "--numstat", "-z").decode(errors="replace").split("\0")
        for line in filter(None, numbers):
            added, removed, path = line.split("\t", 2)
            counted[path] = (None, None) if added == "-" else (int(added), int(removed))
        words = _diff(repository, old, new, some, "--name-status", "-z").decode(errors="replace").split("\0")
        changed |= {path: status for status, path in zip(words[::2], words[1::2], strict=False)}
    return [FileChange(path, status, *counted.get(path, (None, None))) for path, status in sorted(changed.items())]


def patch_between(repository: GitRepository, old: str, new: str, paths: Sequence[str]) -> str:
    """The differences of the files below `paths` as text, cut at LARGEST_PATCH with a line that says so."""
    patch = b""
    for some in _in_portions(paths):
        patch += _diff(repository, old, new, some, "--patch", "--no-color")
        if len(patch) > LARGEST_PATCH:
            whole = patch[:LARGEST_PATCH].rpartition(b"\n")[0]
            return whole.decode(errors="replace") + f"\n… cut: git diff {old[:12]} {new[:12]} shows all of it\n"
    return patch.decode(errors="replace")


def _diff(repository: GitRepository, old: str, new: str, paths: Sequence[str], *how: str) -> bytes:
    # diff-tree looks at no configuration of the user's but what is asked for; nothing of the repository's is run.
    return repository.git(
        "diff-tree", "-r", *how, "--no-renames", "--no-ext-diff", "--no-textconv", old, new, "--",
        *paths,  # taken literally: git_program says so to Git
        doing="Comparing two commits",
    ).out  # fmt: skip


def _in_portions(paths: Sequence[str]) -> list[Sequence[str]]:
    """Manifests of others name paths: what leaves the repository is nowhere in it, and is left out."""
    inside = [path for path in paths if _is_inside(PurePosixPath(path)) and "\0" not in path]
    return [inside[at : at + _PATHS_AT_ONCE] for at in range(0, len(inside), _PATHS_AT_ONCE)]


def _is_inside(path: PurePosixPath) -> bool:
    return not path.is_absolute() and ".." not in path.parts
