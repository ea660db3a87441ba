"""A role with an amazon-ebs source, whole: Packer against moto's EC2, with a real sshd as the machine."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cloud_machine import CREDENTIALS, REGION, CloudMachine, cloud_machine, missing
from workshop import Workshop, role

from core.adapters.aws import Ec2
from core.errors import ToolError

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")

HELLO = "echo hello from $(whoami), secret $AWS_SECRET_ACCESS_KEY."


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[CloudMachine]:
    with cloud_machine(tmp_path / "machine") as made:
        yield made


def tags_of(resource: dict[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in resource.get("Tags", [])}


async def test_an_ami_comes_out_tagged_and_registered(workshop: Workshop, machine: CloudMachine) -> None:
    commit = workshop.commit({"web/web.pkr.hcl": machine.template(machine.shell(HELLO))})
    of = role(build="amazon-ebs.web", declares=("ingot_version",), provisioners=("shell",))
    run = workshop.new_run(of, environment={"AWS_REGION": REGION}, secrets=CREDENTIALS)
    await workshop.until(run, "build/amazon-ebs.web")
    # A worker that died before the ledger was written tags and registers again, and nothing is there twice.
    await workshop.stage(run, "register")
    await workshop.stage(run, "register")
    workshop.end(run, succeeded=True)

    (image,) = workshop.ledger.images()
    (artifact,) = image.artifacts
    assert (artifact.format, artifact.build, artifact.host) == ("ami", "amazon-ebs.web", "")
    assert artifact.account == "123456789012"
    region, _, ami = artifact.location.partition(":")
    assert region == REGION
    (found,) = machine.ec2.describe_images(ImageIds=[ami])["Images"]
    assert found["Name"] == f"web-{image.version}"
    wanted = {"ImageVersion": image.version, "ImageRole": "web", "IngotRun": run.uid, "IngotCommit": commit}
    assert tags_of(found) == wanted | {"Project": "shop"}
    snapshots = [mapping["Ebs"]["SnapshotId"] for mapping in found["BlockDeviceMappings"] if "Ebs" in mapping]
    for snapshot in machine.ec2.describe_snapshots(SnapshotIds=snapshots)["Snapshots"]:
        assert tags_of(snapshot).items() >= wanted.items()
    assert machine.source_ami in image.upstream.description
    assert image.upstream.verified == ""
    log = workshop.log(run, "build/amazon-ebs.web")
    assert "hello from" in log
    assert "Connected to SSH!" in log
    for path in workshop.places.home.rglob("*"):
        if path.is_file():
            assert CREDENTIALS["AWS_SECRET_ACCESS_KEY"].encode() not in path.read_bytes(), path
    states = {
        instance["State"]["Name"]
        for reservation in machine.ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
    }
    assert states == {"terminated"}


async def test_a_build_that_fails_terminates_its_instance(workshop: Workshop, machine: CloudMachine) -> None:
    workshop.commit({"web/web.pkr.hcl": machine.template(machine.shell("exit 9"))})
    of = role(build="amazon-ebs.web", declares=("ingot_version",))
    run = workshop.new_run(of, environment={"AWS_REGION": REGION}, secrets=CREDENTIALS)
    with pytest.raises(ToolError, match=r"amazon-ebs\.web: .*9"):
        await workshop.until(run, "build/amazon-ebs.web")
    workshop.end(run, succeeded=False)
    assert workshop.ledger.images() == []
    states = {
        instance["State"]["Name"]
        for reservation in machine.ec2.describe_instances()["Reservations"]
        for instance in reservation["Instances"]
    }
    assert states == {"terminated"}


def test_an_ami_that_is_not_there_is_said(machine: CloudMachine) -> None:
    with pytest.raises(ToolError, match="ami-00000000"):
        Ec2(REGION, CREDENTIALS, machine.endpoint).ami("ami-00000000")


def test_the_endpoint_may_come_from_the_environment(machine: CloudMachine) -> None:
    ec2 = Ec2(REGION, {**CREDENTIALS, "AWS_ENDPOINT_URL": machine.endpoint})
    assert ec2.ami(machine.source_ami).id == machine.source_ami
