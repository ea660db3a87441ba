"""`ingot.toml`: what refines discovery. Optional; every key in it is, too. Its reference is docs/workspace.md.

What is wrong in it never stops anything: it becomes a Problem with the line and the fix, and the rest counts.
"""

import difflib
import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from core import (
    config_ansible,
    config_channels,
    config_debug,
    config_formats,
    config_notify,
    config_retention,
    config_seal,
    config_test,
    config_upstream,
)
from core.config_debug import Debug
from core.config_notify import Notify
from core.config_paths import INSIDE, is_inside, normal
from core.model import naming
from core.model.ansible_build import AnsibleBuild
from core.model.boot_test import BootTest
from core.model.channels import DEFAULT_CHANNELS, ChannelRule
from core.model.retention import Retention
from core.model.role import Problem, Upstream
from core.model.sealing import SealSettings

NAME = "ingot.toml"
MAX_BYTES = 1_000_000
TAG_PREFIX = "release-"


@dataclass(frozen=True, slots=True)
class RoleSettings:
    """`[roles.NAME]`: what is None is left as discovery found it."""

    line: int | None = None
    template: str | None = None
    variable_files: tuple[str, ...] | None = None
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    builds: tuple[str, ...] | None = None
    upstream: Upstream | None = None
    outside: tuple[str, ...] = ()
    playbooks: tuple[str, ...] = ()
    ansible: AnsibleBuild | None = None
    sensitive: tuple[str, ...] = ()
    seal: SealSettings = field(default_factory=SealSettings)
    test: BootTest = field(default_factory=BootTest)
    formats: tuple[str, ...] = ()
    retention: Retention = field(default_factory=Retention)
    problems: tuple[Problem, ...] = ()
    """Those of this table: the role is not built before they are mended, for it would be another one."""


@dataclass(frozen=True, slots=True)
class Configuration:
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
    variables: Mapping[str, str] = field(default_factory=dict[str, str])
    """`[build] variables`: for every role."""
    outside: tuple[str, ...] = ()
    """`[build] outside`: for every role."""
    debug: Debug = field(default_factory=Debug)
    notify: Notify = field(default_factory=Notify)
    channels: tuple[ChannelRule, ...] = DEFAULT_CHANNELS
    """In the order of the file."""
    seal: SealSettings = field(default_factory=SealSettings)
    """`[seal]`: for every role that does not say otherwise."""
    test: BootTest = field(default_factory=BootTest)
    """`[test]`: as `seal`."""
    retention: Retention = field(default_factory=Retention)
    """`[retention]`: for every role that does not say otherwise."""
    roles: Mapping[str, RoleSettings] = field(default_factory=dict[str, RoleSettings])
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
    return _Reader(text, tables).configuration()


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


class _Reader:
    """Takes the tables apart, one method a table; gathers what is wrong on the way."""

    def __init__(self, text: str, tables: Mapping[str, Any]) -> None:
        self._tables = tables
        self._lines = _lines(text)
        self._problems: list[Problem] = []
        self._seal_of_all = SealSettings()
        self._test_of_all = BootTest()
        self._retention_of_all = Retention()

    def configuration(self) -> Configuration:
        top = self._known(
            self._tables,
            (),
            _TABLES,
        )
        self._seal_of_all = self._seal(top, (), SealSettings())
        self._test_of_all = self._test(top, (), BootTest())
        self._retention_of_all = self._retention(top, (), Retention())
        discovery = self._table(top, ("discovery",), ("enabled",))
        version = self._table(top, ("version",), ("tag_prefix",))
        ledger = self._table(top, ("ledger",), ("remote",))
        build = self._table(top, ("build",), ("variables", "outside"))
        enabled = discovery.get("enabled", True)
        if not isinstance(enabled, bool):
            self._wrong(("discovery", "enabled"), "must be true or false", "Write: enabled = false")
            enabled = True
        remote = self._text(ledger, ("ledger", "remote"))
        if remote and not naming.is_safe(remote):
            self._wrong(("ledger", "remote"), f"{remote!r} is no name of a Git remote", "Take one of: git remote")
            remote = ""
        return Configuration(
            id=self._text(top, ("id",)) or "",
            name=self._text(top, ("name",)) or "",
            ignore=self._texts(top, ("ignore",)) or (),
            discovery=enabled,
            tag_prefix=TAG_PREFIX if (prefix := self._text(version, ("version", "tag_prefix"))) is None else prefix,
            ledger_remote=remote or "",
            variables=self._variables(build, ("build", "variables")),
            outside=self._paths(build, ("build", "outside")) or (),
            debug=self._debug(top),
            notify=self._notify(top),
            channels=self._channels(top),
            seal=self._seal_of_all,
            test=self._test_of_all,
            retention=self._retention_of_all,
            roles=self._roles(top),
            problems=tuple(self._problems),
        )

    def _debug(self, top: Mapping[str, Any]) -> Debug:
        table = self._table(top, ("debug",), config_debug.KEYS)
        return config_debug.checked(
            self._text(table, ("debug", "pause")),
            self._texts(table, ("debug", "stops")),
            self._text(table, ("debug", "limit")),
            table.get("headless", False),
            lambda key, reason, fix: self._wrong(("debug", key), reason, fix),
        )

    def _notify(self, top: Mapping[str, Any]) -> Notify:
        table = self._table(top, ("notify",), config_notify.KEYS)
        return config_notify.checked(
            self._texts(table, ("notify", "command")),
            self._text(table, ("notify", "webhook")),
            self._texts(table, ("notify", "on")),
            lambda key, reason, fix: self._wrong(("notify", key), reason, fix),
        )

    def _seal(self, parent: Mapping[str, Any], above: tuple[str, ...], before: SealSettings) -> SealSettings:
        where = (*above, "seal")
        if "seal" not in parent:
            return before
        table = self._table(parent, where, config_seal.KEYS)
        return config_seal.checked(
            table,
            {key: self._texts(table, (*where, key)) for key in ("keep", "remove", "users")},
            before,
            lambda key, reason, fix: self._wrong((*where, key), reason, fix),
        )

    def _test(self, parent: Mapping[str, Any], above: tuple[str, ...], before: BootTest) -> BootTest:
        where = (*above, "test")
        if "test" not in parent:
            return before
        table = self._table(parent, where, config_test.KEYS)
        return config_test.checked(
            table,
            {"suites": self._paths(table, (*where, "suites")), "skip": self._texts(table, (*where, "skip"))},
            {key: self._text(table, (*where, key)) for key in ("user", "limit")},
            before,
            lambda key, reason, fix: self._wrong((*where, key), reason, fix),
        )

    def _retention(self, parent: Mapping[str, Any], above: tuple[str, ...], before: Retention) -> Retention:
        where = (*above, "retention")
        if "retention" not in parent:
            return before
        problems = len(self._problems)
        table = self._table(parent, where, config_retention.KEYS)
        found = config_retention.checked(
            table,
            self._text(table, (*where, "younger")),
            before,
            lambda key, reason, fix: self._wrong((*where, key), reason, fix),
        )
        # A slip in it must not let more go than was meant: then no rule holds, and nothing goes.
        return found if len(self._problems) == problems else Retention()

    def _channels(self, top: Mapping[str, Any]) -> tuple[ChannelRule, ...]:
        channels: list[ChannelRule] = []
        for name, given in self._named(top, "channels", "production", "channel").items():
            where = ("channels", name)
            table = self._table(given, where, config_channels.KEYS)
            channels.append(
                config_channels.checked(
                    name,
                    # What cannot be read takes nothing, rather than what it takes where nothing is said.
                    (self._texts(table, (*where, "takes")) or ()) if "takes" in table else None,
                    self._text(table, (*where, "on_revoked")),
                    lambda key, reason, fix, where=where: self._wrong((*where, key), reason, fix),
                )
            )
        return tuple(channels) or DEFAULT_CHANNELS

    def _roles(self, top: Mapping[str, Any]) -> dict[str, RoleSettings]:
        return {name: self._role(name, given) for name, given in self._named(top, "roles", "web", "role").items()}

    def _ansible(self, table: Mapping[str, Any], where: tuple[str, ...]) -> AnsibleBuild | None:
        return config_ansible.checked(
            table,
            {key: self._text(table, (*where, key)) for key in ("builder", "playbook", "user", "disk_size")},
            lambda key, reason, fix: self._wrong((*where, key), reason, fix),
        )

    def _named(self, top: Mapping[str, Any], table: str, example: str, what: str) -> dict[str, dict[str, Any]]:
        """The tables `[table.NAME]` by their names, each as the table that holds it; only names that can be one."""
        given = top.get(table, {})
        if not isinstance(given, dict):
            self._wrong((table,), "must be a table", f"Write: [{table}.{example}]")
            return {}
        found: dict[str, dict[str, Any]] = {}
        for name in cast("dict[str, Any]", given):
            if naming.is_safe(name):
                found[name] = cast("dict[str, Any]", given)
                continue
            self._wrong(
                (table, name),
                f"{name!r} cannot be the name of a {what}",
                f"Use letters, digits, “.”, “_” and “-”, such as {naming.safe(name) or example!r}.",
            )
        return found

    def _role(self, name: str, given: Mapping[str, Any]) -> RoleSettings:
        where = ("roles", name)
        before = len(self._problems)
        keys = ("template", "variable_files", "variables", "builds", "upstream", "outside", "playbooks")
        keys += ("seal", "test", "formats", "retention", *config_ansible.KEYS)
        table = self._table(given, where, keys)
        template = self._text(table, (*where, "template"))
        if template is not None and not is_inside(template):
            self._wrong((*where, "template"), f"{template!r} is no path inside the workspace", INSIDE)
            template = None
        settings = RoleSettings(
            line=self._line(where),
            template=normal(template) if template is not None else None,
            variable_files=self._paths(table, (*where, "variable_files")),
            variables=self._variables(table, (*where, "variables")),
            builds=self._texts(table, (*where, "builds")),
            upstream=self._upstream(table, (*where, "upstream")),
            outside=self._paths(table, (*where, "outside")) or (),
            playbooks=self._paths(table, (*where, "playbooks")) or (),
            ansible=self._ansible(table, where),
            sensitive=self._texts(table, (*where, "sensitive")) or (),
            seal=self._seal(table, where, self._seal_of_all),
            test=self._test(table, where, self._test_of_all),
            formats=config_formats.checked(
                self._texts(table, (*where, "formats")) or (),
                lambda key, reason, fix: self._wrong((*where, key), reason, fix),
            ),
            retention=self._retention(table, where, self._retention_of_all),
        )
        return replace(settings, problems=tuple(self._problems[before:]))

    def _upstream(self, role: Mapping[str, Any], where: tuple[str, ...]) -> Upstream | None:
        if "upstream" not in role:
            return None
        before = len(self._problems)
        table = self._table(role, where, config_upstream.KEYS)
        ami = self._table(table, (*where, "ami"), config_upstream.AMI_KEYS)
        given = config_upstream.Given(
            tuple(table),
            {key: self._text(table, (*where, key)) or "" for key in config_upstream.TEXTS},
            {key: self._texts(table, (*where, key)) or () for key in config_upstream.LISTS},
            {key: self._text(ami, (*where, "ami", key)) or "" for key in config_upstream.AMI_TEXTS},
            self._texts(ami, (*where, "ami", "owners")) or (),
            spoiled=len(self._problems) > before,
        )
        return config_upstream.checked(
            given, lambda key, reason, fix: self._wrong((*where, *key.split(".")) if key else where, reason, fix)
        )

    # The shapes of values

    def _known(self, given: Mapping[str, Any], where: tuple[str, ...], keys: Sequence[str]) -> dict[str, Any]:
        """The table with `-` in keys read as `_`; what nobody knows is a problem."""
        known: dict[str, Any] = {}
        for key, value in given.items():
            plain = key.replace("-", "_")
            if plain in keys:
                known[plain] = value
                continue
            near = difflib.get_close_matches(plain, keys, n=1, cutoff=0.6)
            place = f"[{'.'.join(where)}]" if where else "the file"
            fix = f"Did you mean {_shown(near[0])!r}?" if near else f"Known here: {', '.join(map(_shown, keys))}."
            self._wrong((*where, key), f"{key!r} is not known in {place}", fix)
        return known

    def _table(self, parent: Mapping[str, Any], where: tuple[str, ...], keys: Sequence[str]) -> dict[str, Any]:
        given = parent.get(where[-1], {})
        if not isinstance(given, dict):
            self._wrong(where, "must be a table", f"Write: [{'.'.join(map(_shown, where))}]")
            return {}
        return self._known(cast("dict[str, Any]", given), where, keys)

    def _text(self, table: Mapping[str, Any], where: tuple[str, ...]) -> str | None:
        value = table.get(where[-1])
        if value is None:
            return None
        if not isinstance(value, str) or not value.isprintable():
            self._wrong(where, "must be text", f'Write: {_shown(where[-1])} = "…"')
            return None
        return value

    def _texts(self, table: Mapping[str, Any], where: tuple[str, ...]) -> tuple[str, ...] | None:
        value = table.get(where[-1])
        if value is None:
            return None
        items = cast("list[Any]", value) if isinstance(value, list) else [None]
        if not all(isinstance(item, str) and item and item.isprintable() for item in items):
            self._wrong(where, "must be a list of texts", f'Write: {_shown(where[-1])} = ["…"]')
            return None
        return tuple(cast("list[str]", items))

    def _paths(self, table: Mapping[str, Any], where: tuple[str, ...]) -> tuple[str, ...] | None:
        values = self._texts(table, where)
        for value in values or ():
            if not is_inside(value):
                self._wrong(where, f"{value!r} is no path inside the workspace", INSIDE)
        return None if values is None else tuple(normal(value) for value in values if is_inside(value))

    def _variables(self, table: Mapping[str, Any], where: tuple[str, ...]) -> dict[str, str]:
        given = table.get(where[-1], {})
        if not isinstance(given, dict):
            self._wrong(where, "must be a table", f"Write: [{'.'.join(map(_shown, where))}]")
            return {}
        found: dict[str, str] = {}
        for name, value in cast("dict[str, Any]", given).items():
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
                self._wrong((*where, name), f"{name!r} is no name of a variable", "Use the name from the template.")
            elif isinstance(value, bool):
                found[name] = "true" if value else "false"
            elif isinstance(value, (str, int, float)):
                found[name] = str(value)
            else:
                self._wrong((*where, name), "must be text, a number, true or false", f'Write: {name} = "…"')
        return found

    def _wrong(self, where: tuple[str, ...], reason: str, fix: str) -> None:
        named = reason if reason[:1] in "'\"" or not where else f"{'.'.join(map(_shown, where))}: {reason}"
        self._problems.append(Problem(NAME, named, self._line(where), fix))

    def _line(self, where: tuple[str, ...]) -> int | None:
        while where:
            for path in (where, tuple(part.replace("_", "-") for part in where)):
                if path in self._lines:
                    return self._lines[path]
            where = where[:-1]
        return None


def _shown(key: str) -> str:
    return key.replace("_", "-") if key in ("variable_files", "tag_prefix", "disk_size", "on_revoked") else key


_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_KEY = re.compile(rf"^[ \t]*({_WORD}(?:[ \t]*\.[ \t]*{_WORD})*)[ \t]*=")
_HEAD = re.compile(r"^[ \t]*\[\[?[ \t]*([^\[\]\n]+?)[ \t]*\]\]?[ \t]*(?:#.*)?$")


def _lines(text: str) -> dict[tuple[str, ...], int]:
    """The line of each table and key. Of a text that is valid TOML; what is inside of values is not looked at closely.

    tomllib gives no positions; a key in an inline table has the line of the key before the table.
    """
    found: dict[tuple[str, ...], int] = {}
    table: tuple[str, ...] = ()
    for number, line in enumerate(text.split("\n"), start=1):
        if head := _HEAD.match(line.rstrip("\r")):
            table = _split(head[1]) or table
            found.setdefault(table, number)
        elif (key := _KEY.match(line)) and (path := _split(key[1])):
            found.setdefault((*table, *path), number)
    return found


def _split(dotted: str) -> tuple[str, ...]:
    try:
        given: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(given, dict):
        key, given = next(iter(cast("dict[str, Any]", given).items()))
        path.append(key)
    return tuple(path)
