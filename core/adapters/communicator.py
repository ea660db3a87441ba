"""How Packer gets into the machine of one build: the communicator settings of its source, as the template and its
variables say.

Nothing is run and nothing is guessed: a setting that depends on what is not written down (another file's content, a
vault, the machine that is built) is empty. Defaults are those of Packer (helper/communicator/config.go of 1.6,
packer-plugin-sdk's since).
"""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import msgspec

from core.adapters import hcl, hcl_json, packer
from core.adapters.hcl_scope import Scope, variables_of
from core.adapters.hcl_tree import Block, Body, Expression
from core.adapters.hcl_values import UNKNOWN, Value, texts
from core.adapters.template_hcl import source_name
from core.adapters.template_json import Strings, declared_variables, variables_in
from core.model.role import Build, Role, Syntax


@dataclass(frozen=True, slots=True)
class Account:
    """How Packer logs in to one SSH server."""

    user: str = ""
    password: str = field(default="", repr=False)
    key_file: str = ""
    """Absolute."""
    agent: bool = False
    """Packer asks the SSH agent."""


class Bastion(msgspec.Struct, frozen=True):
    """The host that the connection goes through."""

    host: str
    port: int = 22
    account: Account = Account()


class Communicator(msgspec.Struct, frozen=True):
    """The settings of one build's source."""

    type: str = "ssh"
    """`ssh`, `winrm`, `none`, or what a builder has of its own (`docker`)."""
    host: str = ""
    """Where the template says so; most builders find out by themselves."""
    port: int = 22
    """In the machine. What leads to it from here may be another port (QEMU)."""
    account: Account = Account()
    bastion: Bastion | None = None
    interface: str = ""
    """`ssh_interface` of cloud builders: `public_ip`, `private_ip`, `public_dns`, …"""
    region: str = ""
    """The cloud's region, where the template says it."""
    instance_type: str = ""
    """What kind of machine the cloud is asked for."""
    endpoint: str = ""
    """`custom_endpoint_ec2`."""


def communicator_of(role: Role, checkout: Path, variables: Mapping[str, str], build: Build) -> Communicator:
    """The communicator of one build of a role.

    `variables` are what Packer gets beside the role's variable files: `PKR_VAR_…` for HCL2, the last variable file for
    JSON. What is wrong with the template gives empty settings; Packer itself complains of it. Reads and parses files:
    call it in a thread.
    """
    said = _said(role, checkout, variables, build)
    kind = said.text("communicator") or ("none" if build.kind == "file" else "ssh")
    if kind == "winrm":
        port = said.number("winrm_port") or (5986 if said.flag("winrm_use_ssl") else 5985)
        account = Account(said.text("winrm_username"), said.text("winrm_password"))
        host = said.text("winrm_host")
    else:
        port = said.number("ssh_port") or 22
        account = Account(
            said.text("ssh_username"), said.text("ssh_password"), said.path("ssh_private_key_file"),
            said.flag("ssh_agent_auth"),
        )  # fmt: skip
        host = said.text("ssh_host")
    return Communicator(
        type=kind,
        host=host,
        port=port,
        account=account,
        bastion=_bastion(said, account) if kind == "ssh" else None,
        interface=said.text("ssh_interface"),
        region=said.text("region"),
        instance_type=said.text("instance_type"),
        endpoint=said.text("custom_endpoint_ec2"),
    )


def setting(role: Role, checkout: Path, variables: Mapping[str, str], build: Build, name: str) -> str:
    """A setting of the build's source that is text, or a flag: `true` where that is set; empty where the template does
    not say it. As `communicator_of` for the rest."""
    said = _said(role, checkout, variables, build)
    return said.text(name) or ("true" if said.flag(name) else "")


def list_setting(role: Role, checkout: Path, variables: Mapping[str, str], build: Build, name: str) -> tuple[str, ...]:
    """The same for a list of texts."""
    return _said(role, checkout, variables, build).texts(name)


def disk_settings(role: Role, checkout: Path, variables: Mapping[str, str], build: Build) -> tuple[str, str]:
    """`format` and `output_directory` of the build's source, the directory absolute. As `setting` for the rest."""
    said = _said(role, checkout, variables, build)
    return said.text("format"), said.path("output_directory")


def _said(role: Role, checkout: Path, variables: Mapping[str, str], build: Build) -> "_Said":
    settings = _json(role, checkout, variables, build) if role.syntax is Syntax.JSON else None
    if settings is None:
        settings = _hcl2(role, checkout, variables, build)
    return _Said(settings, packer.working_directory(checkout, role))


def _bastion(said: "_Said", account: Account) -> Bastion | None:
    host = said.text("ssh_bastion_host")
    if not host:
        return None
    own = Account(
        said.text("ssh_bastion_username"),
        said.text("ssh_bastion_password"),
        said.path("ssh_bastion_private_key_file") or account.key_file,  # as Packer does
        said.flag("ssh_bastion_agent_auth"),
    )
    return Bastion(host, said.number("ssh_bastion_port") or 22, own)


class _Said:
    """Settings as values of the types that Packer takes them for: it converts texts."""

    def __init__(self, settings: Mapping[str, Any], directory: Path) -> None:
        self._settings = settings
        self._directory = directory

    def text(self, name: str) -> str:
        value: object = self._settings.get(name)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        # What Packer's own template language leaves open is only known to Packer.
        return value if isinstance(value, str) and "{{" not in value else ""

    def texts(self, name: str) -> tuple[str, ...]:
        """What is not known of a list makes it empty: half of it would be another list."""
        value = self._settings.get(name)
        given = cast("list[object]", value) if isinstance(value, (list, tuple)) else []
        said = tuple(one for one in given if isinstance(one, str) and one and "{{" not in one)
        return said if len(said) == len(given) else ()

    def number(self, name: str) -> int:
        """0 when it is not given, or no port."""
        given = self.text(name)
        return int(given) if given.isdecimal() and int(given) < 65536 else 0

    def flag(self, name: str) -> bool:
        value: object = self._settings.get(name)
        return value is True or value in ("true", "1")

    def path(self, name: str) -> str:
        """Relative ones count from where Packer runs; `~` is the home directory."""
        given = self.text(name)
        if not given:
            return ""
        path = Path(given)
        with contextlib.suppress(RuntimeError):  # no home directory
            path = path.expanduser()
        return str(self._directory / path)


def _json(role: Role, checkout: Path, variables: Mapping[str, str], build: Build) -> dict[str, Any] | None:
    """The builder of that name in a JSON template, its variables put in; None when the file is no such template."""
    template = checkout / role.template
    loaded = _load_json(template)
    if not isinstance(loaded, dict) or "builders" not in loaded:
        return None
    content = cast("dict[str, Any]", loaded)
    values = {name: "" if value is None else str(value) for name, value in declared_variables(content).items()}
    for file in role.variable_files:
        values |= variables_in(_load_json(checkout / file)) or {}
    strings = Strings({**values, **variables}, str(template.parent))
    builders = content["builders"]
    for builder in cast("list[Any]", builders) if isinstance(builders, list) else ():
        if isinstance(builder, dict):
            given = cast("dict[str, Any]", builder)
            name = strings.resolved(str(given.get("name") or "")) or str(given.get("type", ""))
            if name == build.name:
                return {
                    key: strings.resolved(value) if isinstance(value, str) else value for key, value in given.items()
                }
    return {}


def _load_json(file: Path) -> object:
    try:
        return hcl_json.load_json(file.read_text(errors="replace"))
    except (OSError, hcl.HclError):
        return None


def _hcl2(role: Role, checkout: Path, variables: Mapping[str, str], build: Build) -> dict[str, Value]:
    template = checkout / role.template
    bodies = [body for file in packer.hcl_files(template) if (body := _body(file)) is not None]
    place = template if template.is_dir() else template.parent
    values: dict[str, Value] = {**_defaults(bodies), **variables}
    # Packer's order, the last one winning: the environment, what it loads by itself, the files it is given.
    automatic = sorted([*place.glob("*.auto.pkrvars.hcl"), *place.glob("*.auto.pkrvars.json")])
    for file in [*automatic, *(checkout / named for named in role.variable_files)]:
        values |= _variables_in(file)
    scope = Scope(values, dict(_locals(bodies)), root=str(place))
    settings: dict[str, Value] = {}
    for block in _blocks_of(bodies, scope, build.name):
        settings |= {attribute.name: scope.value(attribute.value) for attribute in block.body.attributes}
    return settings


def _blocks_of(bodies: list[Body], scope: Scope, name: str) -> list[Block]:
    """The declared source of a build, and what a build block adds to it."""
    sources = {
        ".".join(block.labels[:2]): block
        for body in bodies
        for block in body.of_type("source")
        if len(block.labels) > 1
    }
    for build in (block for body in bodies for block in body.of_type("build")):
        given = build.body.attribute("name")
        title = scope.value(given.value) if given else None
        prefix = f"{title}." if isinstance(title, str) and title else ""
        listed = build.body.attribute("sources")
        for reference in texts(scope.value(listed.value)) if listed else ():
            source = source_name(reference)
            if prefix + source == name and source in sources:
                return [sources[source]]
        for inline in build.body.of_type("source"):
            source = source_name(inline.labels[0]) if inline.labels else ""
            own = inline.body.attribute("name")
            called = scope.value(own.value) if own else None
            kind, _, plain = source.partition(".")
            if prefix + f"{kind}.{called if isinstance(called, str) and called else plain}" == name:
                return [sources[source], inline] if source in sources else [inline]
    return []


def _defaults(bodies: list[Body]) -> dict[str, Value]:
    scope = Scope({}, {})
    found: dict[str, Value] = {}
    for block in (block for body in bodies for block in body.of_type("variable", "variables")):
        if block.type == "variables":
            found |= {attribute.name: scope.value(attribute.value) for attribute in block.body.attributes}
        elif block.labels:
            default = block.body.attribute("default")
            found[block.labels[0]] = scope.value(default.value) if default else UNKNOWN
    return found


def _locals(bodies: list[Body]) -> Iterator[tuple[str, Expression]]:
    for block in (block for body in bodies for block in body.of_type("locals", "local")):
        if block.type == "locals":
            yield from ((attribute.name, attribute.value) for attribute in block.body.attributes)
        elif block.labels and (expression := block.body.attribute("expression")):
            yield block.labels[0], expression.value


def _body(file: Path) -> Body | None:
    try:
        text = file.read_text(errors="replace")
        return hcl_json.from_json(text) if file.suffix == ".json" else hcl.parse(text)
    except (OSError, hcl.HclError):
        return None


def _variables_in(file: Path) -> dict[str, Value]:
    if file.suffix == ".json":
        loaded = _load_json(file)
        return cast("dict[str, Value]", loaded) if isinstance(loaded, dict) else {}
    try:
        return variables_of(hcl.parse(file.read_text(errors="replace")))
    except (OSError, hcl.HclError):
        return {}
