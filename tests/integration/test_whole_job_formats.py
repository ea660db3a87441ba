"""Formats of the demo's first image: what Ingot says of them, libguestfs and a boot say too."""

import shutil
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

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


@pytest.mark.skipif(shutil.which("virt-inspector") is None, reason="virt-inspector is not installed")
def test_another_tool_finds_the_system_in_a_vmdk(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    vmdk = made(shop, "vmdk")["vmdk"]
    monkeypatch.setenv("LIBGUESTFS_BACKEND", "direct")
    monkeypatch.setenv("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
    said = subprocess.run(
        ("virt-inspector", "--no-icon", "--format=vmdk", "-a", str(vmdk)), capture_output=True, text=True, check=False
    )
    assert said.returncode == 0, said.stderr
    system = ElementTree.fromstring(said.stdout).find("operatingsystem")
    assert system is not None
    assert (system.findtext("distro"), system.findtext("major_version")) == ("debian", "12")
    packages = {package.findtext("name") for package in system.iter("application")}
    assert {"openssh-server", "nftables"} <= packages


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
