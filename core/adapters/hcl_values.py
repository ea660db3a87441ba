"""What an HCL2 expression may give: plain values, or `UNKNOWN`, and what operators make of them.

What depends on a machine, a network, the clock or a file's content is `UNKNOWN`, and so is everything made from it:
nothing is guessed. Bounded in sizes.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final, cast

MAX_TEXT = 65_536
MAX_ITEMS = 10_000


class Unknown:
    """The one value that stands for what cannot be known without running something."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()
Value = str | int | float | bool | None | list[Any] | dict[str, Any] | Unknown


def known(value: Value) -> bool:
    """Whether nothing in it is `UNKNOWN`. False for what is too large to look through."""
    return weight(value) is not None


def weight(value: Value) -> int | None:
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


def as_text(value: Value) -> str | None:
    """The value in a text; None where it has no such form, or is not known."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (str, int)):
        return str(value)
    if isinstance(value, float):
        return f"{value:g}"
    return None


def truth(value: Value) -> bool | None:
    """What it is as a condition; None where it is none, or not known."""
    if isinstance(value, bool):
        return value
    return {"true": True, "false": False}.get(value) if isinstance(value, str) else None


def item_of(of: Value, key: Value) -> Value:
    """`of[key]`"""
    if isinstance(of, dict):
        text = as_text(key)
        return of.get(text, UNKNOWN) if text is not None else UNKNOWN
    if isinstance(of, list) and not isinstance(key, bool):
        if isinstance(key, str) and key.isascii() and key.isdigit():
            key = int(key[:9])
        if isinstance(key, int) and 0 <= key < len(of):
            return of[key]
    return UNKNOWN


def negation(operator: str, value: Value) -> Value:
    """`!value` or `-value`"""
    if operator == "!":
        decided = truth(value)
        return UNKNOWN if decided is None else not decided
    return -value if isinstance(value, (int, float)) and not isinstance(value, bool) else UNKNOWN


def operation(operator: str, left: Value, right: Value) -> Value:
    """`left operator right`"""
    if operator in ("&&", "||"):
        first, second = truth(left), truth(right)
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
