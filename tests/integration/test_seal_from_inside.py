"""The Ansible role `seal` of the example, in a system of its own: what it leaves is what sealing a disk leaves.

Its tasks are shell, so they are carried out here as they are, with only the tree of that system to write to: this
machine's programs are there read-only, in namespaces of the test's own.
"""

import os
import shlex
import shutil
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from core.model.listing import Entry, Listing
from core.model.seal_check import Facts, check
from core.model.sealing import ItemState, SealSettings
from tests.support.leftovers import BUILD_USER, LEFTOVERS, NOT_SEALED_AWAY

jinja2 = pytest.importorskip("jinja2")

ROLE = Path(__file__).parents[2] / "examples/shop/ansible/roles/seal"
INSIDE = """\
set -eu
cd "$1"
mount --rbind /usr usr
mount -o remount,bind,ro usr
exec chroot . /usr/bin/sh -c "$2"
"""
SETTINGS = SealSettings(enabled=True, users=("builder",), remove=("/opt/notes",))


def possible() -> bool:
    if not shutil.which("unshare") or not Path("/bin").is_symlink():
        return False
    tried = subprocess.run(["unshare", "-rm", "true"], check=False, capture_output=True)
    return tried.returncode == 0


pytestmark = pytest.mark.skipif(not possible(), reason="no namespaces of one's own, or programs are not all in /usr")


def scripts() -> Iterator[str]:
    """The role's tasks as Ansible would have the shell carry them out."""
    environment = jinja2.Environment(autoescape=False, trim_blocks=True)
    environment.filters["quote"] = shlex.quote
    values = yaml.safe_load((ROLE / "defaults/main.yml").read_text()) | yaml.safe_load(
        (ROLE / "vars/main.yml").read_text()
    )
    values |= {"seal_users": list(SETTINGS.users), "seal_remove": list(SETTINGS.remove)}
    for task in yaml.safe_load((ROLE / "tasks/main.yml").read_text()):
        template = environment.from_string(task["ansible.builtin.shell"]["cmd"])
        for item in values["seal_users"] if "loop" in task else [None]:
            yield template.render(values | {"item": item})


def listed(tree: Path) -> Listing:
    found: list[Entry] = []
    for directory, directories, files in os.walk(tree):
        if Path(directory) == tree:
            directories.remove("usr")
        for name in (*directories, *files):
            path = Path(directory, name)
            status = path.lstat()
            kind = "l" if path.is_symlink() else "d" if stat.S_ISDIR(status.st_mode) else "f"
            found.append(Entry(f"/{path.relative_to(tree)}", kind, 0, 0, 0, status.st_size, 0.0))
    return Listing(found)


def test_the_role_leaves_what_sealing_leaves(tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    for name in ("usr", "dev", "proc"):
        (tree / name).mkdir(parents=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / name).symlink_to(f"usr/{name}")
    (tree / "dev/null").touch()  # what is thrown away goes into a file here
    for path, said in {**BUILD_USER, **{path: said for path, (_, said) in LEFTOVERS.items()}}.items():
        (tree / path[1:]).parent.mkdir(parents=True, exist_ok=True)
        (tree / path[1:]).write_text(said)
    for script in scripts():
        done = subprocess.run(
            ["unshare", "-rm", "sh", "-c", INSIDE, "sh", str(tree), script], check=False, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr

    def content(path: str) -> bytes | None:
        file = tree / path[1:]
        return file.read_bytes() if file.is_file() else None

    findings = check(listed(tree), content, SETTINGS, Facts(("ingot-run",)))
    found = {path for finding in findings if finding.state is ItemState.FOUND for path in finding.paths}
    assert found == set(NOT_SEALED_AWAY)
    assert (tree / "etc/machine-id").read_bytes() == b""
    assert (tree / "etc/group").read_text() == "root:x:0:\nsudo:x:27:ada\nadm:x:4:ada\nwheel:x:28:\nada:x:1000:\n"


@pytest.mark.skipif(not shutil.which("ansible-playbook"), reason="ansible-core is not installed")
def test_ansible_takes_the_role(tmp_path: Path) -> None:
    (tmp_path / "seal.yml").write_text("- hosts: all\n  gather_facts: false\n  roles: [seal]\n")
    words = ["ansible-playbook", "--syntax-check", "-i", "machine,", str(tmp_path / "seal.yml")]
    env = {**os.environ, "ANSIBLE_ROLES_PATH": str(ROLE.parent), "ANSIBLE_LOCAL_TEMP": str(tmp_path)}
    done = subprocess.run(words, check=False, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
