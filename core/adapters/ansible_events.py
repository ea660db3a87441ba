"""Makes Ansible tell what it does, task by task, through a callback plugin of ours: by environment, whoever starts it.

The plugin comes beside what the workspace has: its directory is put before those that ansible.cfg or the environment
name, and it needs no line in `callbacks_enabled`, so that nothing there has to be written anew.
"""

import configparser
import os
from collections.abc import Iterable, Mapping
from pathlib import Path

PLUGINS = Path(__file__).parent.parent / "ansible_plugin"
"""Holds nothing but the plugin: Ansible loads every file of it."""
_DEFAULT = "{home}/.ansible/plugins/callback:/usr/share/ansible/plugins/callback"
_SYSTEM = "/etc/ansible/ansible.cfg"


def environment(given: Mapping[str, str], checkout: Path, directories: Iterable[Path]) -> dict[str, str]:
    """What a tool that may start Ansible needs beside `given`; `directories` are those in which an ansible.cfg may be
    that counts: the checkout's, the tool's own, the playbooks'."""
    plugins = [str(PLUGINS), *_configured(given, (checkout, *directories))]
    return {"ANSIBLE_CALLBACK_PLUGINS": ":".join(dict.fromkeys(plugins)), "INGOT_ROOT": str(checkout)}


def _configured(given: Mapping[str, str], directories: Iterable[Path]) -> list[str]:
    """Where else callback plugins are: all that may count, as which ansible.cfg does is for the template to say."""
    if named := given.get("ANSIBLE_CALLBACK_PLUGINS"):
        return named.split(":")
    home = given.get("HOME", "")
    default = _DEFAULT.format(home=home).split(":")
    files = [Path(named)] if (named := given.get("ANSIBLE_CONFIG")) else []
    files += [directory / "ansible.cfg" for directory in directories]
    files += [Path(home) / ".ansible.cfg", Path(_SYSTEM)]
    found: list[str] = []
    for file in files:
        found += _of(file, home)
    return found or default


def _of(file: Path, home: str) -> list[str]:
    parser = configparser.ConfigParser(interpolation=None, strict=False, inline_comment_prefixes=(";",))
    try:
        parser.read_string(file.read_text(errors="replace"))
        value = parser.get("defaults", "callback_plugins", fallback="")
    except (OSError, configparser.Error):
        return []
    parts = (part.strip().replace("{{CWD}}", os.curdir) for part in value.split(":"))
    return [part.replace("~", home, 1) if part.startswith("~/") else str(file.parent / part) for part in parts if part]
