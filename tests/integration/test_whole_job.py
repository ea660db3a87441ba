"""The main job, as a user does it: the demo workspace, real tools, images in the list."""

import hashlib
import json
import subprocess
import time
from collections.abc import Callable
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


def test_the_image_boots_and_holds_its_stamp(shop: Shop, boot: Callable[[Path], Callable[[str], str]]) -> None:
    image = shop.image("base")
    machine = boot(Path(image["artifacts"][0]["location"]))
    stamp = machine("cat /etc/image-release")
    assert "IMAGE_VERSION=0.1.0" in stamp.replace('"', "")
    assert image["commit"] in stamp


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
