"""QEMU and qemu-img as they are on this machine."""

import asyncio
import shutil
import subprocess
from pathlib import Path

import pytest

from core.adapters import qemu
from core.errors import ToolError

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
    await qemu.check(disk)
    content = bytearray(disk.read_bytes())
    table = int.from_bytes(content[40:48], "big")  # offset of the L1 table in a qcow2's header
    content[table : table + 8] = (0x8000_0000_FFFF_0000).to_bytes(8, "big")
    disk.write_bytes(content)
    with pytest.raises(ToolError, match="damaged"):
        await qemu.check(disk)


async def test_a_raw_disk_has_nothing_to_check(tmp_path: Path) -> None:
    (tmp_path / "disk.raw").write_bytes(bytes(1 << 16))
    await qemu.check(tmp_path / "disk.raw")


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
