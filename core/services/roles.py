"""Makes roles of templates and their variable files, and lets ingot.toml refine them."""

import posixpath
from collections.abc import Sequence
from difflib import get_close_matches

import msgspec
from msgspec.structs import replace

from core import config
from core.adapters import playbook
from core.adapters.files import WorkspaceFiles
from core.adapters.template import NAME_IT, OPEN_BUILDS, no_file_name
from core.config import Configuration
from core.config.role import RoleSettings
from core.model import naming
from core.model.ansible_build import KIND, AnsibleBuild
from core.model.role import Build, Problem, Role, Syntax, Upstream
from core.model.stale import order_for_rebuild, parent_of
from core.services.template_files import Template, VariableFile, stem_of
from core.services.templates import Finder


class Made(msgspec.Struct, frozen=True):
    """The roles of a workspace, and the problems that belong to none of them."""

    roles: tuple[Role, ...]
    problems: tuple[Problem, ...]


class RoleMaker:
    """Makes roles of templates, then lets ingot.toml have its say."""

    def __init__(self, files: WorkspaceFiles, configuration: Configuration, finder: Finder) -> None:
        self._files = files
        self._configuration = configuration
        self._finder = finder
        self._problems: list[Problem] = list(configuration.problems)
        self._playbook_parts: dict[str, list[str]] = {}

    def all(self, templates: Sequence[Template], workspace: str) -> Made:
        wanted = [(template, given) for template in templates for given in _sets_of(template)]
        names = naming.unique([_words(template, given) for template, given in wanted], workspace)
        found = {
            name: (template, self._role(name, template, given))
            for name, (template, given) in zip(names, wanted, strict=True)
        }
        by_ansible: list[Role] = []
        for name, settings in self._configuration.roles.items():
            if settings.ansible is None:
                self._refine(name, settings, found)
            else:
                found.pop(name, None)
                by_ansible.append(self._by_ansible(name, settings, settings.ansible))
        roles = _with_checked_parents([*(role for _, role in found.values()), *by_ansible], self._configuration)
        return Made(tuple(roles), tuple(self._problems))

    def _role(
        self, name: str, template: Template, given: Sequence[VariableFile], settings: RoleSettings | None = None
    ) -> Role:
        settings = settings or RoleSettings(seal=self._configuration.seal, test=self._configuration.test)
        variables = {**self._configuration.variables, **settings.variables}
        values = {key: value for one in given for key, value in one.values.items()} | variables
        facts = template.facts(values, self._files)
        playbooks = tuple(dict.fromkeys((*facts.playbooks, *settings.playbooks)))
        # ingot.toml's variables reach every template by the environment, but only those that it declares mean anything.
        own = {key: value for key, value in variables.items() if key in settings.variables or key in facts.declares}
        problems = [*template.problems, *(one.problem for one in given if one.problem)]
        if not template.problems:
            problems += facts.problems
        inputs = [
            *template.files,
            *(one.path for one in template.auto),
            *(one.path for one in given),
            *playbooks,
            *facts.inputs,
            *(settings.upstream.files if settings.upstream else ()),
        ]
        for book in playbooks:
            inputs += self._parts_of(book)
        inputs += [target for path in inputs if (target := self._files.link_target(path))]
        return Role(
            name=name,
            template=template.path,
            syntax=template.syntax,
            variable_files=tuple(one.path for one in given),
            variables=own,
            builds=facts.builds,
            provisioners=facts.provisioners,
            playbooks=playbooks,
            inputs=_without_covered(inputs),
            declares=facts.declares,
            sensitive=facts.sensitive,
            requires_plugins=facts.requires_plugins,
            outside=tuple(dict.fromkeys((*self._configuration.outside, *settings.outside))),
            upstream=settings.upstream or facts.upstream,
            seal=settings.seal,
            test=settings.test,
            formats=settings.formats,
            problems=tuple(dict.fromkeys((*problems, *settings.problems))),
        )

    def _by_ansible(self, name: str, settings: RoleSettings, ansible: AnsibleBuild) -> Role:
        """A role without a template: Ingot boots what it is built on, and runs a playbook in it."""
        problems = list(settings.problems)
        playbooks = tuple(dict.fromkeys((ansible.playbook, *settings.playbooks)))
        if ansible.playbook not in self._files.names:
            near = get_close_matches(
                ansible.playbook, [one for one in self._files.names if "yml" in one or "yaml" in one], 1
            )
            fix = f"Did you mean {near[0]!r}?" if near else "Name a file of the repository."
            problems.append(self._wrong(settings, f"roles.{name}: there is no playbook {ansible.playbook!r}", fix))
        if settings.upstream is None:
            fix = 'Say what it is built on: upstream = { role = "base" }'
            problems.append(self._wrong(settings, f"roles.{name}: a build by Ansible starts from an upstream", fix))
        inputs = [*playbooks, *(part for book in playbooks for part in self._parts_of(book))]
        inputs += settings.upstream.files if settings.upstream else ()
        inputs += [target for path in inputs if (target := self._files.link_target(path))]
        return Role(
            name=name,
            template=ansible.playbook,
            syntax=Syntax.ANSIBLE,
            variables={**self._configuration.variables, **settings.variables},
            builds=(Build(f"{KIND}.{name}", KIND),),
            provisioners=(KIND,),
            playbooks=playbooks,
            inputs=_without_covered(inputs),
            sensitive=settings.sensitive,
            outside=tuple(dict.fromkeys((*self._configuration.outside, *settings.outside))),
            ansible=ansible,
            upstream=settings.upstream or Upstream(),
            seal=settings.seal,
            test=settings.test,
            formats=settings.formats,
            problems=tuple(dict.fromkeys(problems)),
        )

    def _parts_of(self, book: str) -> list[str]:
        if book not in self._playbook_parts:
            self._playbook_parts[book] = playbook.parts_of(book, self._files)
        return self._playbook_parts[book]

    # ingot.toml

    def _refine(self, name: str, settings: RoleSettings, found: dict[str, tuple[Template, Role]]) -> None:
        known = found.get(name)
        template = known[0] if known else None
        if settings.template is not None and not (template and template.path == settings.template):
            template = self._finder.named(settings.template)
            if template is None:
                near = get_close_matches(settings.template, [one.path for one, _ in found.values()], n=1, cutoff=0.5)
                fix = f"Did you mean {near[0]!r}?" if near else "Name a directory with *.pkr.hcl files, or a file."
                self._wrong(settings, f"roles.{name}: there is no template at {settings.template!r}", fix)
                return
        if template is None:
            near = get_close_matches(name, list(found), n=1, cutoff=0.6)
            fix = f"Did you mean {near[0]!r}?" if near else 'Say where it is: template = "packer/web"'
            self._wrong(settings, f"no role is called {name!r} here, and its template is not named", fix)
            return
        given = self._given(name, template, settings, known[1] if known else None)
        role = self._role(name, template, given, settings)
        same = [
            other
            for other, (_, one) in found.items()
            if other != name and (one.template, one.variable_files) == (role.template, role.variable_files)
        ]
        for other in same:
            if other not in self._configuration.roles:
                del found[other]  # the same role, under the name that discovery gave it
        role = self._with_builds(name, role, settings)
        found[name] = (template, self._with_upstream_taken(name, role, settings))

    def _given(
        self, name: str, template: Template, settings: RoleSettings, known: Role | None
    ) -> Sequence[VariableFile]:
        if settings.variable_files is None:
            wanted = known.variable_files if known and known.template == template.path else ()
        else:
            wanted = settings.variable_files
        given: list[VariableFile] = []
        for path in wanted:
            if path in self._files.names:
                given.append(self._finder.variable_file(path))
            elif path in (*settings.outside, *self._configuration.outside):
                given.append(VariableFile(path, {}))
            else:
                near = get_close_matches(path, [one for one in self._files.names if "vars" in one], n=1, cutoff=0.6)
                fix = (
                    f"Did you mean {near[0]!r}?" if near else "If Git is not to hold it, name it in “outside” as well."
                )
                problem = self._wrong(settings, f"roles.{name}: there is no variable file {path!r}", fix)
                given.append(VariableFile(path, {}, problem))
        return given

    def _with_builds(self, name: str, role: Role, settings: RoleSettings) -> Role:
        if settings.builds is None:
            return role
        known = {build.name: build for build in role.builds}
        # With the builds named, it no longer matters that the template leaves open which there are.
        problems = [one for one in role.problems if one.reason != OPEN_BUILDS]
        unnamed = {build.kind for build in role.builds if "{{" in build.name}
        chosen: list[Build] = []
        for wanted in settings.builds:
            if wanted in known:
                chosen.append(known[wanted])
            elif reason := no_file_name(wanted):
                problems.append(self._wrong(settings, f"roles.{name}: {reason}", NAME_IT))
            elif not known or len(problems) < len(role.problems):
                parts = wanted.split(".")
                kind = parts[-2] if role.syntax is Syntax.HCL2 and len(parts) > 1 else wanted
                chosen.append(Build(wanted, unnamed.copy().pop() if len(unnamed) == 1 else kind))
            else:
                near = get_close_matches(wanted, list(known), n=1, cutoff=0.4)
                fix = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(known)}."
                problems.append(self._wrong(settings, f"roles.{name}: there is no build {wanted!r}", fix))
        return replace(role, builds=tuple(chosen), problems=tuple(problems))

    def _with_upstream_taken(self, name: str, role: Role, settings: RoleSettings) -> Role:
        """What only Ingot can verify has to come from Ingot: a template that names its own media would not be built on
        what was verified."""
        upstream = role.upstream
        taken = "ingot_upstream" in role.declares if upstream.owners else role.takes_upstream
        if settings.upstream is None or taken or not (upstream.key or upstream.owners):
            return role
        what = "the signature is verified" if upstream.key else "the AMI is chosen"
        problem = self._wrong(
            settings,
            f"roles.{name}: {what} by Ingot, and the template does not take its upstream from Ingot",
            'Declare variable "ingot_upstream" in the template and build on it: docs/templates.md.',
        )
        return replace(role, problems=(*role.problems, problem))

    def _wrong(self, settings: RoleSettings, reason: str, fix: str) -> Problem:
        problem = Problem(config.NAME, reason, settings.line, fix)
        self._problems.append(problem)
        return problem


def _sets_of(template: Template) -> list[tuple[VariableFile, ...]]:
    """The sets of variables that a template is used with: one for each of its variable files, or one of none."""
    if not template.variable_files:
        return [()]
    return [(*template.shared, one) for one in template.variable_files]


def _words(template: Template, given: Sequence[VariableFile]) -> list[str]:
    words = template.words
    if not given:
        return words
    own = given[-1]
    directory = posixpath.dirname(own.path)
    parts = directory.split("/") if directory else []
    shared = 0
    here = [] if template.directory == "." else template.directory.split("/")
    while shared < min(len(parts), len(here)) and parts[shared] == here[shared]:
        shared += 1
    if shared == len(here) and len(parts) > shared:
        return [*parts, stem_of(own.path)]  # below the template: its own path says it all
    return [*words, *parts[shared:], stem_of(own.path)]


def _without_covered(paths: Sequence[str]) -> tuple[str, ...]:
    """Each path once; those below a directory that is there as well are left out."""
    unique = dict.fromkeys(posixpath.normpath(path) for path in paths)
    if "." in unique:
        return (".",)

    def covered(path: str) -> bool:
        parent = posixpath.dirname(path)
        while parent:
            if parent in unique:
                return True
            parent = posixpath.dirname(parent)
        return False

    return tuple(path for path in unique if not covered(path))


def _with_checked_parents(roles: Sequence[Role], configuration: Configuration) -> list[Role]:
    """Roles whose parent is missing, or is in the end built on themselves, say so."""
    by_name = {role.name: role for role in roles}
    checked: list[Role] = []
    circles = order_for_rebuild(roles, by_name).circle
    for role in roles:
        parent = parent_of(role)
        line = configuration.roles[role.name].line if role.name in configuration.roles else None
        problem = None
        if parent and parent not in by_name:
            near = get_close_matches(parent, list(by_name), n=1, cutoff=0.6)
            fix = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(sorted(by_name)[:8])}."
            problem = Problem(config.NAME, f"{role.name} is built on {parent!r}, and no role is called that", line, fix)
        elif role.name in circles:
            circle = " → ".join((*circles, circles[0]))
            problem = Problem(
                config.NAME, f"roles are built on each other in a circle: {circle}", line, "Give one another upstream."
            )
        checked.append(replace(role, problems=(*role.problems, problem)) if problem else role)
    return checked
