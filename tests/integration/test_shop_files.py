"""The demo workspace's own files, as the tools that read them see them. No machine is started."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

SHOP = Path(__file__).parents[2] / "examples/shop"
ROLES = sorted(path.name for path in (SHOP / "packer").iterdir())


def run(argv: list[str], **variables: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "HOME": os.environ["HOME"], "LANG": "C.UTF-8"} | variables
    return subprocess.run(argv, cwd=SHOP, env=environment, capture_output=True, text=True)


@pytest.mark.skipif(not shutil.which("packer"), reason="packer is not installed")
@pytest.mark.parametrize("role", ROLES)
def test_packer_takes_each_template(role: str, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "key")], check=True)
    checked = run(
        ["packer", "validate", f"packer/{role}"],
        CHECKPOINT_DISABLE="1",
        PACKER_CACHE_DIR=str(tmp_path / "cache"),
        PKR_VAR_ingot_upstream=str(tmp_path / "upstream.qcow2"),
        PKR_VAR_ingot_upstream_checksum=f"sha256:{'0' * 64}",
        PKR_VAR_ingot_ssh_public_key="ssh-ed25519 AAAA test",
        PKR_VAR_ingot_ssh_private_key_file=str(tmp_path / "key"),
    )
    if "plugin" in checked.stdout + checked.stderr and "install" in checked.stdout + checked.stderr:
        pytest.skip("this Packer has no qemu and ansible plugins (packer plugins install, see examples/shop/README.md)")
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.skipif(not shutil.which("ansible-playbook"), reason="ansible-core is not installed")
@pytest.mark.parametrize("role", ROLES)
def test_ansible_takes_each_playbook(role: str, tmp_path: Path) -> None:
    checked = run(
        ["ansible-playbook", "--syntax-check", "-i", "machine,", f"ansible/{role}.yml"],
        ANSIBLE_CONFIG="ansible/ansible.cfg",
        ANSIBLE_LOCAL_TEMP=str(tmp_path),
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_the_clean_up_is_a_script_that_a_shell_takes() -> None:
    script = SHOP / "scripts/clean.sh"
    assert script.stat().st_mode & 0o111
    assert run(["sh", "-n", str(script)]).returncode == 0


def test_the_order_service_is_a_program_that_python_takes() -> None:
    compile((SHOP / "ansible/roles/orders/templates/orders.py").read_text(), "orders.py", "exec")


def test_all_roles_differ_in_nothing_but_what_they_say() -> None:
    """What a fix in one template needs must not be forgotten in the others."""
    templates = {neutral(SHOP / f"packer/{role}/{role}.pkr.hcl", role).partition("\n")[2] for role in ROLES}
    variables = {neutral(SHOP / f"packer/{role}/variables.pkr.hcl", role) for role in ROLES}
    assert len(templates) == len(variables) == 1


def neutral(file: Path, role: str) -> str:
    return re.sub(rf"\b{role}\b", "ROLE", file.read_text())
