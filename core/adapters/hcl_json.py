"""HCL2's JSON syntax (`*.pkr.json`; HCL JSON specification) as the same tree, and JSON as Packer reads it."""

import json
from collections.abc import Mapping
from typing import Any, cast

import msgspec

from core.adapters.hcl import template_text
from core.adapters.hcl_tree import Attribute, Block, Body, Expression, HclError, Items, Literal, Mapped, deeper


def from_json(text: str) -> Body:
    """The tree of a file in JSON syntax, for the blocks that Packer knows.

    Raises HclError.
    """
    loaded = load_json(text)
    if not isinstance(loaded, dict):
        raise HclError("it is not a JSON object", 1, "A template in JSON is one object: { … }.")
    return _json_body(cast("dict[str, Any]", loaded), _JSON_BLOCKS, 0)


def load_json(text: str) -> object:
    """JSON as Packer reads it.

    Raises HclError, with the line.
    """
    try:
        return msgspec.json.decode(text.encode("utf-8", "surrogateescape"))
    except (msgspec.DecodeError, UnicodeError):
        pass
    except RecursionError as error:
        raise HclError("it is nested too deeply", None, "") from error
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        reason = error.msg[0].lower() + error.msg[1:]
        raise HclError(
            f"it is not valid JSON: {reason} (column {error.colno})", error.lineno, _JSON_FIXES.get(error.msg, "")
        ) from error
    except RecursionError as error:
        raise HclError("it is nested too deeply", None, "") from error


_JSON_FIXES: Mapping[str, str] = {
    "Expecting property name enclosed in double quotes": "Take away the comma after the last entry, or the comment.",
    "Expecting value": "Take away a comma after the last entry, or put the missing value there.",
    "Expecting ',' delimiter": "Put a comma between the entries, or close the text with a quote.",
    "Illegal trailing comma before end of object": "Take away the comma after the last entry.",
    "Illegal trailing comma before end of array": "Take away the comma after the last entry.",
}


_Nesting = Mapping[str, tuple[int, Mapping[str, Any]]]
_SOURCE: _Nesting = {}
_PROVISIONER: _Nesting = {"override": (0, {})}
_POST_PROCESSOR: _Nesting = {}
_JSON_BLOCKS: _Nesting = {
    "packer": (0, {"required_plugins": (0, {})}),
    "variable": (1, {"validation": (0, {})}),
    "variables": (0, {}),
    "locals": (0, {}),
    "local": (1, {}),
    "data": (2, {}),
    "source": (2, _SOURCE),
    "build": (
        0,
        {
            "source": (1, _SOURCE),
            "provisioner": (1, _PROVISIONER),
            "error-cleanup-provisioner": (1, _PROVISIONER),
            "post-processor": (1, _POST_PROCESSOR),
            "post-processors": (0, {"post-processor": (1, _POST_PROCESSOR)}),
            "hcp_packer_registry": (0, {}),
        },
    ),
}


def _json_body(given: Mapping[str, Any], nesting: _Nesting, depth: int) -> Body:
    depth = deeper(depth)
    attributes: list[Attribute] = []
    blocks: list[Block] = []
    for name, value in given.items():
        if name == "//":
            continue
        if name in nesting:
            labels, inner = nesting[name]
            blocks += _json_blocks(name, labels, (), value, inner, depth)
        else:
            attributes.append(Attribute(name, _json_value(value, depth), 0))
    return Body(tuple(attributes), tuple(blocks))


def _json_blocks(
    name: str, missing: int, labels: tuple[str, ...], value: object, inner: _Nesting, depth: int
) -> list[Block]:
    if isinstance(value, list):
        return [
            block
            for one in cast("list[object]", value)
            for block in _json_blocks(name, missing, labels, one, inner, deeper(depth))
        ]
    if not isinstance(value, dict):
        raise HclError(
            f"“{name}” must be an object", None, "See the page on the JSON syntax of Packer's HCL templates."
        )
    known = cast("dict[str, Any]", value)
    if missing:
        return [
            block
            for label, one in known.items()
            for block in _json_blocks(name, missing - 1, (*labels, label), one, inner, deeper(depth))
        ]
    return [Block(name, labels, _json_body(known, inner, depth), 0)]


def _json_value(value: object, depth: int) -> Expression:
    depth = deeper(depth)
    if isinstance(value, str):
        return template_text(value, depth)
    if isinstance(value, list):
        return Items(tuple(_json_value(one, depth) for one in cast("list[object]", value)))
    if isinstance(value, dict):
        entries = cast("dict[str, object]", value).items()
        return Mapped(tuple((Literal(key), _json_value(one, depth)) for key, one in entries))
    return Literal(cast("int | float | bool | None", value))
