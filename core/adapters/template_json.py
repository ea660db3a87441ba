"""What a template in JSON says: Packer's language before 1.5, still the most common one in old repositories."""

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, cast

from core.adapters.files import WorkspaceFiles
from core.adapters.template import (
    NAME_BUILDS,
    NAME_IT,
    OPEN_BUILDS,
    Gathered,
    TemplateFacts,
    bases_of,
    common_upstream,
    no_file_name,
    upstream_of,
)
from core.model.role import Build, Problem, Upstream

_USER = re.compile(r"\{\{-?\s*user\s+[`\"']([^`\"']+)[`\"']\s*-?\}\}")
_DIRECTORY = re.compile(r"\{\{-?\s*template_dir\s*-?\}\}")
_WORKING = re.compile(r"\{\{-?\s*pwd\s*-?\}\}")
_LOOKS_LIKE = re.compile(rb'"builders"\s*:\s*\[')
MAX_TEXT = 65_536


def looks_like_template(content: bytes) -> bool:
    """A cheap look at a JSON file, before it is parsed."""
    return _LOOKS_LIKE.search(content) is not None


def is_template(loaded: object) -> bool:
    """An object with a list of builders, each with a type: other tools have `builders`, too."""
    if not isinstance(loaded, dict):
        return False
    builders = cast("dict[str, Any]", loaded).get("builders")
    if not isinstance(builders, list):
        return False
    entries = cast("list[Any]", builders)
    return all(isinstance(entry, dict) and isinstance(cast("Any", entry).get("type"), str) for entry in entries)


def variables_in(loaded: object) -> dict[str, str] | None:
    """What a variable file sets; None when it cannot be one: a flat object with at least one entry."""
    if not isinstance(loaded, dict):
        return None
    found: dict[str, str] = {}
    for name, value in cast("dict[str, Any]", loaded).items():
        if name.startswith("_"):
            continue  # a comment
        if isinstance(value, bool):
            found[name] = "true" if value else "false"
        elif value is None or isinstance(value, (str, int, float)):
            found[name] = "" if value is None else str(value)
        else:
            return None
    return found or None


def remark_in(loaded: object) -> str:
    """The comments of a variable file: entries whose name begins with an underscore."""
    if not isinstance(loaded, dict):
        return ""
    entries = cast("dict[str, Any]", loaded).items()
    return " ".join(value for name, value in entries if name.startswith("_") and isinstance(value, str))


def declared_variables(template: Mapping[str, Any]) -> dict[str, Any]:
    given = template.get("variables")
    return cast("dict[str, Any]", given) if isinstance(given, dict) else {}


def variables_used(content: str) -> frozenset[str]:
    """The variables that the text of a template names: they can be set though they are not declared."""
    return frozenset(_USER.findall(content))


def read(path: str, template: Mapping[str, Any], values: Mapping[str, str], files: WorkspaceFiles) -> TemplateFacts:
    """The facts of a template with one set of variables; `values` are what variable files and ingot.toml set."""
    directory = posixpath.dirname(path) or "."
    declared = declared_variables(template)
    texts = {name: "" if value is None else str(value) for name, value in declared.items()}
    strings = Strings({**texts, **values}, posixpath.normpath(posixpath.join(str(files.root), directory)))
    gathered = Gathered(files, bases_of(directory))
    builds: dict[str, Build] = {}
    upstreams: list[Upstream] = []
    problems: list[Problem] = []
    for builder in _objects(template.get("builders")):
        kind = str(builder.get("type", ""))
        name = strings.resolved(str(builder.get("name") or "")) or kind
        if "{{" in name:
            problems.append(Problem(path, OPEN_BUILDS, None, NAME_BUILDS))
        elif "," in name or not name.isprintable():
            reason = f"the builder's name {name!r} cannot be given to packer build -only="
            problems.append(Problem(path, reason, None, NAME_IT))
        elif reason := no_file_name(name):
            problems.append(Problem(path, reason, None, NAME_IT))
        builds.setdefault(name, Build(name, kind))
        _walk(builder, gathered, strings)
        upstreams.append(_upstream(builder, gathered, strings))
    provisioners: list[str] = []
    for provisioner in _objects(template.get("provisioners")):
        provisioners.append(str(provisioner.get("type", "")))
        _walk_step(provisioner, gathered, strings)
    for step in _flat_objects(template.get("post-processors")):
        _walk_step(step, gathered, strings)
    secret = template.get("sensitive-variables")
    if not builds:
        reason = "it has no builder, so there is nothing to build"
        problems.append(Problem(path, reason, None, "Add one to “builders”."))
    return TemplateFacts(
        builds=tuple(builds.values()),
        provisioners=tuple(provisioners),
        playbooks=tuple(gathered.playbooks),
        inputs=tuple(gathered.inputs),
        declares=tuple(declared),
        sensitive=tuple(str(name) for name in cast("list[Any]", secret)) if isinstance(secret, list) else (),
        upstream=common_upstream(upstreams),
        problems=tuple(dict.fromkeys(problems)),
    )


class Strings:
    """Puts the values of variables into strings; other template functions stay as they are, to be recognised."""

    def __init__(self, values: Mapping[str, str], directory: str) -> None:
        self._values = values
        self._directory = directory

    def resolved(self, text: str) -> str:
        for _ in range(5):  # a variable's value may name another variable
            if "{{" not in text or len(text) > MAX_TEXT:
                break
            before = text
            text = _USER.sub(self._user, text)
            if text == before:
                break
        return _WORKING.sub(".", _DIRECTORY.sub(lambda _: self._directory, text))

    def _user(self, match: re.Match[str]) -> str:
        value = self._values.get(match[1], match[0])
        return value if len(value) <= 4096 else match[0]

    def of(self, value: object) -> list[str]:
        """The strings in a value: itself, or those of a list."""
        if isinstance(value, str):
            # A list in one variable is written with commas between ("Template User Variables").
            return [self.resolved(value)]
        if isinstance(value, list):
            return [self.resolved(one) for one in cast("list[object]", value) if isinstance(one, str)]
        return []


def _objects(value: object) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        for one in cast("list[object]", value):
            if isinstance(one, dict):
                yield cast("dict[str, Any]", one)


def _flat_objects(value: object) -> Iterator[Mapping[str, Any]]:
    """Post-processors: objects, or sequences of them."""
    yield from _objects(value)
    if isinstance(value, list):
        for one in cast("list[object]", value):
            yield from _objects(one)


def _walk(given: Mapping[str, Any], gathered: Gathered, strings: Strings) -> None:
    for name, value in given.items():
        found = strings.of(value)
        if name in ("playbook_files", "floppy_files", "scripts") and len(found) == 1:
            found = found[0].split(",")
        gathered.add(name, found)


def _walk_step(step: Mapping[str, Any], gathered: Gathered, strings: Strings) -> None:
    if step.get("type") == "file" and step.get("direction") == "download":
        return  # its source is a path inside the machine
    _walk(step, gathered, strings)
    override = step.get("override")
    if isinstance(override, dict):
        for one in cast("dict[str, Any]", override).values():
            if isinstance(one, dict):
                _walk(cast("dict[str, Any]", one), gathered, strings)
    if step.get("type") == "shell-local":
        for name in ("inline", "command"):
            for line in strings.of(step.get(name)):
                gathered.add_command(line)


def _upstream(builder: Mapping[str, Any], gathered: Gathered, strings: Strings) -> Upstream:
    urls = strings.of(builder.get("iso_url")) + strings.of(builder.get("iso_urls"))
    checksum = strings.of(builder.get("iso_checksum"))
    kind = strings.of(builder.get("iso_checksum_type"))
    if not checksum:
        address = strings.of(builder.get("iso_checksum_url"))
        checksum = [f"file:{address[0]}"] if address and address[0] else [""]
    return upstream_of(urls, checksum[0], kind[0] if kind else "", gathered.files, gathered.bases)
