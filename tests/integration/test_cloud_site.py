"""What a boot test has in a cloud, against one that knows late what it launched, and with an index that cannot be
written: nothing stays behind, and nothing that was found out is lost."""

import itertools
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from workshop import Workshop, role

from core.adapters.aws import Instance
from core.adapters.aws_machines import Launch, Launching
from core.adapters.ssh_keys import KeyPair
from core.adapters.ssh_session import Connection
from core.engine.job import Job
from core.errors import NoRoomError
from core.model.boot_test import BootTest
from core.model.image import ImageVersion, UpstreamRecord
from core.model.machine import Machine, MachineState
from core.model.test_report import Outcome
from core.stages import booting_cloud, cloud
from core.stages.booting_cloud import CloudMachine, Site
from core.stages.cloud_plan import Plan
from core.stages.examination import Examination
from core.stages.throwaway import BootError, Throwaway

BUILD = "amazon-ebs.web"
KEY = f"test/{BUILD}"
SECRET = "correct horse battery"


class Ec2(Launching):
    """All that a site asks of EC2."""

    def __init__(self, *, unknown_for: int = 0, clock_behind: float = 0.0) -> None:
        self.unknown_for = unknown_for
        """Looks at a machine until it is known."""
        self.clock_behind = clock_behind
        self.region = "eu-west-1"
        self.machines: dict[str, Instance] = {}
        self._numbers = itertools.count()
        self._looks: dict[str, int] = {}

    def launch(self, wanted: Launch) -> Instance:
        name = f"i-{next(self._numbers):08x}"
        begun = time.time() - self.clock_behind
        self.machines[name] = Instance(name, "running", begun, wanted.key_pair, (), wanted.tags, public="127.0.0.1")
        return self.machines[name]

    def instance(self, instance_id: str) -> Instance | None:
        self._looks[instance_id] = self._looks.get(instance_id, 0) + 1
        return self.machines[instance_id] if self._looks[instance_id] > self.unknown_for else None

    def instances_tagged(self, value: str) -> list[Instance]:
        return [one for one in self.machines.values() if value in one.tags.values()] if not self.unknown_for else []

    def terminate(self, instance_id: str) -> None:
        if self._looks.get(instance_id, 0) >= self.unknown_for:
            one = self.machines[instance_id]
            self.machines[instance_id] = Instance(one.id, "terminated", one.launched, one.key_pair, (), one.tags)

    def console_now(self, instance_id: str) -> str:
        return f"password: {SECRET}\r\n"

    def import_key_pair(self, name: str, public: str, tags: Mapping[str, str]) -> None: ...
    def remove_key_pair(self, name: str) -> None: ...
    def make_security_group(
        self, name: str, *, subnet: str, port: int, allow: tuple[str, ...], tags: Mapping[str, str]
    ) -> str:
        return "sg-1"

    def remove_security_group(self, name: str) -> None: ...

    @property
    def states(self) -> set[str]:
        return {one.state for one in self.machines.values()}


class Bench:
    """A test's stage, and what it is to have in the cloud."""

    def __init__(self, place: Path) -> None:
        self.workshop = Workshop(place)
        self.workshop.commit({"web/web.pkr.hcl": ""})
        of = role(build=BUILD, test=BootTest(keep=True, suites=()))
        self.run = self.workshop.new_run(of, stages=("checkout", KEY))
        stage = self.run.stage(KEY)
        assert stage is not None
        self.job = Job(self.workshop.around, self.run, stage)
        self.key = KeyPair(place / "key", "ssh-ed25519 AAAA test")
        machine = Machine(self.run.uid, KEY, BUILD, "amazon-ebs", port=1, region="eu-west-1")  # nobody listens there
        self.plan = Plan("web 0.1.0", "ami-12345678", machine, self.key)

    @property
    def machine(self) -> Machine:
        found = self.workshop.index.machine(self.run.uid, KEY)
        assert found is not None
        return found

    def full(self, patch: pytest.MonkeyPatch, *states: MachineState) -> None:
        """The index takes no machine in one of these states."""
        save = self.workshop.index.save_machine

        def refuse(machine: Machine) -> None:
            if machine.state in states:
                raise NoRoomError("The index cannot be written: the disk is full.")
            save(machine)

        patch.setattr(self.workshop.index, "save_machine", refuse)


@pytest.fixture
async def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    monkeypatch.setattr(booting_cloud, "_STATE_EVERY", 0.01)
    made = Bench(tmp_path)
    yield made
    made.job.close()
    made.workshop.close()


async def test_what_the_cloud_does_not_know_yet_is_ended_whatever_its_clock_says(bench: Bench) -> None:
    ec2 = Ec2(unknown_for=2, clock_behind=3600.0)
    async with Site(bench.job, ec2, bench.plan) as site:
        await site.launch(1)
    assert ec2.states == {"terminated"}
    assert bench.machine.state is MachineState.GONE


async def test_what_a_person_launches_of_the_ami_with_its_tags_is_not_the_tests(bench: Bench) -> None:
    ec2 = Ec2()
    theirs = Instance("i-ffffffff", "running", time.time(), "", (), {cloud.TAG_RUN: bench.run.uid, "ImageRole": "web"})
    ec2.machines[theirs.id] = theirs
    async with Site(bench.job, ec2, bench.plan) as site:
        ours = await site.launch(1)
    assert ec2.machines[theirs.id].state == "running"
    assert ec2.machines[ours.id].state == "terminated"
    # A template tags with the uid of its run under any name: of a build it is.
    build = Machine(bench.run.uid, f"build/{BUILD}", BUILD, "amazon-ebs")
    assert cloud.living(ec2, bench.run, build, bench.workshop.places.log(bench.run.uid, KEY)) == [theirs]


async def test_an_end_that_cannot_be_written_down_fails_no_test(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2 = Ec2()
    bench.full(monkeypatch, MachineState.GONE)
    async with Site(bench.job, ec2, bench.plan) as site:
        await site.launch(1)
    assert ec2.states == {"terminated"}
    assert bench.machine.state is MachineState.BUILDING  # so that it is looked for when the run has ended


async def test_the_console_of_a_kept_machine_has_no_secret_that_the_test_knows(bench: Bench) -> None:
    bench.job.add_secrets([SECRET])
    async with Site(bench.job, Ec2(), bench.plan) as site, CloudMachine(site, 1) as machine:
        await _launched(machine)
        assert await machine.keep(600.0, "a test")
    console = Path(bench.machine.console)
    assert "password: " in console.read_text()
    assert SECRET not in console.read_text()


async def test_a_machine_that_cannot_be_noted_as_kept_is_ended(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    ec2 = Ec2()
    bench.full(monkeypatch, MachineState.KEPT)
    async with Site(bench.job, ec2, bench.plan) as site, CloudMachine(site, 1) as machine:
        await _launched(machine)
        with pytest.raises(NoRoomError):
            await machine.keep(600.0, "a test")
    assert ec2.states == {"terminated"}
    assert not machine.directory.exists()


async def _launched(machine: CloudMachine) -> None:
    """It runs, and nobody has to get in."""
    with pytest.raises(BootError):
        await machine.start(0.0)


class Unkept(Throwaway):
    """It never comes up, and that it is kept cannot be written down."""

    @property
    def machine(self) -> Machine:
        return Machine(self.job.run.uid, KEY, BUILD, "qemu")

    async def start(self, limit: float) -> None:
        raise BootError("The machine did not come up.")

    async def keep(self, seconds: float, why: str) -> bool:
        raise NoRoomError("The index cannot be written: the disk is full.")

    async def _console(self) -> str:
        return ""

    async def _end(self) -> None: ...

    @property
    def _called(self) -> str:
        return "It"

    async def _let_in(self) -> Connection:
        raise AssertionError

    async def _why_not(self, said: str) -> str:
        raise AssertionError


async def test_what_was_found_out_counts_though_the_machine_cannot_be_kept(bench: Bench, tmp_path: Path) -> None:
    image = ImageVersion("web", "0.1.0", "c" * 40, 1.0, "run1", "Ada", UpstreamRecord("none", ""), (), "web")
    first, second = (Unkept(bench.job, tmp_path / name, bench.key) for name in ("first", "second"))
    test = Examination(bench.job, image, first, second, tmp_path)
    cases = await test.cases()
    assert Outcome.FAILED in {case.outcome for case in cases}
    assert not test.kept
    bench.job.close()
    said = bench.workshop.places.log(bench.run.uid, KEY).read_text()
    assert "The machine is not kept: The index cannot be written: the disk is full." in said
