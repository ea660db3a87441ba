"""Works out what an HCL2 expression says, as far as that is certain from the text alone.

What the expression would read (`file`, `templatefile`, `fileset`) is noted, not read. Bounded in steps and sizes: a
hostile template costs a few milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from core.adapters.hcl_functions import FUNCTIONS, READERS
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
from core.adapters.hcl_values import (
    MAX_ITEMS,
    MAX_TEXT,
    UNKNOWN,
    Value,
    as_text,
    item_of,
    known,
    negation,
    operation,
    truth,
    weight,
)

MAX_STEPS = 100_000
"""Nodes worked out for one template and one set of variables. The largest public template takes 6,000."""


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
                return item_of(self.value(of, names), self.value(key, names))
            case Items(items):
                return [self.value(item, names) for item in items[:MAX_ITEMS]]
            case Mapped(items):
                return self._mapped(items, names)
            case Choice(condition, then, otherwise):
                decided = truth(self.value(condition, names))
                if decided is None:
                    return UNKNOWN
                return self.value(then if decided else otherwise, names)
            case Operation(operator, left, right):
                return operation(operator, self.value(left, names), self.value(right, names))
            case Negation(operator, operand):
                return negation(operator, self.value(operand, names))
            case Call(function, arguments):
                return self._call(function, arguments, names)
            case Loop():
                return self._loop(expression, names or {})
            case Unreadable():
                return UNKNOWN

    def _text(self, parts: Sequence[Expression], names: Mapping[str, Value]) -> Value:
        if len(parts) == 1:
            return self.value(parts[0], names)  # "${x}" is x, whatever its type
        made = [as_text(self.value(part, names)) for part in parts]
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
        return item_of(self.value(of, names), name)

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
            text = as_text(self.value(key, names))
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
                wanted = truth(self.value(loop.condition, inner))
                if wanted is None:
                    return UNKNOWN
                if not wanted:
                    continue
            result = self.value(loop.result, inner)
            if loop.result_key is None:
                listed.append(result)
                continue
            name = as_text(self.value(loop.result_key, inner))
            if name is None:
                return UNKNOWN
            mapped[name] = result
        return listed if loop.result_key is None else mapped

    def _call(self, function: str, arguments: Sequence[Expression], names: Mapping[str, Value] | None) -> Value:
        if function in ("try", "can"):
            values = [self.value(argument, names) for argument in arguments]
            return values[0] if function == "try" and values and known(values[0]) else UNKNOWN
        values = [self.value(argument, names) for argument in arguments]
        if function in READERS:
            if values and isinstance(values[0], str):
                self.files[values[0]] = None
            return UNKNOWN
        made = FUNCTIONS.get(function)
        weights = [weight(value) for value in values]
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
