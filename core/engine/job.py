"""One attempt at one stage of one run: what a stage module is given (core/stages/stage.py, StageJob)."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from core.engine.following import Following
from core.engine.slots import Slots
from core.errors import EngineError, RefusedError, StoreError, ToolError
from core.holding import Exit, Hold, ToolSpec, VanishedError, sweep
from core.model.run import Run, RunState, Stage, StageState
from core.places import Places
from core.secrets import Redactor
from core.stages.stage import LedgerOfRun, LineSink
from core.store.index import Index
from core.store.log_writer import LogWriter

_SHOWN_EVERY = 0.25
"""Seconds between two writes of a stage's progress."""

_VANISHED_AT_MOST = 3
"""Times that a tool which can be repeated is started again after its holder vanished: then something kills them."""


_SECRETS_COME_WITHIN = 3.0
"""Seconds after which secrets that are not here were forgotten, and are not on their way."""


_DISK_LOOKED_AT_EVERY = 2.0
"""Seconds between two looks at whether a tool's output can be written."""


class LostError(EngineError):
    """What a stage ran vanished with its holder, and cannot simply be run again."""


class Memory:
    """The secrets of the runs, and nothing but this process's memory has them."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, str]] = {}

    def give(self, uid: str, secrets: Mapping[str, str]) -> None:
        self._of.setdefault(uid, {}).update(secrets)

    def of(self, uid: str) -> Mapping[str, str]:
        return dict(self._of.get(uid, {}))

    def forget(self, uid: str) -> None:
        self._of.pop(uid, None)

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget those of all other runs: a queued run that is cancelled never comes by here to end."""
        for uid in self._of.keys() - set(uids):
            del self._of[uid]

    def missing(self, run: Run) -> tuple[str, ...]:
        """Names of the secrets that the run needs and that are not here: a worker that ended has forgotten them."""
        return tuple(name for name in run.request.secret_names if name not in self._of.get(run.uid, {}))


@dataclass(slots=True)
class Surroundings:
    """What all jobs of a worker share."""

    index: Index
    places: Places
    slots: Slots
    memory: Memory
    ledger: Callable[[Run], LedgerOfRun]
    grace: float
    """Seconds that a tool has for cleaning up before it is ended less politely."""
    leaving: bool = False
    """The worker is ending: what is cancelled now is only let go of, and goes on under its holder."""


class Job:
    """Implements StageJob. Lives on the worker's event loop; what says so may be called from threads."""

    def __init__(self, around: Surroundings, run: Run, stage: Stage) -> None:
        self._around = around
        self._run = run
        self._stage = stage
        self._redactor = Redactor(around.memory.of(run.uid).values())
        self._known: list[str] = list(around.memory.of(run.uid).values())
        self._log = LogWriter(self._log_path)
        self._shown_at = 0.0
        self._to_show: tuple[str, float | None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._ledger: LedgerOfRun | None = None

    @property
    def run(self) -> Run:
        return self._run

    @property
    def stage(self) -> Stage:
        return self._stage

    @property
    def places(self) -> Places:
        return self._around.places

    @property
    def directory(self) -> Path:
        return self._around.places.run(self._run.uid)

    @property
    def ledger(self) -> LedgerOfRun:
        if self._ledger is None:
            self._ledger = self._around.ledger(self._run)
        return self._ledger

    @property
    def secrets(self) -> Mapping[str, str]:
        return self._around.memory.of(self._run.uid)

    @property
    def _log_path(self) -> Path:
        return self._around.places.log(self._run.uid, self._stage.key)

    def result(self, stage_key: str) -> Mapping[str, object]:
        return self._around.index.stage_result(self._run.uid, stage_key)

    def say(self, line: str) -> None:
        raw = line.encode(errors="surrogateescape").rstrip(b"\n") + b"\n"
        self._on_loop(lambda: self._write(raw))

    def progress(self, text: str, fraction: float | None = None) -> None:
        self._on_loop(lambda: self._show(text, fraction))

    def version_reserved(self, version: str) -> None:
        self._run = replace(self._run, version=version)
        self._around.index.set_version(self._run.uid, version)

    def add_secrets(self, values: Sequence[str]) -> None:
        for value in values:
            self._redactor.add(value)
        self._known += values

    async def tool(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_line: LineSink | None = None,
    ) -> Exit:
        directory = tool_directory(self.places, self._run.uid, self._stage.key, name)
        beginning = directory.with_name(f"{name}.from")
        vanished = 0
        while True:
            hold = await Hold.adopt(directory)
            if hold is None:
                if Hold.vanished(directory):
                    vanished += 1
                    await self._vanished(name, again=vanished < _VANISHED_AT_MOST)
                environment = await self._with_secrets(environment)
                # Written first, so that who adopts the tool reads again all that it said, from its first line.
                _note(beginning, self._log_path)
                try:
                    hold = await self._started(directory, self._spec(argv, cwd, environment))
                except EngineError:
                    if Hold.vanished(directory):
                        continue
                    raise
            try:
                return await self._until_ended(hold, Following(self._log_path, _noted(beginning), on_line))
            except VanishedError:
                continue

    async def _started(self, directory: Path, spec: ToolSpec) -> Hold:
        """Start a tool. A cancel that comes in between ends it as soon as it has started: it would run unseen."""
        start = asyncio.ensure_future(Hold.start(directory, spec))
        try:
            return await asyncio.shield(start)
        except asyncio.CancelledError:
            if not self._around.leaving:
                with contextlib.suppress(EngineError, ToolError):
                    await end_tool(await start)
            raise

    def _spec(self, argv: Sequence[str], cwd: Path, environment: Mapping[str, str]) -> ToolSpec:
        return ToolSpec(
            argv=tuple(argv),
            cwd=cwd,
            environment=dict(environment),
            log=self._log_path,
            secrets=tuple(dict.fromkeys(self._known)),
            run_uid=self._run.uid,
            grace=self._around.grace,
        )

    async def waiting(self, reason: str, until: Callable[[], Awaitable[bool]], every: float = 5.0) -> None:
        if await until():
            return
        around, uid = self._around, self._run.uid
        self._show_waiting(reason)
        around.slots.give_back(uid)
        self.say(f"Waiting: {reason}")
        while not await until():  # noqa: ASYNC110 - of a condition only the stage knows how to look
            await asyncio.sleep(every)
        await around.slots.have(uid)
        self._show_waiting("")

    def _show_waiting(self, reason: str) -> None:
        """The run waits, and for what; without a reason it goes on."""
        state, stage = (RunState.WAITING, StageState.WAITING) if reason else (RunState.RUNNING, StageState.RUNNING)
        self._around.index.set_run_state(self._run.uid, state, reason)
        self._around.index.update_stage(self._run.uid, self._stage.key, state=stage, progress=reason)

    async def wait_for_secrets(self) -> None:
        """Show the run as waiting until somebody has given its secrets again."""

        async def there() -> bool:
            return not self._around.memory.missing(self._run)

        # They come right behind the run, over another way: a worker that is quick begins before it has them.
        soon = time.monotonic() + _SECRETS_COME_WITHIN
        while not await there() and time.monotonic() < soon:  # noqa: ASYNC110 - a client's message, not an event here
            await asyncio.sleep(0.05)
        missing = self._around.memory.missing(self._run)
        await self.waiting(
            f"the worker was restarted and has forgotten {', '.join(missing)}; "
            f"give it again: ingot resume {self._run.id}",
            there,
            every=0.25,
        )
        self.add_secrets(list(self.secrets.values()))

    def redacted(self, text: str) -> str:
        """The text without any secret that the stage knows: what a tool said may be part of it."""
        return self._redactor.redact(text.encode(errors="surrogateescape")).decode(errors="replace")

    def close(self) -> None:
        """The stage has ended: nothing of it is shown or written any more."""
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
        self._log.close()

    async def _with_secrets(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """The environment of a tool that starts anew in a stage that could begin without secrets, to adopt an older."""
        missing = self._around.memory.missing(self._run)
        if not missing:
            return environment
        await self.wait_for_secrets()
        return {**environment, **{name: self.secrets[name] for name in missing}}

    async def _until_ended(self, hold: Hold, following: Following) -> Exit:
        follower = asyncio.ensure_future(following.follow())
        disk = asyncio.ensure_future(self._watch_disk(hold))
        end = asyncio.ensure_future(hold.wait())
        try:
            await asyncio.wait({follower, end}, return_when=asyncio.FIRST_COMPLETED)
            if follower.done():
                follower.result()  # only ever an error: what it tells of the lines to has a defect
            ended = end.result()
            await _cancelled(follower)
            following.rest()
        except VanishedError:
            raise
        except BaseException:
            await _cancelled(follower)
            end.cancel()
            if not self._around.leaving:
                self.progress("cleaning up")
                await end_tool(hold)
            raise
        else:
            return ended
        finally:
            follower.cancel()
            await _cancelled(disk)

    async def _watch_disk(self, hold: Hold) -> None:
        """Show the run as waiting while what its tool says has no room on the disk. The tool goes on, and keeps its
        slot."""
        full = False
        try:
            while True:
                await asyncio.sleep(_DISK_LOOKED_AT_EVERY)
                with contextlib.suppress(EngineError):  # no answer now, or the tool has ended
                    if full != bool((await hold.status()).unwritten):
                        full = not full
                        self._show_full_disk(full=full)
        finally:
            if full:
                self._show_full_disk(full=False)

    def _show_full_disk(self, *, full: bool) -> None:
        # The index may be on the same disk; and a run that is being cancelled says that instead.
        with contextlib.suppress(StoreError, RefusedError):
            self._show_waiting(f"disk space: the log in {self._log_path.parent} cannot be written" if full else "")

    async def _vanished(self, name: str, *, again: bool) -> None:
        """The holder was killed: end what it left running. Raises LostError unless the tool can just be run again."""
        ended = await sweep(self._run.uid)
        left = (
            f" What it had left running was ended: {', '.join(ended)}." if ended else " Nothing of it was left running."
        )
        if self._stage.build or not again:
            raise LostError(
                f"{name} and its holder vanished (a restart of the machine, or kill -9).{left}",
                "Build again; what the build made outside this machine carries the run's id "
                f"{self._run.uid}: look for it there.",
            )
        self.say(f"{name} and its holder vanished.{left} Once more.")

    def _write(self, raw: bytes) -> None:
        """On a full disk the writer keeps it for the next time: no stage ends for a line of its log."""
        if not self._closed:
            with contextlib.suppress(StoreError):
                self._log.write(self._redactor.redact(raw))

    def _on_loop(self, do: Callable[[], None]) -> None:
        try:
            here = asyncio.get_running_loop() is self._loop
        except RuntimeError:
            here = False
        if here:
            do()
        else:
            self._loop.call_soon_threadsafe(do)

    def _show(self, text: str, fraction: float | None) -> None:
        if self._closed:
            return
        self._to_show = (text, fraction)
        if self._timer is None:
            wait = max(0.0, self._shown_at + _SHOWN_EVERY - time.monotonic())
            if wait == 0.0:
                self._write_progress()
            else:
                self._timer = self._loop.call_later(wait, self._write_progress)

    def _write_progress(self) -> None:
        self._timer = None
        self._shown_at = time.monotonic()
        if self._to_show is not None:
            text, fraction = self._to_show
            self._to_show = None
            # Only shown: a full disk must not end the tool whose progress it is.
            with contextlib.suppress(StoreError):
                self._around.index.update_stage(
                    self._run.uid, self._stage.key, progress=self.redacted(text), fraction=fraction
                )


def tools_directory(places: Places, uid: str, stage_key: str) -> Path:
    """Where the holds of a stage's tools are."""
    return places.run(uid) / "tools" / stage_key.replace("/", ".")


def tool_directory(places: Places, uid: str, stage_key: str, name: str) -> Path:
    return tools_directory(places, uid, stage_key) / name


async def holds_of(places: Places, uid: str, stage_key: str | None = None) -> list[Hold]:
    """The living holds of a run, or of one stage of it."""
    pattern = "*/*" if stage_key is None else "*"
    base = places.run(uid) / "tools" if stage_key is None else tools_directory(places, uid, stage_key)
    found = [await Hold.adopt(directory) for directory in sorted(base.glob(pattern)) if directory.is_dir()]
    return [hold for hold in found if hold is not None and hold.exit is None]


async def end_tool(hold: Hold) -> None:
    """Interrupt a tool and wait until it has cleaned up; its holder ends it by force when that takes too long."""
    with contextlib.suppress(VanishedError):
        ended = asyncio.ensure_future(hold.wait())
        try:
            while not ended.done():
                # A holder that does not answer now may be writing to a slow disk; asking twice does no harm.
                with contextlib.suppress(EngineError):
                    await hold.interrupt()
                    break
                await asyncio.wait({ended}, timeout=1.0)
            await ended
        finally:
            ended.cancel()


async def _cancelled(task: "asyncio.Future[None]") -> None:
    task.cancel()
    await asyncio.wait({task})


def _note(path: Path, log: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.write_text(str(log.stat().st_size if log.exists() else 0))


def _noted(path: Path) -> int:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return 0
