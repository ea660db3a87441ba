"""Where the tables and keys of a TOML text stand: tomllib gives no positions."""

import re
import tomllib
from typing import Any, cast

_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_KEY = re.compile(rf"^[ \t]*({_WORD}(?:[ \t]*\.[ \t]*{_WORD})*)[ \t]*=")
_HEAD = re.compile(r"^[ \t]*\[\[?[ \t]*([^\[\]\n]+?)[ \t]*\]\]?[ \t]*(?:#.*)?$")


def lines_of(text: str) -> dict[tuple[str, ...], int]:
    """The line of each table and key. Of a text that is valid TOML; what is inside of values is not looked at closely.

    A key in an inline table has the line of the key before the table.
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
