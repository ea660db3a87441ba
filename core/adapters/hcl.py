"""Reads HCL2 text into a small tree of values. Executes nothing, evaluates nothing (core/adapters/hcl_scope.py does).

The grammar is python-hcl2's: a table-driven parser, linear in the size of the text (about 350 kB a second), with no
recursion of its own. What comes out of here is bounded in depth, so that whoever walks it cannot be made to overflow.
"""

import io
import re
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, cast

from core.adapters.hcl_tree import (
    MAX_DEPTH,
    Attribute,
    Block,
    Body,
    Call,
    Choice,
    Expression,
    HclError,
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
    deeper,
)

MAX_BYTES = 1_000_000
"""A template is written by a person: the largest of 500 public ones is below 40 kB."""


def decode(content: bytes) -> str:
    """The text of a file, without a byte order mark.

    Raises HclError where it is not UTF-8, with the line.
    """
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise HclError("it is not valid UTF-8", line, "Save it as UTF-8.") from error


def parse(text: str) -> Body:
    """The tree of an HCL2 file.

    Raises HclError where the text is none, is too large, or is nested too deeply.
    """
    return _body(_tree(text), 0)


# From text to the library's tree ------------------------------------------------------------------


@cache
def _parser() -> Callable[[str], Any]:
    from hcl2.parser import parser  # 70 ms to import: only where a template is not in the cache
    from lark import Lark

    # python-hcl2's own, made again without the positions of everything in the tree: nearly half of the time went into
    # them, and we need few lines (`_line`). Through its serialised form, as its grammar takes 1.7 s to be worked out.
    made = cast("Any", parser.__wrapped__())
    made.options.propagate_positions = False
    tables = io.BytesIO()
    made.save(tables)
    tables.seek(0)
    return cast("Callable[[str], Any]", cast("Any", Lark).load(tables).parse)


def _tree(text: str) -> Any:
    from lark.exceptions import LarkError, UnexpectedCharacters, UnexpectedToken

    if len(text) > MAX_BYTES:
        raise HclError(f"it has {len(text):,} characters; more than {MAX_BYTES:,} are not read", None, "Split it.")
    text = text.removeprefix("\ufeff")
    try:
        # The grammar cannot look for "newline or end of file": lark-parser/lark issue 237.
        return _parser()(text + "\n")
    except UnexpectedToken as error:
        raise _unexpected(text, str(cast("object", error.token)), error.line, error.column) from error
    except UnexpectedCharacters as error:
        raise _unexpected(text, cast("Any", error).char, error.line, error.column) from error
    except (LarkError, RecursionError) as error:
        raise HclError("it is no HCL2 that can be read", None, "Run: packer fmt -check -diff on it.") from error


def _unexpected(text: str, token: str, line: int, column: int) -> HclError:
    lines = text.split("\n")
    word = token.strip().split("\n")[0][:40]
    rest = [*lines[line - 1 : line], *lines[line:]] if line > 0 else [""]
    if line < 1 or not "".join([rest[0][column - 1 :], *rest[1:]] if rest else []).strip():
        last = max((number for number, one in enumerate(lines, start=1) if one.strip()), default=1)
        return HclError("it ends in the middle of something", last, _unclosed(text))
    if not word:
        return HclError(f"the line ends where something is missing (column {column})", line, _unclosed(text))
    return HclError(f"“{word}” cannot stand here (column {column})", line, _unclosed(text))


# Possessive, and the closing quote optional: each character is looked at once, whatever the text is.
_SIGNS = re.compile(r'"(?:[^"\\\n]|\\.)*+"?|#[^\n]*|//[^\n]*|[{}\n]')


def _unclosed(text: str) -> str:
    """A hint from counting the braces, outside of comments and strings as far as that is simple."""
    line = 1
    opened: list[int] = []
    for sign in _SIGNS.findall(text):
        if sign == "\n":
            line += 1
        elif sign == "{":
            opened.append(line)
        elif sign == "}":
            if not opened:
                return f"The closing brace “}}” in line {line} is one too many."
            opened.pop()
    if opened:
        return f"The brace “{{” in line {opened[-1]} is not closed."
    return "Look at this line and the one above: a missing “=”, quote, comma or brace."


# From the library's tree to ours ------------------------------------------------------------------


def _children(tree: Any) -> list[Any]:
    """The parts that mean something: rules, and tokens other than newlines and comments."""
    return [child for child in tree.children if not _is(child, "new_line_or_comment")]


def _is(node: Any, *rules: str) -> bool:
    return getattr(node, "data", None) in rules


def _line(tree: Any) -> int:
    """The line that something begins in: that of its first token."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if hasattr(node, "type"):
            return cast("int", node.line)
        waiting += reversed(getattr(node, "children", ()))
    return 0


def _body(tree: Any, depth: int) -> Body:
    depth = deeper(depth)
    attributes: list[Attribute] = []
    blocks: list[Block] = []
    holder = tree.children[0] if _is(tree, "start") else tree
    for child in _children(holder):
        line = _line(child)
        parts = _children(child)
        if _is(child, "attribute"):
            attributes.append(Attribute(_word(parts[0]), _expression(parts[-1], depth), line))
        else:
            *heads, body = [part for part in parts if not hasattr(part, "type")]
            words = [_label(head) for head in heads]
            blocks.append(Block(words[0], tuple(words[1:]), _body(body, depth), line))
    return Body(tuple(attributes), tuple(blocks))


def _word(tree: Any) -> str:
    return str(tree.children[0])


def _label(tree: Any) -> str:
    if not _is(tree, "string"):
        return _word(tree)
    return "".join(
        str(part.children[0]) if not _is(part.children[0], "interpolation") else "${…}" for part in tree.children[1:-1]
    )


def _expression(tree: Any, depth: int) -> Expression:
    depth = deeper(depth, _line(tree) if depth >= MAX_DEPTH else None)
    convert = _CONVERTERS.get(tree.data)
    return convert(tree, _children(tree), depth) if convert else Unreadable()


def _term(tree: Any, parts: list[Any], depth: int) -> Expression:
    inner = next(part for part in parts if hasattr(part, "data"))
    # A term in a term is one level of the grammar, not of what was written; brackets are (`((((…`).
    return _expression(inner, depth if len(parts) > 1 else depth - 1)


def _literal_value(tree: Any, parts: list[Any], depth: int) -> Expression:
    return Literal({"true": True, "false": False, "null": None}[str(parts[0])])


def _integer(tree: Any, parts: list[Any], depth: int) -> Expression:
    text = str(parts[0])
    return Literal(int(text)) if len(text) < 19 else Unreadable()


def _float(tree: Any, parts: list[Any], depth: int) -> Expression:
    return Literal(float(str(parts[0])))


_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", '"': '"', "\\": "\\"}
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))", re.DOTALL)


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        if code := match[1] or match[2]:
            number = int(code, 16)
            return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
        return _ESCAPES.get(match[3], match[0])

    return _ESCAPE.sub(one, text) if "\\" in text else text


def _string(tree: Any, parts: list[Any], depth: int) -> Expression:
    made: list[Expression] = []
    for part in parts[1:-1]:
        inner = part.children[0]
        if _is(inner, "interpolation"):
            made.append(_expression(_children(inner)[1], depth))
        elif hasattr(inner, "data"):
            return Unreadable()  # a directive
        elif inner.type in ("ESCAPED_INTERPOLATION", "ESCAPED_DIRECTIVE"):
            made.append(Literal(str(inner)[1:]))
        else:
            made.append(Literal(_unescaped(str(inner))))
    return _joined(made)


def _joined(parts: list[Expression]) -> Expression:
    if all(isinstance(part, Literal) for part in parts):
        return Literal("".join(str(cast("Literal", part).value) for part in parts))
    return Template(tuple(parts))


def _heredoc(tree: Any, parts: list[Any], depth: int) -> Expression:
    """The text between the marks, its indent taken away where `<<-` asks for it."""
    lines = str(parts[0]).split("\n")
    trimmed = lines[0].startswith("<<-")
    content = lines[1:-2] if lines[-1] == "" else lines[1:-1]
    if trimmed:
        indents = [len(line) - len(line.lstrip(" ")) for line in content if line.strip()]
        content = [line[min(indents, default=0) :] for line in content]
    return template_text("\n".join(content) + "\n", depth)


_INTERPOLATION = re.compile(r"\$\$\{|\$\{([^{}\"]*(?:\"[^\"{}]*\"[^{}\"]*)*)\}|\$\{|%\{")


def template_text(text: str, depth: int = 0) -> Expression:
    """A string of HCL's JSON syntax, or the text of a heredoc: `${…}` in it is evaluated."""
    if "${" not in text and "%{" not in text:
        return Literal(text)
    parts: list[Expression] = []
    position = 0
    for match in _INTERPOLATION.finditer(text):
        parts.append(Literal(text[position : match.start()]))
        position = match.end()
        if match[0] == "$${":
            parts.append(Literal("${"))
        elif match[1] is None:
            return Unreadable()
        else:
            try:
                parts.append(_body(_tree(f"x = {match[1].strip()}"), depth).attributes[0].value)
            except (HclError, IndexError):
                return Unreadable()
    parts.append(Literal(text[position:]))
    return _joined([part for part in parts if part != Literal("")])


def _reference(tree: Any, parts: list[Any], depth: int) -> Expression:
    return Name(str(parts[0]))


def _member(tree: Any, parts: list[Any], depth: int) -> Expression:
    return Member(_expression(parts[0], depth), _word(_children(parts[1])[1]))


def _item(tree: Any, parts: list[Any], depth: int) -> Expression:
    index = _children(parts[1])
    if _is(parts[1], "short_index"):
        return Item(_expression(parts[0], depth), Literal(int(str(index[1])[:9])))
    return Item(_expression(parts[0], depth), _expression(index[1], depth))


def _call(tree: Any, parts: list[Any], depth: int) -> Expression:
    given = next((part for part in parts if _is(part, "arguments")), None)
    arguments = _children(given) if given is not None else []
    if any(getattr(part, "type", "") == "ELLIPSIS" for part in arguments):
        return Unreadable()
    name = "::".join(_word(part) for part in parts if _is(part, "identifier"))
    return Call(name, tuple(_expression(part, depth) for part in arguments if hasattr(part, "data")), _line(tree))


def _choice(tree: Any, parts: list[Any], depth: int) -> Expression:
    condition, then, otherwise = [_expression(part, depth) for part in parts if hasattr(part, "data")]
    return Choice(condition, then, otherwise)


def _operation(tree: Any, parts: list[Any], depth: int) -> Expression:
    left, term = parts[0], _children(parts[1])
    return Operation(str(term[0].children[0]).strip(), _expression(left, depth), _expression(term[1], depth))


def _negation(tree: Any, parts: list[Any], depth: int) -> Expression:
    return Negation(str(parts[0]), _expression(parts[1], depth))


def _list(tree: Any, parts: list[Any], depth: int) -> Expression:
    return Items(tuple(_expression(part, depth) for part in parts if hasattr(part, "data")))


def _object(tree: Any, parts: list[Any], depth: int) -> Expression:
    items: list[tuple[Expression, Expression]] = []
    for element in (part for part in parts if _is(part, "object_elem")):
        inside = [part for part in _children(element) if hasattr(part, "data")]
        key = inside[0].children[0]
        # A bare word is a key, not a reference (HCL native syntax specification, "Collection values").
        word = key.children[0] if _is(key, "expr_term") and len(key.children) == 1 else key
        named = _is(word, "identifier", "keyword", "literal_value")
        items.append((Literal(_word(word)) if named else _expression(key, depth), _expression(inside[1], depth)))
    return Mapped(tuple(items))


def _loop(tree: Any, parts: list[Any], depth: int) -> Expression:
    intro = next(part for part in parts if _is(part, "for_intro"))
    names = [_word(part) for part in intro.children if _is(part, "identifier")]
    collection = _expression([part for part in _children(intro) if hasattr(part, "data")][-1], depth)
    condition = next((_expression(_children(part)[1], depth) for part in parts if _is(part, "for_cond")), None)
    results = [
        _expression(part, depth) for part in parts if hasattr(part, "data") and not _is(part, "for_intro", "for_cond")
    ]
    if any(getattr(part, "type", "") == "ELLIPSIS" for part in parts):
        return Unreadable()
    key = names[0] if len(names) == 2 else ""
    return Loop(key, names[-1], collection, results[0] if len(results) == 2 else None, results[-1], condition)


_CONVERTERS: Mapping[str, Callable[[Any, list[Any], int], Expression]] = {
    "expr_term": _term,
    "literal_value": _literal_value,
    "int_lit": _integer,
    "float_lit": _float,
    "string": _string,
    "heredoc_template": _heredoc,
    "heredoc_template_trim": _heredoc,
    "identifier": _reference,
    "get_attr_expr_term": _member,
    "index_expr_term": _item,
    "function_call": _call,
    "conditional": _choice,
    "binary_op": _operation,
    "unary_op": _negation,
    "tuple": _list,
    "object": _object,
    "for_tuple_expr": _loop,
    "for_object_expr": _loop,
}
