"""Whether a role's last image is still what its sources would give, and in which order stale roles are built again."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from core.model.image import ImageVersion
from core.model.role import Role, UpstreamKind


@dataclass(frozen=True, slots=True)
class Order:
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


def because_of_parent(role: Role, image: ImageVersion, newest: Mapping[str, ImageVersion]) -> str:
    """In words: the parent has a newer image than the one that this image was built on; empty where it has not."""
    parent = parent_of(role)
    if not parent:
        return ""
    if image.upstream.role != parent:
        before = image.upstream.role or image.upstream.description or "something else"
        return f"is now built on {parent}, its last image on {before}"
    found = newest.get(parent)
    if found and found.version != image.upstream.version:
        return f"parent {parent} has newer {found.version}"
    return ""


def with_parents(roles: Sequence[Role], why: Mapping[str, str]) -> dict[str, str]:
    """The reasons, with those of roles added whose parent is stale."""
    by_name = {role.name: role for role in roles}
    found = dict(why)
    for name in order_for_rebuild(roles, by_name).roles:
        parent = parent_of(by_name[name])
        if name not in found and parent in found:
            found[name] = f"parent {parent} is stale"
    return found


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
