"""Works out what an HCL2 expression says, as far as that is certain from the text alone.

What depends on a machine, a network, the clock or a file's content is `UNKNOWN`, and so is everything made from it:
nothing is guessed. What the expression would read (`file`, `templatefile`, `fileset`) is noted, not read. Bounded in
steps and sizes: a hostile template costs a few milliseconds.
"""

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, cast

from core.adapters.hcl_tree import (
    Body,
    Call,
    Choice,
    Expression,
    Item,
    Items,
    Literal,
    Loop,
    Mapped,
    Member,
    Name,
    Negation,
    Operation,
    Template,
    Unreadable,
)

MAX_STEPS = 100_000
"""Nodes worked out for one template and one set of variables. The largest public template takes 6,000."""
MAX_TEXT = 65_536
MAX_ITEMS = 10_000


class Unknown:
    """The one value that stands for what cannot be known without running something."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
Value = str | int | float | bool | None | list[Any] | dict[str, Any] | Unknown


class Scope:
    """The values of one template with one set of variables.

    `files` gathers the paths that file functions name, as written. `root` is what `path.root` gives, `cwd` what
    `path.cwd` gives.
    """

    def __init__(
        self,
        variables: Mapping[str, Value],
        local_expressions: Mapping[str, Expression],
        *,
        root: str = ".",
        cwd: str = ".",
    ) -> None:
        self._variables = variables
        self._locals = local_expressions
        self._known_locals: dict[str, Value] = {}
        self._open: set[str] = set()
        self._steps = 0
        self._paths: dict[str, Value] = {"root": root, "cwd": cwd}
        self.files: dict[str, None] = {}

    def value(self, expression: Expression, names: Mapping[str, Value] | None = None) -> Value:
        """What the expression says, or `UNKNOWN`. `names` are those of surrounding loops."""
        self._steps += 1
        if self._steps > MAX_STEPS:
            return UNKNOWN
        match expression:
            case Literal(value):
                return value
            case Template(parts):
                return self._text(parts, names or {})
            case Name(name):
                return names[name] if names and name in names else UNKNOWN
            case Member(of, name):
                return self._member(of, name, names)
            case Item(of, key):
                return _item(self.value(of, names), self.value(key, names))
            case Items(items):
                return [self.value(item, names) for item in items[:MAX_ITEMS]]
            case Mapped(items):
                return self._mapped(items, names)
            case Choice(condition, then, otherwise):
                decided = _truth(self.value(condition, names))
                if decided is None:
                    return UNKNOWN
                return self.value(then if decided else otherwise, names)
            case Operation(operator, left, right):
                return _operation(operator, self.value(left, names), self.value(right, names))
            case Negation(operator, operand):
                return _negation(operator, self.value(operand, names))
            case Call(function, arguments):
                return self._call(function, arguments, names)
            case Loop():
                return self._loop(expression, names or {})
            case Unreadable():
                return UNKNOWN

    def _text(self, parts: Sequence[Expression], names: Mapping[str, Value]) -> Value:
        if len(parts) == 1:
            return self.value(parts[0], names)  # "${x}" is x, whatever its type
        made = [_as_text(self.value(part, names)) for part in parts]
        known = [part for part in made if part is not None]
        if len(known) < len(made) or sum(map(len, known)) > MAX_TEXT:
            return UNKNOWN
        return "".join(known)

    def _member(self, of: Expression, name: str, names: Mapping[str, Value] | None) -> Value:
        if isinstance(of, Name) and not (names and of.name in names):
            if of.name == "var":
                return self._variables.get(name, UNKNOWN)
            if of.name == "local":
                return self._local(name)
            if of.name == "path":
                return self._paths.get(name, UNKNOWN)
            return UNKNOWN
        return _item(self.value(of, names), name)

    def _local(self, name: str) -> Value:
        if name in self._known_locals:
            return self._known_locals[name]
        if name in self._open or name not in self._locals or len(self._open) > 50:
            return UNKNOWN  # one that needs itself, or a chain that nobody writes by hand
        self._open.add(name)
        self._known_locals[name] = found = self.value(self._locals[name])
        self._open.discard(name)
        return found

    def _mapped(self, items: Sequence[tuple[Expression, Expression]], names: Mapping[str, Value] | None) -> Value:
        made: dict[str, Any] = {}
        for key, value in items[:MAX_ITEMS]:
            text = _as_text(self.value(key, names))
            if text is None:
                return UNKNOWN
            made[text] = self.value(value, names)
        return made

    def _loop(self, loop: Loop, names: Mapping[str, Value]) -> Value:
        collection = self.value(loop.collection, names)
        if isinstance(collection, list):
            pairs: Iterable[tuple[Any, Any]] = enumerate(collection)
        elif isinstance(collection, dict):
            pairs = collection.items()
        else:
            return UNKNOWN
        listed: list[Any] = []
        mapped: dict[str, Any] = {}
        for key, value in pairs:
            inner = {**names, loop.value: value}
            if loop.key:
                inner[loop.key] = key
            if loop.condition is not None:
                wanted = _truth(self.value(loop.condition, inner))
                if wanted is None:
                    return UNKNOWN
                if not wanted:
                    continue
            result = self.value(loop.result, inner)
            if loop.result_key is None:
                listed.append(result)
                continue
            name = _as_text(self.value(loop.result_key, inner))
            if name is None:
                return UNKNOWN
            mapped[name] = result
        return listed if loop.result_key is None else mapped

    def _call(self, function: str, arguments: Sequence[Expression], names: Mapping[str, Value] | None) -> Value:
        if function in ("try", "can"):
            values = [self.value(argument, names) for argument in arguments]
            return values[0] if function == "try" and values and known(values[0]) else UNKNOWN
        values = [self.value(argument, names) for argument in arguments]
        if function in _READERS:
            if values and isinstance(values[0], str):
                self.files[values[0]] = None
            return UNKNOWN
        made = _FUNCTIONS.get(function)
        weights = [_weight(value) for value in values]
        if made is None or None in weights:
            return UNKNOWN
        self._steps += sum(weight for weight in weights if weight)
        try:
            found = cast("Value", made(*values))
        except (TypeError, ValueError, LookupError, AttributeError, OverflowError):
            return UNKNOWN  # Packer will say what is wrong with it
        if (isinstance(found, str) and len(found) > MAX_TEXT) or (
            isinstance(found, (list, dict)) and len(found) > MAX_ITEMS
        ):
            return UNKNOWN
        return found


def variables_of(body: Body) -> dict[str, Value]:
    """What a `*.pkrvars.hcl` file sets. Its values may use no reference (Packer refuses them)."""
    scope = Scope({}, {})
    return {attribute.name: scope.value(attribute.value) for attribute in body.attributes}


def known(value: Value) -> bool:
    """Whether nothing in it is `UNKNOWN`. False for what is too large to look through."""
    return _weight(value) is not None


def _weight(value: Value) -> int | None:
    """How many values are in it; None when one is unknown or there are too many. Shared parts count each time."""
    waiting: list[Any] = [value]
    count = 0
    while waiting:
        one = waiting.pop()
        count += 1
        if isinstance(one, Unknown) or count > MAX_ITEMS:
            return None
        if isinstance(one, (list, dict)):
            inner = cast("list[Any] | dict[str, Any]", one)
            if len(inner) > MAX_ITEMS:
                return None
            waiting += inner.values() if isinstance(inner, dict) else inner
    return count


def texts(value: Value) -> list[str]:
    """The strings in a value: itself, or those of a list, in order. Others are left out."""
    waiting: list[Any] = [value]
    found: list[str] = []
    for _ in range(MAX_ITEMS):
        if not waiting:
            break
        one = waiting.pop()
        if isinstance(one, str):
            found.append(one)
        elif isinstance(one, list):
            waiting += reversed(cast("list[Any]", one)[:MAX_ITEMS])
    return found


def _as_text(value: Value) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    return None


def _truth(value: Value) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def _item(of: Value, key: Value) -> Value:
    if isinstance(of, dict):
        text = _as_text(key)
        return of.get(text, UNKNOWN) if text is not None else UNKNOWN
    if isinstance(of, list) and not isinstance(key, bool):
        if isinstance(key, str) and key.isascii() and key.isdigit():
            key = int(key[:9])
        if isinstance(key, int) and 0 <= key < len(of):
            return of[key]
    return UNKNOWN


def _negation(operator: str, value: Value) -> Value:
    if operator == "!":
        decided = _truth(value)
        return UNKNOWN if decided is None else not decided
    return -value if isinstance(value, (int, float)) and not isinstance(value, bool) else UNKNOWN


def _operation(operator: str, left: Value, right: Value) -> Value:
    if operator in ("&&", "||"):
        first, second = _truth(left), _truth(right)
        deciding = operator == "||"
        if first is deciding or second is deciding:
            return deciding
        return UNKNOWN if first is None or second is None else not deciding
    if operator in ("==", "!="):
        if not known(left) or not known(right):
            return UNKNOWN
        same = left == right and isinstance(left, bool) == isinstance(right, bool)
        return same if operator == "==" else not same
    if isinstance(left, bool) or isinstance(right, bool):
        return UNKNOWN
    if not isinstance(left, (int, float)) or not isinstance(right, (int, float)):
        return UNKNOWN
    try:
        made = _ARITHMETIC[operator](left, right)
    except (ArithmeticError, KeyError):
        return UNKNOWN
    return made if abs(made) < 1e18 else UNKNOWN


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": lambda a, b: a / b,
    "%": lambda a, b: a % b,
    "<": lambda a, b: a < b,
    ">": lambda a, b: a > b,
    "<=": lambda a, b: a <= b,
    ">=": lambda a, b: a >= b,
}

_READERS = frozenset({"file", "templatefile", "fileset", "filebase64", "filesha256", "filemd5", "fileexists"})


def _flatten(value: list[Any]) -> list[Any]:
    return [one for item in value for one in (_flatten(cast("list[Any]", item)) if isinstance(item, list) else [item])]


def _first(*values: Value) -> Value:
    return next((value for value in values if value not in (None, "")), UNKNOWN)


def _lookup(given: dict[str, Any], key: str, *default: Any) -> Any:
    return given[key] if key in given else default[0]


def _format(pattern: str, *values: Any) -> Value:
    if re.search(r"%(?![sdv%])", pattern):
        return UNKNOWN
    left = list(values)
    return re.sub(r"%([sdv%])", lambda match: "%" if match[1] == "%" else (_as_text(left.pop(0)) or ""), pattern)


def _replace(text: str, old: str, new: str) -> Value:
    # A pattern between slashes is a regular expression, of Go: not ours to run.
    return UNKNOWN if len(old) > 1 and old[0] == old[-1] == "/" else text.replace(old, new)


def _merge(*maps: dict[str, Any]) -> dict[str, Any]:
    return {key: value for one in maps for key, value in one.items()}


def _concat(*lists: list[Any]) -> list[Any]:
    return [value for one in lists for value in one]


def _split(separator: str, text: str) -> list[str]:
    return text.split(separator) if separator else list(text)


def _join(separator: str, values: list[Any]) -> str:
    return separator.join(_as_text(value) or "" for value in values)


def _unique(values: list[Any]) -> list[Any]:
    return [value for index, value in enumerate(values[:1000]) if value not in values[:index]] + values[1000:]


def _compact(values: list[Any]) -> list[Any]:
    return [value for value in values if value]


def _contains(values: list[Any], value: Any) -> bool:
    return value in values


def _element(values: list[Any], index: int) -> Any:
    return values[index % len(values)]


def _keys(given: dict[str, Any]) -> list[str]:
    return sorted(given)


def _values(given: dict[str, Any]) -> list[Any]:
    return [given[key] for key in sorted(given)]


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "basename": posixpath.basename,
    "coalesce": _first,
    "compact": _compact,
    "concat": _concat,
    "contains": _contains,
    "dirname": posixpath.dirname,
    "distinct": _unique,
    "element": _element,
    "endswith": str.endswith,
    "flatten": _flatten,
    "format": _format,
    "join": _join,
    "keys": _keys,
    "length": len,
    "lookup": _lookup,
    "lower": str.lower,
    "merge": _merge,
    "replace": _replace,
    "split": _split,
    "startswith": str.startswith,
    "title": str.title,
    "tolist": list,
    "toset": _unique,
    "tostring": _as_text,
    "trimprefix": str.removeprefix,
    "trimspace": str.strip,
    "trimsuffix": str.removesuffix,
    "upper": str.upper,
    "values": _values,
}
