"""Formats of the demo's first image: what Ingot says of them, libguestfs and a boot say too."""

import re
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from installed import Shop, in_the_shop

pytestmark = in_the_shop("qemu-img")


def made(shop: Shop, *formats: str) -> dict[str, Path]:
    """The files of the image in these formats, made unless they are there."""
    there = {one["format"] for one in shop.image("base")["artifacts"]}
    if set(formats) - there:
        done = shop("convert", "base", "0.1.0", *formats, "--wait")
        assert done.returncode == 0, done.stdout + done.stderr
    return {one["format"]: Path(one["location"]) for one in shop.image("base")["artifacts"]}


def test_another_tool_finds_the_system_and_its_stamp_in_a_vmdk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    vmdk = made(shop, "vmdk")["vmdk"]
    monkeypatch.setenv("LIBGUESTFS_BACKEND", "direct")
    monkeypatch.setenv("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
    asked = "cat /etc/image-release\ncat /etc/debian_version\ncat /var/lib/dpkg/status\n"
    said = subprocess.run(
        ("guestfish", "--ro", "--format=vmdk", "-a", str(vmdk), "-i"),
        input=asked,
        capture_output=True,
        text=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
    stamp, _, rest = said.stdout.partition("\n12.")
    assert 'IMAGE_VERSION="0.1.0"' in stamp
    assert shop.image("base")["commit"] in stamp
    assert {"openssh-server", "nftables"} <= set(re.findall("^Package: (.*)$", rest, re.MULTILINE))


@pytest.mark.long
@pytest.mark.parametrize("name", ["vhd", "ova"])
def test_what_was_converted_boots_from_the_controller_that_its_descriptor_names(
    shop: Shop, boot: Callable[..., Callable[[str], str]], tmp_path: Path, name: str
) -> None:
    file = made(shop, name)[name]
    of_qemu = "vpc"
    if name == "ova":
        with tarfile.open(file) as tar:
            tar.extract("qemu.base.vmdk", tmp_path, filter="data")
        file, of_qemu = tmp_path / "qemu.base.vmdk", "vmdk"
    machine = boot(file, f"if=ide,format={of_qemu}")
    assert "IMAGE_VERSION=0.1.0" in machine("cat /etc/image-release").replace('"', "")
    assert "/ata" in machine("readlink -f /sys/block/sda")
