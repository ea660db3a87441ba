"""A Git repository: what it is, what it holds, and a private clone of one commit of it.

Reads only. Nothing here writes to the user's working tree, index, branches or configuration, and nothing that the
repository brings along (hooks, filters, helpers) is run: see git_program.
"""

import difflib
import getpass
import os
import re
import shutil
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath

from core.adapters import git_program
from core.adapters.git_program import LOCAL_LIMIT, Answer, Settings
from core.errors import RefusedError, ToolError, WorkspaceError
from core.model.workspace import GitFacts
from core.process import name_argument

_COMMIT = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?")
_PATHS_AT_ONCE = 500
"""Paths in one argument list: far below what execve(2) takes."""
CLONE_LIMIT = 3600.0
"""Seconds for each of: copying the history, getting submodules, getting large files."""


_QUICK_SENDER = "git -c pack.window=0 -c pack.compression=1 -c uploadpack.allowAnySHA1InWant=true upload-pack"
"""What sends the history to a private clone: it goes from disk to disk once, so time counts and size does not."""


class GitRepository:
    """One repository, through one of its working trees."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._common: Path | None = None
        self._neutral: Settings | None = None

    @classmethod
    def find(cls, path: Path) -> "GitRepository | None":
        """The repository that holds `path`, or None where there is none.

        Raises WorkspaceError for a repository without a working tree, or one that belongs to somebody else.
        """
        asked = path if path.is_dir() else path.parent
        answer = git_program.run(asked, ("rev-parse", "--show-toplevel"))
        if answer.code == 0:
            return cls(Path(answer.text))
        if "not a git repository" in answer.err and "dubious" not in answer.err:
            return None
        if "must be run in a work tree" in answer.err:
            raise WorkspaceError(
                f"{path} is in a bare repository, or in the .git directory of one.",
                "Open a working tree of it: git clone it, or git worktree add.",
            )
        raise git_program.failure(asked, "Looking for the repository", answer)

    def git(
        self,
        *arguments: str,
        given: bytes = b"",
        extra: Mapping[str, str] | None = None,
        configuration: Settings = (),
        limit: float = LOCAL_LIMIT,
        doing: str = "",
    ) -> Answer:
        """Run one Git command here. With `doing` (`Reading the tags`) a failure is raised as an error that says so."""
        if self._neutral is None:
            self._neutral = git_program.neutral(self.root)
        answer = git_program.run(
            self.root,
            arguments,
            given=given,
            extra=extra,
            configuration=[*self._neutral, *configuration],
            limit=limit,
        )
        if doing and answer.code:
            raise git_program.failure(self.root, doing, answer)
        return answer

    def facts(self, tag_prefix: str = "") -> GitFacts:
        """Where the repository stands; `last_tag` is the nearest one that starts with `tag_prefix`.

        What is dirty *inside* a submodule does not count: it is a repository of its own.
        """
        status = self.git(
            "status", "--porcelain=v2", "--branch", "-z", "--untracked-files=normal", "--ignore-submodules=dirty",
            doing="Reading the state of the repository",
        )  # fmt: skip
        header: dict[str, str] = {}
        dirty = False
        for entry in status.paths:
            if entry.startswith("# "):
                key, _, value = entry[2:].partition(" ")
                header[key] = value
            else:
                dirty = True
                break
        commit = header.get("branch.oid", "")
        commit = commit if _COMMIT.fullmatch(commit) else ""
        branch = header.get("branch.head", "")
        tag, since = self._last_tag(commit, tag_prefix) if commit else ("", 0)
        return GitFacts(
            commit=commit,
            branch="" if branch == "(detached)" else branch,
            dirty=dirty,
            last_tag=tag,
            commits_since_tag=since,
            shallow=(self.common_directory() / "shallow").is_file(),
        )

    def resolve(self, ref: str) -> str:
        """The full commit that a branch, tag, hash or `HEAD~2` stands for.

        Raises RefusedError for what could be taken for an option, WorkspaceError when there is no such commit.
        """
        name_argument(ref, "the Git reference")
        # --verify gives one object or nothing; "^{commit}" peels tags and refuses trees and blobs.
        answer = self.git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
        if answer.code == 0 and _COMMIT.fullmatch(answer.text):
            return answer.text
        if ref == "HEAD":
            raise WorkspaceError(
                f"The repository {self.root} has no commit yet.", "Commit something first: git add, git commit."
            )
        known = self.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads", "refs/tags", "refs/remotes")
        near = difflib.get_close_matches(ref, known.text.split("\n"), n=3, cutoff=0.6)
        if near:
            advice = f"Did you mean {' or '.join(near)}?"
        elif (self.common_directory() / "shallow").is_file():
            advice = "This clone is shallow and may lack it: git fetch --unshallow --tags"
        else:
            advice = "If it is new on the remote: git fetch --tags"
        raise WorkspaceError(f"There is no commit called {ref!r} in {self.root}.", advice)

    def identity(self) -> str:
        """`Name <mail>` of the person, as Git would sign a commit; `login <login@host>` where Git does not know."""
        answer = self.git("var", "GIT_AUTHOR_IDENT")
        signed = re.fullmatch(r"(.+ <[^<>]*>) \d+ [+-]\d{4}", answer.text)
        if answer.code == 0 and signed:
            return signed[1]
        login = re.sub(r"[^\w.-]", "_", getpass.getuser()) or "unknown"
        return f"{login} <{login}@{re.sub(r'[^A-Za-z0-9.-]', '-', socket.gethostname()) or 'localhost'}>"

    def origin_url(self) -> str:
        """The URL of the remote `origin` as configured, without user and password in it; empty where there is none."""
        return git_program.without_password(self.git("config", "--get", "remote.origin.url").text)

    def common_directory(self) -> Path:
        """Where the objects and refs are: shared by all worktrees of one clone."""
        if self._common is None:
            answer = self.git("rev-parse", "--git-common-dir", doing="Looking for the Git directory")
            self._common = (self.root / answer.text).resolve()
        return self._common

    def describe(self, commit: str, tag_prefix: str = "") -> str:
        """`git describe` by the tags with this prefix; the short hash where no such tag can be reached."""
        return self.git(
            "describe", "--tags", "--always", "--abbrev=7", f"--match={_literal(tag_prefix)}*", _hash(commit),
            doing="Describing the commit",
        ).text  # fmt: skip

    def tags_at(self, commit: str) -> list[str]:
        """The names of the tags on this very commit."""
        answer = self.git(
            "for-each-ref", f"--points-at={_hash(commit)}", "--format=%(refname:lstrip=2)", "refs/tags",
            doing="Reading the tags",
        )  # fmt: skip
        return [name for name in answer.text.split("\n") if name]

    def changed_between(self, old: str, new: str, paths: Sequence[str]) -> list[str]:
        """Which files below `paths` (files or directories, `.` for all; none: nothing) differ between two commits.

        Raises WorkspaceError when the repository does not have one of them (rewritten or cut-off history).
        """
        for commit in (old, new):
            if self.git("cat-file", "-e", f"{_hash(commit)}^{{commit}}").code:
                raise WorkspaceError(
                    f"Commit {commit[:12]} is not in {self.root}.",
                    "Its history was rewritten or is cut off: git fetch --unshallow, or fetch the branch that has it.",
                )
        changed: set[str] = set()
        wanted = [_inside(path) for path in paths]
        for first in range(0, len(wanted), _PATHS_AT_ONCE):
            some = wanted[first : first + _PATHS_AT_ONCE]
            answer = self.git(
                "diff-tree", "-r", "-z", "--name-only", "--no-renames", "--no-ext-diff", "--no-textconv",
                old, new, "--", *some,
                doing="Comparing two commits",
            )  # fmt: skip
            changed.update(answer.paths)
        return sorted(changed)

    def files(self) -> list[str]:
        """Files of the working tree, tracked or not, that Git does not ignore; relative to the root."""
        there = self.git("ls-files", "-z", "--cached", "--others", "--exclude-standard", doing="Listing the files")
        gone = self.git("ls-files", "-z", "--deleted", doing="Listing the files")
        return sorted(set(there.paths) - set(gone.paths))

    def file_at(self, commit: str, path: str) -> bytes:
        """What a file held at a commit. Raises WorkspaceError when it was not there."""
        answer = self.git("cat-file", "blob", f"{_hash(commit)}:{_inside(path)}")
        if answer.code:
            raise WorkspaceError(
                f"There is no file {path} in commit {commit[:12]}.",
                "Look at the path, or at the commit that was asked for.",
            )
        return answer.out

    @staticmethod
    def clone_at(source: Path, commit: str, destination: Path) -> "GitRepository":
        """A private clone of `source` with `commit` checked out, detached, submodules and large files in it.

        The history of that commit and its tags come through Git's own transport (git-upload-pack), not by linking or
        borrowing the source's object files: a `--local` clone would carry on the source's alternates, its symbolic
        links and half a `git gc`; a `--shared` one breaks when the source is cleaned up or moved away. The destination
        appears whole or not at all; one that is there already at this commit is kept, so that a stage can be repeated.

        Raises ToolError or WorkspaceError; RefusedError when the destination holds something else.
        """
        _hash(commit)
        if destination.exists():
            there = git_program.run(destination, ("rev-parse", "--verify", "--quiet", "HEAD"))
            if there.text == commit and (destination / ".git").is_dir():
                return GitRepository(destination)
            raise RefusedError(f"{destination} exists and is no clone at {commit[:12]}.", "Remove it, then try again.")
        part = destination.with_name(f".{destination.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        try:
            part.mkdir(mode=0o700, parents=True)
            _clone(GitRepository(source), commit, GitRepository(part))
            part.rename(destination)
        except OSError as error:
            raise ToolError(
                f"Cannot make the clone {destination}: {error.strerror}.", "Make room or mend the rights."
            ) from error
        finally:
            shutil.rmtree(part, ignore_errors=True)
        return GitRepository(destination)

    def _last_tag(self, commit: str, tag_prefix: str) -> tuple[str, int]:
        answer = self.git("describe", "--tags", "--long", "--abbrev=7", f"--match={_literal(tag_prefix)}*", commit)
        if answer.code:  # no such tag
            return "", 0
        tag, since, _ = answer.text.rsplit("-", 2)
        return tag, int(since)


def _clone(source: GitRepository, commit: str, clone: GitRepository) -> None:
    kind = source.git("rev-parse", "--show-object-format", doing="Reading the repository").text
    made = git_program.run(
        clone.root, ("init", "--quiet", "--template=", f"--object-format={kind}", "--initial-branch=none")
    )
    if made.code:
        raise git_program.failure(clone.root, "Making the clone", made)
    source.git("cat-file", "-e", f"{commit}^{{commit}}", doing=f"Looking for commit {commit[:12]}")
    # A refspec with a destination makes Git follow tags; any object can be asked for in protocol 2. Taken from a
    # shallow source, the clone is as shallow.
    clone.git(
        "fetch", "--quiet", "--update-shallow", "--no-write-fetch-head", f"--upload-pack={_QUICK_SENDER}",
        "--end-of-options", source.root.absolute().as_uri(), f"{commit}:refs/ingot/source",
        limit=CLONE_LIMIT, doing=f"Cloning {source.root}",
    )  # fmt: skip
    _set_origin(source, clone)
    clone.git(
        "checkout", "--quiet", "--detach", "--force", commit, "--",
        configuration=git_program.without_filters(clone.root), limit=CLONE_LIMIT, doing=f"Checking out {commit[:12]}",
    )  # fmt: skip
    _resolve_large_files(clone, source)
    if (clone.root / ".gitmodules").is_file():
        clone.git(
            "submodule", "--quiet", "update", "--init", "--recursive", "--checkout", "--force",
            configuration=git_program.without_filters(clone.root), extra=git_program.ssh_command(clone.root),
            limit=CLONE_LIMIT, doing="Getting the submodules",
        )  # fmt: skip
        found = clone.git(
            "submodule", "--quiet", "foreach", "--recursive", 'printf \'%s/%s\\0\' "$toplevel" "$sm_path"'
        )
        for path in found.paths:
            _resolve_large_files(GitRepository(Path(path)), None)


def _set_origin(source: GitRepository, clone: GitRepository) -> None:
    """Relative submodule URLs and LFS look at `origin`: give the clone the source's own.

    Written into the file and not set by a command: the URL may hold a password, and everybody can read argument lists.
    """
    url = source.git("config", "--get", "remote.origin.url").text or str(source.root.absolute())
    if "://" not in url and not re.match(r"[^/]+:", url):
        url = str((source.root / url).resolve())
    quoted = url.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    file = clone.root / ".git" / "config"
    file.chmod(0o600)
    with file.open("a", encoding="utf-8", errors="surrogateescape") as config:
        config.write(f'[remote "origin"]\n\turl = "{quoted}"\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n')


def _resolve_large_files(clone: GitRepository, source: GitRepository | None) -> None:
    """Replace the LFS pointers of a checkout by what they point to; ToolError when git-lfs is needed and missing."""
    pointers = _lfs_pointers(clone)
    if not pointers:
        return
    if not git_program.has_lfs():
        raise ToolError(
            f"This commit keeps {len(pointers)} files in Git LFS ({pointers[0]}, …) and git-lfs is not installed.",
            "Install it: apt install git-lfs (or https://git-lfs.com), then start again.",
        )
    if source is not None:
        _copy_large_files(clone, source, pointers)
    clone.git("lfs", "install", "--local", "--skip-repo", doing="Setting up Git LFS")
    clone.git(
        "lfs", "pull", "origin",
        extra=git_program.ssh_command(clone.root), limit=CLONE_LIMIT, doing="Getting the files in Git LFS",
    )  # fmt: skip
    missing = _lfs_pointers(clone)
    if missing:
        raise ToolError(f"Git LFS left {missing[0]} unresolved.", "Try: git lfs fetch --all, in your own clone.")


_POINTER = b"version https://git-lfs.github.com/spec/v1\n"


def _lfs_pointers(clone: GitRepository) -> list[str]:
    """Files with the attribute filter=lfs that hold a pointer (git-lfs, docs/spec.md) and not the content."""
    files = clone.git("ls-files", "-z", doing="Listing the files").out
    answer = clone.git("check-attr", "-z", "--stdin", "filter", given=files, doing="Reading the attributes")
    parts = answer.out.split(b"\0")
    found: list[str] = []
    for path, value in zip(parts[::3], parts[2::3], strict=False):
        file = clone.root / os.fsdecode(path)
        if value == b"lfs" and file.is_file() and not file.is_symlink():
            with file.open("rb") as content:
                if content.read(len(_POINTER)) == _POINTER:
                    found.append(os.fsdecode(path))
    return found


def _copy_large_files(clone: GitRepository, source: GitRepository, pointers: Sequence[str]) -> None:
    """Take from the source's own LFS store what it has: works offline, and git-lfs verifies by the digest."""
    for path in pointers:
        digest = re.search(rb"^oid sha256:([0-9a-f]{64})$", (clone.root / path).read_bytes()[:1024], re.MULTILINE)
        if not digest:
            continue
        name = digest[1].decode()
        place = PurePosixPath("lfs", "objects", name[:2], name[2:4], name)
        there, here = source.common_directory() / place, clone.root / ".git" / place
        if there.is_file() and not here.exists():
            here.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(there, here)


def _hash(commit: str) -> str:
    if not _COMMIT.fullmatch(commit):
        raise RefusedError(f"{commit!r} is not a full commit hash.", "Resolve it first.")
    return commit


def _inside(path: str) -> str:
    pure = PurePosixPath(path)
    if pure.is_absolute() or ".." in pure.parts or "\0" in path:
        raise RefusedError(f"The path {path!r} leaves the repository.", "Give it relative to the root, without `..`.")
    return str(pure)


def _literal(prefix: str) -> str:
    """A prefix as a glob pattern that matches only itself."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", prefix)
