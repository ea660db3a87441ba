"""The worker: `python -m core.engine.worker`. One for each user and machine; it carries out the runs of all workspaces.

It survives the terminal, ends by itself after a while of nothing to do, and may be killed at any moment: what it runs
goes on under holders, and the next worker carries on with it.
"""

import asyncio
import contextlib
import fcntl
import logging
import os
import signal
import socket
import stat
import sys
import time
from pathlib import Path
from typing import NoReturn

import msgspec

from core.engine import journal
from core.engine.dispatcher import Dispatcher
from core.engine.equipment import Equipment, load_the_rest, product
from core.engine.execution import Execution, FromThreads
from core.engine.flows import Flows
from core.engine.keeping import Keeper
from core.engine.notifying import Notifier
from core.engine.protocol import (
    CANNOT_WORK,
    LINE_LIMIT,
    Ask,
    GiveSecrets,
    Message,
    Presence,
    Reply,
    Stop,
    Wake,
    WorkerStatus,
    mine,
    peer_is_me,
)
from core.engine.reconciling import reconcile
from core.engine.settings import Settings
from core.engine.slots import Slots
from core.engine.surroundings import Memory, Surroundings
from core.errors import EngineError, IngotError
from core.model.run import Run, RunState
from core.places import Places
from core.store.index import Index

_LOOK_EVERY = 0.5
"""Seconds between two looks at whether the index changed: a wake may be lost, the index is not."""
_START_AGAIN = 5.0
_FLOWS_KEPT = 7 * 24 * 3600.0
"""Seconds for which the engine keeps the flow of a run that has ended, for who looks into a defect."""

log = logging.getLogger("ingot.worker")


class Worker:
    """One worker, once it has the lock."""

    def __init__(self, places: Places, settings: Settings, equipment: Equipment) -> None:
        self._places = places
        self._settings = settings
        self._started = time.time()
        self._index = Index(places.index)
        self._slots = Slots(settings.concurrency)
        self._memory = Memory()
        around = Surroundings(
            self._index, places, self._slots, self._memory, ledger=equipment.ledger, grace=equipment.grace
        )
        pipeline = equipment.pipeline(places, self._index)
        self._execution = Execution(around, pipeline, self._look_soon)
        self._dispatcher = Dispatcher(self._index, self._slots, self._execution, self._start_flow)
        self._notifier = Notifier(self._index, places, os.environ)
        self._keeper = Keeper(around, pipeline.clean_up, self._notifier.tell)
        self._flows: Flows | None = None
        self._changed = asyncio.Event()
        self._stopping = asyncio.Event()
        self._starting: set[asyncio.Task[None]] = set()
        self._socket: asyncio.Server | None = None

    async def work(self) -> None:
        """Until told to stop, or idle for long enough. What runs is left to its holders."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._stopping.set)
        # Before anybody can hear us: a client is told of a database that cannot be opened, by our not being there.
        self._flows = await asyncio.to_thread(
            Flows.open, self._settings.engine_url, self._places.home, FromThreads(self._execution, loop)
        )
        await self._listen()
        for run in await reconcile(self._index, self._places):
            if run.state in (RunState.RUNNING, RunState.CANCELLING):
                self._slots.take(run.uid)
            self._start_flow(run)
        log.info("worker %s of process %d: %d at once", mine(), os.getpid(), self._settings.concurrency)
        aside = asyncio.ensure_future(asyncio.to_thread(self._do_aside, self._flows))
        await self._until_done()
        aside.cancel()
        log.info("worker of process %d ends", os.getpid())
        await self._execution.let_go()
        await self._keeper.let_go()
        if self._socket is not None:
            self._socket.close()
        with contextlib.suppress(OSError):
            self._places.worker_socket.unlink()
        with contextlib.suppress(OSError):
            self._places.runtime.rmdir()  # unless holders have their sockets in it; whoever comes next makes it again

    async def _until_done(self) -> None:
        seen = -1
        busy_at = time.monotonic()
        while not self._stopping.is_set():
            self._changed.clear()
            try:
                if (now := self._index.data_version()) != seen:
                    seen = now
                    active = self._dispatcher.look()
                    self._notifier.look(active)
                    self._keeper.look()
                    self._memory.keep_only([*(run.uid for run in active), *self._keeper.keeps])
                    if active:
                        busy_at = float("inf")
                    elif busy_at == float("inf"):
                        busy_at = time.monotonic()
                else:
                    self._notifier.due()
            except IngotError as error:  # a full disk passes; until then nothing new begins
                log.error("cannot look for work: %s", error)
                seen = -1
            # A machine that is kept costs somebody something, until a worker ends it.
            has_duties = self._notifier.busy or bool(self._keeper.keeps)
            if time.monotonic() - busy_at > self._settings.idle and not has_duties:
                return
            await self._listen_again()
            changed, stopping = (asyncio.ensure_future(event.wait()) for event in (self._changed, self._stopping))
            await asyncio.wait({changed, stopping}, timeout=_LOOK_EVERY, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            stopping.cancel()

    def _do_aside(self, flows: Flows) -> None:
        """What nobody waits for. In a thread."""
        load_the_rest()
        try:
            flows.forget_ended(_FLOWS_KEPT)
        except Exception as error:  # noqa: BLE001 - another worker does it; nothing stands on it
            log.warning("old flows are not taken away: %s", type(error).__name__)

    def _look_soon(self) -> None:
        self._changed.set()

    def _start_flow(self, run: Run) -> None:
        """Hand a run to the engine, in the background; again and again while its database cannot be written."""

        async def start() -> None:
            assert self._flows is not None
            while True:
                try:
                    keys = tuple(stage.key for stage in run.stages)
                    return await asyncio.to_thread(self._flows.start, run.uid, keys)
                except Exception as error:
                    log.error("run %d cannot be started yet", run.id, exc_info=error)
                    await asyncio.sleep(_START_AGAIN)

        task = asyncio.ensure_future(start())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    # The socket

    async def _listen(self) -> None:
        path = self._places.worker_socket
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.unlink(missing_ok=True)  # of a worker that was killed: we have the lock, so nobody listens there
        self._socket = await asyncio.start_unix_server(self._answer, path, limit=LINE_LIMIT)
        path.chmod(0o600)
        self._heard_at = str(path)
        descriptor = os.open(self._places.worker_lock, os.O_WRONLY | os.O_CLOEXEC)
        try:
            file = os.fstat(descriptor).st_ino
            presence = msgspec.json.encode(Presence(os.getpid(), str(path), mine(), file))
            os.pwrite(descriptor, presence, 0)
            os.ftruncate(descriptor, len(presence))
        finally:
            os.close(descriptor)

    async def _listen_again(self) -> None:
        """Put the socket back where somebody took it away: systemd empties XDG_RUNTIME_DIR when the user logs out."""
        try:
            there = stat.S_ISSOCK(os.lstat(self._heard_at).st_mode)
        except OSError:
            there = False
        if there:
            return
        log.warning("the socket was removed and is made again")
        if self._socket is not None:
            self._socket.close()
        try:
            self._places.create()
            await self._listen()
        except (OSError, IngotError) as error:
            log.error("cannot listen: %s", error)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            peer: socket.socket = writer.get_extra_info("socket")
            if not peer_is_me(peer):
                return
            while line := await reader.readline():
                writer.write(msgspec.json.encode(self._reply(line)) + b"\n")
                await writer.drain()
        except (OSError, ValueError):
            pass  # the client is gone, or its line was endless
        finally:
            writer.close()

    def _reply(self, line: bytes) -> Reply:
        try:
            message: Message = msgspec.json.decode(line, type=Message)
        except (msgspec.DecodeError, msgspec.ValidationError):
            return Reply(self._status(), error="The worker does not understand this request.")
        match message:
            case GiveSecrets(run=uid, secrets=secrets):
                journal.redact(secrets.values())
                self._memory.give(uid, secrets)
                self._keeper.again()
                self._look_soon()
            case Wake():
                self._look_soon()
            case Stop():
                self._stopping.set()
            case Ask():
                pass
        return Reply(self._status())

    def _status(self) -> WorkerStatus:
        states = [run.state for run in self._index.runs(active_only=True)]
        return WorkerStatus(
            pid=os.getpid(),
            version=mine(),
            started=self._started,
            concurrency=self._settings.concurrency,
            running=sum(state in (RunState.RUNNING, RunState.CANCELLING) for state in states),
            queued=states.count(RunState.QUEUED),
            waiting=sum(state in (RunState.WAITING, RunState.PAUSED) for state in states),
        )


def main(equipment: Equipment) -> int:
    """Be the worker of this user and machine; if there is one, end quietly."""
    os.umask(0o077)
    places = Places.of(os.environ)
    places.create()
    lock = _lock(places.worker_lock)
    if lock is None:
        return 0
    journal.start(places.worker_log)

    async def work() -> None:
        await Worker(places, Settings.of(places, os.environ), equipment).work()
        _leave(0)

    try:
        asyncio.run(work())
    except IngotError as error:
        log.error("%s%s", CANNOT_WORK, " ".join(str(error).splitlines()))
    except Exception as error:
        log.error("%s%s", CANNOT_WORK, type(error).__name__, exc_info=error)
    return _leave(1)


def _leave(status: int) -> NoReturn:
    """End, now. Flows wait in threads for stages that go on without us, and Python would wait for those threads; being
    killed at any moment is what everything here is made for."""
    logging.shutdown()
    os._exit(status)


def _lock(path: Path) -> int | None:
    """The lock of the one worker, held as long as this process lives; None when another has it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    while not _locked(descriptor, fcntl.LOCK_EX):
        # Clients that only look share it, for as long as a busy machine lets them: a worker does not.
        if not _locked(descriptor, fcntl.LOCK_SH):
            os.close(descriptor)
            return None
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(0.01)
    os.ftruncate(descriptor, 0)  # what the last one left, or came with a copied home, is not about us
    return descriptor


def _locked(descriptor: int, how: int) -> bool:
    try:
        fcntl.flock(descriptor, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


if __name__ == "__main__":
    try:
        sys.exit(main(product()))
    except EngineError as failure:
        sys.exit(str(failure))
