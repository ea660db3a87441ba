"""Images that are broken on purpose, booted for real: each fault is caught where it should be, and said clearly."""

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from installed import Shop, in_the_shop

from core.model import boot_checks as rules

pytestmark = [*in_the_shop(), pytest.mark.long]

LEFT_BEHIND = """
  provisioner "shell" {
    inline = [
      "useradd --create-home packer",
      "echo packer:packer | chpasswd",
      "echo 'PasswordAuthentication yes' > /etc/ssh/sshd_config.d/00-build.conf",
      "printf '[Service]\\\\nType=oneshot\\\\nExecStart=/bin/sh -c \\"echo no way; exit 7\\"\\\\n[Install]\\\\n' > /etc/systemd/system/broken.service",
      "echo WantedBy=multi-user.target >> /etc/systemd/system/broken.service",
      "systemctl --quiet enable broken.service",
      "mkdir -p -m 700 /root/.ssh",
      "cp /run/ssh-keys/root /root/.ssh/authorized_keys",
    ]
  }
"""  # noqa: E501 - one line of a unit's file
SUITE = """\
def test_that_this_is_a_printer(host):
    assert host.exists("lpadmin")
"""


def add_role(shop: Shop, name: str, provisioners: str, settings: str, files: dict[str, str]) -> None:
    """A role of the demo workspace with other provisioners; everything else as the frontend has it."""
    made = shop.root / "packer" / name
    shutil.copytree(shop.root / "packer/frontend", made)
    template = made / "frontend.pkr.hcl"
    head = template.read_text().replace('"frontend"', f'"{name}"').partition("build {")[0]
    template.write_text(f'{head}build {{\n  sources = ["source.qemu.{name}"]\n{provisioners}}}\n')
    template.rename(made / f"{name}.pkr.hcl")
    for path, content in files.items():
        (shop.root / path).parent.mkdir(parents=True, exist_ok=True)
        (shop.root / path).write_text(content)
    with (shop.root / "ingot.toml").open("a") as toml:
        toml.write(f'\n[roles.{name}]\ntemplate = "packer/{name}"\nupstream = {{ role = "base" }}\n{settings}\n')
    shop.commit(f"The role {name}")


def bad(tests: Sequence[Any]) -> dict[str, str]:
    """What is not well in the newest test: case → message."""
    return {case["name"].partition("[")[0]: case["message"] for case in tests[0]["report"]["cases"]
            if case["outcome"] in ("failed", "error")}  # fmt: skip


def test_everything_that_a_build_left_in_is_found_by_booting(shop: Shop) -> None:
    settings = 'seal = { enabled = false }\ntest = { suites = ["tests/broken"] }'
    add_role(shop, "broken", LEFT_BEHIND, settings, {"tests/broken/test_printer.py": SUITE})
    done = shop("build", "broken", "--trust", "--wait")
    assert done.returncode == 1, done.stdout[-6000:]
    assert "in test/qemu.broken" in done.stdout
    found = bad(shop.json("tests", "broken"))
    assert set(found) == {
        rules.HOST_KEYS, rules.MACHINE_ID, rules.UNITS, rules.BUILD_KEYS, rules.PASSWORDS,
        "tests.broken.test_printer: test_that_this_is_a_printer",
    }, found  # fmt: skip
    assert found[rules.UNITS] == "failed: broken.service"
    assert "/root/.ssh/authorized_keys: ingot-" in found[rules.BUILD_KEYS]
    assert found[rules.PASSWORDS] == "it lets in packer with a password that builds use"
    image = shop.image("broken")
    assert (image["state"], image["verdict"]) == ("candidate", "failed")
    assert "no way" in done.stdout, "the last words of what failed"
    assert shop.ingot.left_behind() == []


def test_a_good_image_is_tested_again_and_one_that_does_not_answer_in_time_is_no_longer_passed(shop: Shop) -> None:
    before = shop.json("tests", "base")
    artifact = Path(shop.image("base")["artifacts"][0]["location"])
    written = artifact.stat().st_mtime_ns
    settings = shop.root / "ingot.toml"
    told = settings.read_text()
    settings.write_text(told + '\n[test]\nlimit = "3s"\n')
    shop.commit("No time at all")
    try:
        done = shop("test", "base", "--at", "HEAD", "--wait")
    finally:  # others build here after this
        settings.write_text(told)
        shop.commit("As much time as before")
    assert done.returncode == 1, done.stdout
    tests = shop.json("tests", "base", "0.1.0")
    assert len(tests) == len(before) + 1
    assert set(bad(tests)) == {rules.ANSWERS}
    assert "did not let anybody in within 3 s" in bad(tests)[rules.ANSWERS]
    assert (shop.image("base")["state"], shop.image("base")["verdict"]) == ("good", "failed")
    # With its own settings it passes once more.
    done = shop("test", "base", "--wait", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["version"] == "0.1.0"
    assert shop.image("base")["verdict"] == "passed"
    assert artifact.stat().st_mtime_ns == written
    assert shop.ingot.left_behind() == []
