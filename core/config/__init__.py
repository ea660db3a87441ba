"""`ingot.toml`: what refines discovery. Optional; every key in it is, too. Its reference is docs/workspace.md.

What is wrong in it never stops anything: it becomes a Problem with the line and the fix, and the rest counts. One file
here a table of it; table.py has how values are read out of any.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from core.config import boot_test, channels, debug, notify, retention, role, seal
from core.config.role import RoleSettings
from core.config.table import Reading, Table
from core.model import naming
from core.model.boot_test import BootTest
from core.model.channels import DEFAULT_CHANNELS, ChannelRule
from core.model.debug import Debug
from core.model.notify import Notify
from core.model.retention import Retention
from core.model.role import Problem
from core.model.sealing import SealSettings

NAME = "ingot.toml"
MAX_BYTES = 1_000_000
TAG_PREFIX = "release-"


class Configuration(msgspec.Struct, frozen=True):
    """Everything that ingot.toml says, with what holds where it says nothing."""

    id: str = ""
    name: str = ""
    ignore: tuple[str, ...] = ()
    """Patterns of paths that discovery leaves out."""
    discovery: bool = True
    """Whether roles are looked for; without, there are those of ingot.toml only."""
    tag_prefix: str = TAG_PREFIX
    """Tags that name versions begin with it."""
    ledger_remote: str = ""
    variables: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """`[build] variables`: for every role."""
    outside: tuple[str, ...] = ()
    """`[build] outside`: for every role."""
    debug: Debug = msgspec.field(default_factory=Debug)
    notify: Notify = msgspec.field(default_factory=Notify)
    channels: tuple[ChannelRule, ...] = DEFAULT_CHANNELS
    """In the order of the file."""
    seal: SealSettings = msgspec.field(default_factory=SealSettings)
    """`[seal]`: for every role that does not say otherwise."""
    test: BootTest = msgspec.field(default_factory=BootTest)
    """`[test]`: as `seal`."""
    retention: Retention = msgspec.field(default_factory=Retention)
    """`[retention]`: for every role that does not say otherwise."""
    roles: Mapping[str, RoleSettings] = msgspec.field(default_factory=dict[str, RoleSettings])
    problems: tuple[Problem, ...] = ()


def load(root: Path) -> Configuration:
    """The configuration of the workspace at `root`; the empty one where it has none."""
    path = root / NAME
    try:
        if not path.is_file():
            return Configuration()
        if path.is_symlink() and not path.resolve().is_relative_to(root.resolve()):
            return Configuration(problems=(Problem(NAME, "it is a link that leads out of the workspace"),))
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        reason = f"it cannot be read: {error.strerror}"
        return Configuration(problems=(Problem(NAME, reason, None, f"Look at: ls -l {NAME}"),))
    return parse(content)


def parse(content: bytes) -> Configuration:
    """The same from the file's content, for commits that are not checked out."""
    if len(content) > MAX_BYTES:
        return Configuration(problems=(Problem(NAME, f"it is larger than {MAX_BYTES:,} bytes", None, "Shorten it."),))
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        return Configuration(problems=(Problem(NAME, "it is not valid UTF-8", line, "Save it as UTF-8."),))
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Configuration(problems=(_syntax(str(error)),))
    except RecursionError:
        return Configuration(problems=(Problem(NAME, "it is nested too deeply", None, "Take a level away."),))
    return _configuration(Reading(NAME, text), tables)


def differs_for(role: str, old: bytes, new: bytes) -> bool:
    """Whether two contents of ingot.toml mean different builds of a role."""
    before, after = parse(old), parse(new)

    def part(configuration: Configuration) -> object:
        settings = configuration.roles.get(role, RoleSettings())
        return (
            settings.template,
            settings.variable_files,
            dict(settings.variables),
            settings.builds,
            settings.upstream,
            settings.playbooks,
            settings.ansible,
            settings.seal,
            dict(configuration.variables),
        )

    return part(before) != part(after)


def _syntax(message: str) -> Problem:
    match = re.search(r"^(.*?) \(at (?:line (\d+), column (\d+)|end of document)\)$", message, re.DOTALL)
    reason, line = (match[1], int(match[2]) if match[2] else None) if match else (message, None)
    fix = 'Text needs quotes: name = "shop".' if "value" in reason.lower() else "See docs/workspace.md for the form."
    return Problem(NAME, f"it is not valid TOML: {reason[:1].lower()}{reason[1:]}", line, fix)


_TABLES = (
    *("id", "name", "ignore", "discovery", "version", "ledger", "build", "debug", "notify", "channels"),
    *("seal", "test", "retention", "roles"),
)


def _configuration(reading: Reading, tables: Mapping[str, Any]) -> Configuration:
    top = Table.whole_file(reading, tables, _TABLES)
    of_all = RoleSettings(
        seal=seal.read(top, SealSettings()),
        test=boot_test.read(top, BootTest()),
        retention=retention.read(top, Retention()),
    )
    discovery = top.table("discovery", ("enabled",))
    version = top.table("version", ("tag_prefix",))
    ledger = top.table("ledger", ("remote",))
    build = top.table("build", ("variables", "outside"))
    enabled = discovery.flag("enabled", True, such_as=False)
    remote = ledger.text("remote")
    if remote and not naming.is_safe(remote):
        ledger.wrong("remote", f"{remote!r} is no name of a Git remote", "Take one of: git remote")
        remote = ""
    return Configuration(
        id=top.text("id") or "",
        name=top.text("name") or "",
        ignore=top.texts("ignore") or (),
        discovery=enabled,
        tag_prefix=TAG_PREFIX if (prefix := version.text("tag_prefix")) is None else prefix,
        ledger_remote=remote or "",
        variables=build.variables("variables"),
        outside=build.paths("outside") or (),
        debug=debug.read(top),
        notify=notify.read(top),
        channels=channels.read(top),
        seal=of_all.seal,
        test=of_all.test,
        retention=of_all.retention,
        roles=_roles(top, of_all),
        problems=tuple(reading.problems),
    )


def _roles(top: Table, of_all: RoleSettings) -> dict[str, RoleSettings]:
    roles = top.named("roles", "web", "role")
    return {name: role.read(roles, name, of_all) for name in roles.keys}
