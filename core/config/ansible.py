"""The part of `[roles.NAME]` of ingot.toml that says how Ingot builds a role with Ansible. Its reference is
docs/workspace.md."""

import re

from core.config.paths import INSIDE, is_inside, normal
from core.config.table import Table
from core.model.ansible_build import KIND, AnsibleBuild

KEYS = ("builder", "playbook", "user", "memory", "cpus", "disk_size", "idempotent", "sensitive")
_OWN = ("playbook", "user", "memory", "cpus", "disk_size", "idempotent")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[MGT]")
_LEAST_MEMORY, _MOST_MEMORY = 128, 1_048_576
_MOST_CPUS = 256


def read(role: Table) -> AnsibleBuild | None:
    """How the role is built with Ansible; None where it is not."""
    builder, playbook, user, size = (role.text(key) for key in ("builder", "playbook", "user", "disk_size"))
    if builder is None:
        for key in _OWN:
            if key in role:
                role.wrong(key, "means something only with the builder “ansible”", 'Write as well: builder = "ansible"')
        if "sensitive" in role:
            role.wrong(
                "sensitive",
                "means something only with the builder “ansible”",
                "In a template the variable itself says so: sensitive = true",
            )
        return None
    if builder != KIND:
        role.wrong(
            "builder", f"{builder!r} is no builder that Ingot has", 'Take "ansible"; what Packer builds needs none.'
        )
        return None
    if "template" in role:
        role.wrong("template", "a role that Ansible builds has no template", "Take one of the two away.")
    if not playbook or not is_inside(playbook):
        role.wrong("playbook", "the builder “ansible” needs a playbook of the workspace", INSIDE)
        return None
    user = user or "root"
    if not _USER.fullmatch(user):
        role.wrong("user", f"{user!r} is no user that could log in", 'Write: user = "root"')
        user = "root"
    size = size or ""
    if size and not _SIZE.fullmatch(size):
        role.wrong("disk_size", f"{size!r} is no size", 'Write: disk_size = "8G"')
        size = ""
    idempotent = role.flag("idempotent", False)
    return AnsibleBuild(
        playbook=normal(playbook),
        user=user,
        memory=role.number("memory", 1024, _LEAST_MEMORY, _MOST_MEMORY, _range(_LEAST_MEMORY, _MOST_MEMORY)),
        cpus=role.number("cpus", 2, 1, _MOST_CPUS, _range(1, _MOST_CPUS)),
        disk_size=size,
        idempotent=idempotent,
    )


def _range(least: int, most: int) -> str:
    return f"a number from {least} to {most:,}"
