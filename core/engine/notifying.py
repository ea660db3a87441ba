"""Tells somebody of a pause, of a failure, and of a machine that is about to be cleaned up, as `[notify]` of ingot.toml
says (event_words.py has the words).

The worker calls `look` whenever the index changed and `due` twice a second; what there is to tell is worked out from
the index, and what was told is noted in the run's directory: so a worker that was restarted in between tells nothing
twice, and what one that was killed had not told yet is told by the next. A telling that fails is a line in two logs.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import config, process, text
from core.adapters import webhook
from core.adapters.git import GitRepository
from core.engine import journal
from core.engine.event_words import as_json, as_message, as_sentence, variables
from core.errors import IngotError, StoreError
from core.hold import write_whole
from core.model.event import Event, EventKind, is_news, warned_at
from core.model.machine import Machine, MachineState
from core.model.notify import Notify
from core.model.pause import DEFAULT_LIMIT, Pause
from core.model.run import Run, RunState
from core.places import Places
from core.secrets import Redactor
from core.stages.environment import NETWORK
from core.store.index import Index
from core.store.log_writer import LogWriter

TOLD = "told.json"
"""In a run's directory: what was told of it."""
COMMAND_LIMIT = 30.0
"""Seconds that the command may take."""
DESKTOP = ("XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS", "DISPLAY", "WAYLAND_DISPLAY")
"""What notify-send and its like need to find the person's screen."""
_AT_ONCE = 4
"""Tellings at the same time: a role that fails takes all with it that are built on it."""
_LOOKED_BACK = 24 * 3600.0
"""Seconds since the end of a run after which nobody is told any more that it failed."""
_RUNS_LOOKED_AT = 200

log = logging.getLogger("ingot.notifying")


class _Warning(msgspec.Struct, frozen=True):
    """Somebody has to be told of the event at a time that has not come yet."""

    at: float
    event: Event


class Notifier:
    """All tellings of this worker. Lives on its event loop."""

    def __init__(self, index: Index, places: Places, environment: Mapping[str, str]) -> None:
        """`environment` is the worker's own: webhooks' addresses may be in it."""
        self._index = index
        self._places = places
        self._environment = environment
        self._active: set[str] | None = None
        self._warnings: dict[tuple[str, str], _Warning] = {}
        self._told: dict[str, dict[str, float]] = {}
        """Of the runs that something was looked up for: key of the event → its `until`."""
        self._wanted: dict[str, Notify] = {}
        self._telling: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._room = asyncio.Semaphore(_AT_ONCE)
        self._noting = asyncio.Lock()

    @property
    def busy(self) -> bool:
        """Something is being told right now."""
        return bool(self._telling)

    def look(self, active: Sequence[Run]) -> None:
        """Tell what is news. `active`: the runs that have not ended. Raises StoreError."""
        now = time.time()
        runs = {run.uid: run for run in active}
        pauses = self._index.pauses(open_only=True)
        kept = [one for one in self._index.machines() if one.state is MachineState.KEPT]
        self._warnings = {}
        for pause in pauses:
            if (run := runs.get(pause.run_uid)) is not None:
                self._consider(_paused(run, pause))
                if pause.until is not None:
                    self._warn(_ends_soon(run, pause.stage_key, _UNANSWERED, pause.until), pause.since, now)
        for machine in kept:
            run = runs.get(machine.run_uid) or self._index.run(machine.run_uid)
            if run is not None and machine.until is not None:
                self._warn(
                    _ends_soon(run, machine.stage_key, _KEPT, machine.until), self._kept_since(run, machine), now
                )
        for run in self._just_ended(runs, now):
            if run.state in (RunState.FAILED, RunState.LOST):
                self._consider(_failed(run))
        self._forget_others({*runs, *(machine.run_uid for machine in kept)})
        self.due(now)

    def due(self, now: float | None = None) -> None:
        """Tell what is due: a matter of time alone."""
        now = time.time() if now is None else now
        for warning in self._warnings.values():
            if warning.at <= now:
                self._consider(warning.event)

    def tell(self, event: Event) -> None:
        """Tell what the index does not show, once."""
        self._consider(event)

    async def settled(self) -> None:
        """Until nothing is being told."""
        while self._telling:
            await asyncio.wait(self._telling.values())

    def _just_ended(self, runs: Mapping[str, Run], now: float) -> list[Run]:
        if self._active is None:  # this worker has just begun: the one before may not have come to it
            recent = self._index.runs(limit=_RUNS_LOOKED_AT)
            ended = [run for run in recent if run.ended and run.ended > now - _LOOKED_BACK]
        else:
            ended = [run for uid in self._active - runs.keys() if (run := self._index.run(uid)) is not None]
        self._active = set(runs)
        return ended

    def _kept_since(self, run: Run, machine: Machine) -> float:
        answered = [
            pause.answered_at
            for pause in self._index.pauses(run.uid)
            if pause.stage_key == machine.stage_key and pause.answered_at
        ]
        return answered[-1] if answered else (machine.until or 0.0) - DEFAULT_LIMIT

    def _warn(self, event: Event, since: float, now: float) -> None:
        assert event.until is not None
        if event.until > now:  # else it is too late: the machine is being ended
            self._warnings[event.run_uid, event.stage_key] = _Warning(warned_at(since, event.until), event)

    def _forget_others(self, uids: set[str]) -> None:
        for known in (self._told, self._wanted):
            for uid in known.keys() - uids - {uid for uid, _ in self._telling}:
                del known[uid]

    def _consider(self, event: Event) -> None:
        """Begin to tell, unless it is known or on its way."""
        uid, place = event.run_uid, (event.run_uid, event.key)
        if not self._places.run(uid).is_dir():
            return  # somebody removed what there was of it
        if uid not in self._told:
            self._told[uid] = _read(self._places.run(uid) / TOLD)
        if place in self._telling or not is_news(event, self._told[uid]):
            return
        task = asyncio.ensure_future(self._tell(event))
        self._telling[place] = task
        task.add_done_callback(lambda _: self._telling.pop(place))

    async def _tell(self, event: Event) -> None:
        """Never raises."""
        try:
            async with self._room:
                run = self._index.run(event.run_uid)
                if run is None:
                    return
                wanted = await self._notify(run)
                if wanted.wants(event.kind):
                    await self._tell_all(run, event, wanted)
                self._told.setdefault(event.run_uid, {})[event.key] = event.until or 0.0
                if wanted.wants(event.kind):
                    # After it: who is killed meanwhile leaves it to the next worker, and twice is better than not.
                    await self._note(event.run_uid)
        except (IngotError, OSError) as error:
            log.error("run %d: what is told of it cannot be looked up or noted: %s", event.run, error)
        except Exception as error:
            log.error("run %d: a defect in telling of it", event.run, exc_info=error)

    async def _note(self, uid: str) -> None:
        async with self._noting:
            told = msgspec.json.encode(self._told[uid])
            await asyncio.to_thread(write_whole, self._places.run(uid) / TOLD, told)

    async def _notify(self, run: Run) -> Notify:
        """What the run's own commit says."""
        if run.uid not in self._wanted:
            path = str(self._index.stage_result(run.uid, "checkout").get("path") or "")
            found = await asyncio.to_thread(_configured, run, Path(path) if path else None)
            for problem in found.problems:
                if "notify" in problem.reason:
                    log.warning("run %d: ingot.toml: %s", run.id, problem.reason)
            self._wanted[run.uid] = found.notify
        return self._wanted[run.uid]

    async def _tell_all(self, run: Run, event: Event, wanted: Notify) -> None:
        url = wanted.address(self._environment)
        redactor = Redactor([url] if url else [])
        if url:
            journal.redact([url])
        event = replace(event, why=text.visible(" ".join(event.why.split())))
        tellings = [self._run_command(run, event, wanted.command)] if wanted.command else []
        if wanted.webhook:
            tellings.append(self._post(run, event, url, wanted.webhook))
        for failed in await asyncio.gather(*tellings):
            if failed:
                line = redactor.redact(text.visible(failed).encode()).decode(errors="replace")
                log.error("run %d: nobody may have been told of its %s: %s", run.id, event.kind, line)
                await asyncio.to_thread(self._say, run, event, f"ingot: nobody may have been told: {line}")

    async def _run_command(self, run: Run, event: Event, command: tuple[str, ...]) -> str:
        """Gives what went wrong, or nothing."""
        checkout = str(self._index.stage_result(run.uid, "checkout").get("path") or "")
        here = Path(checkout) if checkout and Path(checkout).is_dir() else self._places.run(run.uid)
        sentence = as_sentence(event)
        argv = [part.replace("{title}", event.title).replace("{text}", sentence) for part in command]
        try:
            ended = await process.run(
                argv,
                cwd=here,
                env=process.environment(extra=variables(event), keep=(*DESKTOP, *NETWORK)),
                input=as_json(event),
                timeout=COMMAND_LIMIT,
            )
        except IngotError as error:
            return error.what
        if ended.code == 0:
            log.info("run %d: told of its %s by %s", run.id, event.kind, Path(command[0]).name)
            return ""
        lines = (ended.err or ended.out).decode(errors="replace").strip().splitlines()
        said = f": {lines[-1]}" if lines else ""
        return f"{command[0]} ended with {ended.code}{said}"

    async def _post(self, run: Run, event: Event, url: str, given: str) -> str:
        """Gives what went wrong, or nothing."""
        if not url:
            name = given.partition(":")[2]
            return (
                f"the worker has no address of a webhook in {name}; "
                "set it in the shell that the worker is started from, then: ingot worker stop"
            )
        try:
            found = {**process.environment(keep=NETWORK), **dict(run.request.environment)}
            await asyncio.to_thread(webhook.post, url, as_message(event), found)
        except IngotError as error:
            return error.what
        log.info("run %d: told of its %s by the webhook at %s", run.id, event.kind, webhook.host_of(url))
        return ""

    def _say(self, run: Run, event: Event, line: str) -> None:
        """A line in the log of the stage that it is about, which others write as well."""
        key = event.stage_key or (run.current.key if run.current else "")
        path = self._places.log(run.uid, key)
        if not key or not path.exists():
            return
        with contextlib.suppress(StoreError, OSError), LogWriter(path) as writer:
            # A prompt has no end of line.
            writer.write((b"" if _ends_whole(path) else b"\n") + line.encode() + b"\n")


_UNANSWERED = "Nobody has answered its pause"
_KEPT = "It was kept after a failed build"


def _paused(run: Run, pause: Pause) -> Event:
    return Event(
        EventKind.PAUSE,
        run.uid,
        run.id,
        run.role,
        run.request.workspace.name,
        pause.stage_key,
        pause.why,
        pause.since,
        pause.until,
        str(pause.number),
    )


def _ends_soon(run: Run, stage_key: str, why: str, until: float) -> Event:
    name = run.request.workspace.name
    return Event(EventKind.CLEAN_UP, run.uid, run.id, run.role, name, stage_key, why, time.time(), until)


def _failed(run: Run) -> Event:
    stage = run.failed_stage
    key = stage.key if stage else ""
    why = run.reason.removeprefix(f"{key}: ") if key else run.reason
    return Event(
        EventKind.FAILURE, run.uid, run.id, run.role, run.request.workspace.name, key, why, run.ended or time.time()
    )


def _configured(run: Run, checkout: Path | None) -> config.Configuration:
    """In a thread. What was checked out, else, as that may be gone or never have come, what Git has."""
    if checkout is not None and (checkout / config.NAME).is_file():
        return config.load(checkout)
    try:
        repository = GitRepository(Path(run.request.workspace.root))
        return config.parse(repository.file_at(run.request.commit, config.NAME))
    except IngotError:
        return config.Configuration()  # none there, or no repository any more


def _read(path: Path) -> dict[str, float]:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, float])
    except (OSError, msgspec.DecodeError):
        return {}


def _ends_whole(path: Path) -> bool:
    with path.open("rb") as file:
        if file.seek(0, 2) == 0:
            return True
        file.seek(-1, 2)
        return file.read(1) == b"\n"
