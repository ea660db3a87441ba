"""QEMU and qemu-img as they are on this machine."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from core.adapters import qemu
from core.errors import ToolError
from tests.support.leaking_disk import damage, leak

pytestmark = pytest.mark.skipif(not shutil.which("qemu-img"), reason="qemu-img is not installed")
with_qemu = pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="qemu-system-x86_64 is not installed")


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    raw = tmp_path / "disk.raw"
    raw.write_bytes(b"ingot" * 100_000 + bytes(1 << 20))
    made = tmp_path / "disk.qcow2"
    subprocess.run(["qemu-img", "convert", "-O", "qcow2", str(raw), str(made)], check=True)
    return made


@with_qemu
async def test_a_machine_comes_up_without_hardware_virtualisation() -> None:
    assert await qemu.runs_with("tcg")


@with_qemu
async def test_the_accelerator_is_one_that_works() -> None:
    assert await qemu.runs_with(await qemu.accelerator())


async def test_without_qemu_nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not await qemu.runs_with("tcg")
    assert await qemu.accelerator() == "tcg"


async def test_a_disk_says_what_it_is(disk: Path) -> None:
    found = await qemu.info(disk)
    assert (found.format, found.backing_filename) == ("qcow2", "")
    assert found.virtual_size >= (1 << 20)


async def test_a_file_that_is_no_disk_of_that_kind_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear reader")
    with pytest.raises(ToolError, match="letter"):
        await qemu.info(tmp_path / "letter", "qcow2")
    with pytest.raises(ToolError, match="missing"):
        await qemu.info(tmp_path / "missing")


async def test_a_relative_name_is_never_taken_for_a_protocol(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    disk.rename(tmp_path / "nbd:disk")
    assert (await qemu.info(Path("nbd:disk"))).format == "qcow2"


async def test_a_damaged_disk_does_not_pass(disk: Path) -> None:
    assert await qemu.check(disk)
    damage(disk)
    with pytest.raises(ToolError, match="damaged"):
        await qemu.check(disk)
    with pytest.raises(ToolError, match="damaged") as raised:
        await qemu.free_leaks(disk, "qcow2")
    assert "build it again" in raised.value.next_step


async def test_room_in_a_disk_that_belongs_to_nothing_is_given_back(disk: Path) -> None:
    leak(disk, 2)
    before = disk.stat()
    assert not await qemu.check(disk, "qcow2")
    assert await qemu.free_leaks(disk, "qcow2") == 2 * 65536
    assert disk.stat().st_size == before.st_size
    assert await qemu.check(disk, "qcow2")
    assert await qemu.free_leaks(disk, "qcow2") == 0


async def test_a_disk_that_cannot_be_looked_at_is_not_called_damaged(disk: Path) -> None:
    letter = disk.with_name("letter")
    letter.write_text("Dear reader")
    with pytest.raises(ToolError, match=r"letter cannot be checked: .*not in qcow2 format"):
        await qemu.check(letter, "qcow2")


@pytest.mark.parametrize("kind", ["raw", "vpc", "vmdk", "vdi", "vhdx"])
async def test_a_disk_of_a_format_that_leaks_nothing_passes(disk: Path, kind: str) -> None:
    """Some of them cannot be repaired by qemu-img, and some not even checked."""
    other = disk.with_name(f"disk.{kind}")
    await qemu.convert(disk, other, kind)
    assert await qemu.check(other, kind)
    assert await qemu.free_leaks(other, kind) == 0


async def test_a_compressed_copy_is_whole_and_leaves_no_part(disk: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.qcow2"
    await qemu.convert(disk, copy, "qcow2", compress=True)
    same = await asyncio.to_thread(subprocess.run, ["qemu-img", "compare", str(disk), str(copy)], capture_output=True)
    assert same.returncode == 0
    assert [path.name for path in tmp_path.glob(".*")] == []


async def test_a_copy_that_fails_leaves_no_part(tmp_path: Path) -> None:
    with pytest.raises(ToolError):
        await qemu.convert(tmp_path / "missing", tmp_path / "copy.qcow2", "qcow2")
    assert list(tmp_path.iterdir()) == []
