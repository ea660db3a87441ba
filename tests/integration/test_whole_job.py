"""The main job, as a user does it: the demo workspace, real tools, images in the list."""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from installed import Shop

pytestmark = [
    pytest.mark.vm,
    pytest.mark.xdist_group("shop"),
    *(
        pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")
        for tool in ("packer", "qemu-system-x86_64", "mmdebstrap", "guestfish", "ansible-playbook")
    ),
]


def test_the_demo_makes_its_first_image_from_a_verified_upstream(shop: Shop) -> None:
    image = shop.image("base")
    assert (image["version"], image["state"]) == ("0.1.0", "candidate")
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
    deadline = time.monotonic() + 300
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
