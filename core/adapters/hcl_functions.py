"""The functions of HCL2 whose answer is in their arguments: given known values, they give one, or raise what Python has
for values that they are not for."""

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Any, cast

from core.adapters.hcl_values import UNKNOWN, Value, as_text

READERS = frozenset({"file", "templatefile", "fileset", "filebase64", "filesha256", "filemd5", "fileexists"})


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
    return re.sub(r"%([sdv%])", lambda match: "%" if match[1] == "%" else (as_text(left.pop(0)) or ""), pattern)


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
    return separator.join(as_text(value) or "" for value in values)


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


FUNCTIONS: Mapping[str, Callable[..., Any]] = {
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
    "tostring": as_text,
    "trimprefix": str.removeprefix,
    "trimspace": str.strip,
    "trimsuffix": str.removesuffix,
    "upper": str.upper,
    "values": _values,
}
