"""Ansible Galaxy: where a repository says which roles and collections it needs, and installing them.

Installs into a directory of its own, never into the user's home.
"""

import configparser
import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from core import process

_NAMES = ("requirements.yml", "requirements.yaml")
_FOLDERS = ("", "ansible", "roles", "collections", "ansible/roles", "ansible/collections")
"""Where projects keep it; `roles/` and `collections/` are where AWX looks."""


def requirements(root: Path, playbooks: Iterable[str]) -> list[Path]:
    """The requirements files in a checkout that count for these playbooks, each once."""
    folders = [*_FOLDERS, *(str(PurePosixPath(playbook).parent) for playbook in playbooks)]
    found = (root / folder / name for folder in folders for name in _NAMES)
    return list(dict.fromkeys(path.resolve() for path in found if path.is_file()))


def key(files: Sequence[Path]) -> str:
    """What the installed files depend on, as a name; empty where they depend on more than what the requirements say."""
    digest = hashlib.sha256()
    for file in files:
        content = file.read_bytes()
        if re.search(rb"^\s*-?\s*type:\s*['\"]?(?:file|dir|subdirs)\b", content, re.MULTILINE):
            return ""
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()


def search_paths(installed: Path | None, root: Path, home: str) -> dict[str, str]:
    """The environment that makes Ansible find what was installed, before what it finds by itself.

    The variables win over ansible.cfg, so what that says is put behind ours; empty where nothing was installed.
    """
    if installed is None:
        return {}
    configured = _configured(root)
    own = f"{home}/.ansible"
    roles = configured.get("roles_path") or f"{own}/roles:/usr/share/ansible/roles:/etc/ansible/roles"
    collections = (
        configured.get("collections_path")
        or configured.get("collections_paths")
        or f"{own}/collections:/usr/share/ansible/collections"
    )
    paths = f"{installed / 'collections'}:{collections}"
    return {
        "ANSIBLE_ROLES_PATH": f"{installed / 'roles'}:{roles}",
        "ANSIBLE_COLLECTIONS_PATH": paths,
        "ANSIBLE_COLLECTIONS_PATHS": paths,  # its name before ansible-core 2.10; newer ones take both
    }


def install_arguments(file: Path) -> list[str]:
    """The command that installs roles and collections of one file; where to, `install_environment` says."""
    # With -p it would install the roles only (ansible-galaxy, "install").
    return ["ansible-galaxy", "install", "-r", str(file)]


def install_environment(directory: Path, extra: Mapping[str, str], keep: Iterable[str]) -> dict[str, str]:
    return process.environment(
        extra={
            "ANSIBLE_ROLES_PATH": str(directory / "roles"),
            "ANSIBLE_COLLECTIONS_PATH": str(directory / "collections"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_GALAXY_DISPLAY_PROGRESS": "0",
            **extra,
        },
        keep=keep,
    )


def _configured(root: Path) -> Mapping[str, str]:
    """The `[defaults]` of the ansible.cfg in a checkout, with paths made absolute."""
    for file in (root / "ansible.cfg", root / "ansible" / "ansible.cfg"):
        if not file.is_file():
            continue
        parser = configparser.ConfigParser(interpolation=None, strict=False, inline_comment_prefixes=(";",))
        try:
            parser.read_string(file.read_text(errors="replace"))
            defaults = dict(parser["defaults"]) if "defaults" in parser else {}
        except configparser.Error:
            return {}
        return {
            name: ":".join(
                part if part.startswith(("/", "~")) else str(file.parent / part) for part in value.split(":")
            )
            for name, value in defaults.items()
            if name in ("roles_path", "collections_path", "collections_paths") and value
        }
    return {}
