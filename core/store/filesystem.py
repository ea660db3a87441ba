"""Which kind of file system a path is on: databases with locks and shared memory do not work over a network."""

from pathlib import Path

from core.errors import StoreError
from core.mounts import mounts

# fmt: off
_OVER_A_NETWORK = frozenset([
    "acfs", "afs", "auristorfs", "beegfs", "ceph", "cifs", "coda", "fuse.ceph", "fuse.glusterfs", "fuse.juicefs",
    "fuse.rclone", "fuse.s3fs", "fuse.sshfs", "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2",
    "orangefs", "panfs", "smb2", "smb3", "smbfs",
])
# fmt: on
"""Names as /proc/self/mountinfo has them (proc_pid_mountinfo(5), field 9)."""


def filesystem_of(path: Path, content: str | None = None) -> str:
    """The type of the file system that the path is on, as the kernel names it (`ext4`, `nfs4`, `fuse.sshfs`).

    `content` as in `mounts`. Empty where it cannot be told.
    """
    place = path.resolve()
    found, depth = "", -1
    for mount in mounts(content):
        # A later mount on the same point hides an earlier one, hence >=.
        if place.is_relative_to(mount.point) and len(mount.point.parts) >= depth:
            found, depth = mount.kind, len(mount.point.parts)
    return found


def refuse_network_filesystem(directory: Path) -> None:
    """Raise StoreError when other machines share the directory's file system (sqlite.org/howtocorrupt.html, 2.1)."""
    kind = filesystem_of(directory)
    if kind in _OVER_A_NETWORK:
        raise StoreError(
            f"{directory} is on a network file system ({kind}), where a database can be damaged.",
            "Set INGOT_HOME to a directory on a local disk, for instance under /var/tmp.",
        )
