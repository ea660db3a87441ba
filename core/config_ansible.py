"""The part of `[roles.NAME]` of ingot.toml that says how Ingot builds a role with Ansible. Its reference is
docs/workspace.md."""

import re
from collections.abc import Mapping

from core.config_debug import Wrong
from core.config_paths import INSIDE, is_inside, normal
from core.model.ansible_build import KIND, AnsibleBuild

KEYS = ("builder", "playbook", "user", "memory", "cpus", "disk_size", "idempotent", "sensitive")
_OWN = ("playbook", "user", "memory", "cpus", "disk_size", "idempotent")
_USER = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
_SIZE = re.compile(r"[1-9][0-9]{0,5}[MGT]")
_LEAST_MEMORY, _MOST_MEMORY = 128, 1_048_576
_MOST_CPUS = 256


def checked(table: Mapping[str, object], texts: Mapping[str, str | None], wrong: Wrong) -> AnsibleBuild | None:
    """How the role is built with Ansible; None where it is not. `texts` are its texts."""
    builder = texts.get("builder")
    if builder is None:
        for key in _OWN:
            if key in table:
                wrong(key, "means something only with the builder “ansible”", 'Write as well: builder = "ansible"')
        return None
    if builder != KIND:
        wrong("builder", f"{builder!r} is no builder that Ingot has", 'Take "ansible"; what Packer builds needs none.')
        return None
    if "template" in table:
        wrong("template", "a role that Ansible builds has no template", "Take one of the two away.")
    playbook = texts.get("playbook")
    if not playbook or not is_inside(playbook):
        wrong("playbook", "the builder “ansible” needs a playbook of the workspace", INSIDE)
        return None
    user = texts.get("user") or "root"
    if not _USER.fullmatch(user):
        wrong("user", f"{user!r} is no user that could log in", 'Write: user = "root"')
        user = "root"
    size = texts.get("disk_size") or ""
    if size and not _SIZE.fullmatch(size):
        wrong("disk_size", f"{size!r} is no size", 'Write: disk_size = "8G"')
        size = ""
    idempotent = table.get("idempotent", False)
    if not isinstance(idempotent, bool):
        wrong("idempotent", "must be true or false", "Write: idempotent = true")
        idempotent = False
    return AnsibleBuild(
        playbook=normal(playbook),
        user=user,
        memory=_number(table, "memory", 1024, _LEAST_MEMORY, _MOST_MEMORY, wrong),
        cpus=_number(table, "cpus", 2, 1, _MOST_CPUS, wrong),
        disk_size=size,
        idempotent=idempotent,
    )


def _number(table: Mapping[str, object], key: str, default: int, least: int, most: int, wrong: Wrong) -> int:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        wrong(key, f"must be a number from {least} to {most:,}", f"Write: {key} = {default}")
        return default
    return value
