"""Building images: what a person can ask for about runs. It all blocks, for as long as Git and a worker's start take.

What is built is always a commit: the role is read as it is there, and the worker makes a private clone of it.
"""

import time
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from core import config
from core.adapters.git import GitRepository
from core.engine.client import Engine
from core.errors import RefusedError, WorkspaceError
from core.model.at_stake import AtStake
from core.model.image import ImageVersion
from core.model.machine import MachineState
from core.model.pause import NEVER, UNWATCHED, Pausing, Wish
from core.model.pipeline import Purpose
from core.model.role import Role
from core.model.run import Run, RunRequest
from core.model.stale import order_for_rebuild, parent_of, why_outdated
from core.model.workspace import Catalogue, Workspace
from core.places import Places
from core.services import catalogue
from core.services.buildable import buildable, chosen_builds, roles_at
from core.services.shell_environment import references, secrets_for
from core.store.index import Index


class UntrustedError(RefusedError):
    """Nobody has said yet that what this workspace's templates execute may be executed here."""

    def __init__(self, workspace: Workspace) -> None:
        super().__init__(
            f"Building in {workspace.name} runs what its templates and playbooks say, on this machine and as you; "
            "nobody has said yet that it is trusted.",
            "If you trust everyone who can write to it: ingot build --trust … (it is asked once).",
        )
        self.workspace = workspace


class _About(msgspec.Struct, frozen=True):
    """What a run is for, and about which image version."""

    purpose: Purpose
    version: str
    formats: tuple[str, ...]


class Building:
    """Starts, stops and repeats runs, as the person whose shell `environ` is."""

    def __init__(
        self,
        places: Places,
        environ: Mapping[str, str],
        *,
        engine: Engine | None = None,
        able: Callable[[Sequence[Role]], None] | None = None,
    ) -> None:
        """`able` is asked before builds of roles are queued, and raises RefusedError where they cannot be built."""
        self._places = places
        self._able = able
        self._environ = environ
        self.engine = engine or Engine(places)

    def build(
        self,
        root: Path,
        role: str,
        *,
        at: str = "HEAD",
        builds: tuple[str, ...] = (),
        trust: bool = False,
        pausing: Pausing | Wish = UNWATCHED,
    ) -> Run:
        """Queue a build of a role's image from the commit that `at` names; all its builds, or those named.

        `pausing` is how it may pause, or what is known of that: `[debug]` of the commit's ingot.toml says the rest.

        Raises UntrustedError where nobody trusts the workspace yet (`trust` says that somebody does, from now on),
        RefusedError or WorkspaceError where the role cannot be built.
        """
        return self.build_all(root, [role], at=at, builds=builds, trust=trust, pausing=pausing)[0]

    def build_all(
        self,
        root: Path,
        roles: Sequence[str],
        *,
        at: str = "HEAD",
        builds: tuple[str, ...] = (),
        trust: bool = False,
        pausing: Pausing | Wish = UNWATCHED,
    ) -> list[Run]:
        """`build` of several roles: parents first, and who is built on another of them waits for it.

        All of them are looked at before the first is queued. Raises as `build`; then none is.
        """
        self._places.create()  # before anybody below makes a directory in it that is less private
        repository = _repository(root)
        workspace = catalogue.identify(root)
        commit = repository.resolve(at)
        found = roles_at(self._places, repository, commit, roles)
        wanted = {name: buildable(found, name, commit) for name in roles}
        chosen = {name: chosen_builds(role, builds) for name, role in wanted.items()}
        if self._able is not None:
            self._able(list(wanted.values()))
        who = repository.identity()
        with self._index() as index:
            self._check_trust(index, workspace, who, trust)
            at_work = {run.role: run.uid for run in index.runs(workspace.id, active_only=True)}
            # Without an image to build on it could only fail at once; where its parent is being made, that is meant.
            waits = {
                name: at_work.get(parent_of(role), "")
                for name, role in wanted.items()
                if not _has_one_to_build_on(index, workspace, role)
            }
        pausing = _pausing(repository, commit, pausing)
        started: dict[str, Run] = {}
        for name in _parents_first(wanted):
            parent = started.get(parent_of(wanted[name]))
            waits_for = parent.uid if parent else waits.get(name, "")
            started[name] = self._submit(workspace, who, wanted[name], commit, at, chosen[name], waits_for, pausing)
        return list(started.values())

    def build_stale(self, root: Path, *, trust: bool = False, pausing: Pausing | Wish = UNWATCHED) -> list[Run]:
        """Queue a build of each role whose sources changed since its last image, parents first; children wait for them.

        A role that is being built from this commit already is not built again. Roles with problems, and those built on
        them, are left out: they are shown as such everywhere. Raises as `build`.
        """
        return self._build_again(root, lambda index, found: index.stale(found.workspace.id), trust, pausing)

    def build_outdated(self, root: Path, *, trust: bool = False, pausing: Pausing | Wish = UNWATCHED) -> list[Run]:
        """Queue a build of each role whose last image is built on one of which there is a newer good version, and of
        those built on them: the chain anew, parents first; children wait for them. Otherwise as `build_stale`."""

        def wanted(index: Index, found: Catalogue) -> Mapping[str, str]:
            return why_outdated(found.roles, index.images(found.workspace.id))

        return self._build_again(root, wanted, trust, pausing)

    def _build_again(
        self,
        root: Path,
        wanted_of: Callable[[Index, Catalogue], Mapping[str, str]],
        trust: bool,
        pausing: Pausing | Wish,
    ) -> list[Run]:
        repository = _repository(root)
        found = catalogue.refresh(self._places, root)
        commit = repository.resolve("HEAD")
        who = repository.identity()
        with self._index() as index:
            again = wanted_of(index, found)
            active = {
                run.role: run.uid
                for run in index.runs(found.workspace.id, active_only=True)
                if run.request.commit == commit
            }
            if again or trust:
                self._check_trust(index, found.workspace, who, trust)
        names = order_for_rebuild(found.roles, again).roles
        roles = roles_at(self._places, repository, commit, names) if names else {}
        if self._able is not None:
            self._able([roles[name] for name in names if name in roles and name not in active])
        pausing = _pausing(repository, commit, pausing)
        started: list[Run] = []
        left_out: set[str] = set()
        for name in names:
            if name in active:
                continue
            try:
                wanted = buildable(roles, name, commit)
                builds = chosen_builds(wanted, ())
            except RefusedError:
                left_out.add(name)
                continue
            if (parent := parent_of(wanted)) in left_out:
                left_out.add(name)
                continue
            run = self._submit(found.workspace, who, wanted, commit, "HEAD", builds, active.get(parent, ""), pausing)
            active[name] = run.uid
            started.append(run)
        return started

    def about(
        self,
        root: Path,
        image: ImageVersion,
        purpose: Purpose,
        *,
        at: str = "",
        builds: tuple[str, ...] = (),
        formats: tuple[str, ...] = (),
        trust: bool = False,
    ) -> Run:
        """Queue a run about an image version that there is: a test of it, or its conversion.

        The role is as it is at the commit that `at` names, without that at the image's own. `builds` are those of the
        image that it is about. Raises as `build`.
        """
        self._places.create()
        repository = _repository(root)
        workspace = catalogue.identify(root)
        commit = repository.resolve(at or image.commit)
        role = buildable(roles_at(self._places, repository, commit, ()), image.role, commit)
        who = repository.identity()
        with self._index() as index:
            self._check_trust(index, workspace, who, trust)
        about = _About(purpose, image.version, formats)
        return self._submit(workspace, who, role, commit, at or image.version, builds, "", NEVER, about)

    def rebuild(self, which: int | str) -> Run:
        """The same once more: the commit, the role as it was there, the builds and the pausing of an earlier run.

        Raises RefusedError where there is no such run.
        """
        run = self._run(which)
        root = Path(run.request.workspace.root)
        who = _repository(root).identity()
        asked = run.request
        if asked.purpose is not Purpose.CONVERT:  # which executes nothing of the workspace
            with self._index() as index:
                self._check_trust(index, asked.workspace, who, trust=False)
        about = _About(asked.purpose, asked.version, asked.formats)
        return self._submit(
            asked.workspace, who, asked.role, asked.commit, asked.ref, asked.builds, "", asked.pausing, about
        )

    def at_stake(self, which: int | str) -> AtStake:
        """What ends with a run that is cancelled now. Raises RefusedError where there is no such run."""
        run = self._run(which)
        with self._index() as index:
            return AtStake.of(index.run(run.uid) or run, index.pauses(run.uid), index.machines(run.uid))

    def cancel(self, which: int | str, told: Collection[str] | None = None) -> Run:
        """Ask for the end of a run; what it started is cleaned up. Gives the run as it is right after.

        `told` are the ids of the pauses that whoever asks knows of: one that was answered meanwhile, or another one, is
        not hit. Without it, whatever the run waits for. Raises RefusedError where that is so, there is no such run, or
        it has ended.
        """
        run = self._run(which)
        try:
            repository = GitRepository.find(Path(run.request.workspace.root))
        except WorkspaceError:
            repository = None
        # The tree may be gone by now: who cancels is then known by the machine alone.
        who = repository.identity() if repository else self._environ.get("USER") or "somebody on this machine"
        return self.engine.cancel(run.uid, who, told)

    def give_secrets(self, which: int | str) -> Run:
        """Give a run that waits for credentials those of this shell; also one that has ended, where its machine was
        kept in a cloud and is to be ended with them.

        Raises RefusedError where there is no such run, it needs none, or this shell lacks one.
        """
        run = self._run(which)
        if run.state.ended and not self._keeps_a_machine(run):
            raise RefusedError(f"Run {run.id} has ended: {run.state}.")
        if not run.request.secret_names:
            raise RefusedError(f"Run {run.id} was started without credentials from a shell.", "It needs none.")
        missing = [name for name in run.request.secret_names if name not in self._environ]
        if missing:
            raise RefusedError(
                f"This shell does not have {', '.join(missing)}, which run {run.id} was started with.",
                "Set them as they were, then once more; or cancel the run.",
            )
        self.engine.give_secrets(run.uid, {name: self._environ[name] for name in run.request.secret_names})
        return run

    def runs(self, workspace_id: str | None = None, *, limit: int | None = None) -> list[Run]:
        """Runs, newest first, of one workspace or all."""
        with self._index() as index:
            return index.runs(workspace_id, limit=limit)

    def _submit(
        self,
        workspace: Workspace,
        who: str,
        role: Role,
        commit: str,
        ref: str,
        builds: tuple[str, ...],
        parent_run: str,
        pausing: Pausing,
        about: "_About | None" = None,
    ) -> Run:
        secrets = secrets_for(role, self._environ)
        request = RunRequest(
            workspace=workspace,
            role=role,
            commit=commit,
            ref=ref,
            builds=builds,
            asked_by=who,
            asked_at=time.time(),
            environment=references(self._environ),
            secret_names=tuple(secrets),
            parent_run=parent_run,
            pausing=pausing,
            purpose=about.purpose if about else Purpose.BUILD,
            version=about.version if about else "",
            formats=about.formats if about else (),
        )
        return self.engine.submit(request, secrets)

    def _run(self, which: int | str) -> Run:
        with self._index() as index:
            run = index.run(which)
        if run is None:
            raise RefusedError(f"There is no run {which} on this machine.", "ingot runs --all lists them.")
        return run

    def _keeps_a_machine(self, run: Run) -> bool:
        with self._index() as index:
            return any(machine.state is MachineState.KEPT for machine in index.machines(run.uid))

    def _check_trust(self, index: Index, workspace: Workspace, who: str, trust: bool) -> None:
        if trust:
            index.trust(workspace, who)
        if not index.trusted(workspace):
            raise UntrustedError(workspace)

    @contextmanager
    def _index(self) -> Generator[Index]:
        self._places.create()
        index = Index(self._places.index)
        try:
            yield index
        finally:
            index.close()


def _repository(root: Path) -> GitRepository:
    repository = GitRepository.find(root)
    if repository is None:
        raise WorkspaceError(
            f"{root} is in no Git repository: there is no commit to build.",
            "git init, git add, git commit; then again.",
        )
    return repository


def _pausing(repository: GitRepository, commit: str, wanted: Pausing | Wish) -> Pausing:
    if isinstance(wanted, Pausing):
        return wanted
    try:
        configuration = config.parse(repository.file_at(commit, config.NAME))
    except WorkspaceError:  # the commit has none
        configuration = config.Configuration()
    return configuration.debug.pausing(wanted)


def _has_one_to_build_on(index: Index, workspace: Workspace, role: Role) -> bool:
    """Whether there is an image of the role's parent, as far as the index knows, that may be built on."""
    parent = parent_of(role)
    images = index.images(workspace.id, parent) if parent else []
    return not parent or any(image.state in role.upstream.built_on for image in images)


def _parents_first(wanted: Mapping[str, Role]) -> list[str]:
    """The names in their order, but for those built on another of them. No circle is among them: it is a problem."""

    def depth(name: str) -> int:
        parent = parent_of(wanted[name])
        return depth(parent) + 1 if parent in wanted else 0

    return sorted(wanted, key=depth)
