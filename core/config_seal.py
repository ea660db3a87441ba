"""`[seal]` of ingot.toml, for all roles or one. Its reference is docs/workspace.md."""

from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from core.config_debug import Wrong
from core.model.seal_items import IDS
from core.model.sealing import SealSettings

KEYS = ("enabled", "keep", "remove", "users")


def checked(
    table: Mapping[str, object], texts: Mapping[str, tuple[str, ...] | None], before: SealSettings, wrong: Wrong
) -> SealSettings:
    """The table on top of what held `before` it. `texts` are its lists. A table that says nothing of `enabled` switches
    sealing on."""
    enabled = table.get("enabled", True)
    if not isinstance(enabled, bool):
        wrong("enabled", "must be true or false", "Write: enabled = true")
        enabled = before.enabled
    settings = replace(before, enabled=enabled)
    if (keep := texts.get("keep")) is not None:
        for item in keep:
            if item not in IDS:
                near = get_close_matches(item, IDS, 1)
                wrong("keep", f"there is no item {item!r}", f"Write: {near[0]}" if near else "docs/images.md has them.")
        settings = replace(settings, keep=tuple(item for item in keep if item in IDS))
    if (remove := texts.get("remove")) is not None:
        for path in remove:
            if not _may_go(path):
                wrong("remove", f"{path!r} is no path that can be removed from an image", "Write it from the root: /…")
        settings = replace(settings, remove=tuple(path for path in remove if _may_go(path)))
    if (users := texts.get("users")) is not None:
        for user in users:
            if not _is_user(user):
                wrong("users", f"{user!r} is no user that can be removed", "Name users that only the build needs.")
        settings = replace(settings, users=tuple(user for user in users if _is_user(user)))
    return settings


def _may_go(path: str) -> bool:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return path.startswith("/") and bool(parts) and ".." not in parts and not any(c in path for c in "\0\n\"'\\")


def _is_user(name: str) -> bool:
    return bool(name) and name != "root" and not name.startswith("-") and all(c.isalnum() or c in "._-" for c in name)
