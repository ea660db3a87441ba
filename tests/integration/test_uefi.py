"""A disk that boots by UEFI alone, for real: built on by Ansible, sealed, boot-tested, and exported."""

import asyncio
import os
import shutil
import subprocess
import tarfile
from hashlib import sha256
from pathlib import Path

import pytest
from installed import Shop, in_the_shop

from core.adapters import firmware

LOADER = Path("/usr/lib/systemd/boot/efi/systemd-bootx64.efi")
pytestmark = [
    *in_the_shop(),
    pytest.mark.long,
    pytest.mark.skipif(not LOADER.exists(), reason="systemd-boot-efi is not installed"),
    pytest.mark.skipif(not any(firmware.DESCRIPTORS[-1].glob("*.json")), reason="ovmf is not installed"),
]

SETTINGS = """
[roles.modern]
builder = "ansible"
playbook = "ansible/modern.yml"
formats = ["ova"]
upstream = { url = "modern.qcow2", checksum = "sha256:%s" }
"""
PLAYBOOK = """\
- name: modern
  hosts: all
  gather_facts: false
  tasks:
    - name: say how it was booted
      ansible.builtin.command: sh -c 'test -d /sys/firmware/efi && echo uefi > /etc/booted-by'
      args: {creates: /etc/booted-by}
"""
# The file system of the other disk behind a partition for UEFI, whose loader starts the kernel that the former has.
MOVE = """\
add-drive {disk} readonly:true format:qcow2
add-drive {made} format:qcow2
run
part-init /dev/sdb gpt
part-add /dev/sdb p 2048 411647
part-add /dev/sdb p 411648 -34
part-set-gpt-type /dev/sdb 1 C12A7328-F81F-11D2-BA4B-00A0C93EC93B
mkfs vfat /dev/sdb1
copy-device-to-device /dev/sda1 /dev/sdb2 sparse:true
mount /dev/sdb2 /
mkdir /efi
mount /dev/sdb1 /efi
mkdir-p /efi/EFI/BOOT
mkdir-p /efi/loader/entries
upload {loader} /efi/EFI/BOOT/BOOTX64.EFI
glob cp /boot/vmlinuz-* /efi/vmlinuz
glob cp /boot/initrd.img-* /efi/initrd.img
upload {entry} /efi/loader/entries/system.conf
"""
ENTRY = "title system\nlinux /vmlinuz\ninitrd /initrd.img\noptions root=LABEL=system ro quiet console=ttyS0,115200\n"


def for_uefi(place: Path, disk: Path) -> Path:
    """The system of a disk that boots by BIOS on one that boots by UEFI alone."""
    made = place / "modern.qcow2"
    subprocess.run(("qemu-img", "create", "-q", "-f", "qcow2", str(made), "5G"), check=True)
    entry = place / "system.conf"
    entry.write_text(ENTRY)
    environment = {**os.environ, "LIBGUESTFS_BACKEND": "direct", "LIBGUESTFS_BACKEND_SETTINGS": "force_tcg"}
    script = MOVE.format(disk=disk, made=made, loader=LOADER, entry=entry)
    subprocess.run(("guestfish",), input=script, text=True, env=environment, check=True)
    return made


def test_a_disk_for_uefi_alone_becomes_a_good_image(shop: Shop, tmp_path: Path) -> None:
    base = Path(shop.image("base")["artifacts"][0]["location"])
    upstream = for_uefi(tmp_path, base)
    assert asyncio.run(firmware.boot_mode(base, "qcow2")) == "bios"
    assert asyncio.run(firmware.boot_mode(upstream, "qcow2")) == "uefi"
    shutil.move(upstream, shop.root / "modern.qcow2")
    digest = sha256((shop.root / "modern.qcow2").read_bytes()).hexdigest()
    with (shop.root / ".git/info/exclude").open("a") as exclude:
        exclude.write("modern.qcow2\n")
    (shop.root / "ansible/modern.yml").write_text(PLAYBOOK)
    with (shop.root / "ingot.toml").open("a") as toml:
        toml.write(SETTINGS % digest)
    shop.commit("A role whose disk boots by UEFI")
    done = shop("build", "modern", "--trust", "--wait")
    assert done.returncode == 0, done.stdout[-6000:]
    assert "twice by UEFI" in done.stdout
    image = shop.image("modern")
    assert image["state"] == "good"
    made = {one["format"]: Path(one["location"]) for one in image["artifacts"]}
    with tarfile.open(made["ova"]) as ova:
        descriptor = ova.extractfile(ova.getnames()[0])
        assert descriptor is not None
        assert b'vmw:key="firmware" vmw:value="efi"' in descriptor.read()
    assert asyncio.run(firmware.boot_mode(made["qcow2"], "qcow2")) == "uefi"
