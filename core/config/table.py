"""A table of a TOML file, whose values come in the shape that they should have. What has another one, or is not known,
becomes a Problem with the file, the line and the fix, and counts as not said."""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar, cast

from core.config.lines import lines_of
from core.config.paths import INSIDE, is_inside, normal
from core.model import naming
from core.model.role import Problem

_WITH_A_DASH = (*("variable_files", "tag_prefix", "disk_size", "on_revoked", "instance_type", "security_groups"),)
"""Keys that are shown with `-`; both are read."""
_NO_PATH = "is no path inside the workspace"

_Default = TypeVar("_Default", bound=int | None)


class Reading:
    """A file that is being read: where its keys stand, and what was found wrong in it so far."""

    def __init__(self, name: str, text: str) -> None:
        self.problems: list[Problem] = []
        self._name = name
        self._lines = lines_of(text)

    def wrong(self, where: tuple[str, ...], reason: str, fix: str) -> None:
        """`where` are the keys down to what is wrong; none for the file itself."""
        named = reason if reason[:1] in "'\"" or not where else f"{_dotted(where)}: {reason}"
        self.problems.append(Problem(self._name, named, self.line(where), fix))

    def line(self, where: tuple[str, ...]) -> int | None:
        """Where it stands, or what holds it."""
        while where:
            for path in (where, tuple(part.replace("_", "-") for part in where)):
                if path in self._lines:
                    return self._lines[path]
            where = where[:-1]
        return None


class Table:
    """One table. Each of its methods that gives a value gives None, or what it was told, where the key is not there."""

    def __init__(self, reading: Reading, where: tuple[str, ...], values: Mapping[str, Any]) -> None:
        self.reading = reading
        self._where = where
        self._values = values

    @classmethod
    def whole_file(cls, reading: Reading, given: Mapping[str, Any], keys: Sequence[str]) -> "Table":
        """The table that all others are in. `keys` are those that are known."""
        return cls(reading, (), _known(reading, given, (), keys))

    def __contains__(self, key: str) -> bool:
        return key in self._values

    @property
    def keys(self) -> tuple[str, ...]:
        """Those that were written and are known, in their order, with `_` for `-`."""
        return tuple(self._values)

    @property
    def line(self) -> int | None:
        """Where it begins."""
        return self.reading.line(self._where)

    def wrong(self, key: str, reason: str, fix: str) -> None:
        """Say what is wrong with the value of a key; with the whole table where it is empty."""
        self.reading.wrong((*self._where, key) if key else self._where, reason, fix)

    def table(self, key: str, keys: Sequence[str]) -> "Table":
        """The table in it, of which `keys` are known; an empty one where there is none."""
        where = (*self._where, key)
        return Table(self.reading, where, _known(self.reading, self._tables(key, _dotted(where)), where, keys))

    def named(self, key: str, example: str, what: str) -> "Table":
        """The table of tables that have names of the person's own, such as `example`; without what can be no name."""
        found: dict[str, Any] = {}
        for name, value in self._tables(key, f"{key}.{example}").items():
            if naming.is_safe(name):
                found[name] = value
                continue
            self.reading.wrong(
                (*self._where, key, name),
                f"{name!r} cannot be the name of a {what}",
                f"Use letters, digits, “.”, “_” and “-”, such as {naming.safe(name) or example!r}.",
            )
        return Table(self.reading, (*self._where, key), found)

    def text(self, key: str) -> str | None:
        """Printable text; may be empty."""
        value = self._values.get(key)
        if value is None:
            return None
        if not isinstance(value, str) or not value.isprintable():
            self.wrong(key, "must be text", f'Write: {_shown(key)} = "…"')
            return None
        return value

    def texts(self, key: str) -> tuple[str, ...] | None:
        """A list of texts, none of them empty."""
        value = self._values.get(key)
        if value is None:
            return None
        items = cast("list[Any]", value) if isinstance(value, list) else [None]
        if not all(isinstance(item, str) and item and item.isprintable() for item in items):
            self.wrong(key, "must be a list of texts", f'Write: {_shown(key)} = ["…"]')
            return None
        return tuple(cast("list[str]", items))

    def those(
        self, key: str, said: Sequence[str], are: Callable[[str], bool], reason: str, fix: Callable[[str], str] | str
    ) -> tuple[str, ...]:
        """Of what a list says, what may be there; of each other text it is a problem that it `reason`."""
        for one in said:
            if not are(one):
                self.wrong(key, f"{one!r} {reason}", fix if isinstance(fix, str) else fix(one))
        return tuple(one for one in said if are(one))

    def path(self, key: str) -> str | None:
        """A path inside the workspace."""
        value = self.text(key)
        inside = () if value is None else self.those(key, [value], is_inside, _NO_PATH, INSIDE)
        return normal(inside[0]) if inside else None

    def paths(self, key: str) -> tuple[str, ...] | None:
        """A list of such; without those that lead out."""
        values = self.texts(key)
        return None if values is None else tuple(map(normal, self.those(key, values, is_inside, _NO_PATH, INSIDE)))

    def flag(self, key: str, default: bool, *, such_as: bool = True) -> bool:
        """True or false. `such_as` is what the fix shows."""
        value = self._values.get(key, default)
        if isinstance(value, bool):
            return value
        self.wrong(key, "must be true or false", f"Write: {key} = {_written(such_as)}")
        return default

    def number(
        self, key: str, default: _Default, least: int, most: int, must: str, *, such_as: int | None = None
    ) -> int | _Default:
        """A whole number of that range. `must` says so in words; `such_as` is what the fix shows, else `default`."""
        value = self._values.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        if value is None:
            return default
        self.wrong(key, f"must be {must}", f"Write: {key} = {default if such_as is None else such_as}")
        return default

    def variables(self, key: str) -> dict[str, str]:
        """Values of a template's variables, by their names."""
        found: dict[str, str] = {}
        for name, value in self._tables(key, _dotted((*self._where, key))).items():
            where = (*self._where, key, name)
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
                self.reading.wrong(where, f"{name!r} is no name of a variable", "Use the name from the template.")
            elif isinstance(value, bool):
                found[name] = _written(value)
            elif isinstance(value, (str, int, float)):
                found[name] = str(value)
            else:
                self.reading.wrong(where, "must be text, a number, true or false", f'Write: {name} = "…"')
        return found

    def _tables(self, key: str, example: str) -> dict[str, Any]:
        given = self._values.get(key, {})
        if isinstance(given, dict):
            return cast("dict[str, Any]", given)
        self.wrong(key, "must be a table", f"Write: [{example}]")
        return {}


def _known(reading: Reading, given: Mapping[str, Any], where: tuple[str, ...], keys: Sequence[str]) -> dict[str, Any]:
    """The table with `-` in keys read as `_`; what nobody knows, or what is there in both spellings, is a problem."""
    known: dict[str, Any] = {}
    for key, value in given.items():
        plain = key.replace("-", "_")
        if plain in known:
            reading.wrong((*where, key), f"{key!r} is there twice, with “-” and with “_”", "Take one of them away.")
            continue
        if plain in keys:
            known[plain] = value
            continue
        near = difflib.get_close_matches(plain, keys, n=1, cutoff=0.6)
        place = f"[{'.'.join(where)}]" if where else "the file"
        fix = f"Did you mean {_shown(near[0])!r}?" if near else f"Known here: {', '.join(map(_shown, keys))}."
        reading.wrong((*where, key), f"{key!r} is not known in {place}", fix)
    return known


def _shown(key: str) -> str:
    return key.replace("_", "-") if key in _WITH_A_DASH else key


def _dotted(where: tuple[str, ...]) -> str:
    return ".".join(map(_shown, where))


def _written(value: bool) -> str:
    return "true" if value else "false"
