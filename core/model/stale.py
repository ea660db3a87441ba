"""Whether a role's last image is still what its sources would give, and in which order such roles are built again.

Stale is what its sources, or its parent, would give otherwise now; outdated, which is part of it, has a parent of which
there is a newer good version. Both are computed whenever somebody looks, and stored nowhere for good.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from core.model.image import ImageState, ImageVersion
from core.model.role import Role, UpstreamKind

Key = tuple[str, str]
"""Role and version."""
GOOD = frozenset({ImageState.GOOD, ImageState.RELEASED})


class Order(msgspec.Struct, frozen=True):
    """Roles, parents before children; `circle` has those that are built on each other, in the order of the circle."""

    roles: tuple[str, ...]
    circle: tuple[str, ...] = ()


def is_covered(path: str, inputs: Iterable[str]) -> bool:
    """A changed file is one of the inputs, or is below one of them.

    >>> is_covered("ansible/roles/nginx/tasks/main.yml", ["ansible/roles/nginx"])
    True
    """
    return any(given in (".", path) or path.startswith(f"{given.rstrip('/')}/") for given in inputs)


def changed_inputs(role: Role, image: ImageVersion, changed: Sequence[str]) -> list[str]:
    """Of the files that changed since an image's commit, those that the role is built from, or that the image was."""
    inputs = {*role.inputs, *image.inputs}
    return [path for path in changed if is_covered(path, inputs)]


def parent_of(role: Role) -> str:
    return role.upstream.role if role.upstream.kind is UpstreamKind.ROLE else ""


def because_of_files(paths: Sequence[str]) -> str:
    """In words, for a list: which files changed."""
    if len(paths) < 3:
        return f"changed: {' and '.join(paths)}"
    return f"changed: {paths[0]} and {len(paths) - 1} more"


def newest_in(images: Iterable[ImageVersion], states: Collection[ImageState] = GOOD) -> dict[str, ImageVersion]:
    """Role → its image of these states that was made last."""
    newest: dict[str, ImageVersion] = {}
    for image in images:
        if image.state in states and (image.role not in newest or image.created > newest[image.role].created):
            newest[image.role] = image
    return newest


def newer_parent(image: ImageVersion, newest: Mapping[str, ImageVersion], parent: ImageVersion | None) -> str:
    """The version of its parent role in `newest`, if that is newer than `parent`, on which the image is built; else
    nothing.

    Where the ledger does not know the parent (any more), every other version counts as newer. What was revoked is no
    measure of age: whatever there is instead is newer.
    """
    found = newest.get(image.upstream.role) if image.upstream.role else None
    if found is None or found.version == image.upstream.version:
        return ""
    older = parent is None or parent.state is ImageState.REVOKED or parent.created < found.created
    return found.version if older else ""


def outdated(images: Iterable[ImageVersion]) -> dict[Key, str]:
    """The images that have a parent of which there is a newer good version, with that version. One that is revoked is
    none of them: it is not to be renewed for that."""
    by_key = {(image.role, image.version): image for image in images}
    newest = newest_in(by_key.values())
    found: dict[Key, str] = {}
    for key, image in by_key.items():
        if image.upstream.role and image.state is not ImageState.REVOKED:
            parent = by_key.get((image.upstream.role, image.upstream.version))
            if version := newer_parent(image, newest, parent):
                found[key] = version
    return found


def because_of_parent(
    role: Role, image: ImageVersion, newest: Mapping[str, ImageVersion], used: ImageVersion | None
) -> str:
    """In words: there is another image of the parent to build on than `used`, on which this one was built; empty where
    there is not. `newest` are those that may be built on."""
    parent = parent_of(role)
    if not parent:
        return ""
    if image.upstream.role != parent:
        before = image.upstream.role or image.upstream.description or "something else"
        return f"is now built on {parent}, its last image on {before}"
    version = newer_parent(image, newest, used)
    if not version:
        return ""
    if used is not None and used.state is ImageState.REVOKED:
        return f"parent {parent} {used.version} is revoked, there is {version}"
    good = "good " if newest[parent].state in GOOD else ""
    return f"parent {parent} has newer {good}{version}"


def with_parents(roles: Sequence[Role], why: Mapping[str, str], outdated: Mapping[str, str]) -> dict[str, str]:
    """The reasons for which roles are stale, with those of roles added whose parent is. A parent that is stale for
    nothing but what is in `outdated` is called that."""
    return _spread(roles, why, lambda parent, reason: "outdated" if outdated.get(parent) == reason else "stale")


def _spread(roles: Sequence[Role], why: Mapping[str, str], word: Callable[[str, str], str]) -> dict[str, str]:
    by_name = {role.name: role for role in roles}
    found = dict(why)
    for name in order_for_rebuild(roles, by_name).roles:
        parent = parent_of(by_name[name])
        if name not in found and parent in found:
            found[name] = f"parent {parent} is {word(parent, found[parent])}"
    return found


def why_outdated(roles: Sequence[Role], images: Sequence[ImageVersion]) -> dict[str, str]:
    """Role → why, for those whose last image has a parent with a newer good version, and those built on them."""
    last, good = newest_in(images, frozenset(ImageState)), newest_in(images)
    built_on = {(image.upstream.role, image.upstream.version) for image in last.values()}
    parents = {key: image for image in images if (key := (image.role, image.version)) in built_on}
    why: dict[str, str] = {}
    for role in roles:
        image = last.get(role.name)
        if image is None or image.state is ImageState.REVOKED or parent_of(role) != image.upstream.role:
            continue
        if version := newer_parent(image, good, parents.get((image.upstream.role, image.upstream.version))):
            why[role.name] = f"parent {image.upstream.role} has newer good {version}"
    return _spread([role for role in roles if role.name in last], why, lambda parent, reason: "outdated")


def order_for_rebuild(roles: Iterable[Role], stale: Collection[str]) -> Order:
    """The stale ones of the roles, parents first and otherwise by name; roles in a circle are left out of the order."""
    by_name = {role.name: role for role in roles}
    state: dict[str, int] = {}
    order: list[str] = []
    circle: tuple[str, ...] = ()
    for start in sorted(by_name):
        chain: list[str] = []
        name = start
        while name in by_name and name not in state:
            state[name] = 1
            chain.append(name)
            name = parent_of(by_name[name])
        if name in chain:
            around = chain[chain.index(name) :]
            circle = circle or tuple(around)
            for one in around:
                state[one] = 3
        for one in reversed(chain):
            if state[one] == 3:
                continue
            state[one] = 2
            if one in stale:
                order.append(one)
    return Order(tuple(order), circle)
