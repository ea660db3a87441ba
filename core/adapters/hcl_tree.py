"""The tree that a file in HCL2 becomes, and the error that says why it becomes none."""

from collections.abc import Iterator

import msgspec

MAX_DEPTH = 60
"""Nested expressions and blocks. Real templates stay below fifteen."""


class HclError(Exception):
    """The text is no HCL2: why, in plain words, where, and how to mend it.

    Callers make a Problem of it: it never reaches a user as an error.
    """

    def __init__(self, reason: str, line: int | None = None, fix: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.line = line
        self.fix = fix


class _Node(msgspec.Struct, frozen=True, array_like=True, tag=True):
    pass


class Literal(_Node, frozen=True):
    value: str | int | float | bool | None


class Template(_Node, frozen=True):
    """A string with `${…}` in it: its parts, joined."""

    parts: tuple["Expression", ...]


class Name(_Node, frozen=True):
    """The first word of a reference: `var`, `local`, `path`, …"""

    name: str


class Member(_Node, frozen=True):
    of: "Expression"
    name: str


class Item(_Node, frozen=True):
    of: "Expression"
    key: "Expression"


class Call(_Node, frozen=True):
    function: str
    arguments: tuple["Expression", ...]
    line: int = 0


class Choice(_Node, frozen=True):
    condition: "Expression"
    then: "Expression"
    otherwise: "Expression"


class Operation(_Node, frozen=True):
    operator: str
    left: "Expression"
    right: "Expression"


class Negation(_Node, frozen=True):
    operator: str
    operand: "Expression"


class Items(_Node, frozen=True):
    """A list, `[…]`."""

    items: tuple["Expression", ...]


class Mapped(_Node, frozen=True):
    """An object, `{…}`."""

    items: tuple[tuple["Expression", "Expression"], ...]


class Loop(_Node, frozen=True):
    """`[for key, value in collection : result if condition]`; with `result_key` it makes an object."""

    key: str
    value: str
    collection: "Expression"
    result_key: "Expression | None"
    result: "Expression"
    condition: "Expression | None"


class Unreadable(_Node, frozen=True):
    """Well formed, but not worth evaluating: template directives (`%{ if … }`), splats, `f(list...)`."""


Expression = (
    Literal
    | Template
    | Name
    | Member
    | Item
    | Call
    | Choice
    | Operation
    | Negation
    | Items
    | Mapped
    | Loop
    | Unreadable
)


class Attribute(msgspec.Struct, frozen=True, array_like=True):
    name: str
    value: Expression
    line: int


class Block(msgspec.Struct, frozen=True, array_like=True):
    type: str
    labels: tuple[str, ...]
    body: "Body"
    line: int


class Body(msgspec.Struct, frozen=True, array_like=True):
    attributes: tuple[Attribute, ...]
    blocks: tuple[Block, ...]

    def attribute(self, name: str) -> Attribute | None:
        return next((attribute for attribute in self.attributes if attribute.name == name), None)

    def of_type(self, *types: str) -> Iterator[Block]:
        return (block for block in self.blocks if block.type in types)


def deeper(depth: int, line: int | None = None) -> int:
    """One level below `depth`. Raises HclError where that is too deep: whoever walks a tree must not overflow."""
    if depth >= MAX_DEPTH:
        raise HclError(f"it is nested more than {MAX_DEPTH} deep", line, "")
    return depth + 1
