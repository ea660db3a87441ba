"""The durable flow of a run, on DBOS: which stages are done survives everything. The only module that imports dbos.

Each stage is one step. A step never raises: how a stage ended is its result, as a word, and what it found is in the
index. What a step does when it is carried out again after a crash is execution.py's business.

DBOS's own queues are not used: a flow that waits, or is paused, would keep its slot there (its `worker_concurrency`
counts what is pending), and they are polled, which is both slower and dearer than being told. slots.py has the slots.
"""

import hashlib
import logging
import os
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Never, Protocol

import dbos._serialization as pickling  # dbos is pinned: see refuse_pickle
import msgspec
from dbos import DBOS, DBOSConfig, Serializer, SetWorkflowID

from core.errors import EngineError

FLOWS_VERSION = "1"
"""Compatibility number of the flows below. DBOS goes on only with flows of its own application version: it grows when
the order or the meaning of the steps changes, and `Flows.start` then carries on with a new flow for the same run."""

SUCCEEDED = "succeeded"
"""The result of a stage after which the next one begins. Any other word ends the run."""

_ALIVE = ("PENDING", "ENQUEUED", "DELAYED")
_ENDED = ("SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED")
_FORGOTTEN_AT_ONCE = 500


class Work(Protocol):
    """What the steps do; both are called from a thread of the flow and block until it is done."""

    def carry_out(self, uid: str, key: str) -> str:
        """One stage. Gives `succeeded`, or how else it ended."""
        ...

    def finish(self, uid: str) -> None:
        """All stages have succeeded, or one has not."""
        ...


_work: Work | None = None


def _at_work() -> Work:
    assert _work is not None, "a flow ran before `Flows.open`"
    return _work


@DBOS.step(name="stage")
def carry_out_stage(uid: str, key: str) -> str:
    """Carry out one stage of a run."""
    return _at_work().carry_out(uid, key)


@DBOS.step(name="finish")
def finish_run(uid: str) -> None:
    """Bring a run into its last state."""
    _at_work().finish(uid)


@DBOS.workflow(name="image run", max_recovery_attempts=None)
def image_run(uid: str, keys: list[str]) -> str:
    """All stages of a run, in order, up to the first that does not succeed."""
    outcome = SUCCEEDED
    for key in keys:
        outcome = carry_out_stage(uid, key)
        if outcome != SUCCEEDED:
            break
    finish_run(uid)
    return outcome


class JsonSerializer(Serializer):
    """What DBOS keeps is JSON: a forged row is then a wrong value, and never code."""

    def serialize(self, data: Any) -> str:
        return msgspec.json.encode(data, enc_hook=_as_text).decode()

    def deserialize(self, serialized_data: str) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride] - dbos calls its self `cls`
        return msgspec.json.decode(serialized_data)

    def name(self) -> str:
        return "ingot_json"


def _as_text(thing: object) -> str:
    """Only exceptions of DBOS's own come here: no step of ours raises."""
    return f"{type(thing).__name__}: {thing}"


def refuse_pickle() -> None:
    """Make DBOS unable to unpickle.

    A row says by itself how it is serialised, and DBOS 3.4.0 obeys `py_pickle` whatever serializer it was given
    (_serialization.py, deserialize_value): whoever can write to the database could otherwise execute code here.
    """

    def refuse(*_: object) -> Never:
        raise EngineError(
            "The engine's database holds a pickled value, which Ingot never writes: somebody tampered with it.",
            "Find out who can write to it; then move it away: runs go on from the index.",
        )

    for name in ("serialize", "deserialize"):
        setattr(pickling.DefaultSerializer, name, refuse)


class Flows:
    """The engine's database, opened by the one worker that may."""

    @staticmethod
    def open(url: str, home: Path, work: Work) -> "Flows":
        """Start DBOS, which at once goes on with the flows that an earlier worker of this machine left.

        Raises EngineError when the database cannot be used.
        """
        global _work
        _work = work
        refuse_pickle()
        logging.getLogger("dbos").setLevel(logging.WARNING)
        executor = executor_id(home)
        if url.startswith("sqlite:///"):
            _prepare_file(Path(url.removeprefix("sqlite:///")))
        config: DBOSConfig = {
            # In a shared database DBOS hands flows only to the application that made them: so each worker is one.
            "name": f"ingot-{executor}",
            "system_database_url": url,
            "application_version": _application_version(executor),
            "executor_id": executor,
            "serializer": JsonSerializer(),
            "enable_otlp": False,
            "log_level": "WARNING",
            "scheduler_polling_interval_sec": 3600.0,
            "notification_listener_polling_interval_sec": 60.0,
            "sys_db_pool_size": 5,
        }
        try:
            DBOS(config=config)
            DBOS.launch()
        except Exception as error:
            raise EngineError(
                f"The engine cannot use its database: {type(error).__name__}: {_without_password(str(error), url)}",
                "Look at [engine] in config.toml, or move engine.sqlite away: runs go on from the index.",
            ) from error
        return Flows(_application_version(executor))

    def __init__(self, application_version: str) -> None:
        self._version = application_version

    def start(self, uid: str, keys: tuple[str, ...]) -> None:
        """Start the flow of a run, or do nothing when it is on its way already. Blocks for milliseconds.

        Where the flow of the run has ended although the run has not (its database was put back, a newer version of the
        flows), another one goes on with it.
        """
        number = 1
        while (status := DBOS.get_workflow_status(_flow_id(uid, number))) is not None:
            if status.status in _ALIVE and status.app_version == self._version:
                return
            if status.status in _ALIVE:
                DBOS.cancel_workflow(_flow_id(uid, number))
            number += 1
        with SetWorkflowID(_flow_id(uid, number)):
            DBOS.start_workflow(image_run, uid, list(keys))

    def forget_ended(self, older_than: float) -> int:
        """Take away flows that ended more than so many seconds ago, some hundreds at once; gives how many.

        Their runs are in the index; DBOS itself keeps everything for ever.
        """
        moment = datetime.fromtimestamp(time.time() - older_than, tz=UTC).isoformat()
        ended = DBOS.list_workflows(
            status=list(_ENDED),
            end_time=moment,
            executor_id=self._version.partition(".")[0],
            limit=_FORGOTTEN_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        if ended:
            DBOS.delete_workflows([flow.workflow_id for flow in ended])
        return len(ended)


def _application_version(executor: str) -> str:
    """DBOS wants it to be unique among all applications of a database, and each worker is one."""
    return f"{executor}.{FLOWS_VERSION}"


def _flow_id(uid: str, number: int) -> str:
    return uid if number == 1 else f"{uid}.{number}"


def executor_id(home: Path) -> str:
    """Stable for one user's Ingot on one machine: DBOS carries on with the flows of the same executor."""
    try:
        machine = Path("/etc/machine-id").read_text().strip()
    except OSError:
        machine = os.uname().nodename
    return hashlib.sha256(f"{machine}\0{os.getuid()}\0{home}".encode()).hexdigest()[:16]


def _prepare_file(path: Path) -> None:
    """DBOS makes its file readable for all and leaves it in rollback mode: make it first, and rightly."""
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        path.chmod(0o600)
        connection = sqlite3.connect(path)
        try:
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    except (OSError, sqlite3.Error) as error:
        raise EngineError(
            f"The engine's file {path} cannot be used: {error}.",
            f"Move it away and start again: mv {path} {path}.damaged",
            kept="Runs are recorded in the index, and go on from there.",
        ) from error


def _without_password(said: str, url: str) -> str:
    password = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    return said.replace(password, "«redacted»") if password else said
