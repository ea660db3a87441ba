"""Files in real disks, through a real libguestfs appliance (20 s and more each without hardware virtualisation)."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from core.adapters import guestfs
from core.errors import ToolError

pytestmark = [
    pytest.mark.vm,
    pytest.mark.skipif(not shutil.which("guestfish"), reason="guestfish is not installed"),
    pytest.mark.skipif(not shutil.which("mke2fs"), reason="mke2fs is not installed"),
    pytest.mark.skipif(not any(Path("/boot").glob("vmlinuz-*")), reason="no kernel in /boot for libguestfs"),
]


def disk_of(tree: Path, disk: Path) -> Path:
    """A disk that is one file system with everything in `tree`."""
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-d", str(tree), str(disk), "64M"], check=True, capture_output=True)
    return disk


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    """As little as libguestfs takes for a Debian."""
    tree = tmp_path / "tree"
    for directory in ("etc", "bin", "boot", "usr", "var/lib/dpkg"):
        (tree / directory).mkdir(parents=True)
    (tree / "etc/debian_version").write_text("12.5\n")
    (tree / "etc/os-release").write_text('ID=debian\nVERSION_ID="12"\n')
    (tree / "etc/fstab").write_text("/dev/sda / ext4 defaults 0 1\n")
    (tree / 'etc/odd "name"').write_text("found")
    return disk_of(tree, tmp_path / "disk.raw")


def digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


async def test_an_image_is_stamped_once_and_looking_at_it_or_stamping_it_again_changes_nothing(disk: Path) -> None:
    before = digest(disk)
    assert await guestfs.read_file(disk, guestfs.RELEASE_FILE, "raw") is None
    assert digest(disk) == before
    stamp = 'IMAGE_ROLE="web"\nIMAGE_VERSION="0.1.0"\n'
    assert await guestfs.stamp(disk, stamp, "raw") == stamp.encode()
    stamped = digest(disk)
    assert await guestfs.stamp(disk, stamp, "raw") == stamp.encode()
    assert await guestfs.read_file(disk, '/etc/odd "name"', "raw") == b"found"
    assert digest(disk) == stamped


async def test_a_disk_without_a_system_says_so(tmp_path: Path) -> None:
    (tmp_path / "empty.raw").write_bytes(bytes(4 << 20))
    with pytest.raises(ToolError, match="no operating system"):
        await guestfs.read_file(tmp_path / "empty.raw", "/etc/hosts", "raw")
