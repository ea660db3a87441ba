"""What the doctor calls required is what the roles of the workspace need."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from core.errors import RefusedError
from core.model.boot_test import BootTest
from core.model.role import Build, Role, Syntax, Upstream, UpstreamKind
from core.model.sealing import SealSettings
from core.services.doctor import needed, refuse_what_is_missing

ALWAYS = {"ingot", "git"}
PACKER = Role("web", "web", Syntax.HCL2, builds=(Build("amazon-ebs.web", "amazon-ebs"),))
DISK = replace(PACKER, builds=(Build("qemu.web", "qemu"),))
VMWARE = replace(PACKER, builds=(Build("vmware-iso.web", "vmware-iso"),))
ANSIBLE = Role("web", "site.yml", Syntax.ANSIBLE, builds=(Build("ansible.web", "ansible"),))
BY_ANSIBLE = {"ansible", "ssh", "qemu", "qemu-img"}


@pytest.mark.parametrize(
    ("role", "wanted"),
    [
        (PACKER, {"packer"}),
        (replace(PACKER, provisioners=("shell", "ansible")), {"packer", "ansible", "ssh"}),
        (replace(PACKER, provisioners=("ansible-local",)), {"packer"}),
        (replace(PACKER, seal=SealSettings(enabled=True)), {"packer"}),
        (VMWARE, {"packer", "qemu", "qemu-img"}),
        (replace(VMWARE, test=BootTest(enabled=False)), {"packer", "qemu-img"}),
        (DISK, {"packer", "qemu", "qemu-img"}),
        (
            replace(DISK, seal=SealSettings(enabled=True)),
            {"packer", "qemu", "qemu-img", "guestfish", "kernel", "virt-sysprep"},
        ),
        (ANSIBLE, BY_ANSIBLE),
        (replace(ANSIBLE, upstream=Upstream(UpstreamKind.ARCHIVE)), {*BY_ANSIBLE, "mmdebstrap", "gpgv"}),
        (replace(ANSIBLE, upstream=Upstream(UpstreamKind.FILE, url="x", key="vendor.asc")), {*BY_ANSIBLE, "gpg"}),
    ],
)
def test_what_is_needed_is_what_the_roles_need(role: Role, wanted: set[str]) -> None:
    assert needed([role]) == ALWAYS | wanted


def test_several_roles_need_what_each_of_them_needs() -> None:
    assert needed([PACKER, ANSIBLE]) == needed([PACKER]) | needed([ANSIBLE])


def test_all_that_is_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        RefusedError, match="web cannot be built here: git, packer, qemu, qemu-img are missing"
    ) as caught:
        refuse_what_is_missing([DISK])
    assert "packer qemu" in caught.value.next_step
    assert "ingot doctor" in caught.value.next_step
    for name in ("git", "packer"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    refuse_what_is_missing([PACKER])


def test_outside_of_a_workspace_it_is_what_most_images_need() -> None:
    assert needed([]) == ALWAYS | {"packer", "qemu", "qemu-img", "guestfish", "kernel"}
