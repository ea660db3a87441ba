"""The index: what the ledgers and the workspaces hold, made quick to ask, and the record of this machine's runs.

One SQLite file, shared by the workbench, the commands and the worker. Losing it loses no fact about an image: those are
rebuilt from the ledgers. Holds no secret, and no log.
"""

import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, TypeVar, Unpack

import msgspec

from core.errors import EngineError, RefusedError
from core.model.image import ImageVersion
from core.model.run import Run, RunRequest, RunState, Stage, StageState
from core.model.workspace import Catalogue, Workspace
from core.store.database import decode, sound
from core.store.index_pauses import Pauses

_T = TypeVar("_T")

_REMEMBERED_REQUESTS = 2_000
_PATIENCE = 15.0
"""Seconds that a write waits for another process's write; each takes milliseconds."""


class StageFields(TypedDict, total=False):
    """What of a stage can be changed; see Stage for the meanings, `StageJob` for `result`."""

    state: StageState
    attempt: int
    started: float | None
    ended: float | None
    progress: str
    fraction: float | None
    error: str
    next_step: str
    result: Mapping[str, object]


class Index(Pauses):
    """The index at a path; made when it is not there. May be used from several threads. Of pauses and machines it knows
    by Pauses.

    All methods raise StoreError when the file is damaged, full, on a network file system or of a newer Ingot.
    """

    def __init__(self, path: Path, *, clock: Callable[[], float] = time.time) -> None:
        super().__init__(path)
        self._clock = clock
        self._requests: dict[str, RunRequest] = {}

    # Workspaces and what was found in them

    def remember_workspace(self, workspace: Workspace) -> None:
        """Note that the workspace was opened at its root just now."""
        with self._writing() as write:
            write(
                "INSERT INTO roots VALUES (?, ?, ?, ?) ON CONFLICT (root) DO UPDATE SET"
                " workspace_id = excluded.workspace_id, workspace = excluded.workspace, seen = excluded.seen",
                (workspace.root, workspace.id, msgspec.json.encode(workspace).decode(), self._clock()),
            )

    def workspaces(self) -> list[Workspace]:
        """Each known workspace once, at the root where it was opened last; the last opened first."""
        rows = self._read("SELECT workspace_id, workspace FROM roots ORDER BY seen DESC")
        newest: dict[str, Workspace] = {}
        for row in rows:
            if row["workspace_id"] not in newest:
                newest[row["workspace_id"]] = decode(row["workspace"], Workspace)
        return list(newest.values())

    def workspace_at(self, root: str) -> Workspace | None:
        """The workspace that was last seen at this root."""
        rows = self._read("SELECT workspace FROM roots WHERE root = ?", root)
        return decode(rows[0]["workspace"], Workspace) if rows else None

    def trusted(self, workspace: Workspace) -> bool:
        """Whether somebody said that what the workspace's templates execute may be executed here."""
        return bool(self._read("SELECT 1 FROM trust WHERE workspace_id = ?", _trusted_as(workspace)))

    def trust(self, workspace: Workspace, by: str) -> None:
        with self._writing() as write:
            write("INSERT OR IGNORE INTO trust VALUES (?, ?, ?)", (_trusted_as(workspace), by, self._clock()))

    def save_catalogue(self, catalogue: Catalogue) -> None:
        """Keep what discovery found, for a first picture without waiting; also remembers the workspace."""
        self.remember_workspace(catalogue.workspace)
        with self._writing() as write:
            write(
                "INSERT OR REPLACE INTO catalogues VALUES (?, ?, ?, ?)",
                (catalogue.workspace.id, catalogue.workspace.root, catalogue.read_at, msgspec.json.encode(catalogue)),
            )

    def catalogue(self, workspace_id: str, root: str = "") -> Catalogue | None:
        """What was last found in the workspace; of its clones and worktrees the one at `root`, else the newest."""
        rows = self._read(
            "SELECT catalogue FROM catalogues WHERE workspace_id = ? AND (? = '' OR root = ?)"
            " ORDER BY read_at DESC LIMIT 1",
            workspace_id,
            root,
            root,
        )
        return decode(rows[0]["catalogue"], Catalogue) if rows else None

    def save_stale(self, workspace_id: str, why: Mapping[str, str]) -> None:
        """Keep which roles are stale (role → why); the others are not."""
        with self._writing() as write:
            if self.stale(workspace_id) == why:
                return
            write("DELETE FROM stale WHERE workspace_id = ?", (workspace_id,))
            for role, reason in why.items():
                write("INSERT INTO stale VALUES (?, ?, ?)", (workspace_id, role, reason))

    def stale(self, workspace_id: str) -> dict[str, str]:
        """Role → why its last image is stale, as of the last look."""
        return {
            row["role"]: row["why"]
            for row in self._read("SELECT role, why FROM stale WHERE workspace_id = ? ORDER BY role", workspace_id)
        }

    # Runs

    def add_run(self, request: RunRequest, stages: tuple[str, ...]) -> Run:
        """Record a new run, queued, with the keys of its stages in order. A worker takes it from here."""
        now = self._clock()
        # Begins with the time in milliseconds, so that directories and tags sort by age.
        uid = f"{int(now * 1000):011x}{os.urandom(5).hex()}"
        with self._writing() as write:
            write(
                "INSERT INTO runs (uid, workspace_id, role, state, request, created) VALUES (?, ?, ?, ?, ?, ?)",
                (uid, request.workspace.id, request.role.name, RunState.QUEUED, msgspec.json.encode(request), now),
            )
            for position, key in enumerate(stages):
                write("INSERT INTO stages (run_uid, position, key) VALUES (?, ?, ?)", (uid, position, key))
        return self._known(uid)

    def run(self, which: int | str) -> Run | None:
        """The run with this number (also as text) or uid."""
        if isinstance(which, str) and which.isdecimal() and len(which) < 12:
            which = int(which)
        column = "id" if isinstance(which, int) else "uid"
        return next(iter(self._runs(f"WHERE {column} = ?", which)), None)

    def runs(
        self, workspace_id: str | None = None, *, active_only: bool = False, limit: int | None = None
    ) -> list[Run]:
        """Runs, newest first; those of one workspace, those that have not ended."""
        conditions: list[str] = []
        values: list[object] = []
        if workspace_id is not None:
            conditions.append("workspace_id = ?")
            values.append(workspace_id)
        if active_only:
            conditions.append("ended IS NULL")
        where = f"WHERE {' AND '.join(conditions)}" if conditions else ""
        return self._runs(f"{where} ORDER BY id DESC LIMIT ?", *values, -1 if limit is None else limit)

    def set_run_state(self, uid: str, state: RunState, reason: str = "") -> None:
        """Bring a run into a state, with the reason for it.

        Being in that state already is no error (the reason is replaced). Raises RefusedError where the state may not
        follow the present one (RunState.may_become), EngineError where there is no such run.
        """
        with self._writing() as write:
            row = self._state_row(uid)
            now = RunState(row["state"])
            if now is not state and not now.may_become(state):
                raise RefusedError(f"Run {row['id']} is {now} and cannot become {state}.")
            moment = self._clock()
            write(
                "UPDATE runs SET state = ?, reason = ?, started = coalesce(started, ?), ended = coalesce(ended, ?)"
                " WHERE uid = ?",
                (state, reason, moment if state is RunState.RUNNING else None, moment if state.ended else None, uid),
            )

    def set_version(self, uid: str, version: str) -> None:
        """Note the version that the run's image will have."""
        with self._writing() as write:
            write("UPDATE runs SET version = ? WHERE uid = ?", (version, uid))

    def update_stage(self, uid: str, key: str, **fields: Unpack[StageFields]) -> None:
        """Change what is known of a stage of a run. Raises EngineError where there is no such stage."""
        columns: dict[str, Any] = dict(fields)
        if "result" in columns:
            columns["result"] = msgspec.json.encode(columns["result"])
        unknown = columns.keys() - StageFields.__annotations__.keys()
        if unknown or not columns:
            raise ValueError(f"no such fields of a stage: {sorted(unknown)}")
        with self._writing() as write:
            changed = write(
                f"UPDATE stages SET {', '.join(f'{name} = ?' for name in columns)} WHERE run_uid = ? AND key = ?",  # noqa: S608 - the names are those of StageFields
                (*columns.values(), uid, key),
            )
            if not changed:
                raise EngineError(f"Run {uid} has no stage {key}.")

    def stage_result(self, uid: str, key: str) -> dict[str, object]:
        """What the stage returned; empty before it has succeeded."""
        rows = self._read("SELECT result FROM stages WHERE run_uid = ? AND key = ?", uid, key)
        return decode(rows[0]["result"], dict[str, object]) if rows and rows[0]["result"] is not None else {}

    def ask_cancel(self, uid: str, by: str, told: Collection[str] | None = None) -> None:
        """Ask for the end of a run; the worker acts on it, now or when one lives again.

        A queued run has begun nothing and is cancelled at once. `told` are the ids of the pauses that whoever asks
        knows of; without it, all are meant. Raises RefusedError where the run has ended, or waits in a pause that is
        not among those; EngineError where there is no such run.
        """
        with self._writing() as write:
            row = self._state_row(uid)
            state = RunState(row["state"])
            if state.ended:
                raise RefusedError(f"Run {row['id']} has ended already: it {_ENDED_AS[state]}.")
            new = [pause for pause in self.pauses(uid, open_only=True) if told is not None and pause.id not in told]
            if new:
                raise RefusedError(
                    f"Run {row['id']} has paused meanwhile: {new[0].why or 'it waits for an answer.'}",
                    "Nothing was cancelled: look at what it waits for, and cancel it then.",
                )
            write("UPDATE runs SET cancel_asked_by = ? WHERE uid = ? AND cancel_asked_by = ''", (by, uid))
            if state is RunState.QUEUED:
                self.set_run_state(uid, RunState.CANCELLED, f"cancelled by {by} before it began")

    # Images, as the ledgers have them

    def replace_images(self, workspace_id: str, images: Sequence[ImageVersion], ledger_head: str) -> None:
        """Make the index of a workspace's images equal to its ledger, whose head is `ledger_head`."""
        wanted = {(image.role, image.version): (image.created, msgspec.json.encode(image)) for image in images}
        with self._writing() as write:
            for row in self._read("SELECT role, version, image FROM images WHERE workspace_id = ?", workspace_id):
                key = (row["role"], row["version"])
                if key not in wanted:
                    write(
                        "DELETE FROM images WHERE workspace_id = ? AND role = ? AND version = ?", (workspace_id, *key)
                    )
                elif wanted[key][1] == row["image"]:
                    del wanted[key]
            for (role, version), (created, image) in wanted.items():
                write(
                    "INSERT OR REPLACE INTO images VALUES (?, ?, ?, ?, ?)",
                    (workspace_id, role, version, created, image),
                )
            if self.ledger_head(workspace_id) != ledger_head:
                write("INSERT OR REPLACE INTO ledger_heads VALUES (?, ?)", (workspace_id, ledger_head))

    def images(self, workspace_id: str, role: str | None = None) -> list[ImageVersion]:
        """The image versions of a workspace, or of one role of it, newest first."""
        rows = self._read(
            "SELECT image FROM images WHERE workspace_id = ? AND (? IS NULL OR role = ?)"
            " ORDER BY created DESC, version DESC",
            workspace_id,
            role,
            role,
        )
        decoder = msgspec.json.Decoder(ImageVersion)
        with sound():
            return [decoder.decode(row["image"]) for row in rows]

    def ledger_head(self, workspace_id: str) -> str:
        """The commit of the ledger that the index was last made equal to; empty before that."""
        rows = self._read("SELECT head FROM ledger_heads WHERE workspace_id = ?", workspace_id)
        return rows[0]["head"] if rows else ""

    # How it is done

    def _runs(self, rest: str, *values: object) -> list[Run]:
        with self._lock:
            rows = self._read(f"SELECT * FROM runs {rest}", *values)  # noqa: S608 - `rest` is one of the texts above
            stages: dict[str, list[Stage]] = {row["uid"]: [] for row in rows}
            for uids in _portions(list(stages), 500):
                marks = ", ".join("?" * len(uids))
                for row in self._read(
                    f"SELECT * FROM stages WHERE run_uid IN ({marks}) ORDER BY run_uid, position",  # noqa: S608 - question marks
                    *uids,
                ):
                    stages[row["run_uid"]].append(_stage(row))
            return [self._run(row, stages[row["uid"]]) for row in rows]

    def _run(self, row: sqlite3.Row, stages: list[Stage]) -> Run:
        request = self._requests.get(row["uid"])
        if request is None:
            if len(self._requests) >= _REMEMBERED_REQUESTS:
                self._requests.clear()
            request = self._requests[row["uid"]] = decode(row["request"], RunRequest)
        return Run(
            id=row["id"],
            uid=row["uid"],
            workspace_id=row["workspace_id"],
            role=row["role"],
            state=RunState(row["state"]),
            request=request,
            version=row["version"],
            reason=row["reason"],
            created=row["created"],
            started=row["started"],
            ended=row["ended"],
            stages=tuple(stages),
            cancel_asked_by=row["cancel_asked_by"],
        )

    def _known(self, uid: str) -> Run:
        run = self.run(uid)
        if run is None:
            raise EngineError(f"There is no run {uid}.")
        return run

    def _state_row(self, uid: str) -> sqlite3.Row:
        rows = self._read("SELECT id, state FROM runs WHERE uid = ?", uid)
        if not rows:
            raise EngineError(f"There is no run {uid}.")
        return rows[0]


_ENDED_AS: Mapping[RunState, str] = {
    RunState.SUCCEEDED: "succeeded",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "was cancelled",
    RunState.LOST: "was lost",
}


def _trusted_as(workspace: Workspace) -> str:
    """Never by what the repository says of itself: an `id` can be copied. (Runs of an older Ingot know no more.)"""
    return workspace.provenance or workspace.id


def _stage(row: sqlite3.Row) -> Stage:
    return Stage(
        key=row["key"],
        state=StageState(row["state"]),
        attempt=row["attempt"],
        started=row["started"],
        ended=row["ended"],
        progress=row["progress"],
        fraction=row["fraction"],
        error=row["error"],
        next_step=row["next_step"],
    )


def _portions(items: list[str], size: int) -> Iterable[list[str]]:
    return (items[first : first + size] for first in range(0, len(items), size))
