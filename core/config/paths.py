"""What counts as a path inside the workspace, in all of ingot.toml."""

INSIDE = "Write it relative to the workspace's root, without “..”."
"""The fix for one that does not."""


def is_inside(path: str) -> bool:
    """Whether a path can only be below the workspace's root, as far as its text says."""
    return bool(path) and not path.startswith(("/", "~")) and ".." not in path.split("/") and "\0" not in path


def normal(path: str) -> str:
    """Without empty parts and `.`; `.` for the root."""
    return "/".join(part for part in path.split("/") if part not in ("", ".")) or "."
