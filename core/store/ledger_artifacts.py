"""What becomes of an image's artifacts after it is registered: made later, deleted, and kept after all.

Each gives the files that change on the ledger (None: taken away), with their contents stored; none moves its ref.
"""

from collections.abc import Sequence

from core.model.image import ImageVersion
from core.store.ledger_contents import Contents
from core.store.ledger_tree import Addition, LedgerTree, Removal, addition_path, encode, removal_path

Edits = dict[str, str | None]


def added(tree: LedgerTree, contents: Contents, image: ImageVersion, additions: Sequence[Addition]) -> Edits:
    """What was made of an image version; nothing for what it has already."""
    standing = next((one.artifacts for one in contents.images if one.run == image.run), ())
    edits: Edits = {
        addition_path(image.role, image.version, one.artifact): tree.write(encode(one))
        for one in additions
        if one.artifact not in standing
    }
    if not edits:
        return {}
    # Deleted before, at the same place, and made once more.
    back = [
        removal_path(image.role, image.version, one.artifact.location, host)
        for one in additions
        for host in dict.fromkeys(("", one.artifact.host))
    ]
    return edits | {entry.path: None for entry in tree.entries(contents.head, *back)}


def removed(tree: LedgerTree, head: str | None, removals: Sequence[Removal]) -> Edits:
    """That files are deleted; nothing for those of which that is known."""
    wanted = {removal_path(one.role, one.version, one.location, one.host): one for one in removals}
    there = {entry.path for entry in tree.entries(head, *wanted)} if wanted else set[str]()
    return {path: tree.write(encode(removal)) for path, removal in wanted.items() if path not in there}


def kept(
    tree: LedgerTree, head: str | None, role: str, version: str, locations: Sequence[str], host: str = ""
) -> Edits:
    """That files are not deleted after all."""
    removals = [removal_path(role, version, location, host) for location in locations]
    return {entry.path: None for entry in tree.entries(head, *removals)} if removals else {}
