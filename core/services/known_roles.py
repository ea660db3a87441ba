"""Whether a role that somebody names is there at all: in the workspace now, or with images on the ledger."""

from collections.abc import Collection
from difflib import get_close_matches
from pathlib import Path

from core.adapters.git import GitRepository
from core.errors import RefusedError, WorkspaceError
from core.services import catalogue


def check(root: Path, role: str, with_images: Collection[str]) -> None:
    """Raises RefusedError with the names that exist where there is no such role; `with_images` are those that have
    images. Looks through the workspace only where it is none of them."""
    if role not in with_images:
        check_among(role, {*with_images, *(one.name for one in catalogue.discover(root).roles)})


def check_among(role: str, names: Collection[str]) -> None:
    """The same, of names that are at hand."""
    if role in names:
        return
    near = get_close_matches(role, sorted(names), n=1)
    there = f"There are: {', '.join(sorted(names))}." if names else "There are none: ingot roles says where it looked."
    raise RefusedError(f"There is no role {role!r} in this workspace.", f"Did you mean {near[0]}?" if near else there)


def check_in_git(directory: Path) -> None:
    """Raises WorkspaceError where no Git repository holds the directory: then there are no roles and no images."""
    if GitRepository.find(directory) is None:
        raise WorkspaceError(
            f"{directory} is in no Git repository: there is no workspace.",
            "Name one: ingot -C DIR. Or make it one: git init, git add, git commit.",
        )
