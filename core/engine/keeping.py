"""Looks after machines that were kept when Packer let go of them: each is ended when somebody asks for it or its time
is over, and then what the run had kept for it goes.

A machine's row in the index is all there is to be told: its `until` is its time, and one that lies in the past says
“now” (`Index.set_machine_until`). A virtual machine here belongs to the holder of the tool that started it, which keeps
the time even while no worker lives. A machine in a cloud belongs to nobody there: it is ended here, looked at until the
cloud says that it has ended, and tried again for as long as that takes.
"""

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from core.adapters.aws import Ec2
from core.engine.holds import kept_hold
from core.engine.surroundings import Surroundings
from core.errors import EngineError, IngotError, StoreError
from core.holding import sweep
from core.model.event import Event, EventKind
from core.model.machine import Machine, MachineState
from core.model.run import Run
from core.stages import cloud
from core.store.log_writer import LogWriter

_LOOK_EVERY = 60.0
"""Seconds between two looks at a machine whose time has not come, for clocks that are set."""
_STATE_EVERY = 5.0
"""Seconds between two looks whether a machine in a cloud has ended."""
_AGAIN = (30.0, 60.0, 300.0)
"""Seconds until another try at ending a machine; the last of them for ever."""
_GIVEN_UP_AFTER = 7 * 24 * 3600.0
"""Seconds after its time for which ending a machine is tried."""
_UNKNOWN_LOOKS = 3
"""Looks after which a machine that the cloud does not know is gone: it takes a moment to know a new one."""
_NEXT = "The machine has ended since, and its disk is gone: build again from code."
"""What there is to do about a build whose kept machine is gone."""

log = logging.getLogger("ingot.keeping")


@dataclass(slots=True)
class _Care:
    """One kept machine."""

    changed: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None


class Keeper:
    """All kept machines of this home. Lives on the worker's event loop."""

    def __init__(
        self, around: Surroundings, clean_up: Callable[[Run, bool], None], tell: Callable[[Event], None]
    ) -> None:
        """`clean_up` takes away what a run must not leave (blocking); `tell` tells somebody."""
        self._around = around
        self._index = around.index
        self._clean_up = clean_up
        self._tell = tell
        self._kept: dict[tuple[str, str], _Care] = {}

    @property
    def keeps(self) -> set[str]:
        """Uids of the runs that a machine is kept of. As long as there is one, the worker does not end by itself."""
        return {uid for uid, _ in self._kept}

    def look(self) -> None:
        """The index changed. Raises StoreError."""
        for machine in self._index.machines():
            if machine.state is not MachineState.KEPT:
                continue
            place = (machine.run_uid, machine.stage_key)
            if (care := self._kept.get(place)) is None:
                care = self._kept[place] = _Care()
                care.task = asyncio.ensure_future(self._look_after(*place, care))
                care.task.add_done_callback(lambda _, place=place: self._kept.pop(place))
            care.changed.set()

    def again(self) -> None:
        """Try at once what failed: there are credentials now."""
        for care in self._kept.values():
            care.changed.set()

    async def let_go(self) -> None:
        """The worker ends; the next one looks after them."""
        tasks = [care.task for care in self._kept.values() if care.task is not None]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    async def _look_after(self, uid: str, key: str, care: _Care) -> None:
        """Until it is gone. Raises nothing."""
        failed = 0
        while True:
            care.changed.clear()
            wait = _LOOK_EVERY
            try:
                run, machine = self._index.run(uid), self._index.machine(uid, key)
                if run is None or machine is None or machine.state is not MachineState.KEPT:
                    return
                if run.state.ended:  # until then Packer is at work, if only to let go of it
                    gone = await (self._in_cloud if machine.in_cloud else self._here)(run, machine, care)
                    if gone:
                        await self._forget(run, machine)
                        return
                    left = _LOOK_EVERY if machine.until is None else machine.until - time.time()
                    wait = min(max(left, 0.05), _LOOK_EVERY)
            except StoreError as error:
                log.error("run %s: its kept machine cannot be looked after now: %s", uid, error)
            except IngotError as error:
                if await self._given_up(uid, key, error):
                    return
                wait = _AGAIN[min(failed, len(_AGAIN) - 1)] * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
                failed += 1
                self._complain(uid, key, error)
            except Exception as error:
                log.error("run %s: a defect in looking after its kept machine", uid, exc_info=error)
            await _either(care.changed.wait(), wait)

    # A virtual machine on this one

    async def _here(self, run: Run, machine: Machine, care: _Care) -> bool:
        """Whether it is gone; else its holder has the time that is wanted now. Returns when something may have
        changed."""
        hold = await kept_hold(self._around.places, run.uid, machine.stage_key)
        if hold is None:
            return True
        now = time.time()
        if machine.until is not None and machine.until <= now:
            with contextlib.suppress(EngineError):  # it has just ended
                await hold.interrupt()
            await hold.wait_gone()
            return True
        with contextlib.suppress(EngineError):  # asked again at the next look
            await hold.set_limit(None if machine.until is None else machine.until - now)
        await _either(hold.wait_gone(), _LOOK_EVERY, care.changed)
        return not (hold.keeps or hold.exit is None)

    # A machine in a cloud

    async def _in_cloud(self, run: Run, machine: Machine, _: _Care) -> bool:
        """Whether it is gone: its time was over, and the cloud says that it has ended. Raises ToolError."""
        if machine.until is None or machine.until > time.time():
            return False
        missing = self._around.memory.missing(run)
        if missing:
            raise EngineError(
                f"the worker was restarted and has forgotten {', '.join(missing)}, without which it cannot be ended",
                f"Give it again: ingot resume {run.id}",
            )
        path = self._around.places.log(run.uid, machine.stage_key)
        checkout = str(self._index.stage_result(run.uid, "checkout").get("path") or "")
        account = await asyncio.to_thread(
            cloud.account_of, run, machine, Path(checkout) if checkout else None, self._around.memory.of(run.uid)
        )
        ec2 = await asyncio.to_thread(account.ec2)
        unseen = 0
        while unseen < _UNKNOWN_LOOKS:
            there = await asyncio.to_thread(cloud.living, ec2, run, machine, path)
            for instance in there:
                if not instance.ending:
                    self._say(run, machine, f"ending {instance.id}")
                    await asyncio.to_thread(ec2.terminate, instance.id)
            if there:
                unseen = 0
            elif await self._seen_ended(ec2, machine, path):
                break
            else:
                unseen += 1
            await asyncio.sleep(_STATE_EVERY)
        for left in await asyncio.to_thread(cloud.remove_rest, ec2, machine, path):
            self._say(run, machine, f"left behind: {left}")
        return True

    async def _seen_ended(self, ec2: Ec2, machine: Machine, path: Path) -> bool:
        """The cloud knows the machine still, and says that it has ended."""
        known = cloud.with_instance(machine, path).instance
        found = await asyncio.to_thread(ec2.instance, known) if known else None
        return found is not None and found.ended

    # After it

    async def _forget(self, run: Run, machine: Machine, *, ended: bool = True) -> None:
        """It has ended, or is given up: so goes what was kept for it."""
        if left := await sweep(run.uid):
            log.warning("run %d: ended what its kept machine had left running: %s", run.id, ", ".join(left))
        self._index.save_machine(replace(machine, state=MachineState.GONE))
        if ended and machine.stage_key.startswith("build/"):  # what a test found is as it was
            with contextlib.suppress(EngineError):  # until now it said how to get in
                self._index.update_stage(run.uid, machine.stage_key, next_step=_NEXT)
        others = [one for one in self._index.machines(run.uid) if one.state is MachineState.KEPT]
        if not others:
            try:
                await asyncio.to_thread(self._clean_up, run, False)
            except Exception as error:  # whatever it is, the machine is gone
                log.error("run %d: cleaning up after its kept machine failed", run.id, exc_info=error)
            self._around.memory.forget(run.uid)
        if ended:
            self._say(run, machine, "the kept machine has ended")
        log.info("run %d: the kept machine of %s %s", run.id, machine.build, "has ended" if ended else "is given up")

    async def _given_up(self, uid: str, key: str, error: IngotError) -> bool:
        """Nobody gave credentials for a week: then nobody will, and no worker can wait for ever."""
        run, machine = self._index.run(uid), self._index.machine(uid, key)
        if run is None or machine is None or machine.until is None or machine.until > time.time() - _GIVEN_UP_AFTER:
            return False
        self._complain(uid, key, EngineError(f"it could not be ended for a week and is given up: {error.what}"))
        await self._forget(run, machine, ended=False)
        return True

    def _complain(self, uid: str, key: str, error: IngotError) -> None:
        run, machine = self._index.run(uid), self._index.machine(uid, key)
        if run is None or machine is None:
            return
        name = machine.instance or machine.build
        why = f"{name}: {error.what}"
        log.error("run %d: its kept machine is still there. %s %s", run.id, why, error.next_step)
        self._say(run, machine, f"the kept machine is still there. {why} {error.next_step}")
        # Once for each reason: a machine that goes on at somebody's cost is nobody's secret.
        self._tell(
            Event(
                EventKind.CLEAN_UP,
                uid,
                run.id,
                run.role,
                run.request.workspace.name,
                key,
                why,
                time.time(),
                about=f"not ended: {error.what}",
            )
        )

    def _say(self, run: Run, machine: Machine, line: str) -> None:
        """In the log of the build, after all that Packer said."""
        path = self._around.places.log(run.uid, machine.stage_key)
        with contextlib.suppress(StoreError, OSError), LogWriter(path) as writer:
            writer.write(f"ingot: {line}\n".encode())


async def _either(awaited: Awaitable[object], seconds: float, other: asyncio.Event | None = None) -> None:
    """Until one of them, or the time is over."""
    tasks = {asyncio.ensure_future(awaited)}
    if other is not None:
        tasks.add(asyncio.ensure_future(other.wait()))
    try:
        await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
