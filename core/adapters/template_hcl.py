"""What a template in HCL2 says: `*.pkr.hcl` and `*.pkr.json` files that Packer would load together."""

import posixpath
from collections.abc import Iterator, Mapping, Sequence

import msgspec

from core.adapters.files import WorkspaceFiles
from core.adapters.hcl_scope import Scope
from core.adapters.hcl_tree import Block, Body, Expression, Literal
from core.adapters.hcl_values import UNKNOWN, Unknown, Value, known, texts
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


class Definitions(msgspec.Struct, frozen=True):
    """What one file defines, by which files of a directory are told to be one template or several."""

    names: frozenset[str]
    """`var.x`, `local.y`, `source.qemu.web`, …: Packer refuses a second definition of one."""
    builds: int
    sources: int


def definitions_of(body: Body) -> Definitions:
    names: set[str] = set()
    for block in body.blocks:
        match block.type, block.labels:
            case "variable", (name, *_):
                names.add(f"var.{name}")
            case "variables", _:
                names.update(f"var.{attribute.name}" for attribute in block.body.attributes)
            case "locals", _:
                names.update(f"local.{attribute.name}" for attribute in block.body.attributes)
            case "local", (name, *_):
                names.add(f"local.{name}")
            case ("source" | "data") as kind, (type_, name, *_):
                names.add(f"{kind}.{type_}.{name}")
            case _:
                pass
    counts = [block.type for block in body.blocks]
    return Definitions(frozenset(names), counts.count("build"), counts.count("source"))


def source_name(reference: str) -> str:
    """`qemu.web` of each way in which a build may refer to it: `qemu.web`, `source.qemu.web`, `sources.qemu.web`.

    Packer takes the first of three or more words away, whatever it is (sourceRefFromString).
    """
    words = reference.split(".")
    return ".".join((words[1:] if len(words) > 2 else words)[:2])


def read(
    bodies: Mapping[str, Body], directory: str, values: Mapping[str, Value], files: WorkspaceFiles
) -> TemplateFacts:
    """The facts of a template with one set of variables.

    `bodies` are its files by path, `directory` is where they are (relative to the root), `values` what variable files
    and ingot.toml set, in the order of Packer's precedence, the last one winning.
    """
    return _Reader(bodies, directory, values, files).facts()


class _Reader:
    def __init__(
        self, bodies: Mapping[str, Body], directory: str, values: Mapping[str, Value], files: WorkspaceFiles
    ) -> None:
        self.bodies = bodies
        self.directory = directory
        self.files = files
        self.problems: list[Problem] = []
        self.declares: dict[str, None] = {}
        self.sensitive: dict[str, None] = {}
        defaults = self._defaults()
        root = posixpath.normpath(posixpath.join(str(files.root), directory))
        self.scope = Scope({**defaults, **values}, self._locals(), root=root)
        self.gathered = Gathered(files, bases_of(directory))
        self.sources = {
            f"{block.labels[0]}.{block.labels[1]}": block
            for _, block in self._blocks("source")
            if len(block.labels) == 2
        }

    def _blocks(self, *types: str) -> Iterator[tuple[str, Block]]:
        return ((path, block) for path, body in self.bodies.items() for block in body.of_type(*types))

    def _defaults(self) -> dict[str, Value]:
        scope = Scope({}, {})
        defaults: dict[str, Value] = {}
        for _, block in self._blocks("variable", "variables"):
            if block.type == "variables":
                for attribute in block.body.attributes:
                    self.declares[attribute.name] = None
                    defaults[attribute.name] = scope.value(attribute.value)
            elif block.labels:
                name = block.labels[0]
                self.declares[name] = None
                default = block.body.attribute("default")
                defaults[name] = scope.value(default.value) if default else UNKNOWN
                secret = block.body.attribute("sensitive")
                if secret and scope.value(secret.value) is True:
                    self.sensitive[name] = None
        return defaults

    def _locals(self) -> dict[str, Expression]:
        expressions: dict[str, Expression] = {}
        for _, block in self._blocks("locals", "local"):
            if block.type == "locals":
                expressions.update({attribute.name: attribute.value for attribute in block.body.attributes})
            elif block.labels and (expression := block.body.attribute("expression")):
                expressions[block.labels[0]] = expression.value
        return expressions

    def facts(self) -> TemplateFacts:
        builds: dict[str, Build] = {}
        provisioners: list[str] = []
        upstreams: list[Upstream] = []
        used: dict[str, Sequence[Block]] = {}
        found_build = False
        for path, block in self._blocks("build"):
            found_build = True
            prefix = self._build_name(path, block)
            for name, source, extra in self._sources_of(path, block):
                kind = source.partition(".")[0]
                full = f"{prefix}.{name}" if prefix else name
                builds.setdefault(full, Build(full, kind))
                if reason := no_file_name(full):
                    self._problem(path, block.line, reason, NAME_IT)
                if source in self.sources:
                    declared = self.sources[source]
                    used[f"{full} {source}"] = (declared, *extra)
            provisioners += [one.labels[0] for one in block.body.of_type("provisioner") if one.labels]
            for inner in block.body.of_type("provisioner", "error-cleanup-provisioner"):
                self._walk_step(inner)
            for inner in block.body.of_type("post-processor"):
                self._walk_step(inner)
            for group in block.body.of_type("post-processors"):
                for inner in group.body.of_type("post-processor"):
                    self._walk_step(inner)
        for blocks in used.values():
            for block in blocks:
                self._walk(block.body)
            upstreams.append(self._upstream(blocks))
        if not found_build and self.sources:
            path, block = next(self._blocks("source"))
            self._problem(path, block.line, "it has sources but no build block, so there is nothing to build",
                          f'Add: build {{ sources = ["source.{next(iter(self.sources))}"] }}')  # fmt: skip
        if found_build and not builds and not self.problems:
            path, block = next(self._blocks("build"))
            self._problem(path, block.line, "its build blocks use no source, so there is nothing to build",
                          'Add to one of them: sources = ["source.qemu.web"]')  # fmt: skip
        for named in self.scope.files:  # file functions look from the template's directory only (Packer, functions.go)
            for path in self.files.find_all(named, (self.directory,)):
                self.gathered.inputs[path] = None
        return TemplateFacts(
            builds=tuple(builds.values()),
            provisioners=tuple(provisioners),
            playbooks=tuple(self.gathered.playbooks),
            inputs=tuple(self.gathered.inputs),
            declares=tuple(self.declares),
            sensitive=tuple(self.sensitive),
            requires_plugins=any(
                True for _, packer in self._blocks("packer") for _ in packer.body.of_type("required_plugins")
            ),
            upstream=common_upstream(upstreams),
            problems=tuple(dict.fromkeys(self.problems)),
        )

    def _problem(self, path: str, line: int, reason: str, fix: str) -> None:
        self.problems.append(Problem(path, reason, line or None, fix))

    def _build_name(self, path: str, build: Block) -> str:
        attribute = build.body.attribute("name")
        if attribute is None:
            return ""
        # Packer allows no variable here ("Variables not allowed").
        if isinstance(attribute.value, Literal) and isinstance(attribute.value.value, str):
            return attribute.value.value
        self._problem(path, attribute.line, "the name of a build block must be plain text", "Write the name itself.")
        return ""

    def _sources_of(self, path: str, build: Block) -> Iterator[tuple[str, str, Sequence[Block]]]:
        """For each source that a build block uses: the name that it has there, the source, and its inline blocks."""
        attribute = build.body.attribute("sources")
        if attribute:
            value = self.scope.value(attribute.value)
            if not isinstance(value, list) or not known(value):
                self._problem(
                    path,
                    attribute.line,
                    OPEN_BUILDS,
                    NAME_BUILDS,
                )
            for name in texts(value):
                source = source_name(name)
                if self._declared(path, attribute.line, source):
                    yield source, source, ()
        for dynamic in build.body.of_type("dynamic"):
            if dynamic.labels[:1] == ("source",):
                self._problem(path, dynamic.line, OPEN_BUILDS, NAME_BUILDS)
        for inline in build.body.of_type("source"):
            source = source_name(inline.labels[0]) if inline.labels else ""
            if not self._declared(path, inline.line, source):
                continue
            given = inline.body.attribute("name")
            name = self.scope.value(given.value) if given else None
            kind, _, own = source.partition(".")
            yield f"{kind}.{name if isinstance(name, str) and name else own}", source, (inline,)

    def _declared(self, path: str, line: int, source: str) -> bool:
        if source in self.sources:
            return True
        self._problem(
            path,
            line,
            f"a build uses the source {source!r}, which is not declared in this template",
            f"Declare it, or use one of: {', '.join(sorted(self.sources))}" if self.sources else "Declare it.",
        )
        return False

    def _walk_step(self, block: Block) -> None:
        """A provisioner or post-processor."""
        kind = block.labels[0] if block.labels else ""
        direction = block.body.attribute("direction")
        if kind == "file" and direction and self.scope.value(direction.value) == "download":
            return  # its source is a path inside the machine
        self._walk(block.body)
        if kind == "shell-local":
            for name in ("inline", "command"):
                attribute = block.body.attribute(name)
                for line in texts(self.scope.value(attribute.value)) if attribute else ():
                    self.gathered.add_command(line)

    def _walk(self, body: Body) -> None:
        for attribute in body.attributes:
            self.gathered.add(attribute.name, texts(self.scope.value(attribute.value)))
        for block in body.blocks:
            self._walk(block.body)

    def _upstream(self, blocks: Sequence[Block]) -> Upstream:
        def value(name: str) -> Value:
            for block in reversed(blocks):
                if attribute := block.body.attribute(name):
                    return self.scope.value(attribute.value)
            return None

        checksum, checksum_type = value("iso_checksum"), value("iso_checksum_type")
        url, others = value("iso_url"), value("iso_urls")
        if not isinstance(checksum, str) or isinstance(url, Unknown):
            return Upstream()
        urls = [*texts(url), *texts(others)]
        kind = checksum_type if isinstance(checksum_type, str) else ""
        return upstream_of(urls, checksum, kind, self.files, self.gathered.bases)
