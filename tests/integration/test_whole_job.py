"""The main job, as a user does it: the demo workspace, real tools, images in the list."""

import hashlib
import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from installed import Shop, in_the_shop

from core.model import boot_checks

pytestmark = in_the_shop()


def test_the_demo_makes_its_first_image_from_a_verified_upstream(shop: Shop) -> None:
    image = shop.image("base")
    assert (image["version"], image["state"]) == ("0.1.0", "good")
    assert image["upstream"]["kind"] == "archive"
    assert "signature" in image["upstream"]["verified"].lower()
    (artifact,) = image["artifacts"]
    file = Path(artifact["location"])
    with file.open("rb") as content:
        assert artifact["digest"] == "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
    assert image["tools"]["packer"]


@pytest.mark.skipif(shutil.which("debugfs") is None, reason="debugfs is not installed")
def test_the_upstream_is_made_from_the_signed_archive_and_holds_no_secret(shop: Shop, tmp_path: Path) -> None:
    made = shop.image("base")["upstream"]
    assert made["details"]["suite"] == "bookworm"
    assert int(made["details"]["packages"]) > 100
    (disk,) = (shop.ingot.home / "state").rglob("archive-*.qcow2")
    with disk.open("rb") as content:
        assert made["digest"] == "sha256:" + hashlib.file_digest(content, "sha256").hexdigest()
    raw = tmp_path / "upstream.raw"
    subprocess.run(("qemu-img", "convert", "-O", "raw", str(disk), str(raw)), check=True)

    def in_disk(command: str) -> str:
        """What debugfs says of the file system in the disk's only partition."""
        words = ("debugfs", "-R", command, f"{raw}?offset={1 << 20}")
        return subprocess.run(words, capture_output=True, text=True, check=True).stdout

    assert "sshd_config" in in_disk("ls /etc/ssh")
    assert "ssh_host_" not in in_disk("ls /etc/ssh")
    assert in_disk("cat /etc/machine-id") == ""
    assert "root:*:" in in_disk("cat /etc/shadow")
    assert "authorized_keys" not in in_disk("ls /root/.ssh")  # Packer's machine got its key by its firmware


def test_it_is_good_since_a_machine_booted_from_it_passed(shop: Shop) -> None:
    tested = shop.json("tests", "base")[-1]
    report = tested["report"]
    assert (tested["verdict"], report["build"], report["version"]) == ("passed", "qemu.base", "0.1.0")
    built_in = {case["name"]: case["outcome"] for case in report["cases"] if case["suite"] == "boot"}
    assert built_in == dict.fromkeys(boot_checks.ALL, "passed")
    suite = [case for case in report["cases"] if case["suite"] == "tests/base"]
    assert len(suite) >= 7
    assert {case["outcome"] for case in suite} == {"passed"}
    assert any(port.startswith("tcp") and ":22 " in port for port in report["facts"]["ports"])
    assert report["facts"]["kernel"].startswith("Linux ")
    assert "systemd-timesyncd.service" in report["facts"]["services"]
    assert report["facts"]["disk_used"] > 200_000_000
    said = shop("tests", "base").stdout
    assert "✓  boot" in said
    assert "test_nobody_has_a_password" in said


def test_the_fact_of_the_image_is_a_commit_on_the_ledger(shop: Shop) -> None:
    said = subprocess.run(
        ("git", "-C", str(shop.root), "log", "--format=%an: %s", "refs/ingot/ledger"),
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "Ada Example: register base 0.1.0" in said
    status = subprocess.run(("git", "-C", str(shop.root), "status", "--porcelain"), capture_output=True, check=True)
    assert status.stdout == b"", "the user's tree is untouched"


def test_the_index_is_rebuilt_from_the_ledger(shop: Shop) -> None:
    before = shop.json("images")
    shop("worker", "stop")
    for file in (shop.ingot.home / "state").glob("index.sqlite*"):
        file.unlink()
    assert shop.json("images") == before


@pytest.mark.long
def test_two_roles_are_built_at_once_and_one_is_cancelled(shop: Shop) -> None:
    started = shop("build", "frontend", "backend", "--trust", "--json")
    assert started.returncode == 0, started.stderr
    frontend, backend = (run["id"] for run in json.loads(started.stdout))
    deadline = time.monotonic() + 1200  # beside much else
    while "booting" not in str(shop.json("runs")) and "SSH" not in str(shop.json("runs")):
        assert time.monotonic() < deadline, shop.json("runs")
        time.sleep(1)
    cancelled = shop("cancel", str(backend), "--wait")
    assert cancelled.returncode == 0, cancelled.stdout + cancelled.stderr
    logs = shop("logs", "-f", str(frontend))
    assert logs.returncode == 0, logs.stdout[-6000:]
    image = shop.image("frontend")
    assert (image["upstream"]["role"], image["upstream"]["version"]) == ("base", "0.1.0")
    assert shop.json("images", "backend") == []
    assert shop.ingot.left_behind() == []
    refused = shop("images", "base", "--delete", "0.1.0", "--confirm", "base 0.1.0")
    assert refused.returncode == 2, "another image is built on it"
    assert "frontend" in refused.stderr
