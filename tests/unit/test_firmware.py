"""What a disk boots by, as its partitions tell, and the firmware that a machine has for it."""

import asyncio
import json
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.adapters.firmware import Firmware, boot_mode, boot_mode_of, uefi
from core.errors import ToolError

SFDISK = shutil.which("sfdisk", path="/usr/sbin:/sbin:/usr/bin")
SYSTEM = "type=uefi, size=4MiB"
BIOS_BOOT = "type=21686148-6449-6e6f-744e-656564454649, size=1MiB"
TABLES = {
    "GPT with a system partition": (("label: gpt", SYSTEM, "type=linux"), "uefi"),
    "the system partition last": (("label: gpt", "type=linux, size=4MiB", SYSTEM), "uefi"),
    "both, as clouds have it": (("label: gpt", BIOS_BOOT, SYSTEM, "type=linux"), "bios"),
    "both, with a partition that a BIOS starts": (
        ("label: gpt", SYSTEM, 'type=linux, attrs="LegacyBIOSBootable"'),
        "bios",
    ),
    "GPT without a system partition": (("label: gpt", "type=linux"), "bios"),
    "the old kind": (("label: dos", "type=83, bootable"), "bios"),
    "the old kind with a system partition": (("label: dos", "type=ef, size=4MiB", "type=83"), "uefi"),
    "the old kind with both": (("label: dos", "type=ef, size=4MiB", "type=83, bootable"), "bios"),
}


@pytest.mark.skipif(SFDISK is None, reason="sfdisk is not installed")
@pytest.mark.parametrize(("table", "mode"), TABLES.values(), ids=TABLES)
def test_a_disk_boots_as_its_partitions_ask_for(tmp_path: Path, table: Sequence[str], mode: str) -> None:
    raw, disk = tmp_path / "disk, raw", tmp_path / "disk.qcow2"
    with raw.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run((str(SFDISK), "--quiet", str(raw)), input="\n".join(table), text=True, check=True)
    assert asyncio.run(boot_mode(raw, "raw")) == mode
    subprocess.run(("qemu-img", "convert", "-q", "-O", "qcow2", str(raw), str(disk)), check=True)
    assert asyncio.run(boot_mode(disk, "qcow2")) == mode


def test_a_disk_without_a_table_boots_by_bios(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.touch()
    assert asyncio.run(boot_mode(empty, "raw")) == "bios"


def test_what_is_no_disk_is_said(tmp_path: Path) -> None:
    (tmp_path / "disk").write_text("no qcow2")
    with pytest.raises(ToolError, match="qemu-img"):
        asyncio.run(boot_mode(tmp_path / "disk", "qcow2"))


@given(st.binary(max_size=100), st.binary(max_size=300))
def test_whatever_a_disk_begins_with_it_boots_by_something(header: bytes, entries: bytes) -> None:
    sector = bytes(510) + b"\x55\xaa"
    assert boot_mode_of(sector + b"EFI PART" + header + entries) in ("bios", "uefi")
    assert boot_mode_of(header + entries) == "bios"


def described(directory: Path, name: str, *features: str, machine: str = "pc-i440fx-*", device: str = "flash") -> None:
    """A descriptor as QEMU's docs/interop/firmware.json has it, and the files that it names."""
    directory.mkdir(exist_ok=True)
    for ending in ("code", "vars"):
        (directory / f"{name}.{ending}").touch()
    descriptor = {
        "description": "UEFI", "interface-types": ["uefi"], "features": features, "tags": [],
        "mapping": {
            "device": device,
            "executable": {"filename": str(directory / f"{name}.code"), "format": "raw"},
            "nvram-template": {"filename": str(directory / f"{name}.vars"), "format": "qcow2"},
        },
        "targets": [{"architecture": "x86_64", "machines": ["pc-q35-*", machine]}],
    }  # fmt: skip
    (directory / f"{name}.json").write_text(json.dumps(descriptor))


def test_the_first_firmware_that_fits_is_taken(tmp_path: Path) -> None:
    described(tmp_path, "40-signed", "secure-boot", "requires-smm")
    described(tmp_path, "45-elsewhere", machine="microvm")
    described(tmp_path, "47-memory", device="memory")
    described(tmp_path, "60-plain", "acpi-s3")
    described(tmp_path, "70-later")
    found = uefi([tmp_path])
    assert found == Firmware(str(tmp_path / "60-plain.code"), "raw", str(tmp_path / "60-plain.vars"), "qcow2")


def test_a_descriptor_of_the_administrator_hides_the_distributions(tmp_path: Path) -> None:
    own, distribution = tmp_path / "etc", tmp_path / "usr"
    described(distribution, "60-plain")
    own.mkdir()
    (own / "60-plain.json").touch()
    with pytest.raises(ToolError, match="no UEFI firmware") as caught:
        uefi([own, distribution])
    assert "apt install ovmf" in caught.value.next_step
    described(own, "60-plain")
    assert uefi([own, distribution]).code == str(own / "60-plain.code")


def test_a_firmware_whose_files_are_gone_does_not_count(tmp_path: Path) -> None:
    described(tmp_path, "60-plain")
    (tmp_path / "60-plain.vars").unlink()
    (tmp_path / "50-broken.json").write_text("{")
    with pytest.raises(ToolError, match="no UEFI firmware"):
        uefi([tmp_path])
    with pytest.raises(ToolError, match="no UEFI firmware"):
        uefi([tmp_path / "nowhere"])
