"""What the workbench shows: one read of the index, as a value, and what keeps it fresh.

Reads the index only, and imports nothing that takes long to load (no engine, Git, HCL or cloud library): the first
picture stands on it. What finds things anew (`discover`) runs in a process of its own, so that no parser holds up the
screen.
"""

import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core.errors import IngotError, WorkspaceError
from core.model.image import ImageState, ImageVersion
from core.model.machine import Machine, MachineState
from core.model.pause import Pause
from core.model.role import Problem, Role
from core.model.run import Run, RunState
from core.model.stale import parent_of, why_outdated
from core.model.workspace import GitFacts, Workspace
from core.places import Places
from core.store.index import Index

RUNS_SHOWN = 500
"""The newest runs; older ones are in `ingot runs --all`."""
_RECENT = 20
"""Runs that are read anew whenever anything changed; of the older ones only those that have not ended."""
_PATIENCE = 300.0
"""Seconds that discovery may take in the largest repository."""
_GOOD = frozenset({ImageState.CANDIDATE, ImageState.GOOD, ImageState.RELEASED})


class RoleState(StrEnum):
    """How a role stands; what comes first hides what comes after it."""

    BUILDING = "building"
    QUEUED = "queued"
    WAITING = "waiting"
    PAUSED = "paused"
    BROKEN = "broken"
    """Its template or settings cannot be read: it cannot be built."""
    FAILED = "failed"
    """Its newest run failed, and no image was made since."""
    NO_IMAGE = "no image"
    STALE = "stale"
    OUTDATED = "outdated"
    """Stale for nothing but a newer good version of its parent."""
    CANDIDATE = "candidate"
    GOOD = "good"
    RELEASED = "released"
    DEPRECATED = "deprecated"
    REVOKED = "revoked"


_OF_RUN = {
    RunState.QUEUED: RoleState.QUEUED,
    RunState.RUNNING: RoleState.BUILDING,
    RunState.CANCELLING: RoleState.BUILDING,
    RunState.WAITING: RoleState.WAITING,
    RunState.PAUSED: RoleState.PAUSED,
}


class RoleView(msgspec.Struct, frozen=True):
    """A role with what is known of its images and runs."""

    role: Role
    latest: ImageVersion | None = None
    """Its newest image version, whatever its state."""
    last_good: ImageVersion | None = None
    """Its newest image version that is neither deprecated nor revoked."""
    stale: str = ""
    """Why its sources are newer than its last image; empty when they are not."""
    outdated: str = ""
    """Why its last image should be built again though its sources are the same: a parent has a newer good version."""
    run: Run | None = None
    """Its newest run."""
    depth: int = 0
    """How many roles of the workspace it is built on, one on the other."""

    @property
    def state(self) -> RoleState:
        run, latest = self.run, self.latest
        if run is not None and (state := _OF_RUN.get(run.state)):
            return state
        if self.role.problems:
            return RoleState.BROKEN
        failed = run is not None and run.state in (RunState.FAILED, RunState.LOST)
        if run is not None and failed and (latest is None or latest.created < run.created):
            return RoleState.FAILED
        if latest is None:
            return RoleState.NO_IMAGE
        if self.stale:
            return RoleState.OUTDATED if self.stale == self.outdated else RoleState.STALE
        return RoleState(latest.state.value)


class WorkerView(msgspec.Struct, frozen=True):
    """What the worker says of itself."""

    running: int = 0
    queued: int = 0
    waiting: int = 0


class Overview(msgspec.Struct, frozen=True):
    """Everything that the panes show, at one moment."""

    root: str
    workspace: Workspace | None = None
    """None before discovery was here for the first time."""
    git: GitFacts = msgspec.field(default_factory=GitFacts)
    roles: tuple[RoleView, ...] = ()
    images: Mapping[str, tuple[ImageVersion, ...]] = msgspec.field(default_factory=dict[str, tuple[ImageVersion, ...]])
    """Of each role, newest first."""
    runs: tuple[Run, ...] = ()
    """Newest first."""
    pauses: tuple[Pause, ...] = ()
    """Those of the runs that wait for an answer, the oldest first."""
    machines: tuple[Machine, ...] = ()
    """The living machines of the runs."""
    problems: tuple[Problem, ...] = ()
    """Of the workspace as a whole."""
    trusted: bool = False
    read_at: float = 0.0
    """When discovery last looked, in seconds since the epoch; 0 for never."""

    def role(self, name: str) -> RoleView | None:
        return next((view for view in self.roles if view.role.name == name), None)

    def image(self, role: str, version: str) -> ImageVersion | None:
        return next((image for image in self.images.get(role, ()) if image.version == version), None)

    def run(self, uid: str) -> Run | None:
        return next((run for run in self.runs if run.uid == uid), None)

    def pause(self, run_uid: str) -> Pause | None:
        """What a run waits for; of several, what it waits for longest."""
        return next((pause for pause in self.pauses if pause.run_uid == run_uid), None)

    def kept(self, run_uid: str) -> Machine | None:
        """The machine that outlived a run."""
        of_run = (machine for machine in self.machines if machine.run_uid == run_uid)
        return next((machine for machine in of_run if machine.state is MachineState.KEPT), None)

    @property
    def waiting_machines(self) -> int:
        """How many runs have a machine that waits for a person."""
        return sum(self.debuggable(run.uid) for run in self.runs)

    def debuggable(self, run_uid: str) -> bool:
        """Whether a machine of the run waits for a person: paused, or kept."""
        return self.pause(run_uid) is not None or self.kept(run_uid) is not None


def root_of(directory: Path) -> Path | None:
    """The working tree that a directory is in: the nearest one above it with `.git`, as Git finds it."""
    for place in (directory, *directory.parents):
        if (place / ".git").exists():
            return place
    return None


class Overviews:
    """Overviews of one workspace, each read when somebody changed something."""

    def __init__(self, places: Places, directory: Path) -> None:
        """Opens the index, making it if need be. Raises StoreError."""
        places.create()
        self._places = places
        self.directory = directory
        self._watched = Index(places.index)
        self._read = Index(places.index)
        self._seen: int | None = None
        self._images: tuple[tuple[str, str], dict[str, tuple[ImageVersion, ...]]] | None = None
        self._outdated: tuple[object, tuple[Role, ...], dict[str, str]] | None = None
        self._runs: tuple[Run, ...] = ()
        self._runs_are_of = ""
        self._fingerprint = self._look()

    @property
    def places(self) -> Places:
        """Where what is shown is kept: for whoever reads a log."""
        return self._places

    @property
    def root(self) -> Path | None:
        """The workspace's working tree; None where there is no Git repository."""
        return root_of(self.directory)

    def close(self) -> None:
        self._watched.close()
        self._read.close()

    def changed(self) -> bool:
        """Whether anybody wrote to the index since this was last asked; microseconds. Raises StoreError."""
        now = self._watched.data_version()
        before, self._seen = self._seen, now
        return now != before

    def read(self) -> Overview:
        """Read everything now; for a thread. Raises StoreError."""
        root = self.root
        if root is None:
            return Overview(str(self.directory))
        workspace = self._read.workspace_at(str(root))
        if workspace is None:
            return Overview(str(root))
        catalogue = self._read.catalogue(workspace.id, str(root))
        images = self._images_of(workspace.id)
        runs = self._runs_of(workspace.id)
        stale = self._read.stale(workspace.id)
        outdated = self._outdated_of(catalogue.roles if catalogue else (), images)
        known = {run.uid for run in runs}
        newest: dict[str, Run] = {}
        for run in runs:
            newest.setdefault(run.role, run)
        views: list[RoleView] = []
        for role in catalogue.roles if catalogue else ():
            versions = images.get(role.name, ())
            views.append(
                RoleView(
                    role,
                    versions[0] if versions else None,
                    next((image for image in versions if image.state in _GOOD), None),
                    stale.get(role.name, ""),
                    outdated.get(role.name, ""),
                    newest.get(role.name),
                )
            )
        return Overview(
            root=str(root),
            workspace=workspace,
            git=catalogue.git if catalogue else GitFacts(),
            roles=_by_lineage(views),
            images=images,
            runs=runs,
            pauses=tuple(pause for pause in self._read.pauses(open_only=True) if pause.run_uid in known),
            machines=tuple(machine for machine in self._read.machines() if machine.run_uid in known),
            problems=catalogue.problems if catalogue else (),
            trusted=self._read.trusted(workspace),
            read_at=catalogue.read_at if catalogue else 0.0,
        )

    def _runs_of(self, workspace_id: str) -> tuple[Run, ...]:
        """The newest runs. What has ended stays as it is (core/model/run.py), so that only the rest is read again.

        A build that shows its progress changes the index several times a second: reading hundreds of runs each time
        would take a quarter of a core.
        """
        before = self._runs if self._runs_are_of == workspace_id else ()
        fresh = {run.uid: run for run in self._read.runs(workspace_id, limit=_RECENT)}
        fresh |= {run.uid: run for run in self._read.runs(workspace_id, active_only=True)}
        gone_on = any(not run.state.ended and run.uid not in fresh for run in before)
        if gone_on or not any(run.uid in fresh for run in before):
            runs = tuple(self._read.runs(workspace_id, limit=RUNS_SHOWN))
        else:
            kept = (run for run in before if run.uid not in fresh)
            runs = tuple(sorted((*fresh.values(), *kept), key=lambda run: -run.id)[:RUNS_SHOWN])
        self._runs, self._runs_are_of = runs, workspace_id
        return runs

    def _images_of(self, workspace_id: str) -> dict[str, tuple[ImageVersion, ...]]:
        """Read again only when the ledger moved: there may be a hundred thousand of them."""
        at = (workspace_id, self._read.ledger_head(workspace_id))
        if self._images is not None and self._images[0] == at:
            return self._images[1]
        found: dict[str, list[ImageVersion]] = {}
        for image in self._read.images(workspace_id):
            found.setdefault(image.role, []).append(image)
        images = {role: tuple(versions) for role, versions in found.items()}
        self._images = (at, images)
        return images

    def _outdated_of(self, roles: tuple[Role, ...], images: dict[str, tuple[ImageVersion, ...]]) -> dict[str, str]:
        """Computed again only when the images or the roles are others."""
        if self._outdated is None or self._outdated[0] is not images or self._outdated[1] != roles:
            found = why_outdated(roles, [image for versions in images.values() for image in versions])
            self._outdated = (images, roles, found)
        return self._outdated[2]

    def worker(self) -> WorkerView | None:
        """What the worker is doing; None when none lives. For a thread. Raises EngineError."""
        from core.engine.client import Engine  # here: the first picture does not wait for it

        status = Engine(self._places).worker_status()
        return WorkerView(status.running, status.queued, status.waiting) if status else None

    # discovery

    async def discover(self) -> None:
        """Find roles, images and staleness anew, in a process of its own, into the index.

        Raises WorkspaceError with what discovery said, ToolError when it could not be started or took too long.
        """
        from core import process  # here: the first picture does not wait for it

        try:
            # -P: Python must not look for modules in a repository that nobody said to trust.
            finished = await process.run(
                [sys.executable, "-P", "-m", "core.cli", "-C", str(self.directory), "roles", "--refresh"],
                cwd=self._places.home,
                env=process.environment(
                    extra={"INGOT_HOME": str(self._places.home)}, keep=("SSH_AUTH_SOCK", "XDG_RUNTIME_DIR")
                ),
                timeout=_PATIENCE,
            )
        finally:
            self._fingerprint = self._look()
        if finished.code != 0:
            raise _said(finished.err)

    def repository_moved(self) -> bool:
        """Whether the repository looks different from when discovery last ended: a few stat calls."""
        return self._look() != self._fingerprint

    def _look(self) -> tuple[tuple[int, int], ...]:
        root = self.root
        if root is None:
            return ()
        git = _git_directory(root)
        common = git
        if (named := _first_line(git / "commondir")) is not None:
            common = (git / named).resolve()
        looked_at = [
            git / "HEAD",
            git / "index",
            common / "packed-refs",
            common / "refs/ingot/ledger",
            root / "ingot.toml",
        ]
        if (head := _first_line(git / "HEAD")) is not None and head.startswith("ref: "):
            looked_at.append(common / head.removeprefix("ref: "))
        return tuple(_stamp(path) for path in looked_at)


def _by_lineage(views: Sequence[RoleView]) -> tuple[RoleView, ...]:
    """Each role after the one that it is built on, and right below it; else in the order given."""
    known = {view.role.name for view in views}
    children: dict[str, list[RoleView]] = {}
    for view in views:
        parent = parent_of(view.role)
        children.setdefault(parent if parent in known and parent != view.role.name else "", []).append(view)
    ordered: list[RoleView] = []
    left = list(reversed(children.pop("", [])))
    while left:
        view = left.pop()
        ordered.append(view)
        below = children.pop(view.role.name, [])
        left += [replace(child, depth=view.depth + 1) for child in reversed(below)]
    # Roles built on each other in a circle: a mistake, which must not hide them.
    return (*ordered, *(view for rest in children.values() for view in rest))


def has_packer() -> bool:
    """Whether the tool that everything here stands on is installed."""
    from core import process  # here: the first picture does not wait for it

    return process.find("packer") is not None


def _git_directory(root: Path) -> Path:
    """`.git`, or where it points to in a worktree or submodule (gitrepository-layout(5))."""
    git = root / ".git"
    named = _first_line(git) if git.is_file() else None
    return (root / named.removeprefix("gitdir: ")).resolve() if named else git


def _first_line(path: Path) -> str | None:
    try:
        return path.read_text("utf-8", "replace").splitlines()[0].strip()
    except (OSError, IndexError):
        return None


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0)
    return (found.st_mtime_ns, found.st_size)


def _said(stderr: bytes) -> IngotError:
    """The error that the command printed (core/cli/output.py), as an error again."""
    lines = [line.strip() for line in stderr.decode("utf-8", "replace").splitlines() if line.strip()]
    own = next((at for at, line in enumerate(lines) if line.startswith("ingot: ")), None)
    if own is None:
        last = lines[-1] if lines else "it said nothing"
        return WorkspaceError(f"Looking through the repository failed: {last}", "Press F5 to try again.")
    return WorkspaceError(lines[own].removeprefix("ingot: "), " ".join(lines[own + 1 :]))
