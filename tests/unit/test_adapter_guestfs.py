"""What guestfish's complaints are turned into."""

from pathlib import Path

import pytest

from core.adapters import guestfs
from core.errors import RefusedError

DISK = Path("/images/web.qcow2")


@pytest.mark.parametrize(
    ("said", "next_step"),
    [
        ("supermin: error: /boot/vmlinuz-6.8.0-45-generic: cp: Permission denied", "chmod +r"),
        ("*stdin*:3: no-operating-system: unknown command\n", "boots"),
        ("libguestfs: error: something else", "libguestfs-test-tool"),
        ("", "libguestfs-test-tool"),
    ],
)
def test_each_complaint_says_what_to_do(said: str, next_step: str) -> None:
    error = guestfs.explained(DISK, said)
    assert str(DISK) in error.what
    assert next_step in error.next_step


async def test_a_path_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        await guestfs.read_file(tmp_path / "disk", '/etc/x"\n!touch /tmp/owned')
