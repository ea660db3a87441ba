"""Which kind of file system a path is on: databases with locks and shared memory do not work over a network."""

from pathlib import Path

from core.errors import StoreError

# fmt: off
_OVER_A_NETWORK = frozenset([
    "acfs", "afs", "auristorfs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "panfs", "smb2", "smb3", "smbfs",
])
# fmt: on
"""Names as /proc/self/mountinfo has them (proc_pid_mountinfo(5), field 9)."""


def filesystem_of(path: Path, mounts: str | None = None) -> str:
    """The type of the file system that the path is on, as the kernel names it (`ext4`, `nfs4`, `fuse.sshfs`).

    `mounts` is the content of /proc/self/mountinfo, for tests. Empty where it cannot be told (not Linux, no /proc).
    """
    if mounts is None:
        try:
            mounts = Path("/proc/self/mountinfo").read_text(errors="surrogateescape")
        except OSError:
            return ""
    place = path.resolve()
    found, depth = "", -1
    for line in mounts.splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or not kind:
            continue
        point = Path(_unescaped(fields[4]))
        # A later mount on the same point hides an earlier one, hence >=.
        if place.is_relative_to(point) and len(point.parts) >= depth:
            found, depth = kind[0], len(point.parts)
    return found


def refuse_network_filesystem(directory: Path) -> None:
    """Raise StoreError when other machines share the directory's file system (sqlite.org/howtocorrupt.html, 2.1)."""
    kind = filesystem_of(directory)
    if kind in _OVER_A_NETWORK:
        raise StoreError(
            f"{directory} is on a network file system ({kind}), where a database can be damaged.",
            "Set INGOT_HOME to a directory on a local disk, for instance under /var/tmp.",
        )


def _unescaped(field: str) -> str:
    """Undo the kernel's octal escapes of space, tab, newline and backslash."""
    for escape, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        field = field.replace(escape, character)
    return field
