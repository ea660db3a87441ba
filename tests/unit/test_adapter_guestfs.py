"""What guestfish's complaints are turned into."""

from pathlib import Path

import pytest

from core import process
from core.adapters import guestfs, sysprep
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


def test_of_what_virt_sysprep_says_the_error_counts() -> None:
    said = ["virt-sysprep: error: libguestfs error: glob_expand: no space", "", "If reporting bugs, run"]
    error = sysprep.failed(DISK, said)
    assert "virt-sysprep could not look into" in error.what
    assert "glob_expand: no space" in error.what
    nothing = sysprep.failed(DISK, ["virt-sysprep: error: no operating systems were found in the guest image"])
    assert "no operating system" in nothing.what


async def test_a_path_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RefusedError):
        await guestfs.read_file(tmp_path / "disk", '/etc/x"\n!touch /tmp/owned')


@pytest.mark.parametrize(
    ("there", "written"),
    [
        (None, True),
        ("", True),
        ("\0\xff garbage", True),
        ('IMAGE_ROLE="web"\nIMAGE_VERSION="0.1.0"\nIMAGE_RUN="r1"\n', False),
        ("# by hand\nIMAGE_VERSION=0.1.0\nEXTRA='x'\n IMAGE_ROLE = 'web'\n", False),
        ('IMAGE_ROLE="web"\nIMAGE_VERSION="0.1.01"\n', True),
        ('IMAGE_ROLE="base"\nIMAGE_VERSION="0.1.0"\n', True),
        ('NOT_IMAGE_ROLE="web"\nIMAGE_VERSION="0.1.0"\n', True),
    ],
)
def test_a_stamp_is_written_unless_the_template_wrote_one_that_says_as_much(
    tmp_path: Path, there: str | None, written: bool
) -> None:
    wanted = 'IMAGE_ROLE="web"\nIMAGE_VERSION="0.1.0"\nIMAGE_COMMIT="c"\n'
    (tmp_path / "enough").write_text(guestfs.needed(wanted, 2))
    (tmp_path / "write").write_text("do it\n")
    if there is not None:
        (tmp_path / "before").write_text(there, encoding="latin-1")
    answer = process.run_blocking(["sh", "-c", guestfs.UNLESS_IT_SAYS_SO], cwd=tmp_path)
    assert (answer.out, answer.err) == (b"do it\n" if written else b"", b"")
