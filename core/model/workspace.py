"""A workspace: a Git repository with templates in it, and what was found there."""

import msgspec

from core.model.role import Problem, Role


class GitFacts(msgspec.Struct, frozen=True):
    """Where the repository stands."""

    commit: str = ""
    """Full hash of HEAD; empty in a repository without a commit."""
    branch: str = ""
    """Empty when HEAD is detached."""
    dirty: bool = False
    """Tracked files differ from HEAD, or untracked ones are there that Git does not ignore."""
    last_tag: str = ""
    commits_since_tag: int = 0
    shallow: bool = False
    """History is cut off: versions and staleness may not be known."""

    @property
    def short_commit(self) -> str:
        return self.commit[:7]


class Workspace(msgspec.Struct, frozen=True):
    """The identity of a workspace: clones and worktrees of one repository share it."""

    id: str
    """`id` in ingot.toml, else the normalised origin URL, else the Git common directory."""
    name: str
    root: str
    """Absolute path of the working tree that was opened."""
    remote: str = ""
    """The Git remote that the ledger is shared through (`ledger.remote` in ingot.toml); empty keeps it local."""
    provenance: str = ""
    """Where the clone is from: the normalised origin URL, else the Git common directory. Unlike the identity, no file
    in the repository says it, so it is what is trusted."""


class Catalogue(msgspec.Struct, frozen=True):
    """What discovery found in a workspace, at one moment."""

    workspace: Workspace
    git: GitFacts
    roles: tuple[Role, ...] = ()
    problems: tuple[Problem, ...] = ()
    """Those that belong to no role: ingot.toml, files that are no templates after all."""
    read_at: float = 0.0
    """Seconds since the epoch."""

    def role(self, name: str) -> Role | None:
        return next((role for role in self.roles if role.name == name), None)
