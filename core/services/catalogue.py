"""What a workspace has: its roles, from what is in the repository and in ingot.toml. Executes nothing that is in it."""

import hashlib
import os
import posixpath
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from core import config
from core.adapters.files import WorkspaceFiles
from core.adapters.git import GitRepository
from core.adapters.parsed import ParsedFiles
from core.config import Configuration
from core.errors import LedgerError, NoRoomError, WorkspaceError
from core.model import identity
from core.model.role import Problem, Role
from core.model.workspace import Catalogue, GitFacts, Workspace
from core.places import Places
from core.services import cache
from core.services.roles import RoleMaker
from core.services.staleness import why_stale
from core.services.templates import Finder
from core.store.index import Index
from core.store.ledger import Ledger

LEDGER = "ledger"
"""What a problem of the ledger gives as its path: it is no file of the workspace."""
INDEX = "index"
"""The same of one of the index."""


def discover(root: Path, places: Places | None = None, *, clock: Callable[[], float] = time.time) -> Catalogue:
    """Everything that is found in the repository that holds `root`, or in the directory where it is in none.

    With `places`, what was parsed is kept there for the next time. Raises WorkspaceError where there is no such
    directory, or Git refuses to work in it; all else that is wrong is in the catalogue, beside what is right.
    """
    top, repository = _opened(root)
    configuration = config.load(top)
    files = WorkspaceFiles.of(top, repository)
    workspace = _workspace(top, repository, configuration)
    parsed = ParsedFiles(files, _kept_parsed(places, top))
    finder = Finder(files, parsed, configuration.ignore)
    templates = finder.templates() if configuration.discovery else []
    made = RoleMaker(files, configuration, finder).all(templates, workspace.name)
    parsed.save()
    return Catalogue(
        workspace=workspace,
        git=repository.facts(configuration.tag_prefix) if repository else GitFacts(),
        roles=tuple(sorted(made.roles, key=lambda role: _in_order(role.name))),
        problems=(*files.problems, *made.problems),
        read_at=clock(),
    )


def identify(root: Path) -> Workspace:
    """The workspace that holds a directory, without looking for templates. Raises WorkspaceError, as `discover`."""
    top, repository = _opened(root)
    return _workspace(top, repository, config.load(top))


def refresh(places: Places, root: Path) -> Catalogue:
    """Discover, and make the index equal to what was found: the catalogue, the ledger's images, what is stale.

    A ledger that cannot be read leaves the index's images as they are, and is a problem of the catalogue; so does a
    disk without room. Raises WorkspaceError as `discover`, and StoreError where the index cannot be used.
    """
    places.create()
    cache.sweep(places, time.time())
    found = discover(root, places)
    index = Index(places.index)
    try:
        if found.git.commit:
            found = _with_images(index, found)
        index.save_catalogue(found)
    except NoRoomError as full:
        old = Problem(INDEX, f"{full.what} What is shown of images may be old.", None, full.next_step)
        found = replace(found, problems=(*found.problems, old))
    finally:
        index.close()
    return found


def refresh_with_others(places: Places, root: Path) -> Catalogue:
    """`refresh`, then take in what others wrote on the ledger, where the workspace names a remote to share it through.

    What is known here is in the index before the network is asked. A remote that cannot be reached is a problem of
    the catalogue. Blocks for as long as the network takes (core/adapters/git_program.py bounds it).
    """
    found = refresh(places, root)
    if not (found.workspace.remote and found.git.commit):
        return found
    try:
        shared = Ledger(Path(found.workspace.root), found.workspace.remote).fetch()
        trouble = [shared.reason] if shared.state == "offline" else list(shared.lost)
    except LedgerError as error:
        trouble = [error.what]
    index = Index(places.index)
    try:
        before = tuple(problem for problem in found.problems if problem.path != LEDGER)
        found = _with_images(index, replace(found, problems=before))
        offline = [Problem(LEDGER, what, None, "What is shown of others may be old.") for what in trouble]
        found = replace(found, problems=(*found.problems, *offline))
        index.save_catalogue(found)
    finally:
        index.close()
    return found


def _with_images(index: Index, found: Catalogue) -> Catalogue:
    top = Path(found.workspace.root)
    try:
        contents = Ledger(top, found.workspace.remote).read()
        index.replace_images(found.workspace.id, contents.images, contents.head or "")
        troubles = contents.problems
    except LedgerError as error:
        troubles = (error,)
    index.save_stale(found.workspace.id, why_stale(GitRepository(top), found, index.images(found.workspace.id)))
    problems = [Problem(LEDGER, error.what, None, error.next_step) for error in troubles]
    return replace(found, problems=(*found.problems, *problems))


def as_json(catalogue: Catalogue) -> dict[str, Any]:
    """The catalogue for scripts: names and meanings of keys do not change; keys may be added."""
    return {
        "workspace": {
            "id": catalogue.workspace.id,
            "name": catalogue.workspace.name,
            "root": catalogue.workspace.root,
            "commit": catalogue.git.commit,
            "branch": catalogue.git.branch,
            "dirty": catalogue.git.dirty,
            "last_tag": catalogue.git.last_tag,
        },
        "roles": [_role_as_json(role) for role in catalogue.roles],
        "problems": [_problem_as_json(problem) for problem in catalogue.problems],
    }


def _role_as_json(role: Role) -> dict[str, Any]:
    upstream: dict[str, object] = {"kind": role.upstream.kind.value}
    told = ("role", "takes", "url", "checksum", "signature", "key", "fingerprint", "distribution", "suite")
    for key in (*told, "owners", "name", "region", "architecture"):
        if value := getattr(role.upstream, key):
            upstream[key] = [*value] if key in ("takes", "owners") else value
    return {
        "name": role.name,
        "template": role.template,
        "syntax": role.syntax.value,
        "variable_files": list(role.variable_files),
        "variables": dict(role.variables),
        "builds": [{"name": build.name, "type": build.kind} for build in role.builds],
        "provisioners": list(role.provisioners),
        "playbooks": list(role.playbooks),
        "inputs": list(role.inputs),
        "declares": list(role.declares),
        "sensitive": list(role.sensitive),
        "requires_plugins": role.requires_plugins,
        "outside": list(role.outside),
        "upstream": upstream,
        "problems": [_problem_as_json(problem) for problem in role.problems],
    }


def _problem_as_json(problem: Problem) -> dict[str, Any]:
    return {"path": problem.path, "line": problem.line, "reason": problem.reason, "fix": problem.fix}


def _opened(root: Path) -> tuple[Path, GitRepository | None]:
    if not root.is_dir():
        raise WorkspaceError(f"{root} is no directory.", "Open a repository with Packer templates: ingot -C DIR")
    repository = GitRepository.find(root)
    return (repository.root, repository) if repository else (Path(os.path.realpath(root)), None)


def _workspace(root: Path, repository: GitRepository | None, configuration: Configuration) -> Workspace:
    origin = identity.normalised(repository.origin_url()) if repository and repository.origin_url() else ""
    place = origin or str(repository.common_directory() if repository else root)
    leaf = posixpath.basename(origin) or root.name
    return Workspace(
        id=configuration.id or place,
        name=configuration.name or leaf or "workspace",
        root=str(root),
        remote=configuration.ledger_remote,
        provenance=place,
    )


def _kept_parsed(places: Places | None, root: Path) -> Path | None:
    key = hashlib.sha256(os.fsencode(root)).hexdigest()[:24]
    return places.cache / "parsed" / f"{key}.msgpack" if places else None


def _in_order(name: str) -> list[tuple[int, int, str]]:
    """ubuntu-9 before ubuntu-10."""
    parts = re.findall(r"\d+|\D+", name.lower())
    return [(0, int(part[:18]), part) if part.isdigit() else (1, 0, part) for part in parts]
