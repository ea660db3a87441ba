"""The boot test of an AMI as a stage, in an EC2 whose instances are machines (tests/support/booting_cloud.py): what it
decides, finds, and leaves behind."""

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from booting_cloud import BootingCloud, booting_cloud
from cloud_machine import CREDENTIALS, REGION, missing
from msgspec.structs import replace
from patience import PATIENCE, until
from ssh_machine import make_key
from stand_in_guest import write_program
from workshop import WHO, Workshop, role

from core.adapters import ssh
from core.adapters.aws import Ec2
from core.engine import keeping
from core.engine.execution import Execution, Pipeline
from core.engine.job import Job
from core.engine.keeping import Keeper
from core.errors import ToolError
from core.model import boot_checks as rules
from core.model.boot_test import AmazonTest, BootTest
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.machine import MachineState
from core.model.pipeline import Purpose, stages_of
from core.model.promotion import CheckState
from core.model.run import Run, RunRequest, RunState
from core.model.sealing import SealSettings
from core.model.states import Verdict
from core.model.test_report import Case, Outcome, Report
from core.services.contents import Contents
from core.services.dossiers import Dossiers
from core.services.testing import Testing
from core.stages import boot_checks, cloud, leftovers
from core.stages import booting_cloud as stage

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")
BUILD = "amazon-ebs.web"
KEY = f"test/{BUILD}"
IMAGE = ("web", "0.1.0")


class Site:
    """A registered image version of a role with an AMI, and runs that test it."""

    def __init__(self, workshop: Workshop, made: BootingCloud) -> None:
        self.workshop = workshop
        self.cloud = made
        self.settings = BootTest(limit=PATIENCE)
        self.seal = SealSettings(enabled=True)
        self.secrets = dict(CREDENTIALS)

    def register(self, settings: str = "") -> None:
        """`settings` are lines of the template's source."""
        commit = self.workshop.commit({"web/web.pkr.hcl": self.cloud.template(settings=settings)})
        artifact = Artifact(BUILD, "ami", f"{REGION}:{self.cloud.source_ami}")
        upstream = UpstreamRecord("none", "")
        image = ImageVersion(*IMAGE, commit, 1.0, "run1", WHO, upstream, (artifact,), "web")
        self.workshop.ledger.register(image, WHO, "made")

    def new_run(self) -> Run:
        of = role(build=BUILD, test=self.settings, seal=self.seal)
        request = RunRequest(
            self.workshop.workspace, of, self.workshop.git("rev-parse", "HEAD"), "0.1.0", (BUILD,), WHO, 0.0,
            purpose=Purpose.TEST, version="0.1.0", secret_names=tuple(self.secrets),
        )  # fmt: skip
        run = self.workshop.index.add_run(request, stages_of(of, (BUILD,), Purpose.TEST))
        self.workshop.index.set_run_state(run.uid, RunState.RUNNING)
        self.workshop.memory.give(run.uid, self.secrets)
        return self.workshop.again(run)

    async def test(self, run: Run) -> dict[str, object]:
        await self.stage(run, "checkout")
        return await self.stage(run, KEY)

    async def stage(self, run: Run, key: str) -> dict[str, object]:
        return await self.workshop.stage(run, key)

    def keeper(self) -> Keeper:
        return Keeper(self.workshop.around, lambda run, ok: self.workshop.end(run, succeeded=ok), lambda _: None)

    @property
    def state(self) -> tuple[ImageState, Verdict]:
        life = self.workshop.ledger.read().decided.life(IMAGE)
        return life.stored, life.verdict

    @property
    def report(self) -> Report:
        """The newest."""
        found = Testing(self.workshop.places, os.environ).results(self.workshop.root, *IMAGE)[1][0].report
        assert found is not None
        return found

    def case(self, name: str) -> Case:
        return next(case for case in self.report.cases if case.name == name)

    def log(self, run: Run) -> str:
        return self.workshop.log(run, KEY)

    def nothing_left(self, run: Run) -> None:
        assert self.cloud.leftovers() == []
        assert not list((self.workshop.places.run(run.uid) / "test").glob("*"))
        assert not list((self.workshop.places.run(run.uid) / "keys").glob("*"))
        assert not list((self.workshop.places.run(run.uid) / "reading").glob("*"))
        machine = self.workshop.index.machine(run.uid, KEY)
        assert machine is None or machine.state is MachineState.GONE


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(keeping, "_STATE_EVERY", 0.1)
    monkeypatch.setattr(keeping, "_LOOK_EVERY", 0.2)
    monkeypatch.setattr(stage, "_STATE_EVERY", 0.1)
    monkeypatch.setattr(cloud, "_GROUP_IS_FREE_AFTER", (0.1,))
    workshop = Workshop(tmp_path)
    with booting_cloud(tmp_path / "cloud") as made:
        yield Site(workshop, made)
    workshop.close()


async def test_an_ami_that_passes_is_good_and_what_is_in_it_is_on_record(site: Site) -> None:
    site.cloud.guests.has_on_disk("/etc/os-release", 'ID=debian\nPRETTY_NAME="Debian 12"\n')
    site.cloud.guests.has_on_disk(
        "/var/lib/dpkg/status",
        "Package: nginx\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1.22.1-9\n\n",
    )
    site.register()
    run = site.new_run()
    result = await site.test(run)
    assert result["verdict"] == "passed"
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    report = site.report
    assert [case.name for case in report.cases if case.suite == "boot"] == list(rules.ALL)
    assert {case.outcome for case in report.cases} <= {Outcome.PASSED, Outcome.SKIPPED}
    assert report.accelerator == "t3.micro"
    assert report.artifact == f"{REGION}:{site.cloud.source_ami}"
    assert "shows no fingerprints" not in site.log(run)
    assert "web 0.1.0 is good." in site.log(run)
    assert not any(value in site.log(run) for value in CREDENTIALS.values())
    site.nothing_left(run)
    # What was seen in the machine is known of the image as it is of others'.
    dossier = Dossiers(site.workshop.places, site.workshop.root).dossier(*IMAGE)
    assert dossier.problems == ()
    assert [seal.build for seal in dossier.seals] == [BUILD]
    assert [(item.name, item.says) for item in dossier.packages] == [("nginx", "1.22.1-9")]
    assert dossier.looked_into
    contents = Contents(site.workshop.places, site.workshop.root)
    found = contents.inventory(*IMAGE)
    assert found.notes == ()
    assert [(one.name, one.version) for one in found.inventories[BUILD].packages] == [("nginx", "1.22.1-9")]
    assert ("tcp", 22) in [(port.protocol, port.number) for port in found.inventories[BUILD].ports]
    _, looks = Dossiers(site.workshop.places, site.workshop.root).checks(*IMAGE, "staging")
    assert {check.id: check.state for check in looks if check.id in ("sealed", "stamped")} == {
        "sealed": CheckState.OK,
        "stamped": CheckState.OK,
    }


async def test_a_build_goes_from_packer_to_a_good_ami(site: Site) -> None:
    site.workshop.commit({"web/web.pkr.hcl": site.cloud.template()})
    site.workshop.git("tag", "release-0.1.0")
    of = role(build=BUILD, declares=("ingot_version",), test=site.settings, seal=site.seal)
    stages = stages_of(of, (BUILD,))
    assert stages[-2:] == ("register", KEY)
    run = site.workshop.new_run(of, secrets=CREDENTIALS, stages=stages)
    await site.workshop.until(run, "register")
    assert "what is left in it is seen when it is tested" in site.workshop.log(run, "register")
    assert (await site.stage(run, KEY))["verdict"] == "passed"
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    made = site.workshop.ledger.images()[0].artifacts[0].location
    assert site.report.artifact == made
    assert made != f"{REGION}:{site.cloud.source_ami}"
    leftovers.clean_up(site.workshop.places, site.workshop.again(run), succeeded=True)
    site.nothing_left(run)


async def test_what_is_left_in_it_fails_with_its_path_where_it_was_to_be_sealed(site: Site) -> None:
    site.cloud.guests.has_on_disk("/root/.bash_history", "passwd root\n")
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match=r"seal, history of shells and other programs: .*/root/\.bash_history"):
        await site.test(run)
    assert site.state == (ImageState.CANDIDATE, Verdict.FAILED)
    site.nothing_left(run)
    # Where nobody asked for sealing it is on record, and in nobody's way.
    site.seal = SealSettings()
    await site.test(site.new_run())
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    assert "/root/.bash_history" in site.case("history of shells and other programs").message


async def test_the_user_whom_the_boot_made_for_the_test_is_not_of_the_build(site: Site) -> None:
    user = site.cloud.user
    site.cloud.guests.has_on_disk("/etc/passwd", f"{user}:x:1000:1000::/home/{user}:/bin/sh\n")
    site.seal = SealSettings(enabled=True, users=(user,))
    site.register()
    with pytest.raises(ToolError, match=f"users that only the build needs .*/etc/passwd: {user}"):
        await site.test(site.new_run())
    os.utime(site.cloud.guests.here / "disk/etc/passwd")
    await site.test(site.new_run())
    assert site.state == (ImageState.GOOD, Verdict.PASSED)


async def test_a_machine_that_never_answers_fails_and_its_console_says_why(site: Site) -> None:
    site.cloud.guests.is_silent()
    site.settings = replace(site.settings, limit=1.0)
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match="did not let anybody in"):
        await site.test(run)
    assert "console: booting" in site.log(run)
    assert site.case(rules.ANSWERS).outcome is Outcome.FAILED
    site.nothing_left(run)


async def test_without_credentials_it_says_what_to_do_and_stays_a_candidate(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("HOME", str(tmp_path))
    site.secrets = {}
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match="no credentials") as failed:
        await site.test(run)
    assert failed.value.kept == "web 0.1.0 is not tested, and stays candidate."
    assert "AWS_PROFILE" in failed.value.next_step
    assert "ingot test web 0.1.0" in failed.value.next_step
    assert site.state == (ImageState.CANDIDATE, Verdict.UNTESTED)
    site.nothing_left(run)


async def test_what_ec2_refuses_is_said_with_what_to_change(site: Site) -> None:
    site.settings = replace(site.settings, amazon=AmazonTest(subnet="subnet-00000000"))
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match=r"InvalidSubnetID\.NotFound") as failed:
        await site.test(run)
    assert "[test.amazon] subnet" in failed.value.next_step
    assert site.state == (ImageState.CANDIDATE, Verdict.UNTESTED)
    site.nothing_left(run)


async def test_a_machine_that_is_not_entered_by_ssh_is_not_tested_and_the_run_goes_on(site: Site) -> None:
    site.register('  communicator = "winrm"\n')
    run = site.new_run()
    assert (await site.test(run))["verdict"] == "untested"
    assert "Nothing is tested. The machine of amazon-ebs.web is entered by winrm" in site.log(run)
    assert site.state == (ImageState.CANDIDATE, Verdict.UNTESTED)
    site.nothing_left(run)


async def test_an_ami_that_is_gone_is_said(site: Site) -> None:
    site.register()
    site.cloud.ec2.deregister_image(ImageId=site.cloud.source_ami)
    run = site.new_run()
    with pytest.raises(ToolError, match=site.cloud.source_ami):
        await site.test(run)
    site.nothing_left(run)


async def _two_run(site: Site) -> asyncio.Future[Any]:
    """A test on its way, whose machines run and do not answer."""
    site.cloud.guests.is_silent()
    site.register()
    run = site.new_run()
    await site.stage(run, "checkout")
    testing = asyncio.ensure_future(site.stage(run, KEY))
    await until(lambda: list(site.cloud.states().values()).count("running") == 2, "both machines run")
    return testing


async def test_a_cancelled_test_leaves_nothing(site: Site) -> None:
    testing = await _two_run(site)
    testing.cancel()
    await asyncio.wait({testing})
    assert testing.cancelled()
    run = site.workshop.index.runs()[0]
    leftovers.clean_up(site.workshop.places, run, succeeded=False)
    site.nothing_left(run)
    assert site.state == (ImageState.CANDIDATE, Verdict.UNTESTED)


async def _killed(site: Site, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Its worker was killed: what it had launched goes on."""
    with monkeypatch.context() as patch:
        patch.setattr(stage.Site, "__aexit__", _nothing)
        patch.setattr(stage.CloudMachine, "__aexit__", _nothing)
        testing = await _two_run(site)
        testing.cancel()
        await asyncio.wait({testing})
    assert len(site.cloud.leftovers()) == 4
    return site.workshop.index.runs()[0]


async def _nothing(*_: object) -> None:
    pass


async def test_the_attempt_after_a_killed_worker_ends_what_that_had_launched(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await _killed(site, monkeypatch)
    tags = {"IngotRun": run.uid, "IngotStage": "test/amazon-ebs.other"}
    others = site.cloud.ec2.run_instances(
        ImageId=site.cloud.source_ami, MinCount=1, MaxCount=1,
        TagSpecifications=[
            {"ResourceType": "instance", "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
        ],
    )["Instances"][0]  # fmt: skip
    (site.cloud.guests.here / "silent").unlink()
    assert (await site.stage(run, KEY))["verdict"] == "passed"
    assert "left by an earlier attempt" in site.log(run)
    assert site.cloud.states()[others["InstanceId"]] == "running", "it is another test's of the same run"
    site.cloud.ec2.terminate_instances(InstanceIds=[others["InstanceId"]])
    await until(lambda: site.cloud.leftovers() == [], "it has ended")
    site.nothing_left(run)


async def test_what_a_killed_worker_had_launched_is_ended_with_a_run_that_does_not_go_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await _killed(site, monkeypatch)
    index = site.workshop.index
    index.ask_cancel(run.uid, WHO)
    index.set_run_state(run.uid, RunState.CANCELLING)
    execution = Execution(site.workshop.around, Pipeline({}, lambda run, ok: None), lambda: None)
    await execution.finish(run.uid)
    keeper = site.keeper()
    keeper.look()
    await until(lambda: not keeper.keeps, "all is ended")
    site.nothing_left(run)


async def test_a_machine_that_did_not_pass_is_kept_and_ended_at_its_time(site: Site) -> None:
    site.cloud.guests.has_failed("web.service")
    site.settings = replace(site.settings, keep=True)
    site.register()
    run = site.new_run()
    with pytest.raises(ToolError, match=r"web\.service"):
        await site.test(run)
    index, places = site.workshop.index, site.workshop.places
    index.set_run_state(run.uid, RunState.FAILED)
    leftovers.clean_up(places, site.workshop.again(run), succeeded=False, kept=True)
    (machine,) = index.machines(run.uid)
    assert machine.state is MachineState.KEPT
    assert machine.until is not None
    assert machine.until > time.time() + 600.0
    states = site.cloud.states()
    assert states.pop(machine.instance) == "running"
    assert list(states.values()) == ["terminated"], "the second is not needed any more"
    assert len(site.cloud.names()) == 2
    assert "booting" in Path(machine.console).read_text()
    _looks_as_it_should(site, run, machine.instance)
    connection = await ssh.connect(machine)
    assert (await connection.run("echo in the machine"))[1] == b"in the machine\n"
    await connection.close()
    keeper = site.keeper()
    keeper.look()
    index.set_machine_until(run.uid, machine.stage_key, 0.0)
    keeper.look()
    await until(lambda: not keeper.keeps, "all is ended")
    site.nothing_left(run)


def _looks_as_it_should(site: Site, run: Run, instance: str) -> None:
    """As EC2 tells of it: whose it is, its metadata, its disks, and who gets to it."""
    ec2 = site.cloud.ec2
    (found,) = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"]
    assert found["MetadataOptions"]["HttpTokens"] == "required"
    assert {"Key": "IngotRun", "Value": run.uid} in found["Tags"]
    assert {"Key": "IngotStage", "Value": KEY} in found["Tags"]
    disks = [disk["Ebs"]["VolumeId"] for disk in found["BlockDeviceMappings"]]
    for volume in ec2.describe_volumes(VolumeIds=disks)["Volumes"]:
        assert {"Key": "IngotRun", "Value": run.uid} in volume["Tags"]
    (group,) = ec2.describe_security_groups(GroupIds=[found["SecurityGroups"][0]["GroupId"]])["SecurityGroups"]
    (rule,) = group["IpPermissions"]
    assert (rule["IpProtocol"], rule["FromPort"], rule["ToPort"]) == ("tcp", site.cloud.ssh_port, site.cloud.ssh_port)
    pairs = ec2.describe_key_pairs(KeyNames=[found["KeyName"]])["KeyPairs"]
    assert {"Key": "IngotRun", "Value": run.uid} in pairs[0]["Tags"]


async def test_suites_run_in_the_machine_and_its_own_settings_count(site: Site) -> None:
    ec2, root = site.cloud.ec2, site.workshop.root
    group = ec2.create_security_group(GroupName="mine", Description="of a person")["GroupId"]
    port = site.cloud.ssh_port
    ec2.authorize_security_group_ingress(
        GroupId=group, IpProtocol="tcp", CidrIp="0.0.0.0/0", FromPort=port, ToPort=port
    )
    (root / "tests").mkdir()
    write_program(root / "tests/in_it", '#!/bin/sh\nssh -F "$INGOT_SSH_CONFIG" machine echo at $INGOT_HOST\n')
    amazon = AmazonTest("t3.small", "", (group,), "public")
    site.settings = replace(site.settings, suites=("tests/in_it",), amazon=amazon)
    site.register()
    run = site.new_run()
    await site.test(run)
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    assert site.report.accelerator == "t3.small"
    assert "at 127.0.0." in site.log(run)
    assert site.cloud.leftovers() == ["mine"], "what a person made stays"


async def test_what_cannot_be_ended_at_once_is_ended_after_the_run(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    (site.workshop.root / "tests").mkdir()
    write_program(site.workshop.root / "tests/fine", "#!/bin/sh\n")
    site.settings = replace(site.settings, suites=("tests/fine",))  # its end is not that of the machine
    site.register()
    run = site.new_run()
    with monkeypatch.context() as patch:
        patch.setattr(Ec2, "terminate", _refused)
        await site.test(run)
    assert site.state == (ImageState.GOOD, Verdict.PASSED)
    assert "cannot be ended now: Cannot end it: it has expired. It is tried again later." in site.log(run)
    assert len(site.cloud.leftovers()) == 4
    execution = Execution(site.workshop.around, Pipeline({}, lambda run, ok: None), lambda: None)
    await execution.finish(run.uid)
    assert site.workshop.again(run).state is RunState.SUCCEEDED
    keeper = site.keeper()
    keeper.look()
    await until(lambda: not keeper.keeps, "all is ended")
    assert site.cloud.leftovers() == []


def _refused(*_: object) -> None:
    raise ToolError("Cannot end it: it has expired.", "Log in again.")


async def test_the_templates_own_key_is_among_those_that_must_open_nothing(site: Site, tmp_path: Path) -> None:
    key = make_key(tmp_path / "builder")
    site.register(f'  ssh_private_key_file = "{key}"\n')
    run = site.new_run()
    place = Path(str((await site.stage(run, "checkout"))["path"]))
    of = run.stage(KEY)
    assert of is not None
    job = Job(site.workshop.around, run, of)
    try:
        _, keys = await boot_checks.known_logins(job, place)
    finally:
        job.close()
    assert keys == [(site.cloud.user, key)]
