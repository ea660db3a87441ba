"""Which templates a variable file is for: from where it lies, what it is called and what it sets."""

import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from core.model.naming import is_sensible
from core.model.role import Syntax
from core.services.template_files import VARIABLE_ENDINGS, Template, VariableFile, parent

_SHARED = re.compile(r"(?:[._-]?(?:common|global|globals|shared|defaults?|base|all)[._-]?)+", re.IGNORECASE)
"""Names of variable files that are given together with another one."""
_SAMPLE = re.compile(r"(?:^|[._-])(?:example|sample)(?:$|[._-])", re.IGNORECASE)
"""Names of variable files that are there to be copied."""


def attach(variables: Iterable[VariableFile], templates: Sequence[Template]) -> None:
    """Give each variable file to the templates that it is for: the nearest that declare what it sets."""
    at: dict[str, list[Template]] = defaultdict(list)
    below: dict[str, list[Template]] = defaultdict(list)
    for template in templates:
        at[template.directory].append(template)
        place = template.directory
        while place not in ("", "."):
            place = parent(place)
            below[place].append(template)
    for one in sorted(variables, key=lambda one: one.path):
        if _SAMPLE.search(one.stem):
            continue
        for template in _wanting(one, at, below):
            (template.shared if _SHARED.fullmatch(one.stem) else template.variable_files).append(one)
    for template in templates:
        if template.shared and not template.variable_files:
            template.variable_files, template.shared = [template.shared[-1]], template.shared[:-1]


def _wanting(
    one: VariableFile, at: Mapping[str, list[Template]], below: Mapping[str, list[Template]]
) -> Sequence[Template]:
    place = parent(one.path)
    plain_json = not one.path.endswith(VARIABLE_ENDINGS)
    for level in range(len(place) + 1):
        # Plain JSON has nothing but its keys to tell what it is for: it is not taken for a template far away.
        beside = not plain_json or (level == 1 and is_for_variables(parent(one.path)))
        for near in (at.get(place, []), below.get(place, []) if beside else []):
            if taking := _taking(one, near):
                return taking
        if place == "." or (plain_json and level == 2):
            break
        place = parent(place)
    return []


def _taking(one: VariableFile, templates: Sequence[Template]) -> list[Template]:
    """Those of the templates, all equally near, that a variable file is for."""
    plain_json = not one.path.endswith(VARIABLE_ENDINGS)
    fitting = [template for template in templates if template.syntax is Syntax.JSON or not plain_json]
    if one.problem:
        return [] if plain_json else _named_alike(one, fitting) or fitting
    keys = set(one.values)
    told = [template for template in fitting if posixpath.basename(template.files[0]) in one.remark]
    if len(told) == 1:
        return told
    # Packer lets a variable file set more than a template declares; most of it must fit, though, to be for it.
    fitting = [template for template in fitting if keys and len(keys & template.takes) * 3 >= len(keys) * 2]
    if len(fitting) < 2:
        return fitting
    if named := _named_alike(one, fitting):
        return named
    # A template that is called `packer.json` is for all that has no template with a name of its own.
    if plain := [template for template in fitting if not is_sensible((template.words or [""])[-1])]:
        fitting = plain
    most = max(len(keys & template.takes) for template in fitting)
    fitting = [template for template in fitting if len(keys & template.takes) == most]
    return [template for template in fitting if keys <= template.declared] or fitting


def _named_alike(one: VariableFile, templates: Sequence[Template]) -> list[Template]:
    """Of several templates those whose name is in the variable file's path: the longest, else by the telling words."""
    stem = one.stem.lower()
    path = [word.lower() for word in one.path.split("/")[:-1]]
    names = [(template.words or [""])[-1].lower() for template in templates]
    found: list[Template] = []
    longest = 0
    for template, name in zip(templates, names, strict=True):
        begins = stem.startswith(name) and not stem[len(name) : len(name) + 1].isalpha()
        if name and (name in path or begins):
            if len(name) > longest:
                found, longest = [], len(name)
            if len(name) == longest:
                found.append(template)
    if found:
        return found
    words = [set(re.split(r"[._-]+", name)) for name in names]
    common: set[str] = words[0].intersection(*words[1:]) if words else set()
    here = set(re.split(r"[/._-]+", one.path.lower()))
    return [template for template, own in zip(templates, words, strict=True) if own - common and (own - common) <= here]


def is_for_variables(directory: str) -> bool:
    """A directory with such a name holds variable files, of what lies beside it."""
    leaf = posixpath.basename(directory).lower()
    return "vars" in leaf or "variables" in leaf
