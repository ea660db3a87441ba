"""Stages that are interrupted and carried out again: nothing is built, registered or left twice."""

import asyncio
import hashlib
from collections.abc import Mapping
from pathlib import Path

import pytest
from leaving_worker import worker_leaves
from patience import until
from workshop import FILE_TEMPLATE, Workshop, role

from core import process
from core.adapters.aws import Ami
from core.engine.job import Job
from core.model.run import StageState
from core.secrets import MARK
from core.stages import register
from core.stages.leftovers import RUN_NOTE

pytestmark = pytest.mark.skipif(process.find("packer") is None, reason="packer is not installed")

SLOW_TEMPLATE = FILE_TEMPLATE.replace(
    'sources = ["source.file.hello"]',
    """sources = ["source.file.hello"]
  provisioner "shell-local" {
    inline = ["echo x >> $TRACES/begun", "until [ -e $TRACES/go-on ]; do sleep 0.05; done", "echo x >> $TRACES/ended"]
  }""",
)

SECRET = "a-key-that-was-typed"


class Killed(BaseException):
    """Stands for the end of the worker: nothing catches it."""


class DyingJob(Job):
    """A worker that dies the `lives`-th time that its stage says or shows anything."""

    lives = 0

    def _live(self) -> None:
        self.lives -= 1
        if self.lives < 0:
            raise Killed

    def say(self, line: str) -> None:
        self._live()
        super().say(line)

    def progress(self, text: str, fraction: float | None = None) -> None:
        self._live()
        super().progress(text, fraction)


async def test_a_worker_that_dies_anywhere_in_register_ends_in_one_image_version(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role())
    await workshop.until(run, "build/file.hello")
    for lives in range(100):
        stage = workshop.again(run).stage("register")
        assert stage
        job = DyingJob(workshop.around, workshop.again(run), stage)
        job.lives = lives
        try:
            result = await register.carry_out(job)
        except Killed:
            continue
        finally:
            job.close()
        break
    else:
        raise AssertionError("it never ends")
    assert lives >= 3, "it died several times before"
    workshop.index.update_stage(run.uid, "register", state=StageState.SUCCEEDED, result=dict(result))
    workshop.end(run, succeeded=True)
    (image,) = workshop.ledger.images()
    path = Path(image.artifacts[0].location)
    assert image.artifacts[0].digest == f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
    assert [change.what for change in workshop.ledger.history()].count(f"register web {image.version}") == 1
    assert not list(workshop.places.images.rglob(RUN_NOTE))
    assert len([file for file in workshop.places.images.rglob("*") if file.is_file()]) == 2  # and its manifest


async def test_a_worker_that_leaves_finds_its_packer_again(workshop: Workshop) -> None:
    traces = workshop.root.parent / "traces"
    traces.mkdir()
    workshop.commit({"web/web.pkr.hcl": SLOW_TEMPLATE})
    run = workshop.new_run(role(), environment={"TRACES": str(traces)})
    await workshop.until(run, "validate")
    first = asyncio.create_task(workshop.stage(run, "build/file.hello"))
    await until((traces / "begun").exists, "Packer's provisioner runs")
    await worker_leaves(workshop.around, first)
    assert not (traces / "ended").exists(), "Packer goes on by itself"
    (traces / "go-on").touch()
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    assert (traces / "begun").read_text() == "x\n"
    assert workshop.log(run, "build/file.hello").count("Disk space") == 1
    (image,) = workshop.ledger.images()
    assert Path(image.artifacts[0].location).is_file()


async def test_a_cancelled_build_ends_its_packer_and_leaves_nothing(workshop: Workshop) -> None:
    traces = workshop.root.parent / "traces"
    traces.mkdir()
    workshop.commit({"web/web.pkr.hcl": SLOW_TEMPLATE})
    run = workshop.new_run(role(), environment={"TRACES": str(traces)})
    await workshop.until(run, "validate")
    stage = asyncio.create_task(workshop.stage(run, "build/file.hello"))
    await until((traces / "begun").exists, "Packer's provisioner runs")
    stage.cancel()
    with pytest.raises(asyncio.CancelledError):
        await stage
    workshop.end(run, succeeded=False)
    assert not _processes_of(run.uid)
    assert not list(workshop.places.images.rglob("*"))
    assert not (workshop.places.run(run.uid) / "keys").exists()
    assert workshop.ledger.read().reservations == ()


def _processes_of(uid: str) -> list[str]:
    mark = f"INGOT_RUN={uid}".encode()
    found: list[str] = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append((entry / "cmdline").read_text())
        except OSError:
            continue
    return found


async def test_an_image_that_never_came_into_the_ledger_is_taken_back(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role())
    await workshop.until(run, "build/file.hello")
    for lives in range(100):
        job = DyingJob(workshop.around, workshop.again(run), workshop.again(run).stages[-1])
        job.lives = lives
        with pytest.raises(Killed):
            await register.carry_out(job)
        job.close()
        if list(workshop.places.images.rglob(RUN_NOTE)):
            break
    assert workshop.ledger.images() == []
    workshop.end(run, succeeded=False)
    assert not [file for file in workshop.places.images.rglob("*") if file.is_file()]
    assert workshop.ledger.read().reservations == ()


async def test_what_tags_an_ami_waits_for_forgotten_credentials_and_keeps_them_out_of_its_log(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.engine.job._SECRETS_COME_WITHIN", 0.0)
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role(build="amazon-ebs.web"), secrets={"AWS_SECRET_ACCESS_KEY": SECRET})
    await workshop.until(run, "upstream")
    made = [{"format": "ami", "location": f"eu-central-1:{SECRET}"}]
    for key, result in (("validate", {}), ("build/amazon-ebs.web", {"made": made})):
        workshop.index.update_stage(run.uid, key, state=StageState.SUCCEEDED, result=result)
    workshop.memory.forget(run.uid)
    given: list[str] = []

    class Cloud:
        def __init__(self, region: str, environment: Mapping[str, str], _: str) -> None:
            self.region = region
            given.append(environment["AWS_SECRET_ACCESS_KEY"])

        def ami(self, name: str) -> Ami:
            return Ami(self.region, name, "web", "available", (), None, {})

        def tag(self, *_: object) -> None:
            """Nobody looks at them here: test_amazon.py does."""

    monkeypatch.setattr(register, "Ec2", Cloud)
    registering = asyncio.ensure_future(workshop.stage(run, "register"))
    await workshop.waits(run, registering)
    assert f"forgotten AWS_SECRET_ACCESS_KEY; give it again: ingot resume {run.id}" in workshop.again(run).reason
    workshop.memory.give(run.uid, {"AWS_SECRET_ACCESS_KEY": SECRET})
    await registering
    assert given == [SECRET]
    log = workshop.log(run, "register")
    assert f"Tagged eu-central-1:{MARK.decode()}: ImageVersion=" in log
    assert SECRET not in log


async def test_a_finished_build_is_not_built_again(workshop: Workshop) -> None:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role())
    first = await workshop.until(run, "build/file.hello")
    assert await workshop.stage(run, "build/file.hello") == first
    assert workshop.log(run, "build/file.hello").count("$ packer build") == 1
    workshop.end(run, succeeded=False)


async def test_the_second_run_of_a_role_knows_how_far_it_is(workshop: Workshop) -> None:
    template = FILE_TEMPLATE.replace(
        'sources = ["source.file.hello"]',
        """sources = ["source.file.hello"]
  provisioner "shell-local" {
    inline = ["sleep 1.5"]
  }
  provisioner "shell-local" {
    inline = ["sleep 1.5"]
  }""",
    )
    workshop.commit({"web/web.pkr.hcl": template})
    seen: list[float] = []
    for number in range(2):
        run = workshop.new_run(role())
        await workshop.until(run, "validate")
        stage = asyncio.create_task(workshop.stage(run, "build/file.hello"))
        while not stage.done():
            await asyncio.sleep(0.05)
            fraction = workshop.again(run).stages[3].fraction
            if number and fraction is not None:
                seen.append(fraction)
        await stage
        workshop.end(run, succeeded=False)
    assert any(0.2 < fraction < 0.9 for fraction in seen), seen
