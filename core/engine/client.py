"""The engine as everybody but the worker sees it: a run is written down, and the worker is woken or started.

Never imports dbos: the workbench and the commands must start at once.
"""

import fcntl
import os
import re
import socket
import sys
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import process
from core.engine.protocol import (
    CANNOT_WORK,
    LINE_LIMIT,
    Ask,
    GiveSecrets,
    Message,
    Reply,
    Stop,
    Wake,
    WorkerStatus,
    mine,
    peer_is_me,
    presence,
    version_key,
)
from core.engine.settings import PASSED_ON
from core.errors import EngineError, RefusedError, ToolError
from core.living import Identity
from core.model.notify import VARIABLE
from core.model.pause import Pause
from core.model.pipeline import stages_of
from core.model.run import Run, RunRequest
from core.places import Places
from core.store.index import Index

WORKER: tuple[str, ...] = (sys.executable, "-P", "-m", "core.engine.worker")
"""`-P`: nothing in the directory where it starts can take the place of our modules."""
_ANSWER = 20.0
"""Seconds in which a worker answers; it is busy for milliseconds at most."""
_STARTS = 2
"""Workers that a client starts before it says that they do not live. The first may have lost against another client's
which then ended."""
_START = 60.0
"""Seconds in which a worker starts, on a machine that is busy building."""


class Engine:
    """The engine of one user on one machine. All methods block for milliseconds, or until a worker has started."""

    def __init__(self, places: Places, *, worker: Sequence[str] = WORKER) -> None:
        self._places = places
        self._worker = worker

    def submit(self, request: RunRequest, secrets: Mapping[str, str] | None = None) -> Run:
        """Write a run down, queued, and see to it that a worker takes it.

        `secrets` are the values of `request.secret_names` that are at hand; they go to the worker's memory. Raises
        StoreError when the run could not be written down; EngineError when it was, but no worker starts.
        """
        self._places.create()
        given = dict(secrets or {})
        request = replace(request, secret_names=tuple(name for name in request.secret_names if name in given))
        index = Index(self._places.index)
        try:
            run = index.add_run(request, stages_of(request.role, request.builds, request.purpose))
        finally:
            index.close()
        self._tell(GiveSecrets(run.uid, given) if given else Wake())
        return run

    def cancel(self, which: int | str, by: str, told: Collection[str] | None = None) -> Run:
        """Ask for the end of a run, by number or uid: what it started is cleaned up. Gives it as it is right after.

        `told` are the ids of the pauses that whoever asks knows of (none: it works); without it, whatever it waits for.
        Compare and swap: a pause that somebody has answered meanwhile, or another one, is not hit. Not on an event
        loop. Raises RefusedError, and nothing is cancelled, where that is so, there is no such run, or it has ended.
        """
        index = Index(self._places.index)
        try:
            run = index.run(which)
            if run is None:
                raise RefusedError(f"There is no run {which} on this machine.", "ingot runs --all lists them.")
            answered = [self._answer_with_cancel(index, pause_id, by) for pause_id in sorted(told or ())]
            try:
                index.ask_cancel(run.uid, by, told)
            except RefusedError:
                if not any(answered):  # else the answer was enough: it was quick, and the run has ended
                    raise
            run = index.run(run.uid) or run
        finally:
            index.close()
        if not run.state.ended:
            self._tell(Wake())
        return run

    def _answer_with_cancel(self, index: Index, pause_id: str, by: str) -> bool:
        """The holder of the paused tool decides who was first, whether a worker lives or not. False where nothing of
        it can be answered any more. Raises RefusedError when somebody else has answered."""
        # Here: only who cancels a paused run needs them.
        import asyncio

        from core.engine.holds import build_directory
        from core.hold import Answered, PromptRecord
        from core.holding import Hold

        def first(over: Answered) -> RefusedError:
            return RefusedError(str(over), "Nothing was cancelled: look at what it does now.")

        async def answer(pause: Pause) -> bool:
            hold = await Hold.adopt(build_directory(self._places, pause.run_uid, pause.stage_key))
            if hold is None:
                return False
            try:
                await hold.answer(pause.number, b"", by, "cancel", end=True)
            except RefusedError:
                answers = PromptRecord.read(hold.directory).answers
                over = next((one for one in answers if one.number == pause.number), None)
                if over is not None and over.what != "the tool ended":
                    raise first(over) from None
                return False
            except EngineError:  # it answers nobody now: the worker ends it when it does
                return False
            return True

        pause = next((one for one in index.pauses() if one.id == pause_id), None)
        if pause is None:
            raise RefusedError("There is no record of the pause that was asked about.", "Nothing was cancelled.")
        if not pause.open:
            raise first(Answered(pause.number, pause.answered_by, pause.answer, pause.answered_at or 0.0))
        return asyncio.run(answer(pause))

    def give_secrets(self, uid: str, secrets: Mapping[str, str]) -> None:
        """Give a run that waits for them its secrets again (a worker that ended has forgotten them)."""
        self._tell(GiveSecrets(uid, dict(secrets)))

    def wake(self) -> None:
        """See to it that a worker lives and looks at what there is to do."""
        self._tell(Wake())

    def ensure_worker(self) -> WorkerStatus:
        """Start a worker unless one of this version, or a newer one, lives; an older one ends first.

        Raises EngineError when none starts.
        """
        return self._tell(Ask())

    def worker_status(self) -> WorkerStatus | None:
        """How the worker stands; None when none lives."""
        reply = self._ask(Ask())
        return reply.status if reply else None

    def stop_worker(self) -> bool:
        """Ask the worker to end, and wait until it has; what it runs goes on and is adopted later. One that is only
        starting is asked as soon as it hears.

        False when none lived. Raises EngineError when it does not end.
        """
        lived = told = self._ask(Stop()) is not None
        deadline = time.monotonic() + (_ANSWER if told else _START)
        while self._somebody_works():
            lived = True
            if time.monotonic() > deadline:
                raise self._does_not_end(told=told)
            if not told and self._ask(Stop()) is not None:
                told, deadline = True, time.monotonic() + _ANSWER
            time.sleep(0.02)
        return lived

    def _does_not_end(self, *, told: bool) -> EngineError:
        if told:
            return EngineError("The worker was told to end and has not.", f"Look at {self._places.worker_log}.")
        there = presence(self._places)
        return EngineError(
            f"The worker{f' (process {there.pid})' if there else ''} does not answer, and so cannot be told to end.",
            f"Look at the end of {self._places.worker_log}{f'; then: kill -9 {there.pid}' if there else ''}.",
            kept="What it runs goes on without it, and the next worker finds it.",
        )

    def _tell(self, message: Message) -> WorkerStatus:
        """Say something to a worker of this version or a newer one, which is started where there is none."""
        self._places.create()
        deadline = time.monotonic() + _START
        started: Identity | None = None
        starts = 0
        while time.monotonic() < deadline:
            hello = self._ask(Ask())
            if hello is not None:
                if version_key(hello.status.version) < version_key(mine()):
                    self.stop_worker()
                    continue
                reply = hello if isinstance(message, Ask) else self._ask(message)
                if reply is not None:
                    if reply.error:
                        raise EngineError(reply.error)
                    return reply.status
            # A worker that is ending holds the lock for a moment more; one that was started needs a moment to answer.
            elif not self._somebody_works() and (started is None or not started.lives):
                if starts == _STARTS:
                    break
                started = self._start()
                starts += 1
            time.sleep(0.02)
        raise EngineError(
            f"No worker answers, and none could be started{self._last_words()}",
            f"Look at the end of {self._places.worker_log}; then: ingot worker start",
            kept="What was asked for is written down; the next worker will do it.",
        )

    def _start(self) -> Identity | None:
        # Where this Ingot's home is not the shell's own, the worker's must still be the same.
        elsewhere = Places.of(os.environ) != self._places
        environment = process.environment(
            keep=(*PASSED_ON, *(name for name in os.environ if name.startswith(VARIABLE))),
            extra={"INGOT_HOME": str(self._places.home)} if elsewhere else None,
        )
        try:
            pid = process.start_detached(self._worker, cwd=Path("/"), env=environment, log=self._places.worker_log)
        except ToolError as error:
            raise EngineError(f"The worker cannot be started. {error.what}", error.next_step) from error
        return Identity.of(pid)

    def _last_words(self) -> str:
        """What the last worker said when it could not work, as the end of a sentence."""
        try:
            lines = self._places.worker_log.read_text(errors="replace").splitlines()
        except OSError:
            return "."
        for line in reversed(lines):
            if CANNOT_WORK in line:
                return f": {line.partition(CANNOT_WORK)[2]}"
            if re.match(r"\w+(\.\w+)*Error: ", line):  # Python's own last words, before the log was there to take ours
                return f": {line}"
        return "."

    def _somebody_works(self) -> bool:
        try:
            descriptor = os.open(self._places.worker_lock, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            # Shared, so that two clients who look at once do not take each other for a worker.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
        return False

    def _ask(self, message: Message) -> Reply | None:
        """One question and its answer; None when nobody answers."""
        there = presence(self._places)
        if there is not None and not self._somebody_works():
            # What a worker left that is dead, or lives elsewhere: this home is a copy, and that one's worker not ours.
            there = None
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_ANSWER)
            try:
                connection.connect(there.socket if there else str(self._places.worker_socket))
                if not peer_is_me(connection):
                    raise EngineError(
                        f"{self._places.worker_socket} belongs to somebody else.", "Look at who made it; remove it."
                    )
                connection.sendall(msgspec.json.encode(message) + b"\n")
                with connection.makefile("rb") as answers:
                    line = answers.readline(LINE_LIMIT)
            except OSError:
                return None
        return msgspec.json.decode(line, type=Reply) if line.endswith(b"\n") else None
