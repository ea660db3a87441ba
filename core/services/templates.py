"""Which templates a workspace has: from names and content alone. Each comes with the variable files that are for it."""

import fnmatch
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from core.adapters import hcl, hcl_json, hcl_tree, template_hcl, template_json
from core.adapters.files import WorkspaceFiles
from core.adapters.hcl_scope import variables_of
from core.adapters.hcl_values import Value
from core.adapters.parsed import ParsedFiles
from core.adapters.template_hcl import Definitions, definitions_of
from core.model.role import Problem, Syntax
from core.services.template_files import AUTO_ENDINGS, HCL_ENDINGS, VARIABLE_ENDINGS, Template, VariableFile, parent
from core.services.variable_files import attach, is_for_variables

HEAD = 65_536
"""Bytes of a JSON file in which a template shows what it is; larger files are read whole only when it does."""
JSON_LIMIT = 2_000_000

_NEVER = frozenset({"package.json", "package-lock.json", "composer.json", "tsconfig.json", "composer.lock"})


class Finder:
    """Finds the templates among the files of a workspace."""

    def __init__(self, files: WorkspaceFiles, parsed: ParsedFiles, ignore: Sequence[str] = ()) -> None:
        self.files = files
        self.parsed = parsed
        self._ignored = [re.compile(fnmatch.translate(pattern.rstrip("/"))) for pattern in ignore]

    def templates(self) -> list[Template]:
        """All of them, in the order of their paths, with their variable files."""
        found: list[Template] = []
        variables: list[VariableFile] = []
        for directory, leaves in self.files.directories.items():
            paths = [posixpath.normpath(posixpath.join(directory, leaf)) for leaf in leaves]
            paths = [path for path in paths if not self._is_ignored(path)]
            found += self.in_directory(directory, [path for path in paths if path.endswith(HCL_ENDINGS)])
            found += [one for path in paths if (one := self.json_template(path)) is not None]
            variables += [
                self.variable_file(path)
                for path in paths
                if path.endswith(VARIABLE_ENDINGS) and not path.endswith(AUTO_ENDINGS)
            ]
        found.sort(key=lambda one: one.path)
        variables += self._json_variables([one for one in found if one.syntax is Syntax.JSON])
        attach(variables, found)
        return found

    def _is_ignored(self, path: str) -> bool:
        if not self._ignored:
            return False
        parts = path.split("/")
        prefixes = ["/".join(parts[:count]) for count in range(1, len(parts) + 1)]
        return any(pattern.match(prefix) for pattern in self._ignored for prefix in prefixes)

    # HCL2

    def in_directory(self, directory: str, paths: Sequence[str]) -> list[Template]:
        """The template that a directory is, or those that its files are each by itself."""
        if not paths:
            return []
        read = {path: self.parsed.body(path) for path in paths}
        bodies = {path: body for path, body in read.items() if isinstance(body, hcl_tree.Body)}
        defined = {path: definitions_of(body) for path, body in bodies.items()}
        broken = {path: (body,) for path, body in read.items() if isinstance(body, Problem)}
        if built_singly(bodies, defined):
            alone = [path for path in bodies if defined[path].builds]
            found = [self._hcl(path, [path], {path: bodies[path]}, (), ()) for path in alone]
            return found + [self._hcl(path, [path], {}, (), problems) for path, problems in broken.items()]
        problems = [problem for one in broken.values() for problem in one]
        if not problems and not any(one.builds or one.sources for one in defined.values()):
            return []
        problems += _twice(bodies)
        return [self.directory_template(directory, paths, bodies, problems)]

    def directory_template(
        self, directory: str, paths: Sequence[str], bodies: Mapping[str, hcl_tree.Body], problems: Iterable[Problem]
    ) -> Template:
        auto = [
            self.variable_file(posixpath.normpath(posixpath.join(directory, leaf)))
            for leaf in self.files.directories.get(directory, ())
            if leaf.endswith(AUTO_ENDINGS)
        ]
        wrong = [one.problem for one in auto if one.problem]
        return self._hcl(directory, paths, bodies, auto, [*problems, *wrong])

    def named(self, path: str) -> Template | None:
        """The template that ingot.toml names: a directory or a file, whatever discovery makes of it."""
        if path in self.files.directories:
            leaves = self.files.directories[path]
            paths = [posixpath.normpath(posixpath.join(path, leaf)) for leaf in leaves if leaf.endswith(HCL_ENDINGS)]
            if not paths:
                return None
            read = {one: self.parsed.body(one) for one in paths}
            bodies = {one: body for one, body in read.items() if isinstance(body, hcl_tree.Body)}
            problems = [body for body in read.values() if isinstance(body, Problem)]
            return self.directory_template(path, paths, bodies, [*problems, *_twice(bodies)])
        if path not in self.files.names:
            return None
        if path.endswith(".json") and not path.endswith(HCL_ENDINGS):
            return self.json_template(path)
        body = self.parsed.body(path)
        if isinstance(body, Problem):
            return self._hcl(path, [path], {}, (), (body,))
        return self._hcl(path, [path], {path: body}, (), ())

    def _hcl(
        self,
        path: str,
        paths: Sequence[str],
        bodies: Mapping[str, hcl_tree.Body],
        auto: Iterable[VariableFile],
        problems: Iterable[Problem],
    ) -> Template:
        names = (name for body in bodies.values() for name in definitions_of(body).names)
        return Template(
            path,
            Syntax.HCL2,
            tuple(paths),
            bodies,
            auto=tuple(auto),
            declared=frozenset(name.removeprefix("var.") for name in names if name.startswith("var.")),
            problems=tuple(problems),
        )

    # JSON

    def json_template(self, path: str) -> Template | None:
        """The JSON template in a file; None for all other JSON."""
        leaf = posixpath.basename(path)
        if not leaf.endswith(".json") or leaf.endswith((*HCL_ENDINGS, *VARIABLE_ENDINGS)) or leaf in _NEVER:
            return None
        try:
            content = self.files.read(path, HEAD)
            if len(content) == HEAD and (
                b'"provisioners"' in content or b'"variables"' in content or b'"builders"' in content
            ):
                content = self.files.read(path, JSON_LIMIT + 1)
        except OSError:
            return None  # without its content nobody can tell that it is a template
        if not template_json.looks_like_template(content) or len(content) > JSON_LIMIT:
            return None
        try:
            loaded = hcl_json.load_json(hcl.decode(content))
        except hcl_tree.HclError as error:
            if not _mentions_packer(content):
                return None
            problem = Problem(path, error.reason, error.line, error.fix)
            return Template(path, Syntax.JSON, (path,), problems=(problem,))
        if not template_json.is_template(loaded):
            return None
        template = cast("dict[str, Any]", loaded)
        declared = frozenset(template_json.declared_variables(template))
        mentioned = template_json.variables_used(content.decode("utf-8", "replace"))
        return Template(path, Syntax.JSON, (path,), json=template, declared=declared, mentioned=mentioned)

    def _json_variables(self, templates: Sequence[Template]) -> list[VariableFile]:
        """Flat JSON objects at or below the directories of JSON templates, or in a `vars` directory beside one."""
        if not templates:
            return []
        known = {one.path for one in templates}
        places = {one.directory for one in templates if one.takes}
        found: list[VariableFile] = []
        for directory, leaves in self.files.directories.items():
            near = [
                directory,
                posixpath.dirname(directory) or ".",
                posixpath.dirname(posixpath.dirname(directory)) or ".",
            ]
            beside = is_for_variables(directory) and any(parent(place) == near[1] for place in places)
            if not beside and places.isdisjoint(near):
                continue
            for leaf in leaves:
                path = posixpath.normpath(posixpath.join(directory, leaf))
                if (
                    leaf.endswith(".json")
                    and not leaf.endswith(HCL_ENDINGS)
                    and path not in known
                    and not self._is_ignored(path)
                ):
                    one = self.variable_file(path)
                    if one.values:
                        found.append(one)
        return found

    def variable_file(self, path: str) -> VariableFile:
        """What a variable file sets."""
        if path.endswith(".hcl"):
            body = self.parsed.body(path)
            return VariableFile(path, {}, body) if isinstance(body, Problem) else VariableFile(path, variables_of(body))
        try:
            content = self.files.read(path, HEAD + 1)
            loaded = hcl_json.load_json(hcl.decode(content))
        except OSError as error:
            return VariableFile(path, {}, Problem(path, f"it cannot be read: {error.strerror or error}"))
        except hcl_tree.HclError as error:
            return VariableFile(path, {}, Problem(path, error.reason, error.line, error.fix))
        if path.endswith(VARIABLE_ENDINGS):
            return VariableFile(path, cast("dict[str, Value]", loaded) if isinstance(loaded, dict) else {})
        found = template_json.variables_in(loaded) or {}
        return VariableFile(path, found, remark=template_json.remark_in(loaded))


def _mentions_packer(content: bytes) -> bool:
    """Broken JSON with builders is worth a word when it is Packer's: other tools have builders, too."""
    return any(
        word in content
        for word in (b'"provisioners"', b'"post-processors"', b"{{user ", b"{{ user ", b'"communicator"')
    )


def built_singly(bodies: Mapping[str, hcl_tree.Body], defined: Mapping[str, Definitions]) -> bool:
    """The files of a directory are templates each by itself: two of them are whole alone, and clash when they are
    loaded together (Packer refuses a second definition of a variable, local or source)."""
    seen: set[str] = set()
    for path, one in defined.items():
        if one.builds and _is_whole(bodies[path], one):
            if not seen.isdisjoint(one.names):
                return True
            seen |= one.names
    return False


def _is_whole(body: hcl_tree.Body, defined: Definitions) -> bool:
    """Every source that its builds name in plain text is declared in it."""
    declared = {name.removeprefix("source.") for name in defined.names if name.startswith("source.")}
    for build in body.of_type("build"):
        named = [block.labels[0] for block in build.body.of_type("source") if block.labels]
        sources = build.body.attribute("sources")
        if sources and isinstance(sources.value, hcl_tree.Items):
            named += [str(one.value) for one in sources.value.items if isinstance(one, hcl_tree.Literal)]
        if any(template_hcl.source_name(name) not in declared for name in named):
            return False
    return True


def _twice(bodies: Mapping[str, hcl_tree.Body]) -> list[Problem]:
    first: dict[str, str] = {}
    problems: list[Problem] = []
    for path, body in bodies.items():
        for block in body.blocks:
            for name in definitions_of(hcl_tree.Body((), (block,))).names:
                if name in first:
                    reason = f"{name} is defined a second time (first in {first[name]}), which Packer refuses"
                    problems.append(Problem(path, reason, block.line or None, "Take one of the two away."))
                first.setdefault(name, path)
    return problems
