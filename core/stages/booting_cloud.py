"""Throwaway machines of a test in EC2, launched from an AMI, with a key pair and a security group of the test's own.

All of it has the run's uid and the stage in its tags from the start, so that an attempt after one that was killed, or
whoever ends what a run has left (core/engine/keeping.py), finds and ends it.
"""

import asyncio
import contextlib
import hashlib
import shutil
import time
import types
from collections.abc import Iterator
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from core.adapters.aws import Instance, code_of
from core.adapters.aws_machines import Launch, Launching
from core.errors import IngotError, StoreError, ToolError
from core.hold import write_whole
from core.model.machine import Machine, MachineState
from core.stages import cloud
from core.stages.cloud_plan import Plan
from core.stages.stage import StageJob
from core.stages.throwaway import BootError, Throwaway, serves_ssh
from core.stages.work import in_thread

if TYPE_CHECKING:
    from core.adapters.ssh import Connection

_RUNS_WITHIN = 600.0
"""Seconds that the cloud has to give a machine that it has promised."""
_ENDS_WITHIN = 600.0
"""Seconds that the cloud has to end one; after these its end is left to core/engine/keeping.py."""
_STATE_EVERY = 3.0
"""Seconds between two looks at what state machines are in; the first ones follow each other faster."""
_TRY_EVERY = 1.0
"""Seconds between two attempts at getting in."""
_BANNER = 5.0
"""Seconds that a server has to say that it is one."""
_CONSOLE_PATIENCE = 20.0
"""Seconds that the cloud has to give a console with fingerprints, once there is an SSH server; after these the host key
is pinned without."""
_NEW_TO_THE_CLOUD = 60.0
"""Seconds in which the cloud may not know yet what it has just launched."""


class _Launched(msgspec.Struct, frozen=True):
    """A machine as the cloud promised it."""

    instance: Instance
    at: float
    """By our own clock (monotonic): the cloud's may differ."""


class Site:
    """What the machines of one test share in a cloud (`async with`). It goes when they have ended, all but what a kept
    one needs."""

    def __init__(self, job: StageJob, ec2: Launching, plan: Plan) -> None:
        self.job = job
        self.ec2 = ec2
        self.plan = plan
        self.groups: tuple[str, ...] = plan.security_groups
        self.tags = {
            "Name": f"ingot test of {plan.image}",
            cloud.TAG_RUN: job.run.uid,
            cloud.TAG_STAGE: job.stage.key,
        }
        self.kept = ""
        """Id of the machine that lives on."""
        self._launched: dict[str, _Launched] = {}
        self._name = cloud.name_of_test(job.run.uid, job.stage.key)
        self._log = job.places.log(job.run.uid, job.stage.key)

    async def __aenter__(self) -> "Site":
        await self._end_all("left by an earlier attempt")
        # Written down before there is anything: whatever happens from now on, somebody looks for what there is.
        self.job.own_machine(self.plan.machine)
        try:
            await in_thread(self.ec2.import_key_pair, self._name, self.plan.key.public, self.tags)
            if not self.groups:
                self.groups = (await in_thread(self._make_group),)
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        await self._leave()

    async def launch(self, number: int) -> Instance:
        """The same number in the same attempt gives the same machine. A cancel waits for it: a machine that nobody has
        seen could not be ended. Raises ToolError."""
        job, plan = self.job, self.plan
        token = hashlib.sha256(f"{job.run.uid} {job.stage.key} {job.stage.attempt} {number}".encode()).hexdigest()
        wanted = Launch(
            ami=plan.ami,
            instance_type=plan.machine.instance_type,
            key_pair=self._name,
            security_groups=self.groups,
            subnet=plan.subnet,
            public=plan.public,
            token=token[:32],
            tags=self.tags,
        )

        def launch() -> Instance:
            launched = self.ec2.launch(wanted)
            self._launched[launched.id] = _Launched(launched, time.monotonic())
            return launched

        return await in_thread(launch)

    def keep(self, machine: Machine, seconds: float, why: str) -> None:
        """Let one of them live on. Raises StoreError."""
        self.job.own_machine(replace(machine, state=MachineState.KEPT, until=time.time() + seconds, kept_by=why))
        self.kept = machine.instance

    def _make_group(self) -> str:
        plan = self.plan
        return self.ec2.make_security_group(
            self._name, subnet=plan.subnet, port=plan.machine.port, allow=plan.allow, tags=self.tags
        )

    async def _leave(self) -> None:
        """End what is there. What cannot be ended now stays written down as there, and is ended after the run."""
        self.job.progress("ending the machines in the cloud")
        try:
            done = await self._end_all("")
        except IngotError as error:
            self.job.say(f"What the test has in the cloud cannot be ended now: {error.what} It is tried again later.")
            return
        if done and not self.kept:
            with contextlib.suppress(StoreError):  # whoever looks after the run finds that it has ended
                self.job.own_machine(replace(self.plan.machine, state=MachineState.GONE))

    async def _end_all(self, why: str) -> bool:
        """End all machines of this stage but a kept one, then what they shared. False where something is left.
        Raises ToolError."""
        deadline, pauses = time.monotonic() + _ENDS_WITHIN, _pauses()
        while there := await asyncio.to_thread(self._living):
            for one in there:
                if not one.ending:
                    self.job.say(f"Ending {one.id}{f', {why}' if why else ''}.")
                    await asyncio.to_thread(self.end, one.id)
            if self.plan.security_groups and all(one.ending for one in there):
                break  # nothing that is to be removed belongs to them
            if time.monotonic() > deadline:
                self.job.say(f"{', '.join(one.id for one in there)} takes long to end. It is looked at again later.")
                return False
            await asyncio.sleep(next(pauses))
        if self.kept:
            return True
        left = await asyncio.to_thread(cloud.remove_rest, self.ec2, self.plan.machine, self._log)
        for what in left:
            self.job.say(f"Left behind: {what}")
        return not left

    def end(self, instance: str) -> None:
        """Begin to end one. Blocking. Raises ToolError."""
        try:
            self.ec2.terminate(instance)
        except ToolError as error:
            if code_of(error.__cause__) != "InvalidInstanceID.NotFound":
                raise  # else the cloud has forgotten it, or does not know it yet

    def _living(self) -> list[Instance]:
        found = cloud.living(self.ec2, self.job.run, self.plan.machine, self._log)
        for one in self._launched.values():
            if one.instance.id not in [other.id for other in found]:
                now = self.ec2.instance(one.instance.id)
                if now is None and time.monotonic() - one.at < _NEW_TO_THE_CLOUD:
                    now = one.instance
                found += [now] if now is not None and not now.ended else []
        return [one for one in found if one.id != self.kept]


class CloudMachine(Throwaway):
    """One in EC2. Whoever leaves it has begun to end it; whoever leaves the site waits for its end."""

    def __init__(self, site: Site, number: int) -> None:
        """The first one (`number` is 1) is shown as that of the stage."""
        job = site.job
        super().__init__(job, job.directory / "test" / f"{job.stage.build}-{number}", site.plan.key)
        self.site = site
        self.number = number
        self._machine = replace(site.plan.machine, known_hosts=str(self.directory / "known_hosts"))
        self._instance = ""

    @property
    def machine(self) -> Machine:
        return self._machine

    @property
    def _called(self) -> str:
        return f"{self._instance} at {self._machine.address}"

    async def start(self, limit: float) -> None:
        """The time counts from when the cloud has given it: until then the image has no say."""
        await asyncio.to_thread(shutil.rmtree, self.directory, ignore_errors=True)
        self.directory.mkdir(mode=0o700, parents=True)
        self._instance = (await self.site.launch(self.number)).id
        self.job.say(f"Launched {self._instance} from {self.site.plan.ami}.")
        await self._until_running()
        await super().start(limit)
        self._show(replace(self._machine, connected=True))

    async def _until_running(self) -> None:
        """Until the cloud has given it, with an address. Raises ToolError."""
        deadline, pauses = time.monotonic() + _RUNS_WITHIN, _pauses()
        while True:
            found = await asyncio.to_thread(self.site.ec2.instance, self._instance)
            if found is not None and found.ending:
                raise ToolError(
                    f"{self._instance} was ended before it ran: {found.reason or 'the cloud does not say why'}.",
                    "Where the disk of the AMI is encrypted, this run needs the right to its key.",
                )
            if found is not None and found.state == "running" and (host := self._address(found)):
                self._show(replace(self._machine, instance=self._instance, host=host))
                return
            if time.monotonic() > deadline:
                what = found.state if found else "not known"
                wanted = f" without a {self.site.plan.address} address" if found and found.state == "running" else ""
                raise ToolError(
                    f"{self._instance} is {what}{wanted}, {_RUNS_WITHIN / 60:g} minutes after its launch.",
                    "Look at it in the console of AWS; [test.amazon] subnet and address in ingot.toml say where it is "
                    "and how it is reached.",
                )
            await asyncio.sleep(next(pauses))

    def _show(self, machine: Machine) -> None:
        self._machine = machine
        if self.number == 1:
            # That there is one was written down before there was any: no test ends for want of the rest.
            with contextlib.suppress(StoreError):
                self.job.own_machine(machine)

    def _address(self, found: Instance) -> str:
        match self.site.plan.address:
            case "public":
                return found.public
            case "private":
                return found.private
            case _:
                return found.public or found.private

    async def _let_in(self) -> "Connection":
        machine = self._machine
        there: float | None = time.monotonic() if machine.jump is not None else None
        shown = False
        looked = time.monotonic()
        while True:
            if there is None and await serves_ssh(machine.host, machine.port, _BANNER):
                there = time.monotonic()
            if there is not None and not shown:
                shown = await self._note_host_keys()
            patient = there is None or (not shown and time.monotonic() - there <= _CONSOLE_PATIENCE)
            if not patient and (connection := await self._tried()):
                if not shown:
                    self.job.say(
                        f"The console of {machine.instance} shows no fingerprints of its host keys: the key that "
                        "was shown on first contact is taken for its own."
                    )
                return connection
            if time.monotonic() - looked > _STATE_EVERY:
                looked = time.monotonic()
                await self._still_there()
            await asyncio.sleep(_TRY_EVERY)

    async def _still_there(self) -> None:
        """Raises BootError where it ended."""
        found = None
        with contextlib.suppress(ToolError):  # asked again
            found = await asyncio.to_thread(self.site.ec2.instance, self._instance)
        if found is not None and (found.ending or found.state in ("stopping", "stopped")):
            raise BootError(
                f"{self._instance} is {found.state}: {found.reason or 'the cloud does not say why'}."
                f"{await self._hint()}",
                "Look at its console in the log.",
            )

    async def _why_not(self, said: str) -> str:
        machine = self._machine
        if machine.jump is None and not await serves_ssh(machine.host, machine.port, _BANNER):
            kind = " It is a private one: is there a way to it from here?" if machine.host.startswith("10.") else ""
            return f" Nothing answers there on port {machine.port}.{kind}"
        return (
            f" It turns the test's key for {machine.login.user} away: nothing in the image (cloud-init) takes it from "
            f"the cloud, or not for that user ([test.amazon] user)."
        )

    async def _console(self) -> str:
        if not self._instance:
            return ""
        try:
            return await asyncio.to_thread(self.site.ec2.console_now, self._instance)
        except IngotError:
            return ""

    async def keep(self, seconds: float, why: str) -> bool:
        try:
            found = await asyncio.to_thread(self.site.ec2.instance, self._instance)
        except ToolError:
            found = None
        if found is None or found.ending:
            return False
        # The cloud keeps it no longer than the machine, and shows it to nobody without an account.
        console = self.directory / "console.log"
        said = self.job.redacted(await self._console())
        with contextlib.suppress(OSError):  # without room for it the machine is worth keeping all the same
            await asyncio.to_thread(write_whole, console, said.encode(errors="replace"))
        self.site.keep(replace(self._machine, console=str(console)), seconds, why)
        self._kept = True
        return True

    async def _end(self) -> None:
        if self._instance and not self._kept:
            with contextlib.suppress(IngotError):  # the site tries again, and says so
                await asyncio.to_thread(self.site.end, self._instance)


def _pauses() -> Iterator[float]:
    """Seconds to wait before each further look at a state."""
    wait = 0.5
    while True:
        yield min(wait, _STATE_EVERY)
        wait *= 2
