"""The roles as a commit has them, and what of them can be built from it."""

import shutil
import uuid
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

from core.adapters.git import GitRepository
from core.errors import RefusedError
from core.model.role import Role
from core.places import Places
from core.services import catalogue
from core.stages.checkout import copy_outside


def roles_at(places: Places, repository: GitRepository, commit: str, names: Sequence[str]) -> dict[str, Role]:
    """The roles as they are at the commit, those of `names` completed with what Git does not hold of them."""
    facts = repository.facts()
    if facts.commit == commit and not facts.dirty:
        return {role.name: role for role in catalogue.discover(repository.root, places).roles}
    # Not what the working tree has: read in a private clone, which goes away again.
    place = places.home / "reading" / uuid.uuid4().hex
    try:
        clone = GitRepository.clone_at(repository.root, commit, place)
        found = catalogue.discover(clone.root)
        outside = [role.outside for role in found.roles if role.name in names and role.outside]
        for missing in outside:
            copy_outside(repository.root, clone.root, missing)
        if outside:
            found = catalogue.discover(clone.root)
        return {role.name: role for role in found.roles}
    finally:
        shutil.rmtree(place, ignore_errors=True)


def buildable(roles: Mapping[str, Role], name: str, commit: str) -> Role:
    """The role of this name. Raises RefusedError where there is none at the commit, or it has problems."""
    role = roles.get(name)
    if role is None:
        near = get_close_matches(name, list(roles), n=3, cutoff=0.5)
        raise RefusedError(
            f"There is no role {name} in commit {commit[:7]}.",
            f"Did you mean {' or '.join(near)}?" if near else "ingot roles lists what is there; is it committed?",
        )
    if role.problems:
        first = role.problems[0]
        where = f"{first.path}:{first.line}" if first.line else first.path
        raise RefusedError(
            f"The role {name} cannot be built from commit {commit[:7]}: {where}: {first.reason}.",
            " ".join(part for part in (first.fix, "Commit what you change: what is built is a commit.") if part),
        )
    return role


def chosen_builds(role: Role, builds: tuple[str, ...]) -> tuple[str, ...]:
    """The builds to make, in the role's order. Raises RefusedError for one that the role does not have."""
    there = tuple(build.name for build in role.builds)
    unknown = [name for name in builds if name not in there]
    if unknown:
        raise RefusedError(f"The role {role.name} has no build {unknown[0]}.", f"It has: {', '.join(there) or 'none'}.")
    if not there:
        raise RefusedError(
            f"The role {role.name} has no build: no source in its template.", "Give its build block a source."
        )
    return tuple(name for name in there if name in builds) if builds else there
