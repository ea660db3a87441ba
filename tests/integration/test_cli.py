"""The headless commands, as scripts and cron use them: what they print, and what their exit status tells."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import repository
from installed import BIN

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="Packer is not installed")

FILE = """
variable "ingot_version" { default = "none" }
variable "ingot_output" { default = "output" }
source "file" "ROLE" {
  content = "version ${var.ingot_version}"
  target  = "${var.ingot_output}/ROLE.txt"
}
build { sources = ["source.file.ROLE"] }
"""
SHELL = """
source "null" "ROLE" { communicator = "none" }
build {
  sources = ["source.null.ROLE"]
  provisioner "shell-local" { inline = ["COMMAND"] }
}
"""


class Site:
    """A workspace with two roles that work, one that fails, one that takes long, and one that does not parse."""

    def __init__(self, ingot: Any) -> None:
        self.ingot = ingot
        self.root: Path = ingot.home / "shop"
        self.write(
            {
                "base/base.pkr.hcl": FILE.replace("ROLE", "base"),
                "other/other.pkr.hcl": FILE.replace("ROLE", "other"),
                "failing/failing.pkr.hcl": SHELL.replace("ROLE", "failing").replace("COMMAND", "echo why; exit 3"),
                "slow/slow.pkr.hcl": SHELL.replace("ROLE", "slow").replace("COMMAND", "echo begun; sleep 600"),
                "broken/broken.pkr.hcl": 'source "null" {',
            }
        )
        self.git("init", "-q", "-b", "main")
        self.commit()

    def write(self, files: dict[str, str]) -> None:
        repository.write(self.root, files)

    def git(self, *words: str) -> None:
        repository.git(self.root, *words, environment=self.ingot.environment)

    def commit(self) -> None:
        repository.commit(self.root, {}, environment=self.ingot.environment)

    def __call__(self, *words: str, status: int = 0) -> str:
        done = self.ingot(*words, cwd=self.root)
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout + done.stderr

    def json(self, *words: str) -> Any:
        done = self.ingot(*words, "--json", cwd=self.root)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


@pytest.fixture(scope="module")
def site(make_ingot: Callable[[], Any]) -> Site:
    return Site(make_ingot())


def test_a_day_of_work_without_a_screen(site: Site) -> None:
    listed = site.json("roles")
    assert {role["name"] for role in listed["roles"]} == {"base", "other", "failing", "slow", "broken"}
    assert "broken/broken.pkr.hcl:1" in site("roles")
    assert site("images").startswith("No images yet")

    assert "nobody has said yet that it is trusted" in site("build", "base", status=2)
    assert site.json("runs") == []
    said = site("build", "base", "other", "--trust", "--wait")
    assert "base: run 1: build base succeeded" in said
    assert "other: run 2: build other succeeded" in said
    (other,) = site.json("images", "other")
    assert Path(other["artifacts"][0]["location"]).read_text() == f"version {other['version']}"

    said = site("build", "failing", "--wait", status=1)
    assert "why" in said
    assert "in build/null.failing" in said
    site("logs", "3", "-f", status=1)

    (slow,) = site.json("build", "slow")
    site("cancel", str(slow["id"]), "--wait")
    assert "cancelled" in site("runs")
    site("logs", "-f", str(slow["id"]), status=3)
    assert "has ended" in site("cancel", str(slow["id"]), status=2)

    assert site("build", "--stale").strip() == "Nothing is stale."
    site.write({"base/base.pkr.hcl": FILE.replace("ROLE", "base") + "# changed\n"})
    site.commit()
    assert site.json("roles")["roles"][0]["stale"] == "changed: base/base.pkr.hcl"
    assert "run 5: build base succeeded" in site("build", "--stale", "--wait")
    assert site("build", "--stale").strip() == "Nothing is stale."

    newer = site.json("images", "base")[0]["version"]
    assert f"base {newer}" in site("images", "base", "--delete", newer, "--confirm", "base", status=2)
    site("images", "base", "--delete", newer, "--confirm", f"base {newer}")
    assert site.json("images", "base")[0]["on_disk"] == []
    (logs,) = [entry for entry in site.json("cache") if entry["name"] == "runs/3/logs"]
    assert logs["size"] > 0
    site("cache", "--delete", "runs/3/logs")
    assert "runs/3/logs" not in site("cache")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("build",), "What is to be built?"),
        (("build", "base", "--stale"), "What is to be built?"),
        (("build", "bsae", "--trust"), "Did you mean base?"),
        (("build", "broken", "--trust"), "broken/broken.pkr.hcl:1"),
        (("build", "base", "--only", "qemu.base", "--trust"), "It has: file.base"),
        (("build", "base", "--at", "-x", "--trust"), "expected one argument"),
        (("--readonly", "build", "base"), "readonly"),
        (("--readonly", "cancel", "1"), "readonly"),
        (("logs", "999"), "There is no run 999"),
        (("images", "--delete", "0.1.0"), "Which role's image?"),
        (("-C", "nowhere", "roles"), "nowhere"),
        (("nonsense",), "invalid choice"),
        ((), "needs a terminal"),
    ],
)
def test_what_cannot_be_done_is_refused_with_the_reason(site: Site, words: tuple[str, ...], message: str) -> None:
    assert message in site(*words, status=2)


@pytest.mark.parametrize("words", [("runs", "--all"), ("cache",), ("sweep", "--dry-run"), ("debug",)], ids=" ".join)
def test_any_command_may_be_the_first_one_on_a_machine(site: Site, words: tuple[str, ...], tmp_path: Path) -> None:
    environment = {**site.ingot.environment, "INGOT_HOME": str(tmp_path / "new")}
    done = subprocess.run((str(BIN / "ingot"), *words), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_the_version_goes_to_standard_output(site: Site) -> None:
    assert site.ingot("--version").stdout.startswith("ingot 0.")


@pytest.mark.parametrize("words", [["roles"], ["images"], ["runs", "--all"], ["doctor"], ["worker"], ["cache"]])
def test_no_headless_command_loads_the_screens(site: Site, words: list[str]) -> None:
    look = f"import sys; from core.cli import main; main({words!r}); print([m for m in sys.modules if 'textual' in m])"
    done = subprocess.run(
        (sys.executable, "-P", "-c", look), cwd=site.root, env=site.ingot.environment, capture_output=True, text=True
    )
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_the_doctor_says_what_is_there_and_how_to_get_what_is_not(site: Site) -> None:
    found = {finding["name"]: finding for finding in site.json("doctor")}
    assert found["git"]["health"] == "ok"
    assert found["git"]["version"]
    bare = {**site.ingot.environment, "PATH": os.path.dirname(sys.executable)}  # noqa: PTH120 - a PATH is made of text
    done = subprocess.run(
        (sys.executable, "-m", "core.cli", "doctor", "--json"), env=bare, capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    packer = next(finding for finding in json.loads(done.stdout) if finding["name"] == "packer")
    assert packer["health"] == "missing"
    assert packer["stands_in_the_way"]
    assert packer["install"]


def test_where_everything_is_built_by_ansible_no_packer_is_in_the_way(site: Site, tmp_path: Path) -> None:
    shop, programs = tmp_path / "shop", tmp_path / "bin"
    shop.mkdir()
    programs.mkdir()
    for name in ("git", "env"):
        (programs / name).symlink_to(shutil.which(name) or name)
    (shop / "site.yml").write_text("- hosts: all\n")
    (shop / "ingot.toml").write_text(
        '[roles.web]\nbuilder = "ansible"\nplaybook = "site.yml"\n'
        f'upstream = {{ url = "a.qcow2", checksum = "sha256:{"0" * 64}" }}\n'
    )
    subprocess.run(("git", "init", "-q", str(shop)), check=True)
    done = subprocess.run(
        (sys.executable, "-m", "core.cli", "-C", str(shop), "doctor", "--json"),
        env={**site.ingot.environment, "PATH": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    found = {finding["name"]: finding for finding in json.loads(done.stdout)}
    assert (found["packer"]["health"], found["packer"]["stands_in_the_way"]) == ("missing", False)
    assert found["ansible"]["stands_in_the_way"]
    assert done.returncode == 1
