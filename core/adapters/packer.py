"""Packer: which one is here, how it is called, and what its files and complaints say. Runs nothing but `packer
version`.

Written for Packer 1.6 to 1.16. The two languages differ: HCL2 templates take variables from `PKR_VAR_…` in the
environment, JSON templates only from `-var` and `-var-file`, so what they get goes into a private file and never into
the argument list.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import msgspec

from core import process
from core.adapters import hcl, hcl_json, hcl_scope
from core.adapters.hcl_scope import Scope
from core.adapters.template import bases_of
from core.errors import RefusedError, ToolError
from core.model.role import Problem, Role, Syntax

OLDEST = (1, 6, 0)
"""Older ones read HCL2 differently (it was a preview) and are not tested."""
WITH_INIT = (1, 7, 0)
"""The first with `packer init` and `required_plugins` (Packer's CHANGELOG)."""

ON_ERROR_CLEAN_UP: Final = ("-on-error=cleanup",)

_VERSION = re.compile(r"Packer v?(\d+)\.(\d+)\.(\d+)")
_HCL_WHERE = re.compile(r"^  on (?P<file>.+) line (?P<line>\d+)(?:, in (?P<within>.*?))?:?$")
_JSON_WHERE = re.compile(r"^At line (?P<line>\d+), column \d+")


class Packer(msgspec.Struct, frozen=True):
    """The Packer of this machine."""

    program: Path
    version: tuple[int, int, int]

    @property
    def version_text(self) -> str:
        return ".".join(str(part) for part in self.version)

    @property
    def has_init(self) -> bool:
        return self.version >= WITH_INIT


async def find(environment: Mapping[str, str]) -> Packer:
    """The Packer on PATH.

    Raises ToolError when there is none, when it is something else of that name (cracklib has a `packer` that reads its
    standard input for ever), or when it is too old.
    """
    program = process.find("packer")
    if program is None:
        raise ToolError(
            "Packer is not installed: no program `packer` on PATH.",
            "Install it (Debian: apt install packer; others: developer.hashicorp.com/packer/install), then build.",
        )
    found_before = _known.get(_identity(program))
    if found_before is not None:
        return Packer(program, found_before)
    answer = await process.run([str(program), "version"], env={**environment, **QUIET}, input=b"", timeout=60)
    found = _VERSION.search(answer.out.decode(errors="replace"))
    if answer.code != 0 or found is None:
        raise ToolError(
            f"{program} does not answer like HashiCorp's Packer.",
            "Put HashiCorp's Packer before it on PATH; some systems have another program of that name (cracklib's).",
        )
    version = (int(found[1]), int(found[2]), int(found[3]))
    if version < OLDEST:
        raise ToolError(
            f"Packer {'.'.join(found.groups())} at {program} is too old.",
            f"Install Packer {'.'.join(str(part) for part in OLDEST)} or newer.",
        )
    _known[_identity(program)] = version
    return Packer(program, version)


_known: dict[tuple[str, int, int], tuple[int, int, int]] = {}
"""Versions of programs that were asked: each takes a quarter of a second to answer, and a run asks for it twice."""


def _identity(program: Path) -> tuple[str, int, int]:
    there = program.stat()
    return str(program), there.st_mtime_ns, there.st_ino


QUIET: Final[dict[str, str]] = {"CHECKPOINT_DISABLE": "1", "PACKER_LOG": "", "PACKER_NO_COLOR": "1"}
"""No call home, no debug log (it holds variables in clear), no colour."""


def only(build: str) -> str:
    """The option that picks one build by its whole name: in HCL2 a `build` block's name comes first (`app.qemu.web`).

    Raises RefusedError for a name that would pick something else: HCL2 templates take `-only` as a list of globs.
    """
    process.name_argument(build, "the build")
    if any(sign in build for sign in ",*?[]{}\\"):
        raise RefusedError(f"The build's name {build!r} would pick others as well.", "Rename it in the template.")
    return f"-only={build}"


def hcl_files(template: Path) -> list[Path]:
    """The HCL2 files of a template, also those in its JSON form: those of its directory, or itself."""
    if template.is_dir():
        return sorted([*template.glob("*.pkr.hcl"), *template.glob("*.pkr.json")])
    return [template] if template.name.endswith((".pkr.hcl", ".pkr.json")) else []


def _body(file: Path) -> hcl.Body:
    """Raises OSError, HclError."""
    text = file.read_text(errors="replace")
    return hcl_json.from_json(text) if file.suffix == ".json" else hcl.parse(text)


def arguments(
    packer: Packer,
    command: str,
    template: str,
    variable_files: Sequence[str] = (),
    chosen: str = "",
    pausing: Sequence[str] = ON_ERROR_CLEAN_UP,
) -> list[str]:
    """`packer COMMAND … TEMPLATE`. `template` and the files are relative to the working directory, or absolute;
    `pausing` (core/adapters/packer_prompts.py) tells a build what to do when a step fails.

    >>> packer = Packer(Path("packer"), (1, 6, 6))
    >>> arguments(packer, "build", ".", ["web.pkrvars.hcl"], "-only=qemu.web")[1:]
    ['build', '-color=false', '-on-error=cleanup', '-only=qemu.web', '-var-file=web.pkrvars.hcl', '.']
    """
    options = [chosen] if chosen else []
    options += [f"-var-file={file}" for file in variable_files]
    if command == "build":
        options = ["-color=false", *pausing, *options]
    # A path that starts with a dash would be read as an option; Packer has no `--`.
    return [str(packer.program), command, *options, f"./{template}" if template.startswith("-") else template]


def problems(output: str, root: Path, working_directory: Path) -> list[Problem]:
    """What `packer validate` (or `build`) complains of, with paths relative to `root` where they are in it.

    >>> said = "Error: Unsupported block type\\n\\n  on a.pkr.hcl line 2, in packer:\\n   2:   x {\\n"
    >>> problems(said, Path("/w"), Path("/w/web"))
    [Problem(path='web/a.pkr.hcl', reason='Unsupported block type', line=2, fix='')]
    """
    found: list[Problem] = []
    reason = ""
    lines = [line.rstrip() for line in output.splitlines()]
    for number, line in enumerate(lines):
        if line.startswith("Error: "):
            if reason:
                found.append(Problem("", reason))
            reason = line.removeprefix("Error: ")
            reason = _with_detail(reason, lines[number + 1 :])
        elif reason and (where := _HCL_WHERE.match(line)):
            path = os.path.normpath(working_directory / where["file"])
            inside = path.startswith(f"{root}{os.sep}")
            shown = os.path.relpath(path, root) if inside else where["file"]
            found.append(Problem(shown, _with_explanation(reason, lines[number + 1 :]), int(where["line"])))
            reason = ""
        elif line.startswith("Failed to parse template: "):
            position = _JSON_WHERE.match(lines[number + 1]) if number + 1 < len(lines) else None
            found.append(
                Problem(
                    "", line.removeprefix("Failed to parse template: "), int(position["line"]) if position else None
                )
            )
    if reason:
        found.append(Problem("", reason))
    return found


def _with_detail(summary: str, following: Sequence[str]) -> str:
    """Packer's summary is often empty of sense (`Failed to prepare build: "file"`); the lines under it then say why."""
    detail: list[str] = []
    for line in following:
        if line.startswith(("Error: ", "Warning: ", "  on ")):
            break
        if line.strip().startswith("* "):
            detail.append(line.strip()[2:])
        elif line.startswith("error ") or (summary.startswith("Failed to") and line and not detail):
            detail.append(line)
    detail = [part for part in detail if not part.endswith(("occurred:", "error occurred:"))]
    return f"{summary}: {'; '.join(detail[:3])}" if detail else summary


def _with_explanation(summary: str, following: Sequence[str]) -> str:
    """The paragraph that Packer prints under the quoted lines says what exactly is not right."""
    paragraph: list[str] = []
    for line in following:
        if line.startswith(("Error: ", "Warning: ", "  on ")) or (paragraph and not line):
            break
        if line and not re.match(r"\s+(?:\d+:|\()", line):
            paragraph.append(line.strip())
    return f"{summary}: {' '.join(paragraph).rstrip('.')}" if paragraph else summary


def variables_for(role: Role, offered: Mapping[str, str]) -> dict[str, str]:
    """Those `ingot_…` values that the template declares, and what ingot.toml sets for the role."""
    declared = {name: value for name, value in offered.items() if name in role.declares}
    return {**declared, **role.variables}


def variables_file(values: Mapping[str, str]) -> bytes:
    """Variables as a file for `-var-file` of a JSON template."""
    return msgspec.json.encode(dict(values))


def working_directory(root: Path, role: Role) -> Path:
    """From where Packer is to be run, so that the template's relative paths lead somewhere.

    People run some templates from the repository's root and others from their own directory, and nothing in a template
    says which. The directory from which most of the relative paths quoted in it exist is taken; without any evidence,
    the template's own.
    """
    template = root / role.template
    files = hcl_files(template) or [template]
    text = "\n".join(file.read_text(errors="replace") for file in files if file.is_file())
    quoted = {match for match in re.findall(r'"([^"\n$]{1,200})"', text) if _like_a_path(match)}
    place = template if template.is_dir() else template.parent
    candidates = [root / base for base in bases_of(place.relative_to(root).as_posix())]
    return max(candidates, key=lambda candidate: sum((candidate / path).exists() for path in quoted))


def _like_a_path(text: str) -> bool:
    if text.startswith(("/", "~", "-")) or "://" in text or "{{" in text or " " in text or "\0" in text:
        return False
    return "/" in text or bool(re.search(r"\.(?:sh|ya?ml|ps1|cfg|json|py|conf|ks|img|qcow2|iso)$", text))


class ManifestFile(msgspec.Struct):
    """A file as the manifest post-processor lists it."""

    name: str
    size: int = 0


class ManifestBuild(msgspec.Struct):
    """One artifact in a manifest."""

    name: str
    packer_run_uuid: str = ""
    files: list[ManifestFile] | None = None


class Manifest(msgspec.Struct):
    """The file of Packer's manifest post-processor, which appends to it: only the last run counts."""

    builds: list[ManifestBuild]
    last_run_uuid: str

    def of_last_run(self) -> list[ManifestBuild]:
        return [build for build in self.builds if build.packer_run_uuid == self.last_run_uuid]


def read_manifest(path: Path) -> Manifest | None:
    """The manifest in this file; None when it is another kind of JSON."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=Manifest)
    except (OSError, msgspec.DecodeError):
        return None


def sensitive_values(role: Role, root: Path) -> list[str]:
    """What the role's sensitive variables are set to in its files, for the redactor. Unreadable files give nothing."""
    if not role.sensitive:
        return []
    template = root / role.template
    place = template if template.is_dir() else template.parent
    files = [root / file for file in role.variable_files]
    files += [*place.glob("*.auto.pkrvars.hcl"), *place.glob("*.auto.pkrvars.json")]
    sources = [_variables_in(file) for file in files]
    sources += [_defaults_in(file) for file in hcl_files(template)]
    if role.syntax is Syntax.JSON:
        declared: object = _variables_in(template).get("variables")
        sources.append(_mapping(declared))
    return [text for source in sources for name in role.sensitive for text in _texts(source.get(name))]


def custom_endpoint(role: Role, root: Path, variables: Mapping[str, str]) -> str:
    """The `custom_endpoint_ec2` of the role's amazon sources, so that we ask the same EC2 as Packer; empty for AWS
    itself."""
    template = root / role.template
    if role.syntax is Syntax.JSON:
        builders = cast("list[object]", _variables_in(template).get("builders") or [])
        found: list[object] = [_mapping(one).get("custom_endpoint_ec2") for one in builders]
        return next((text for text in found if isinstance(text, str) and "{{" not in text), "")
    for file in hcl_files(template):
        try:
            body = _body(file)
        except (OSError, hcl.HclError):
            continue
        for source in body.of_type("source"):
            if attribute := source.body.attribute("custom_endpoint_ec2"):
                value = Scope({**_defaults_of(role, root), **variables}, {}).value(attribute.value)
                if isinstance(value, str) and value:
                    return value
    return ""


def _defaults_of(role: Role, root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for file in hcl_files(root / role.template):
        found |= _defaults_in(file)
    for file in role.variable_files:
        found |= _variables_in(root / file)
    return found


def _defaults_in(file: Path) -> dict[str, Any]:
    try:
        body = _body(file)
    except (OSError, hcl.HclError):
        return {}
    scope = Scope({}, {})
    return {
        block.labels[0]: scope.value(default.value)
        for block in body.of_type("variable")
        if block.labels and (default := block.body.attribute("default"))
    }


def _variables_in(file: Path) -> dict[str, Any]:
    try:
        text = file.read_text(errors="replace")
        if file.suffix == ".json":
            return _mapping(hcl_json.load_json(text))
        return dict(hcl_scope.variables_of(hcl.parse(text)))
    except (OSError, hcl.HclError):
        return {}


def _mapping(value: object) -> dict[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _texts(value: object) -> list[str]:
    """The texts in a value, however deep: each may be what is secret in it."""
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for part in cast("dict[str, object]", value).values() for text in _texts(part)]
    if isinstance(value, list):
        return [text for part in cast("list[object]", value) for text in _texts(part)]
    return []
