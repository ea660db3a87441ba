"""Which files an Ansible playbook is made of, as far as its text tells. Reads only; Ansible is not started.

Roles that the text names are followed; where a name is computed (`{{ … }}`), all roles beside the playbook count.
"""

import posixpath
import re
from collections.abc import Iterable

from core.adapters.files import WorkspaceFiles

MAX_BYTES = 200_000
MAX_FOLLOWED = 500
"""Playbooks, task files and roles looked into for one playbook."""

_PATH = re.compile(r"[\w@.+/-]+")
_WORD = re.compile(r"[\w.-]+")
_BESIDE = ("", "files", "templates", "vars", "tasks", "handlers")
"""Where Ansible looks for what a play names (its page "Search paths in Ansible")."""
_ALWAYS = ("group_vars", "host_vars", "ansible.cfg", "requirements.yml", "requirements.yaml", "roles/requirements.yml")


def parts_of(playbook: str, files: WorkspaceFiles) -> list[str]:
    """The files and directories that a change of would change what the playbook does, itself not among them."""
    found: dict[str, None] = {}
    directory = posixpath.dirname(playbook)
    roles = _role_directories(directory, files)
    for base in dict.fromkeys((directory, posixpath.dirname(directory) if directory else "")):
        for name in _ALWAYS:
            path = posixpath.join(base, name)
            if files.holds(path):
                found[path] = None
    waiting = [playbook]
    seen: set[str] = set()
    while waiting and len(seen) < MAX_FOLLOWED:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        text = _text(path, files)
        for inner in _mentioned(text, posixpath.dirname(path), directory, files):
            found[inner] = None
            if inner.endswith((".yml", ".yaml")):
                waiting.append(inner)
        for role in _roles_in(text, roles):
            found[role] = None
            waiting += _role_texts(role, files)
    found.pop(playbook, None)
    return list(found)


def _role_directories(directory: str, files: WorkspaceFiles) -> dict[str, str]:
    """Roles by name: beside the playbook, or beside its directory (`playbooks/web.yml` and `roles/`)."""
    roles: dict[str, str] = {}
    for base in dict.fromkeys((directory, posixpath.dirname(directory), "")):
        place = posixpath.normpath(posixpath.join(base, "roles"))
        place = files.link_target(place) or place
        prefix = f"{place}/"
        for name in files.directories:
            if name.startswith(prefix) and "/" not in name[len(prefix) :]:
                roles.setdefault(name[len(prefix) :], name)
    return roles


def _roles_in(text: str, roles: dict[str, str]) -> Iterable[str]:
    if not roles or "role" not in text:
        return ()
    if _computes_a_role(text):
        return roles.values()
    words = set(_WORD.findall(text))
    return [path for name, path in roles.items() if name in words]


def _computes_a_role(text: str) -> bool:
    """`- role: "{{ x }}"` or, up to two lines after `include_role:`, `name: "{{ x }}"`."""
    near = 0
    for line in text.split("\n"):
        if "role" in line:
            near = 3
        if near and "{{" in line and ("role" in line or "name" in line):
            return True
        near = max(near - 1, 0)
    return False


def _role_texts(role: str, files: WorkspaceFiles) -> list[str]:
    """The files of a role that can name other roles."""
    return [
        f"{role}/{part}/{name}"
        for part in ("meta", "tasks")
        for name in files.directories.get(f"{role}/{part}", ())
        if name.endswith((".yml", ".yaml"))
    ]


def _mentioned(text: str, directory: str, playbooks: str, files: WorkspaceFiles) -> Iterable[str]:
    for match in dict.fromkeys(_PATH.findall(text)):
        if ("." not in match and "/" not in match) or len(match) > 1000:
            continue
        for base in dict.fromkeys((directory, playbooks)):
            for beside in _BESIDE:
                path = posixpath.normpath(posixpath.join(base, beside, match))
                if path in files.names:
                    yield path


def _text(path: str, files: WorkspaceFiles) -> str:
    try:
        content = files.read(path, MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(line for line in content.split("\n") if not line.lstrip().startswith("#"))
