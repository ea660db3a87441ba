"""The boot test of an AMI, whole, by the program: after a build by Packer, and of the demo's real sealed disk in an EC2
whose instances QEMU boots. What it decides, case by case: test_stages_test_cloud.py."""

import asyncio
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from booting_cloud import BootingCloud, booting_cloud
from cloud_machine import CREDENTIALS, REGION, missing
from installed import Ingot, Shop
from ssh_machine import make_key
from workshop import WHO, Workshop

from core.adapters import guestfs
from core.model import boot_checks as rules
from core.model.image import Artifact, ImageVersion, UpstreamRecord

pytestmark = [pytest.mark.long, pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")]
NEEDED = ("qemu-system-x86_64", "mmdebstrap", "guestfish", "ansible-playbook")
absent = next((tool for tool in NEEDED if shutil.which(tool) is None), "")


def real(test: Callable[..., None]) -> Callable[..., None]:
    """With virtual machines."""
    test = pytest.mark.skipif(bool(absent), reason=f"{absent} is not installed")(test)
    return pytest.mark.vm(pytest.mark.xdist_group("shop")(test))


SETTINGS = """\
[seal]
enabled = true

[test]
limit = "15m"

[roles.base]
template = "base"
"""


@dataclass(frozen=True)
class WithAccount(Ingot):
    """The program of one who has an account in the cloud."""

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **CREDENTIALS, "AWS_REGION": REGION}


class Site:
    """A workspace whose role is built in the cloud."""

    def __init__(self, place: Path, ingot: Ingot, cloud: BootingCloud) -> None:
        self.cloud = cloud
        self.ingot = WithAccount(ingot.home)
        self.shop = Workshop(place)
        self.commit = self.shop.commit({"ingot.toml": SETTINGS, "base/base.pkr.hcl": cloud.template()})
        self.shop.git("tag", "release-0.1.0")

    def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.ingot("-C", str(self.shop.root), *words, timeout=3600)

    def tested(self) -> "subprocess.CompletedProcess[str]":
        """The AMI that the cloud was made with, as if it had been built."""
        artifact = Artifact("amazon-ebs.web", "ami", f"{REGION}:{self.cloud.source_ami}")
        upstream = UpstreamRecord("none", "")
        image = ImageVersion("base", "0.1.0", self.commit, 1.0, "run1", WHO, upstream, (artifact,), "base")
        self.shop.ledger.register(image, WHO, "made")
        return self("test", "base", "0.1.0", "--trust", "--wait")

    @property
    def state(self) -> tuple[str, str]:
        (image,) = Shop(self.ingot, self.shop.root).json("images", "base")
        return image["state"], image["verdict"]

    @property
    def cases(self) -> list[Any]:
        return Shop(self.ingot, self.shop.root).json("tests", "base")[0]["report"]["cases"]


@pytest.fixture
def disk(shop: Shop) -> Path:
    """Sealed, and stamped as base 0.1.0."""
    return Path(shop.image("base")["artifacts"][0]["location"])


def test_what_packer_builds_in_the_cloud_is_tested_there_and_good(
    tmp_path: Path, make_ingot: Callable[[], Ingot]
) -> None:
    with booting_cloud(tmp_path / "cloud") as cloud:
        cloud.guests.says('IMAGE_ROLE="web"', 'IMAGE_ROLE="base"')
        cloud.guests.has_on_disk("/etc/os-release", "ID=debian\n")
        site = Site(tmp_path, make_ingot(), cloud)
        done = site("build", "base", "--trust", "--wait")
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr
        assert site.state == ("good", "passed")
        assert cloud.leftovers() == []
        assert len(cloud.states()) == 3
        assert not any(value in done.stdout for value in CREDENTIALS.values())
        site.shop.close()


@real
def test_a_sealed_disk_is_good_as_an_ami_too(tmp_path: Path, make_ingot: Callable[[], Ingot], disk: Path) -> None:
    before = disk.stat().st_mtime_ns
    with booting_cloud(tmp_path / "cloud", disk) as cloud:
        site = Site(tmp_path, make_ingot(), cloud)
        done = site.tested()
        assert done.returncode == 0, done.stdout[-6000:] + done.stderr
        assert site.state == ("good", "passed")
        assert [case["name"] for case in site.cases if case["suite"] == "boot"] == list(rules.ALL)
        assert {case["outcome"] for case in site.cases} == {"passed", "skipped"}
        assert next(case["outcome"] for case in site.cases if case["name"] == "SSH host keys") == "passed"
        assert cloud.leftovers() == []
        assert len(cloud.states()) == 2
        site.shop.close()
    assert disk.stat().st_mtime_ns == before


@real
def test_what_a_build_left_in_an_ami_keeps_it_a_candidate(
    tmp_path: Path, make_ingot: Callable[[], Ingot], disk: Path
) -> None:
    left = tmp_path / "left.qcow2"
    plant(disk, left, make_key(tmp_path / "host"))
    with booting_cloud(tmp_path / "cloud", left) as cloud:
        site = Site(tmp_path, make_ingot(), cloud)
        done = site.tested()
        assert done.returncode == 1, done.stdout[-6000:] + done.stderr
        assert site.state == ("candidate", "failed")
        bad = {case["name"]: case["message"] for case in site.cases if case["outcome"] in ("failed", "error")}
        assert set(bad) == {rules.HOST_KEYS, "SSH host keys", "users that only the build needs"}, bad
        assert "both machines have the same SSH host key" in bad[rules.HOST_KEYS]
        assert "/etc/ssh/ssh_host_ed25519_key" in bad["SSH host keys"]
        assert "/etc/passwd: packer" in bad["users that only the build needs"]
        assert "/etc/ssh/ssh_host_ed25519_key" in done.stdout
        assert cloud.leftovers() == []
        site.shop.close()


def plant(disk: Path, into: Path, host_key: Path) -> None:
    """A copy of the disk with a host key and a user of a build in it, from long ago."""
    shutil.copyfile(disk, into)
    into.chmod(0o600)
    there = "/etc/ssh/ssh_host_ed25519_key"
    commands = f"""\
upload {host_key} {there}
chmod 0600 {there}
upload {host_key}.pub {there}.pub
write-append /etc/passwd "packer:x:1234:1234::/home/packer:/bin/sh\\n"
write-append /etc/shadow "packer:!:19000:0:99999:7:::\\n"
"""
    commands += "".join(
        f"utimens {path} 1700000000 0 1700000000 0\n" for path in (there, f"{there}.pub", "/etc/passwd", "/etc/shadow")
    )
    subprocess.run(
        ("guestfish", "--rw", "--format=qcow2", "-a", str(into), "-i"),
        input=commands, text=True, check=True, capture_output=True, env=asyncio.run(guestfs.environment()),
    )  # fmt: skip
