"""`[roles.NAME]` of ingot.toml: what it says of a role beside what discovery found. Reference: docs/workspace.md."""

from collections.abc import Mapping

import msgspec
from msgspec.structs import replace

from core.config import ansible, boot_test, formats, retention, seal, upstream
from core.config.table import Table
from core.model.ansible_build import AnsibleBuild
from core.model.boot_test import BootTest
from core.model.retention import Retention
from core.model.role import Problem, Upstream
from core.model.sealing import SealSettings

KEYS = (
    *("template", "variable_files", "variables", "builds", "upstream", "outside", "playbooks"),
    *("seal", "test", "formats", "retention"),
    *ansible.KEYS,
)


class RoleSettings(msgspec.Struct, frozen=True):
    """What is None is left as discovery found it."""

    line: int | None = None
    template: str | None = None
    variable_files: tuple[str, ...] | None = None
    variables: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    builds: tuple[str, ...] | None = None
    upstream: Upstream | None = None
    outside: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()
    ansible: AnsibleBuild | None = None
    sensitive: tuple[str, ...] = ()
    seal: SealSettings = msgspec.field(default_factory=SealSettings)
    test: BootTest = msgspec.field(default_factory=BootTest)
    formats: tuple[str, ...] = ()
    retention: Retention = msgspec.field(default_factory=Retention)
    problems: tuple[Problem, ...] = ()
    """Those of this table: the role is not built before they are mended, for it would be another one."""


def read(roles: Table, name: str, before: RoleSettings) -> RoleSettings:
    """The role of that name; on top of `before` where all roles have such a table."""
    problems = len(roles.reading.problems)
    table = roles.table(name, KEYS)
    settings = RoleSettings(
        line=table.line,
        template=table.path("template"),
        variable_files=table.paths("variable_files"),
        variables=table.variables("variables"),
        builds=table.texts("builds"),
        upstream=upstream.read(table),
        outside=table.paths("outside") or (),
        playbooks=table.paths("playbooks") or (),
        ansible=ansible.read(table),
        sensitive=table.texts("sensitive") or (),
        seal=seal.read(table, before.seal),
        test=boot_test.read(table, before.test),
        formats=formats.read(table),
        retention=retention.read(table, before.retention),
    )
    return replace(settings, problems=tuple(roles.reading.problems[problems:]))
