"""What a Packer template says, whichever of its languages it is written in; and the rules that both share."""

import posixpath
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import msgspec

from core.adapters.files import WorkspaceFiles
from core.model.naming import FILE_NAMES, is_file_name
from core.model.role import Build, Problem, Upstream, UpstreamKind

PATHS = frozenset(
    {
        # sources
        "http_directory", "floppy_files", "floppy_dirs", "cd_files", "user_data_file", "vmx_path", "source_path",
        # shell, powershell, windows-shell, shell-local, file
        "script", "scripts", "source", "sources",
        # ansible, ansible-local
        "playbook_file", "playbook_files", "playbook_dir", "playbook_paths", "role_paths", "roles_path",
        "collections_path", "group_vars", "host_vars", "inventory_file", "inventory_directory", "galaxy_file",
        # chef, puppet, salt, goss, inspec
        "cookbook_paths", "data_bags_path", "environments_path", "config_template", "manifest_file", "manifest_dir",
        "module_paths", "module_path", "hiera_config_path", "local_state_tree", "local_pillar_roots", "minion_config",
        "tests", "vars_file", "goss_file", "profile",
        # vagrant
        "vagrantfile_template", "include",
    }
)  # fmt: skip
"""Attributes of sources, provisioners and post-processors whose values are paths on this machine (their pages)."""

PLAYBOOKS = frozenset({"playbook_file", "playbook_files", "playbook_paths"})


OPEN_BUILDS = "which builds there are depends on a value that is not known here"
"""The reason of a problem that naming the builds in ingot.toml mends."""
NAME_BUILDS = "Set it in a variable file, or name the builds in ingot.toml: [roles.NAME] builds = […]"
NAME_IT = f"Name it with {FILE_NAMES}."


def no_file_name(name: str) -> str:
    """Why a build cannot have that name; empty where it can. Keys, disks and logs of a run have it as theirs."""
    return "" if is_file_name(name) else f"the build's name {name!r} cannot be the name of a file"


class TemplateFacts(msgspec.Struct, frozen=True):
    """What one template with one set of variables says."""

    builds: tuple[Build, ...] = ()
    provisioners: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    declares: tuple[str, ...] = ()
    sensitive: tuple[str, ...] = ()
    requires_plugins: bool = False
    upstream: Upstream = msgspec.field(default_factory=Upstream)
    problems: tuple[Problem, ...] = ()


@dataclass(slots=True)
class Gathered:
    """The paths that a template names, as they are found."""

    files: WorkspaceFiles
    bases: Sequence[str]
    """Where relative paths are looked for, in order."""
    inputs: dict[str, None] = field(default_factory=dict[str, None])
    playbooks: dict[str, None] = field(default_factory=dict[str, None])

    def add(self, attribute: str, values: Iterable[str]) -> None:
        """Note the values of one attribute, when it is one that names paths."""
        if attribute == "extra_arguments":
            values = [part for value in values for part in re.findall(r"@([^\s'\"]+)", value)]
        elif attribute == "ansible_env_vars":
            values = [
                value.partition("=")[2]
                for value in values
                if re.match(r"ANSIBLE_(CONFIG|ROLES_PATH|INVENTORY)=", value)
            ]
        elif attribute not in PATHS:
            return
        for value in values:
            for found in self.files.find_all(value, self.bases):
                self.inputs[found] = None
                if attribute in PLAYBOOKS:
                    self.playbooks[found] = None

    def add_command(self, line: str) -> None:
        """Note the files that a command on this machine names: `./make-seed.sh user-data`."""
        if len(line) > 10_000:
            return
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            words = line.split()
        for word in words:
            path = word.rpartition("=")[2].removeprefix("@")
            if ("/" in path or "." in path) and path.strip("./"):
                found = self.files.find(path, self.bases)
                if found and found in self.files.names:
                    self.inputs[found] = None


def bases_of(directory: str) -> tuple[str, ...]:
    """Where Packer may have been started, by likelihood: in the template's directory, at the root, or in between."""
    if directory in ("", "."):
        return (".",)
    parents: list[str] = []
    parent = posixpath.dirname(directory)
    while parent:
        parents.append(parent)
        parent = posixpath.dirname(parent)
    return (directory, ".", *parents)


_LENGTHS = {64: "sha256", 128: "sha512"}


def upstream_of(
    urls: Sequence[str], checksum: str, checksum_type: str, files: WorkspaceFiles, bases: Sequence[str]
) -> Upstream:
    """An upstream of kind FILE where its place and a checksum that counts are written down; otherwise TEMPLATE.

    MD5 and SHA-1 do not count: whoever can change the file can make one that has the same.
    """
    checksum, checksum_type = checksum.strip(), checksum_type.strip().lower()
    if checksum_type in ("sha256", "sha512") and ":" not in checksum:
        checksum = f"{checksum_type}:{checksum}"
    elif ":" not in checksum and re.fullmatch(r"[0-9a-fA-F]+", checksum) and len(checksum) in _LENGTHS:
        checksum = f"{_LENGTHS[len(checksum)]}:{checksum}"
    match = re.fullmatch(r"(sha256|sha512):([0-9a-fA-F]+)", checksum)
    if match and _LENGTHS.get(len(match[2])) == match[1]:
        checksum = f"{match[1]}:{match[2].lower()}"
    elif not re.fullmatch(r"file:\S+", checksum) or "{{" in checksum:
        return Upstream()
    for url in urls:
        if re.match(r"https?://[^\s{}]+$", url):
            return Upstream(UpstreamKind.FILE, url=url, checksum=checksum)
        if found := files.find(url.removeprefix("file://"), bases):
            return Upstream(UpstreamKind.FILE, url=found, checksum=checksum)
    return Upstream()


def common_upstream(found: Iterable[Upstream]) -> Upstream:
    """The upstream of a role: the one that all of its builds share, else what each template finds by itself."""
    different = set(found)
    return different.pop() if len(different) == 1 else Upstream()
