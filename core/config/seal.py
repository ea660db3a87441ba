"""`[seal]` of ingot.toml, for all roles or one. Its reference is docs/workspace.md."""

from difflib import get_close_matches

from msgspec.structs import replace

from core.config.table import Table
from core.model.seal_items import IDS
from core.model.sealing import SealSettings

KEYS = ("enabled", "keep", "remove", "users")


def read(parent: Table, before: SealSettings) -> SealSettings:
    """The table on top of what held `before` it. One that says nothing of `enabled` switches sealing on."""
    if "seal" not in parent:
        return before
    table = parent.table("seal", KEYS)
    keep, remove, users = table.texts("keep"), table.texts("remove"), table.texts("users")
    settings = replace(before, enabled=table.flag("enabled", before.enabled) if "enabled" in table else True)
    if keep is not None:
        for item in keep:
            if item not in IDS:
                near = get_close_matches(item, IDS, 1)
                table.wrong(
                    "keep", f"there is no item {item!r}", f"Write: {near[0]}" if near else "docs/images.md has them."
                )
        settings = replace(settings, keep=tuple(item for item in keep if item in IDS))
    if remove is not None:
        reason = "is no path that can be removed from an image"
        remove = table.those("remove", remove, _may_go, reason, "Write it from the root: /…")
        settings = replace(settings, remove=remove)
    if users is not None:
        reason = "is no user that can be removed"
        users = table.those("users", users, _is_user, reason, "Name users that only the build needs.")
        settings = replace(settings, users=users)
    return settings


def _may_go(path: str) -> bool:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return path.startswith("/") and bool(parts) and ".." not in parts and not any(c in path for c in "\0\n\"'\\")


def _is_user(name: str) -> bool:
    return bool(name) and name != "root" and not name.startswith("-") and all(c.isalnum() or c in "._-" for c in name)
