"""A run: one execution of a pipeline, its stages, and the states that both can be in."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from core.model.pause import NEVER, Pausing
from core.model.pipeline import Purpose
from core.model.role import Role
from core.model.workspace import Workspace


class RunState(StrEnum):
    """Where a run stands; `may_become` has the order."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    PAUSED = "paused"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def ended(self) -> bool:
        return self in (RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.LOST)

    def may_become(self, other: "RunState") -> bool:
        return other in _FOLLOWS[self]


_FOLLOWS: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.WAITING, RunState.CANCELLED, RunState.LOST}),
    RunState.RUNNING: frozenset(
        {
            RunState.WAITING,
            RunState.PAUSED,
            RunState.CANCELLING,
            RunState.SUCCEEDED,
            RunState.FAILED,
            RunState.LOST,
        }
    ),
    RunState.WAITING: frozenset({RunState.RUNNING, RunState.CANCELLING, RunState.FAILED, RunState.LOST}),
    RunState.PAUSED: frozenset({RunState.RUNNING, RunState.CANCELLING, RunState.FAILED, RunState.LOST}),
    RunState.CANCELLING: frozenset({RunState.CANCELLED, RunState.FAILED, RunState.LOST}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
    RunState.LOST: frozenset(),
}


class StageState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    WAITING = "waiting"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    LOST = "lost"

    @property
    def ended(self) -> bool:
        return self in (StageState.SUCCEEDED, StageState.FAILED, StageState.CANCELLED, StageState.LOST)


class RunRequest(msgspec.Struct, frozen=True):
    """Everything a worker needs to carry out a run. Holds no secret: only their names."""

    workspace: Workspace
    role: Role
    """As it is at `commit`."""
    commit: str
    """Full hash. What is built is this commit, in a private clone; uncommitted changes are not in it."""
    ref: str
    """What the person asked for: `HEAD`, a branch, a tag."""
    builds: tuple[str, ...]
    """Names of the role's builds, in order."""
    asked_by: str
    """`Name <mail>` as Git knows the person."""
    asked_at: float
    environment: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """References to credentials (AWS_PROFILE, AWS_REGION, SSH_AUTH_SOCK, …) for the run's tools; never a secret."""
    secret_names: tuple[str, ...] = ()
    """Environment variables with secrets that the person's shell had; their values travel over the worker's socket."""
    parent_run: str = ""
    """Uid of the run that makes the parent role's image (`--stale` builds parents first); waits for it."""
    pausing: Pausing = NEVER
    """When the build may pause. Requests of an Ingot that knew none have none."""
    purpose: Purpose = Purpose.BUILD
    version: str = ""
    """The image version that a run is about which makes none (TEST, CONVERT); `builds` are those of it."""
    formats: tuple[str, ...] = ()
    """CONVERT: the formats to make."""


class Stage(msgspec.Struct, frozen=True):
    """One stage of one run."""

    key: str
    """Unique in the run: `validate`, or `build/qemu.web` where there is one for each build."""
    state: StageState = StageState.PENDING
    attempt: int = 0
    started: float | None = None
    ended: float | None = None
    progress: str = ""
    """What it is doing, in a few words, now."""
    fraction: float | None = None
    """How much of it is done, 0 to 1, where that is known."""
    error: str = ""
    """Why it failed, in one sentence."""
    next_step: str = ""
    """What to do about it."""

    @property
    def name(self) -> str:
        return self.key.partition("/")[0]

    @property
    def build(self) -> str:
        return self.key.partition("/")[2]


class Run(msgspec.Struct, frozen=True):
    """One execution of the image pipeline for one role."""

    id: int
    """Short number, unique on this machine; what people type."""
    uid: str
    """Unique everywhere; what tags and processes carry."""
    workspace_id: str
    role: str
    state: RunState
    request: RunRequest
    version: str = ""
    """Once reserved."""
    reason: str = ""
    """Why it waits, failed or was lost."""
    created: float = 0.0
    started: float | None = None
    ended: float | None = None
    stages: tuple[Stage, ...] = ()
    cancel_asked_by: str = ""

    @property
    def current(self) -> Stage | None:
        """The stage that works now or, after the end, the last one that did."""
        begun = [stage for stage in self.stages if stage.state is not StageState.PENDING]
        return begun[-1] if begun else None

    @property
    def failed_stage(self) -> Stage | None:
        return next((stage for stage in self.stages if stage.state is StageState.FAILED), None)

    @property
    def lost_stage(self) -> Stage | None:
        """The one whose tool vanished, in a run that was cancelled meanwhile, too."""
        return next((stage for stage in self.stages if stage.state is StageState.LOST), None)

    def stage(self, key: str) -> Stage | None:
        return next((stage for stage in self.stages if stage.key == key), None)
