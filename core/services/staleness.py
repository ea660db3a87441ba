"""Which roles' last images are no longer what their sources would give. The rules are in core/model/stale.py."""

from collections.abc import Sequence

from core import config
from core.adapters.git import GitRepository
from core.errors import WorkspaceError
from core.model import stale
from core.model.image import ImageState, ImageVersion
from core.model.role import Role
from core.model.workspace import Catalogue


def why_stale(repository: GitRepository, catalogue: Catalogue, images: Sequence[ImageVersion]) -> dict[str, str]:
    """Role → why, in a few words, for those roles that are stale. A role without an image is none of them.

    Compares commits: what is changed in the working tree and not committed would not be built either.
    """
    head = catalogue.git.commit
    newest = stale.newest_in(images, tuple(ImageState))
    if not head or not newest:
        return {}
    changes = {image.commit: _changed(repository, image.commit, head) for image in newest.values()}
    configured = _Configured(repository, head)
    by_key = {(image.role, image.version): image for image in images}
    to_build_on = {role.upstream.built_on: stale.newest_in(images, role.upstream.built_on) for role in catalogue.roles}
    why: dict[str, str] = {}
    for role in catalogue.roles:
        image = newest.get(role.name)
        if image is None:
            continue
        changed = changes[image.commit]
        if changed is None:
            cut = " (this clone is shallow)" if catalogue.git.shallow else ""
            why[role.name] = f"its commit {image.commit[:7]} is not in this repository{cut}"
        elif paths := stale.changed_inputs(role, image, changed):
            why[role.name] = stale.because_of_files(paths)
        elif config.NAME in changed and configured.differs(role, image.commit):
            why[role.name] = f"changed: its part of {config.NAME}"
        elif reason := stale.because_of_parent(
            role,
            image,
            to_build_on[role.upstream.built_on],
            by_key.get((image.upstream.role, image.upstream.version)),
        ):
            why[role.name] = reason
    outdated = stale.why_outdated(catalogue.roles, images)
    return stale.with_parents([role for role in catalogue.roles if role.name in newest], why, outdated)


def _changed(repository: GitRepository, commit: str, head: str) -> list[str] | None:
    """What differs between two commits; None where the first is not there."""
    if commit == head:
        return []
    try:
        return repository.changed_between(commit, head, ["."])
    except WorkspaceError:
        return None


class _Configured:
    """ingot.toml at commits, each read once."""

    def __init__(self, repository: GitRepository, head: str) -> None:
        self._repository = repository
        self._head = head
        self._at: dict[str, bytes] = {}

    def differs(self, role: Role, commit: str) -> bool:
        return config.differs_for(role.name, self._content(commit), self._content(self._head))

    def _content(self, commit: str) -> bytes:
        if commit not in self._at:
            try:
                self._at[commit] = self._repository.file_at(commit, config.NAME)
            except WorkspaceError:
                self._at[commit] = b""
        return self._at[commit]
