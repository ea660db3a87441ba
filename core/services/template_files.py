"""What a template is, with the files that it is made of and the variable files that go with it."""

import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from core.adapters import hcl_tree, template_hcl, template_json
from core.adapters.files import WorkspaceFiles
from core.adapters.hcl_values import Value
from core.adapters.template import TemplateFacts
from core.model.naming import is_qualifier, is_sensible
from core.model.role import Problem, Syntax

HCL_ENDINGS = (".pkr.hcl", ".pkr.json")
VARIABLE_ENDINGS = (".pkrvars.hcl", ".pkrvars.json")
AUTO_ENDINGS = (".auto.pkrvars.hcl", ".auto.pkrvars.json")


class VariableFile(msgspec.Struct, frozen=True):
    path: str
    values: Mapping[str, Value]
    problem: Problem | None = None
    remark: str = ""
    """What its comments say, where they are easy to have: some name the template."""

    @property
    def stem(self) -> str:
        return stem_of(self.path)


@dataclass(slots=True)
class Template:
    """Something that `packer build` takes, and the variable files that go with it."""

    path: str
    """As in Role.template."""
    syntax: Syntax
    files: tuple[str, ...]
    """At least one."""
    bodies: Mapping[str, hcl_tree.Body] = field(default_factory=dict[str, hcl_tree.Body])
    json: Mapping[str, Any] = field(default_factory=dict[str, Any])
    auto: tuple[VariableFile, ...] = ()
    """What Packer loads by itself."""
    declared: frozenset[str] = frozenset()
    mentioned: frozenset[str] = frozenset()
    """Variables that it uses without declaring them, which JSON templates may."""
    problems: tuple[Problem, ...] = ()
    variable_files: list[VariableFile] = field(default_factory=list[VariableFile])
    shared: list[VariableFile] = field(default_factory=list[VariableFile])
    """Given before each of the others."""

    @property
    def takes(self) -> frozenset[str]:
        return self.declared | self.mentioned

    @property
    def directory(self) -> str:
        return parent(self.files[0])

    @property
    def words(self) -> list[str]:
        """What its name is made from, outermost first."""
        parts: list[str] = [] if self.directory == "." else self.directory.split("/")
        if self.path == self.directory and len(self.files) > 1:
            return parts
        stem = stem_of(self.files[0] if self.files else self.path)
        if self.path == self.directory and parts and not _says_nothing(parts[-1]):
            return parts
        return [*parts, stem]

    def facts(self, values: Mapping[str, Value], files: WorkspaceFiles) -> TemplateFacts:
        if self.syntax is Syntax.JSON:
            texts = {name: value for name, value in values.items() if isinstance(value, str)}
            return template_json.read(self.path, self.json, texts, files)
        loaded: dict[str, Value] = {}
        for one in self.auto:
            loaded.update(one.values)
        return template_hcl.read(self.bodies, self.directory, {**loaded, **values}, files)


def _says_nothing(word: str) -> bool:
    return not is_sensible(word) or is_qualifier(word)


def stem_of(path: str) -> str:
    """The file's name without what says its kind."""
    leaf = posixpath.basename(path)
    for ending in (*AUTO_ENDINGS, *VARIABLE_ENDINGS, *HCL_ENDINGS, ".json", ".hcl"):
        if leaf.endswith(ending):
            leaf = leaf.removesuffix(ending)
            break
    plain = re.sub(r"^(?:packer|vars|variables)[._-]|[._-](?:packer|template|vars|variables)$", "", leaf)
    return plain or leaf


def parent(path: str) -> str:
    """The directory that a path of the workspace is in; `.` at its root."""
    return posixpath.dirname(path) or "."
