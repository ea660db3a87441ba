"""The pauses of runs and the machines of their builds, in the index: what a person is asked, and where they can look.

The holder of a paused tool decides which answer counts (core/holding.py); here it is written down for all to see.
"""

import sqlite3

import msgspec
from msgspec.structs import replace

from core.errors import EngineError, RefusedError
from core.model.machine import Login, Machine, MachineState
from core.model.pause import Pause, PauseKind
from core.store.database import Database, decode


class Pauses(Database):
    """The part of the index about pauses and machines. All methods raise StoreError as those of Index do."""

    def add_pause(self, pause: Pause) -> Pause:
        """Record a pause; one that is known already (its worker died and came back) stays as it is. Gives it as it
        is recorded."""
        with self._writing() as write:
            write(
                "INSERT OR IGNORE INTO pauses VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    pause.run_uid,
                    pause.stage_key,
                    pause.number,
                    pause.kind,
                    pause.step,
                    pause.why,
                    pause.since,
                    pause.until,
                    pause.provisioners,
                    pause.answer,
                    pause.answered_by,
                    pause.answered_at,
                ),
            )
            return self._known_pause(pause.id)

    def answered(self, pause_id: str, answer: str, by: str, at: float) -> bool:
        """Note how a pause was answered; False, and nothing is changed, where it was already.

        Raises EngineError where there is no such pause.
        """
        with self._writing() as write:
            if not self._known_pause(pause_id).open:
                return False
            write(
                "UPDATE pauses SET answer = ?, answered_by = ?, answered_at = ?"
                " WHERE run_uid = ? AND stage_key = ? AND number = ?",
                (answer, by, at, *_parts(pause_id)),
            )
            return True

    def set_pause_until(self, pause_id: str, until: float | None) -> None:
        """Note when the machine is cleaned up, seconds since the epoch. Raises EngineError where there is no such
        pause."""
        with self._writing() as write:
            if self._known_pause(pause_id).until != until:
                write(
                    "UPDATE pauses SET until = ? WHERE run_uid = ? AND stage_key = ? AND number = ?",
                    (until, *_parts(pause_id)),
                )

    def pauses(self, run_uid: str | None = None, *, open_only: bool = False) -> list[Pause]:
        """Pauses, the oldest first: of one run, or all; those that nobody has answered yet."""
        return [
            _pause(row)
            for row in self._read(
                "SELECT * FROM pauses WHERE (? IS NULL OR run_uid = ?) AND (NOT ? OR answered_at IS NULL)"
                " ORDER BY since, run_uid, stage_key, number",
                run_uid,
                run_uid,
                open_only,
            )
        ]

    def save_machine(self, machine: Machine) -> None:
        """Keep what is known of the machine of a build, in place of what was."""
        with self._writing() as write:
            if self.machine(machine.run_uid, machine.stage_key) != machine:
                write(
                    "INSERT OR REPLACE INTO machines VALUES (?, ?, ?, ?)",
                    (machine.run_uid, machine.stage_key, machine.state, msgspec.json.encode(machine)),
                )

    def machine(self, run_uid: str, stage_key: str) -> Machine | None:
        """The machine of one stage of one run; None as long as none is known."""
        rows = self._read("SELECT machine FROM machines WHERE run_uid = ? AND stage_key = ?", run_uid, stage_key)
        return decode(rows[0]["machine"], Machine) if rows else None

    def machines(self, run_uid: str | None = None, *, living_only: bool = True) -> list[Machine]:
        """Machines, the oldest run's first: of one run, or all; those that are not gone."""
        rows = self._read(
            "SELECT machine FROM machines WHERE (? IS NULL OR run_uid = ?) AND (NOT ? OR state != ?)"
            " ORDER BY run_uid, stage_key",
            run_uid,
            run_uid,
            living_only,
            MachineState.GONE,
        )
        return [decode(row["machine"], Machine) for row in rows]

    def set_machine_until(self, run_uid: str, stage_key: str, until: float | None) -> Machine:
        """Say when a kept machine is ended, seconds since the epoch; None: never, and now or earlier: now. The worker
        acts on it (core/engine/keeping.py). Gives the machine as it is then.

        Raises RefusedError where no machine is kept there, or no longer.
        """
        with self._writing():
            machine = self.machine(run_uid, stage_key)
            if machine is None or machine.state is not MachineState.KEPT:
                why = "has ended" if machine is not None and machine.state is MachineState.GONE else "is not kept"
                raise RefusedError(f"The machine of {stage_key.rpartition('/')[2]} {why}.")
            machine = replace(machine, until=until)
            self.save_machine(machine)
            return machine

    def set_machine_login(self, run_uid: str, stage_key: str, login: Login) -> Machine:
        """Say how a machine is entered from now on; whatever else is known of it stays as it is. Gives it as it is
        then.

        Raises RefusedError where none is known there, or it has ended.
        """
        with self._writing():
            machine = self.machine(run_uid, stage_key)
            if machine is None or machine.state is MachineState.GONE:
                why = "has ended" if machine is not None else "is not known"
                raise RefusedError(f"The machine of {stage_key.rpartition('/')[2]} {why}.")
            machine = replace(machine, login=login)
            self.save_machine(machine)
            return machine

    def _known_pause(self, pause_id: str) -> Pause:
        rows = self._read("SELECT * FROM pauses WHERE run_uid = ? AND stage_key = ? AND number = ?", *_parts(pause_id))
        if not rows:
            raise EngineError(f"There is no pause {pause_id}.")
        return _pause(rows[0])


def _parts(pause_id: str) -> tuple[str, str, int]:
    """The run, the stage and the number in a pause's id; what is none finds nothing."""
    run_uid, _, rest = pause_id.partition("/")
    stage_key, _, number = rest.rpartition("/")
    return run_uid, stage_key, int(number) if number.isdecimal() else -1


def _pause(row: sqlite3.Row) -> Pause:
    return Pause(
        run_uid=row["run_uid"],
        stage_key=row["stage_key"],
        number=row["number"],
        kind=PauseKind(row["kind"]),
        step=row["step"],
        why=row["why"],
        since=row["since"],
        until=row["until"],
        provisioners=row["provisioners"],
        answer=row["answer"],
        answered_by=row["answered_by"],
        answered_at=row["answered_at"],
    )
