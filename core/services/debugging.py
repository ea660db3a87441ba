"""Machines that wait for a person: what is known of them, the way in, and what becomes of them.

All that screens and commands see of pauses and machines. What is done by hand is written down before it begins
(core/store/touches.py); an answer goes to the holder of the paused tool itself, so it counts whether a worker lives or
not.
"""

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core.adapters import ssh
from core.engine.client import Engine
from core.engine.holds import build_directory
from core.errors import EngineError, RefusedError
from core.hold import PromptRecord
from core.holding import Hold
from core.model.failure import Failure
from core.model.machine import KeyProof, Login, Machine, MachineState
from core.model.pause import Answer, Choice, Pause, PauseKind, choices
from core.model.run import Run, RunState, Stage
from core.model.touch import Touch
from core.places import Places
from core.services.entering import Entering
from core.services.following import RunFollower
from core.services.machine_facts import MachineFacts
from core.services.shells import DebugShell
from core.store.touches import Touches

__all__ = ["DebugShell", "DebugView", "Debugging", "MachineFacts"]


class DebugView(msgspec.Struct, frozen=True):
    """One build of a run, and what can be done about its machine now."""

    run: Run
    stage: Stage | None = None
    """The build that pauses, or whose machine is kept."""
    pause: Pause | None = None
    """The open one; None where nothing waits for an answer now."""
    answered: Pause | None = None
    """The last one of this build that somebody has answered, or time has."""
    machine: Machine | None = None
    """None as long as none is known."""
    choices: tuple[Choice, ...] = ()
    """What can be done about the pause; empty without one."""
    failure: Failure | None = None
    """What went wrong, from the log."""
    touches: tuple[Touch, ...] = ()
    """What was done by hand in this run, the oldest first."""
    until: float | None = None
    """When the machine is cleaned up, seconds since the epoch; None: never, or nothing waits."""
    key_proof: KeyProof = KeyProof.NONE
    """What the machine's pinned host key was compared with."""

    @property
    def since(self) -> float | None:
        """When the machine began to wait, or was kept (epoch); None where it does not wait."""
        if self.pause is not None:
            return self.pause.since
        kept = self.machine is not None and self.machine.state is MachineState.KEPT
        return self.answered.answered_at if kept and self.answered is not None else None

    def seconds_left(self, now: float) -> float | None:
        """Until the machine is cleaned up, never below 0; None: nothing ends it."""
        return None if self.until is None else max(self.until - now, 0.0)


class Debugging(Entering):
    """What the person whose shell `environ` is can do about machines. The way into them is in Entering."""

    def __init__(self, places: Places, environ: Mapping[str, str], *, engine: Engine | None = None) -> None:
        super().__init__(places, environ)
        self._engine = engine or Engine(places)
        self._failures: dict[tuple[str, str, int], Failure | None] = {}

    async def prepare(self) -> None:
        """Have at hand what a shell needs, before the first is wanted: it takes a moment to load."""
        await ssh.load()
        await asyncio.to_thread(import_module, "core.services.known_secrets")

    # What there is

    def pauses(self, run_uid: str | None = None) -> list[Pause]:
        """The open pauses, the oldest first: of one run, or all on this machine. Raises StoreError."""
        with self._index() as index:
            return [pause for pause in index.pauses(run_uid, open_only=True) if self._is_held(pause)]

    def machines(self, run_uid: str | None = None) -> list[Machine]:
        """The machines that are not gone. Raises StoreError."""
        with self._index() as index:
            return index.machines(run_uid)

    def view(self, run_uid: str, build: str = "") -> DebugView | None:
        """How it stands with a run, or with one build of it: first one that pauses, then one whose machine is kept,
        then any other.

        None when there is no such run. Reads its log: call it in a thread. Raises StoreError.
        """
        with self._index() as index:
            run = index.run(run_uid)
            if run is None:
                return None
            known = index.pauses(run.uid)
            machines = index.machines(run.uid, living_only=False)
        pauses = [pause for pause in known if pause.open and self._is_held(pause)]
        stage = _chosen(run, build, pauses, machines)
        key = stage.key if stage else ""
        pause = next((pause for pause in pauses if pause.stage_key == key), None)
        machine = next((machine for machine in machines if machine.stage_key == key), None)
        kept = machine is not None and machine.state is MachineState.KEPT
        return DebugView(
            run=run,
            stage=stage,
            pause=pause,
            answered=next((one for one in reversed(known) if one.stage_key == key and not one.open), None),
            machine=machine,
            choices=choices(pause.kind, pause.step, pause.provisioners) if pause else (),
            failure=self._failure(run, stage if pause or kept else run.failed_stage or stage, pause) if stage else None,
            touches=tuple(Touches(self._places.run(run.uid)).all()),
            until=pause.until if pause else machine.until if machine is not None and kept else None,
            key_proof=self.key_proof(machine) if machine is not None else KeyProof.NONE,
        )

    def _is_held(self, pause: Pause) -> bool:
        """Whether nobody has answered a pause that is open in the index: the holder knows it first."""
        directory = build_directory(self._places, pause.run_uid, pause.stage_key)
        record = PromptRecord.read(directory)
        return not any(answered.number == pause.number for answered in record.answers)

    def _failure(self, run: Run, stage: Stage, pause: Pause | None) -> Failure | None:
        """What went wrong, where something did; read once for each pause."""
        if pause is not None and not pause.kind.is_failure:
            return None
        if pause is None and run.state not in (RunState.FAILED, RunState.LOST):
            return None
        key = (run.uid, stage.key, pause.number if pause else 0)
        if key not in self._failures:
            follower = RunFollower(self._places, run.uid)
            try:
                self._failures[key] = follower.failure(run, stage)
            finally:
                follower.close()
        return self._failures[key]

    # What becomes of it

    async def answer(self, pause: Pause, answer: Answer) -> str:
        """Answer a pause; gives what happens now, in a sentence.

        Raises RefusedError when it allows no such answer, or somebody was first: who, when and what.
        """
        allowed = choices(pause.kind, pause.step, pause.provisioners)
        choice = next((choice for choice in allowed if choice.answer is answer), None)
        if choice is None:
            raise RefusedError(
                f"This pause has no answer {answer.value}.",
                f"It has: {', '.join(choice.answer.value for choice in allowed)}.",
            )
        run = await asyncio.to_thread(self._known, pause.run_uid)
        who = await asyncio.to_thread(self._who, run)
        hold = await self._hold(pause)
        keys = await asyncio.to_thread(_typed, pause.kind, answer)
        # Where Packer has no such answer to the prompt: it cleans up when it is interrupted, and the holder sees to it
        # that nobody answers otherwise in between.
        await hold.answer(pause.number, keys, who, answer.value, keep=answer is Answer.KEEP, end=not keys)
        # The worker notes it, and what follows from it (core/engine/pausing.py), now or when it lives again.
        try:
            if keys:
                await asyncio.to_thread(self._engine.wake)
            else:
                with contextlib.suppress(RefusedError):  # it was quick, and the run has ended
                    await asyncio.to_thread(self._engine.cancel, run.uid, who)
        except EngineError as error:
            return f"{choice.consequence} {error.what}"
        return choice.consequence

    async def extend(self, held: Pause | Machine, seconds: float) -> float:
        """Keep a paused or kept machine for longer; gives when it is cleaned up now (epoch).

        Raises RefusedError when nothing ends it, or it is over.
        """
        now = time.time()
        if isinstance(held, Machine) and held.state is not MachineState.KEPT:
            pauses = await asyncio.to_thread(self.pauses, held.run_uid)
            found = next((pause for pause in pauses if pause.stage_key == held.stage_key), None)
            if found is None:
                raise RefusedError(f"The machine of {held.build} is not paused: nothing ends it but its build.")
            held = found
        if held.until is None:
            raise RefusedError("It waits for as long as it takes: there is no time to extend.")
        until = max(held.until, now) + seconds
        if isinstance(held, Machine):
            await asyncio.to_thread(self._end_at, held, until)
            return until
        hold = await self._hold(held)
        there = await hold.held()
        if there is None or there.number != held.number:
            over = await hold.last_answer()
            raise RefusedError(str(over) if over else "It is not paused there any more.")
        await hold.set_limit(until - now)
        await asyncio.to_thread(self._shown_until, held, until)
        return until

    def _shown_until(self, pause: Pause, until: float) -> None:
        with self._index() as index:
            index.set_pause_until(pause.id, until)

    async def log_in(self, machine: Machine, user: str, key_file: str = "", password: str = "") -> Machine:
        """Have all following connections to this machine log in as `user`, with this private key, password, or both;
        without either with those that are known. It counts once the machine has let us in so, and not before.

        Gives the machine with it. The key stays where it is. The password is a file of the run, gone when the machine
        is; the index knows its path. Raises RefusedError for a login that cannot be one, ConnectError, StoreError.
        """
        given = await asyncio.to_thread(self._with_login, machine, user, key_file, password)
        try:
            await (await ssh.connect(given)).close()
            return await asyncio.to_thread(self._log_in_by, given)
        except BaseException:
            if password:
                Path(given.login.password_file).unlink(missing_ok=True)
            raise

    def _with_login(self, machine: Machine, user: str, key_file: str, password: str) -> Machine:
        """As it is known now, with what was given; nothing of it counts yet."""
        key = Path(key_file).expanduser().absolute() if key_file else None
        with self._index() as index:
            known = index.machine(machine.run_uid, machine.stage_key) or machine
        if not user.strip() or not user.isprintable():
            raise RefusedError("A login needs the name of a user.")
        if key is not None and not (key.is_file() and os.access(key, os.R_OK)):
            raise RefusedError(f"The key {key} cannot be read.", "Give the path of a private key on this computer.")
        self._check(known)
        if key or password:
            written = str(self._password_file(known, password)) if password else ""
            login = Login(user.strip(), (str(key),) if key else (), written)
        elif known.login.key_files or known.login.password_file or known.login.agent:
            login = replace(known.login, user=user.strip())
        else:
            raise RefusedError("A login needs a key or a password.", "Give the path of a private key, or a password.")
        return replace(known, login=login)

    def _log_in_by(self, given: Machine) -> Machine:
        """Of all that is known of the machine only this: what became of it meanwhile stays true."""
        with self._index() as index:
            return index.set_machine_login(given.run_uid, given.stage_key, given.login)

    def _password_file(self, machine: Machine, password: str) -> Path:
        """A new one: an earlier one may have to count again."""
        from core.stages.environment import keys_of  # here: with the tools that it knows it takes long to load

        directory = keys_of(self._places.run(machine.run_uid)) / machine.build
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for number in itertools.count(1):
            path = directory / f"password.by-hand-{number}"
            with contextlib.suppress(FileExistsError):
                with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(password.encode())
                return path
        raise AssertionError  # there is always another number

    async def end_machine(self, machine: Machine) -> None:
        """End a kept machine: it and its disk are destroyed. Raises RefusedError for one that is not kept."""
        await asyncio.to_thread(self._end_at, machine, time.time())

    def _end_at(self, machine: Machine, until: float) -> None:
        """The worker ends it then."""
        with self._index() as index:
            index.set_machine_until(machine.run_uid, machine.stage_key, until)
        self._engine.wake()

    async def _hold(self, pause: Pause) -> Hold:
        hold = await Hold.adopt(build_directory(self._places, pause.run_uid, pause.stage_key))
        if hold is None:
            raise RefusedError("Nothing runs there any more: nothing waits for an answer.")
        return hold


def _typed(kind: PauseKind, answer: Answer) -> bytes:
    """What is typed for an answer; empty where the prompt has none such."""
    from core.adapters import ansible_prompts, packer_prompts  # here: with all about Packer it takes long to load

    return ansible_prompts.TYPED.get(answer, b"") if kind is PauseKind.TASK else packer_prompts.typed(kind, answer)


def _chosen(run: Run, build: str, pauses: list[Pause], machines: list[Machine]) -> Stage | None:
    """The stage to look at: of the build that is named, else the one that needs somebody most."""
    if build:
        return next((stage for stage in run.stages if stage.build == build), None)
    order = (MachineState.KEPT, MachineState.PAUSED, MachineState.BUILDING, MachineState.GONE)
    keys = [pause.stage_key for pause in pauses]
    keys += [machine.stage_key for state in order for machine in machines if machine.state is state]
    stages = [stage for key in keys if (stage := run.stage(key)) is not None]
    return stages[0] if stages else run.failed_stage
