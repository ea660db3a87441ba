"""A qcow2 as a QEMU leaves it that was killed: clusters are given out, and nothing refers to them."""

from pathlib import Path

_OFFSET = 0x00FF_FFFF_FFFF_FE00
"""Bits of an entry in a table of a qcow2 that say where something is (QEMU, docs/interop/qcow2.txt)."""


def leak(disk: Path, clusters: int = 1) -> None:
    """Take the first clusters that hold data from the disk's tables; its counts go on saying that they are in use."""
    content = bytearray(disk.read_bytes())
    first = int.from_bytes(content[40:48], "big")  # the L1 table
    second = int.from_bytes(content[first : first + 8], "big") & _OFFSET
    entries = range(second, second + (1 << 16), 8)
    for entry in [entry for entry in entries if any(content[entry : entry + 8])][:clusters]:
        content[entry : entry + 8] = bytes(8)
    disk.write_bytes(content)


def damage(disk: Path) -> None:
    """Have its first table point to where nothing is."""
    content = bytearray(disk.read_bytes())
    table = int.from_bytes(content[40:48], "big")
    content[table : table + 8] = (0x8000_0000_FFFF_0000).to_bytes(8, "big")
    disk.write_bytes(content)
