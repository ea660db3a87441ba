"""One attempt at one stage of one run: what a stage module is given (core/stages/stage.py, StageJob)."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

from msgspec.structs import replace

from core.engine.following import Following
from core.engine.holds import build_directory, end_tool, holds_of, tool_directory
from core.engine.pausing import Waits
from core.engine.progress import Progress
from core.engine.surroundings import Surroundings
from core.engine.waiting import Waiting
from core.errors import EngineError, StoreError, ToolError
from core.hold import Prompt
from core.holding import Exit, Hold, ToolSpec, VanishedError, sweep
from core.model.machine import Machine, MachineState, is_cloud
from core.model.pause import Pause
from core.model.pipeline import AFTER_BUILD
from core.model.run import Run, Stage
from core.places import Places
from core.secrets import Redactor
from core.stages.stage import LedgerOfRun, LineSink, OnHeld
from core.store.log_writer import LogWriter

_VANISHED_AT_MOST = 3
"""Times that a tool which can be repeated is started again after its holder vanished: then something kills them."""


_SECRETS_COME_WITHIN = 3.0
"""Seconds after which secrets that are not here were forgotten, and are not on their way."""


class LostError(EngineError):
    """What a stage ran vanished with its holder, and cannot simply be run again."""


class Job:
    """Implements StageJob. Lives on the worker's event loop; what says so may be called from threads."""

    def __init__(self, around: Surroundings, run: Run, stage: Stage) -> None:
        self._around = around
        self._run = run
        self._stage = stage
        self._redactor = Redactor(around.memory.of(run.uid).values())
        self._known: list[str] = list(around.memory.of(run.uid).values())
        self._log = LogWriter(self._log_path)
        self._progress = Progress(around.index, run.uid, stage.key, self.redacted)
        self._waiting = Waiting(around, run, stage)
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._ledger: LedgerOfRun | None = None
        self._hold: Hold | None = None
        """Of the tool that runs."""
        self._told: set[str] = set()
        """The secrets that its holder knows."""
        self._let_go: set[Path] = set()
        """Holds of tools that live on after the stage."""
        self._telling: set[asyncio.Task[None]] = set()

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
    def leaving(self) -> bool:
        return self._around.leaving

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
        self._on_loop(lambda: self._progress.show(text, fraction))

    def version_reserved(self, version: str) -> None:
        self._run = replace(self._run, version=version)
        self._around.index.set_version(self._run.uid, version)

    def add_secrets(self, values: Sequence[str]) -> None:
        for value in values:
            self._redactor.add(value)
        self._known += values
        self._on_loop(self._tell_secrets)

    def _tell_secrets(self) -> None:
        """What became known while the tool runs: its holder redacts what it says."""
        new = tuple(value for value in dict.fromkeys(self._known) if value not in self._told)
        if self._hold is None or not new or self._closed:
            return
        self._told.update(new)
        telling = asyncio.ensure_future(self._tell(self._hold, new))
        self._telling.add(telling)
        telling.add_done_callback(self._telling.discard)

    async def _tell(self, hold: Hold, new: tuple[str, ...]) -> None:
        told = False
        while not told and hold.exit is None:
            try:
                await hold.add_secrets(new)
                told = True
            except EngineError:  # it writes to a slow disk, or has just ended
                await asyncio.sleep(1.0)

    async def tool(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_line: LineSink | None = None,
        prompts: Sequence[Prompt] = (),
        prompt_limit: float | None = None,
        on_held: OnHeld | None = None,
        events: bool = False,
        repeatable: bool = False,
    ) -> Exit:
        directory = tool_directory(self.places, self._run.uid, self._stage.key, name)
        beginning = directory.with_name(f"{name}.from")
        vanished = 0
        while True:
            hold = await Hold.adopt(directory)
            self._told = set()
            if hold is None:
                if Hold.vanished(directory):
                    vanished += 1
                    await self._vanished(name, repeatable=repeatable, again=vanished < _VANISHED_AT_MOST)
                if not repeatable:
                    environment = await self._with_secrets(environment)
                # Written first, so that who adopts the tool reads again all that it said, from its first line.
                _note(beginning, self._log_path)
                try:
                    kept = self.places.tasks(self._run.uid, self._stage.key) if events else None
                    spec = self._spec(argv, cwd, environment, tuple(prompts), prompt_limit, kept)
                    hold = await self._started(directory, spec)
                    self._told = set(spec.secrets)
                except EngineError:
                    if Hold.vanished(directory):
                        continue
                    raise
            self._hold = hold
            self._tell_secrets()
            try:
                waits = Waits(self._around, self._run, self._stage, hold, on_held, self._progress) if on_held else None
                ended = await self._until_ended(hold, Following(self._log_path, _noted(beginning), on_line), waits)
            except VanishedError:
                continue
            # By a signal: it had no time for removing what it has elsewhere.
            self._machine_ended(orderly=ended.signal is None)
            return ended

    async def let_go(self, name: str, machine: Machine, seconds: float, why: str) -> bool:
        directory = tool_directory(self.places, self._run.uid, self._stage.key, name)
        hold = await Hold.adopt(directory)
        if hold is None or hold.exit is not None:
            return False
        try:
            await hold.set_limit(seconds)
        except EngineError:  # it has just ended
            return False
        kept = replace(machine, state=MachineState.KEPT, until=time.time() + seconds, kept_by=why)
        self._around.index.save_machine(kept)
        self._let_go.add(directory)  # only now: one that nobody knows of would live on unseen
        return True

    async def end_earlier(self) -> None:
        for hold in await holds_of(self.places, self._run.uid, self._stage.key):
            await end_tool(hold)

    async def tell_lost(self) -> None:
        """For a stage that is not carried out again: raises LostError where what had its machine vanished with its
        holder. What it left here is ended. A machine in the cloud counts as kept, until now, also where the tool was
        killed and its holder says so."""
        directory = build_directory(self.places, self._run.uid, self._stage.key)
        if self._stage.name != "build":
            return
        if Hold.vanished(directory):
            await self._vanished(directory.name, repeatable=False, again=False)
        hold = await Hold.adopt(directory)
        if hold is not None and hold.exit is not None and hold.exit.signal is not None:
            self._machine_ended(orderly=False)

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

    def _spec(
        self,
        argv: Sequence[str],
        cwd: Path,
        environment: Mapping[str, str],
        prompts: tuple[Prompt, ...],
        prompt_limit: float | None,
        events: Path | None,
    ) -> ToolSpec:
        return ToolSpec(
            argv=tuple(argv),
            cwd=cwd,
            environment=dict(environment),
            log=self._log_path,
            secrets=tuple(dict.fromkeys(self._known)),
            run_uid=self._run.uid,
            grace=self._around.grace,
            prompts=prompts,
            prompt_limit=prompt_limit,
            events=events,
        )

    def pauses(self) -> list[Pause]:
        found = self._around.index.pauses(self._run.uid)
        return [pause for pause in found if pause.stage_key == self._stage.key]

    def machine(self) -> Machine | None:
        return self._around.index.machine(self._run.uid, self._stage.key)

    def save_machine(self, machine: Machine) -> None:
        known = self.machine()
        if known is not None:
            machine = replace(machine, state=known.state, until=known.until, kept_by=known.kept_by)
        # What is not written now is written when more is known of it: no build ends for that.
        with contextlib.suppress(StoreError):
            self._around.index.save_machine(machine)

    def own_machine(self, machine: Machine) -> None:
        self._around.index.save_machine(machine)

    def _machine_ended(self, *, orderly: bool) -> None:
        """The tool has ended, and its machine with it unless it was let go of, or is in a cloud and was left there:
        then it counts as kept, until now, and is looked for and ended (keeping.py)."""
        if self._stage.name == "test" and is_cloud(self._kind()):
            return  # which is none of its tools: see `own_machine`
        machine = self.machine()
        if machine is not None and machine.state is MachineState.KEPT:
            return
        if not orderly and is_cloud(kind := self._kind()):
            left = machine or Machine(self._run.uid, self._stage.key, self._stage.build, kind, communicator="none")
            machine = replace(left, state=MachineState.KEPT, until=time.time())
        elif machine is not None:
            machine = replace(machine, state=MachineState.GONE)
        if machine is not None:
            self._around.index.save_machine(machine)

    def _kind(self) -> str:
        """The type of the stage's builder; empty where the stage is no build."""
        build = self._run.request.role.build(self._stage.build)
        return build.kind if build else ""

    async def waiting(self, reason: str, until: Callable[[], Awaitable[bool]], every: float = 5.0) -> None:
        await self._waiting.until(reason, until, every, self.say)

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
        for telling in self._telling:
            telling.cancel()
        self._progress.close()
        self._log.close()

    async def _with_secrets(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        """The environment of a tool that starts anew in a stage that could begin without secrets, to adopt an older."""
        missing = self._around.memory.missing(self._run)
        if not missing or self._stage.name in AFTER_BUILD:  # what comes after the build needs none
            return environment
        await self.wait_for_secrets()
        return {**environment, **{name: self.secrets[name] for name in missing}}

    async def _until_ended(self, hold: Hold, following: Following, waits: Waits | None) -> Exit:
        follower = asyncio.ensure_future(following.follow())
        disk = asyncio.ensure_future(self._waiting.for_disk(hold, self._log_path))
        end = asyncio.ensure_future(hold.wait())
        aside = {follower, asyncio.ensure_future(waits.watch())} if waits else {follower}
        try:
            while not end.done():
                done, _ = await asyncio.wait({*aside, end}, return_when=asyncio.FIRST_COMPLETED)
                for task in done & aside:
                    task.result()  # only ever an error: what the tool tells of to has a defect
                aside -= done
            ended = end.result()
            for task in aside:
                await _cancelled(task)
            if waits:
                waits.settle()
            following.rest()
        except VanishedError:
            raise
        except BaseException:
            for task in aside:
                await _cancelled(task)
            end.cancel()
            if not self._around.leaving and hold.directory not in self._let_go:
                self._progress.go_on("cleaning up")
                await end_tool(hold)
                if hold.exit is not None and hold.exit.signal is not None:
                    self._machine_ended(orderly=False)
                if waits:
                    with contextlib.suppress(StoreError):
                        waits.settle()
            raise
        else:
            return ended
        finally:
            for task in aside:
                task.cancel()
            await _cancelled(disk)

    async def _vanished(self, name: str, *, repeatable: bool, again: bool) -> None:
        """The holder was killed: end what it left running. Raises LostError unless the tool can just be run again."""
        ended = await sweep(self._run.uid)
        left = (
            f" What it had left running was ended: {', '.join(ended)}." if ended else " Nothing of it was left running."
        )
        # Sealing begins anew on the same disk and ends the same; a machine that was being built is gone.
        had_machine = self._stage.build and self._stage.name != "seal" and not repeatable
        if had_machine or not again:
            self._machine_ended(orderly=False)
            if is_cloud(self._kind()):
                left += " Its machine in the cloud is looked for and ended; the log of this stage says how."
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
