"""What is mounted on this machine, by /proc/self/mountinfo (proc_pid_mountinfo(5))."""

from pathlib import Path
from typing import NamedTuple


class Mount(NamedTuple):
    """One file system, at one place."""

    point: Path
    kind: str
    """As the kernel names it: `ext4`, `nfs4`, `fuse.sshfs`."""


def mounts(content: str | None = None) -> list[Mount]:
    """All of them, in the order in which they were mounted: a later one hides an earlier one at the same point.

    `content` stands for that of mountinfo, for tests. Empty where it cannot be told (not Linux, no /proc).
    """
    if content is None:
        try:
            content = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        except OSError:
            return []
    found: list[Mount] = []
    for line in content.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) >= 5 and kind:
            found.append(Mount(Path(_unescaped(fields[4])), kind[0]))
    return found


def _unescaped(field: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escape, character)
    return field
