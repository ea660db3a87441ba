"""Puts a tree of files on a raw disk that boots from BIOS: one ext4 partition, and GRUB before it.

It needs neither root nor a loop device: mke2fs fills the file system from the directory, and the boot sectors are
written here.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

from core import process
from core.errors import UpstreamError

_SECTOR = 512
_FIRST_SECTOR = 2048
"""Of the partition: the usual 1 MiB, whose room before it the boot loader has."""

# Features that every ext4 has had since Debian 12 and Ubuntu 20.04, whatever the host's mke2fs would choose: GRUB and
# e2fsck in the disk may be older than the host.
_MKE2FS_CONFIG = """\
[defaults]
base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
default_mntopts = acl,user_xattr
blocksize = 4096
inode_size = 256
inode_ratio = 32768
[fs_types]
ext4 = {
    features = has_journal,extent,huge_file,flex_bg,metadata_csum,64bit,dir_nlink,extra_isize
}
"""


async def write(raw: Path, size: int, tree: Path, boot: bytes, core: bytes, *, before: Sequence[str] = ()) -> None:
    """Write a disk of `size` bytes with all of `tree`; `boot` and `core` are GRUB's boot.img and core.img.

    `before` is put before mke2fs, such as a fakeroot that knows the owners. Its settings stay beside the disk. Raises
    UpstreamError when the boot loader is too large, ToolError when mke2fs fails.
    """
    if len(core) > (_FIRST_SECTOR - 1) * _SECTOR:
        raise UpstreamError(
            "The archive's boot loader is larger than the room before the partition.", "Report this with the suite."
        )
    with raw.open("wb") as disk:
        disk.write(boot_sector(boot, size))
        disk.write(core)
        disk.truncate(size)
    config = raw.with_name("mke2fs.conf")
    config.write_text(_MKE2FS_CONFIG)
    argv = ["mke2fs", "-q", "-t", "ext4", "-L", "system", "-m", "1", "-d", str(tree)]
    argv += ["-E", f"offset={_FIRST_SECTOR * _SECTOR},lazy_itable_init=0,lazy_journal_init=0,nodiscard"]
    argv += [str(raw), f"{(size - _FIRST_SECTOR * _SECTOR) // 1024}k"]
    await process.run([*before, *argv], env=process.environment(extra={"MKE2FS_CONFIG": str(config)}), check=True)


def boot_sector(boot: bytes, size: int) -> bytes:
    """The first sector of a disk of `size` bytes: GRUB's code, and one active Linux partition of all the rest.

    GRUB's boot.img reads the rest of GRUB from sector 1, and grub-mkimage tells that how long it is, so that both can
    be copied as they are. The table's form is that of every PC since 1983: four entries of 16 bytes from 446 on.
    """
    lba_only = b"\xfe\xff\xff"  # cylinder, head, sector: "beyond what this form can say"
    sectors = min(size // _SECTOR - _FIRST_SECTOR, 0xFFFFFFFF)
    entry = struct.pack("<B3sB3sII", 0x80, lba_only, 0x83, lba_only, _FIRST_SECTOR, sectors)
    return boot[:440].ljust(446, b"\0") + entry + bytes(48) + b"\x55\xaa"
