"""Machines that a build left in the cloud are found and ended there, and no others."""

import asyncio
import contextlib
import os
import signal
import time
import urllib.request
from collections.abc import AsyncGenerator, Generator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from cloud_machine import CREDENTIALS, REGION, CloudMachine, cloud_machine, missing
from patience import until
from workshop import Workshop, role

from core.engine import keeping
from core.engine.holds import tool_directory
from core.engine.job import LostError
from core.engine.keeping import Keeper
from core.hold import HolderRecord
from core.holding import sweep
from core.living import RUN_MARK, marked
from core.model.event import Event
from core.model.machine import Machine, MachineState
from core.model.role import Role
from core.model.run import Run, RunState
from core.stages import cloud

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")

KEY = "build/amazon-ebs.web"


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[CloudMachine]:
    with cloud_machine(tmp_path / "machine") as made:
        yield made


class Site:
    def __init__(self, place: Path, machine: CloudMachine) -> None:
        self.machine = machine
        self.shop = Workshop(place)
        self.told: list[Event] = []
        self.keeper = Keeper(self.shop.around, self._clean_up, self.told.append)

    def _clean_up(self, run: Run, succeeded: bool) -> None:
        self.shop.end(run, succeeded=succeeded)

    @property
    def role(self) -> Role:
        return role(build="amazon-ebs.web", declares=("ingot_version",), provisioners=("shell",))

    def run(self, endpoint: str = "") -> Run:
        return self.shop.new_run(
            self.role,
            environment={"AWS_REGION": REGION, "AWS_ENDPOINT_URL": endpoint or self.machine.endpoint},
            secrets=CREDENTIALS,
        )

    def launch(self, value: str = "") -> str:
        tags = [{"ResourceType": "instance", "Tags": [{"Key": "Run", "Value": value}]}] if value else []
        made = self.machine.ec2.run_instances(
            ImageId=self.machine.source_ami, MinCount=1, MaxCount=1, TagSpecifications=tags
        )
        return str(made["Instances"][0]["InstanceId"])

    def kept(self, run: Run, instance: str = "", until: float | None = None) -> None:
        kept = Machine(run.uid, KEY, "amazon-ebs.web", "amazon-ebs", MachineState.KEPT, instance=instance, until=until)
        self.shop.index.save_machine(kept)
        self.shop.index.set_run_state(run.uid, RunState.FAILED, "kept")
        self.keeper.look()

    async def until_gone(self, run: Run) -> None:
        def gone() -> bool:
            found = self.shop.index.machine(run.uid, KEY)
            return found is not None and found.state is MachineState.GONE and not self.keeper.keeps

        await until(gone, "the machine is gone")


@pytest.fixture
async def site(tmp_path: Path, machine: CloudMachine, monkeypatch: pytest.MonkeyPatch) -> AsyncGenerator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(keeping, "_STATE_EVERY", 0.1)
    monkeypatch.setattr(keeping, "_AGAIN", (0.2,))
    monkeypatch.setattr(keeping, "_LOOK_EVERY", 0.2)
    monkeypatch.setattr(cloud, "_GROUP_IS_FREE_AFTER", (0.1,))
    made = Site(tmp_path, machine)
    made.shop.commit({"ingot.toml": ""})
    yield made
    await made.keeper.let_go()
    made.shop.close()


async def test_a_kept_instance_is_ended_at_its_time_and_no_other(site: Site) -> None:
    mine, tagged_run = site.launch(), site.run()
    tagged = site.launch(tagged_run.uid)
    others = site.launch()
    run = site.run()
    site.kept(run, mine, until=time.time() + 600.0)
    await asyncio.sleep(0.5)  # looks of the keeper: nothing comes of them
    assert set(site.machine.states().values()) == {"running"}
    site.shop.index.set_machine_until(run.uid, KEY, time.time() + 0.5)
    site.keeper.look()
    await site.until_gone(run)
    assert site.machine.states() == {mine: "terminated", tagged: "running", others: "running"}
    # Packer may have been killed before it could say which: the run's id in a tag tells.
    site.kept(tagged_run, until=time.time())
    await site.until_gone(tagged_run)
    assert site.machine.states() == {mine: "terminated", tagged: "terminated", others: "running"}
    assert site.told == []


async def test_an_instance_that_was_there_before_the_run_is_not_ended(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloud, "_CLOCKS_DIFFER", -3600.0)
    others, run = site.launch(), site.run()
    site.kept(run, others, until=time.time())
    await site.until_gone(run)
    assert site.machine.states() == {others: "running"}


async def test_a_machine_whose_credentials_were_forgotten_is_ended_when_they_are_given_again(site: Site) -> None:
    run = site.run()
    mine = site.launch()
    site.shop.memory.forget(run.uid)
    site.kept(run, mine, until=time.time())
    await until(lambda: site.told, "somebody is told")
    assert site.machine.states() == {mine: "running"}
    assert f"{mine}: the worker was restarted and has forgotten AWS_ACCESS_KEY_ID" in site.told[0].why
    assert f"ingot resume {run.id}" in site.shop.log(run, KEY)
    site.shop.memory.give(run.uid, CREDENTIALS)
    site.keeper.again()
    await site.until_gone(run)
    assert site.machine.states() == {mine: "terminated"}


EXPIRED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Response><Errors><Error><Code>RequestExpired</Code><Message>Request has expired.</Message></Error></Errors>
<RequestID>0</RequestID></Response>"""


@contextlib.contextmanager
def expiring(endpoint: str, renewed: list[bool]) -> Generator[str]:
    """In front of EC2, for credentials that have expired, until they are renewed."""

    class Door(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            status, answer = 400, EXPIRED
            if renewed:
                headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
                with urllib.request.urlopen(urllib.request.Request(endpoint, data=body, headers=headers)) as there:
                    status, answer = there.status, there.read()
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Door)
    thread = Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_expired_credentials_are_said_once_and_tried_again(site: Site) -> None:
    renewed: list[bool] = []
    with expiring(site.machine.endpoint, renewed) as door:
        run, mine = site.run(door), site.launch()
        site.kept(run, mine, until=time.time())
        await until(lambda: len(site.told) > 2, "it was tried again and again")
        assert len({event.key for event in site.told}) == 1, "for whoever tells, it is one event"
        assert "the credentials of this run have expired" in site.told[0].why
        renewed.append(True)
        await site.until_gone(run)
    assert site.machine.states() == {mine: "terminated"}


async def test_nobody_waits_for_ever_for_credentials_that_do_not_come(site: Site) -> None:
    run, mine = site.run(), site.launch()
    site.shop.memory.forget(run.uid)
    site.kept(run, mine, until=time.time() - 8 * 24 * 3600)
    await site.until_gone(run)
    assert "given up" in site.told[-1].why


async def test_a_build_that_was_killed_leaves_no_instance_key_pair_or_security_group(
    site: Site, tmp_path: Path
) -> None:
    others = site.launch()
    # What a script prints names no machine of ours.
    gate = tmp_path / "gate"
    gate.touch()
    provisioner = site.machine.shell(f"echo Instance ID: {others}", f"while [ -e {gate} ]; do sleep 0.2; done")
    site.shop.commit({"web/web.pkr.hcl": site.machine.template(provisioner, own_key=False)})
    run = site.run()
    await site.shop.until(run, "validate")
    building = asyncio.ensure_future(site.shop.stage(run, KEY))
    try:
        await until(lambda: f"amazon-ebs.web: Instance ID: {others}" in site.shop.log(run, KEY), "the script runs")
        assert len(site.machine.made_by_packer()) == 2
        record = HolderRecord.read(tool_directory(site.shop.places, run.uid, KEY, "packer"))
        assert record is not None
        assert record.tool is not None
        # All at once: what of Packer outlives the rest for a moment cleans up by itself.
        os.kill(record.holder.pid, signal.SIGSTOP)
        for one in marked(lambda marks: marks.get(RUN_MARK) == run.uid):
            if one.pid != record.holder.pid:
                one.signal(signal.SIGKILL)
        os.kill(record.holder.pid, signal.SIGKILL)
        with pytest.raises(LostError, match="Its machine in the cloud is looked for and ended"):
            await building
    finally:
        building.cancel()
        await sweep(run.uid)
        gate.unlink()  # what ran in the machine goes on without Packer
    site.shop.index.set_run_state(run.uid, RunState.LOST, "killed")
    site.keeper.look()
    await site.until_gone(run)
    states = site.machine.states()
    assert states.pop(others) == "running"
    assert list(states.values()) == ["terminated"]
    assert site.machine.made_by_packer() == []
    assert "ingot: ending i-" in site.shop.log(run, KEY)


async def test_only_what_packer_said_before_anything_else_could_speak_counts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        "==> amazon-ebs.web: Creating temporary keypair: packer_1\n"
        "==> amazon-ebs.web: Pausing after run of step 'StepX'. Press enter to continue.     amazon-ebs.web: "
        "Instance ID: i-0123456789abcdef0\n"
        "==> amazon-ebs.web: Connected to SSH!\n"
        "    amazon-ebs.web: Instance ID: i-0fedcba9876543210\n"
        "    amazon-ebs.web: Creating temporary security group for this instance: packer_of_somebody_else\n"
    )
    assert cloud.made(log) == cloud.Made(("i-0123456789abcdef0",), ("packer_1",), ())
    assert cloud.made(tmp_path / "none") == cloud.Made()
