"""Results of test suites as XML: JUnit's (pytest, goss, InSpec and most others write it), and NUnit's 2 and 3 (Pester).

Who wrote the file is not trusted: entities are refused (a few bytes could stand for gigabytes, or for a file of this
machine), and size, depth and number of cases are limited. Expat itself opens nothing.
"""

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from xml.parsers import expat

from core.errors import ToolError
from core.model.test_report import Case, Outcome

LARGEST = 16 * 1024 * 1024
"""Bytes of one file."""
DEEPEST = 100
"""Elements within each other."""
MOST_CASES = 20_000
LONGEST_NAME = 300
LONGEST_MESSAGE = 2_000
LONGEST_OUTPUT = 8_000
"""Characters that are kept of each."""


@dataclass(slots=True)
class _Node:
    tag: str
    attributes: Mapping[str, str]
    children: "list[_Node]" = field(default_factory=list["_Node"])
    texts: list[str] = field(default_factory=list[str])

    @property
    def text(self) -> str:
        return "".join(self.texts).strip()

    def first(self, *tags: str) -> "_Node | None":
        return next((child for child in self.children if child.tag in tags), None)

    def text_of(self, tag: str) -> str:
        found = self.first(tag)
        return found.text if found else ""

    def all(self, *tags: str) -> "Iterator[_Node]":
        """Those of these tags at any depth, in the order of the file, not within each other."""
        for child in self.children:
            if child.tag in tags:
                yield child
            else:
                yield from child.all(*tags)


def read(path: Path, suite: str) -> list[Case]:
    """The cases in a file, under the name of the suite that wrote it. Raises ToolError when it cannot be understood."""
    return parse(content(path), suite, path.name)


def content(path: Path) -> bytes:
    """Of a file of results, and one byte more than may be of one that is too large. Raises ToolError when it cannot be
    read."""
    try:
        with path.open("rb") as file:
            return file.read(LARGEST + 1)
    except OSError as error:
        raise ToolError(f"The results {path.name} cannot be read: {error.strerror}.") from error


def refuse_large(raw: bytes, name: str) -> None:
    """Raises ToolError when the content of a file is more than is read of any."""
    if len(raw) > LARGEST:
        raise ToolError(f"{name} is larger than {LARGEST // 1024**2} MiB.", "Let the suite write less output into it.")


def parse(raw: bytes, suite: str, name: str = "the results") -> list[Case]:
    """The cases in the content of a file. Raises ToolError when it cannot be understood."""
    refuse_large(raw, name)
    top = _Tree(name).of(raw)
    match top.tag:
        case "testsuites" | "testsuite":
            nodes, read_one = list(top.all("testcase")), _junit
        case "test-run":
            nodes, read_one = list(top.all("test-case")), _nunit3
        case "test-results":
            nodes, read_one = list(top.all("test-case")), _nunit2
        case _:
            raise ToolError(f"{name} is neither JUnit's nor NUnit's XML: it begins with <{top.tag[:40]}>.")
    if len(nodes) > MOST_CASES:
        raise ToolError(f"{name} has more than {MOST_CASES} cases.", "Let the suite write several files.")
    return [read_one(node, suite) for node in nodes]


class _Tree:
    """Makes the elements of one file."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._open: list[_Node] = []
        self._top: _Node | None = None

    def of(self, raw: bytes) -> _Node:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text
        parser.EntityDeclHandler = self._entity
        try:
            parser.Parse(raw, True)
        except (expat.ExpatError, ValueError, LookupError) as error:  # what it says of encodings that it lacks
            raise ToolError(f"{self._name} is no XML that can be read: {error}.") from error
        if self._top is None:
            raise ToolError(f"{self._name} is empty.")
        return self._top

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= DEEPEST:
            raise ToolError(f"{self._name} has elements more than {DEEPEST} deep.")
        node = _Node(tag.rpartition(":")[2], attributes)
        if self._open:
            self._open[-1].children.append(node)
        else:
            self._top = node
        self._open.append(node)

    def _end(self, tag: str) -> None:
        self._open.pop()

    def _text(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def _entity(self, *_: object) -> None:
        raise ToolError(f"{self._name} declares entities, which no results need.", "Look at who wrote it.")


def _junit(node: _Node, suite: str) -> Case:
    where, name = node.attributes.get("classname", ""), node.attributes.get("name", "")
    outcome, found = Outcome.PASSED, None
    for tag, means in (("error", Outcome.ERROR), ("failure", Outcome.FAILED), ("skipped", Outcome.SKIPPED)):
        if found := node.first(tag):
            outcome = means
            break
    output = [found.text] if found else []
    output += [text for tag in ("system-out", "system-err") if (text := node.text_of(tag))]
    message = (found.attributes.get("message", "") or found.text) if found else ""
    full = f"{where}: {name}" if where and where not in name else name
    said = _joined(dict.fromkeys(output))  # goss says the same twice
    return case(suite, full, outcome, _seconds(node.attributes.get("time", "")), message, said)


_NUNIT3 = {"passed": Outcome.PASSED, "failed": Outcome.FAILED, "warning": Outcome.PASSED}
_NUNIT2 = {"success": Outcome.PASSED, "failure": Outcome.FAILED, "error": Outcome.ERROR}


def _nunit3(node: _Node, suite: str) -> Case:
    outcome = _NUNIT3.get(node.attributes.get("result", "").lower(), Outcome.SKIPPED)
    if outcome is Outcome.FAILED and node.attributes.get("label", "").lower() in ("error", "invalid"):
        outcome = Outcome.ERROR
    return _nunit(node, suite, outcome, node.attributes.get("duration", ""))


def _nunit2(node: _Node, suite: str) -> Case:
    outcome = _NUNIT2.get(node.attributes.get("result", "").lower(), Outcome.SKIPPED)
    return _nunit(node, suite, outcome, node.attributes.get("time", ""))


def _nunit(node: _Node, suite: str, outcome: Outcome, seconds: str) -> Case:
    found = node.first("failure", "reason")
    message = found.text_of("message") if found else ""
    trace = found.text_of("stack-trace") if found else ""
    name = node.attributes.get("fullname", "") or node.attributes.get("name", "")
    return case(suite, name, outcome, _seconds(seconds), message, _joined((trace, node.text_of("output"))))


def _joined(output: Iterable[str]) -> str:
    return "\n".join(part for part in output if part)


def case(suite: str, name: str, outcome: Outcome, seconds: float, message: str, output: str = "") -> Case:
    """A case as reports have it, whatever its suite wrote: its name in one line, nothing too long, nothing twice."""
    message, output = _cut(message, LONGEST_MESSAGE), _cut(output, LONGEST_OUTPUT)
    return Case(
        suite=suite,
        name=_cut(" ".join(name.split()), LONGEST_NAME) or "a case without a name",
        outcome=outcome,
        seconds=seconds if math.isfinite(seconds) and seconds >= 0 else 0.0,
        message=message,
        output="" if output == message else output,
    )


def _seconds(written: str) -> float:
    try:
        return float(written.replace(",", ""))  # JUnit of Java writes 1,234.5
    except ValueError:
        return 0.0


def _cut(text: str, longest: int) -> str:
    """The beginning of what is too long; of a trace the end says more, but a report that is cut says that it is."""
    text = text.strip()
    return text if len(text) <= longest else text[: longest - 1] + "…"
