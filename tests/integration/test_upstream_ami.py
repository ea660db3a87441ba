"""An AMI by its owner and name, against moto's EC2: the newest of the allowed owners, pinned, and what is refused.

moto gives nobody's AMI but its own account's and those that it was born with, and knows no deprecation: whose it is and
what is over is tried with answers as EC2's reference has them (DescribeImages).
"""

from collections.abc import Iterator
from typing import Any, cast

import pytest
from cloud_machine import CREDENTIALS, REGION, CloudMachine, cloud_machine, missing
from workshop import WHO, Workshop, role

from core.adapters.aws import Ec2, PublishedAmi
from core.errors import UpstreamError
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.role import Role, Upstream, UpstreamKind
from core.stages import upstream_ami

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")

ACCOUNT = "123456789012"
"""moto's own."""
DECLARES = ("ingot_version", "ingot_upstream")


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CloudMachine]:
    """Its AMIs stay for the tests that follow: each has names of its own."""
    with cloud_machine(tmp_path_factory.mktemp("cloud") / "machine") as made:
        yield made


def upstream(*owners: str, name: str = "vendor-12-*", region: str = REGION, architecture: str = "") -> Upstream:
    return Upstream(UpstreamKind.AMI, owners=owners, name=name, region=region, architecture=architecture)


def template(machine: CloudMachine) -> str:
    """Built on what Ingot gives it."""
    own = machine.template()
    begin, end = own.index("  source_ami_filter"), own.index("build {")
    variable = 'variable "ingot_upstream" {\n  default = ""\n}\n'
    return variable + own[:begin] + "  source_ami = var.ingot_upstream\n}\n" + own[end:]


def of(chosen: Upstream, **more: Any) -> Role:
    return role(build="amazon-ebs.web", declares=DECLARES, upstream=chosen, **more)


def publish(machine: CloudMachine, name: str) -> str:
    """An AMI of this account."""
    ami: str = machine.ec2.copy_image(SourceRegion=REGION, SourceImageId=machine.source_ami, Name=name)["ImageId"]
    return ami


def account(workshop: Workshop, machine: CloudMachine, of_role: Role) -> Any:
    return workshop.new_run(
        of_role, environment={"AWS_REGION": REGION, "AWS_ENDPOINT_URL": machine.endpoint}, secrets=CREDENTIALS
    )


async def test_what_the_name_means_now_is_built_on_and_pinned(workshop: Workshop, machine: CloudMachine) -> None:
    (source,) = machine.ec2.describe_images(ImageIds=[machine.source_ami])["Images"]
    name, owner = source["Name"], source["OwnerId"]
    workshop.commit({"web/web.pkr.hcl": template(machine)})
    run = account(workshop, machine, of(upstream(owner, name=f"{name[:-1]}*")))
    result = await workshop.until(run, "upstream")
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    (image,) = workshop.ledger.images()
    record, details = image.upstream, image.upstream.details
    assert result["ami"] == details["ami"] == machine.source_ami
    assert (record.kind, record.description) == ("ami", f"{name} ({machine.source_ami})")
    assert record.verified == f"owner {owner}"
    assert (details["owner"], details["region"], details["name"]) == (owner, REGION, name)
    assert details["created"] == source["CreationDate"]
    assert details["asked for"] == f"{name[:-1]}* of {owner}"
    assert f"Found Image ID: {machine.source_ami}" in workshop.log(run, "build/amazon-ebs.web")


async def test_a_role_in_ec2_is_built_on_the_ami_of_its_parent(workshop: Workshop, machine: CloudMachine) -> None:
    workshop.commit({"web/web.pkr.hcl": template(machine)})
    disk = Artifact("qemu.base", "qcow2", "/nowhere", "sha256:" + "0" * 64)
    parent = Artifact("amazon-ebs.base", "ami", f"{REGION}:{machine.source_ami}")
    workshop.ledger.register(
        ImageVersion(
            *("base", "0.1.0", "c" * 40, 1.0, "run-1", WHO, UpstreamRecord("template", ""), (disk, parent), "base")
        ),
        WHO,
        "for a test",
    )
    on_base = Upstream(UpstreamKind.ROLE, role="base", takes=(ImageState.CANDIDATE,))
    run = account(workshop, machine, of(on_base))
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    record = next(image for image in workshop.ledger.images() if image.role == "web").upstream
    assert (record.role, record.version, record.verified) == ("base", "0.1.0", "ledger")
    assert record.details["ami"] == machine.source_ami
    assert f"Found Image ID: {machine.source_ami}" in workshop.log(run, "build/amazon-ebs.web")


async def test_of_several_the_newest_is_taken(workshop: Workshop, machine: CloudMachine) -> None:
    workshop.commit({"web/web.pkr.hcl": template(machine)})
    amis = [publish(machine, f"vendor-12-{number}") for number in (1, 2)]
    publish(machine, "vendor-13-1")
    run = account(workshop, machine, of(upstream(ACCOUNT)))
    result = await workshop.until(run, "upstream")
    listed = machine.ec2.describe_images(ImageIds=amis)["Images"]
    assert result["ami"] == max(listed, key=lambda image: (image["CreationDate"], image["ImageId"]))["ImageId"]


async def test_a_template_that_builds_on_another_ami_after_all_is_found_out(
    workshop: Workshop, machine: CloudMachine
) -> None:
    ami = publish(machine, "unused-12-20261114")
    workshop.commit({"web/web.pkr.hcl": 'variable "ingot_upstream" {\n  default = ""\n}\n' + machine.template()})
    run = account(workshop, machine, of(upstream(ACCOUNT, name="unused-12-*")))
    with pytest.raises(UpstreamError, match=f"was built on {machine.source_ami}, and not on {ami}"):
        await workshop.until(run, "register")
    workshop.end(run, succeeded=False)
    assert workshop.ledger.images() == []


async def test_who_is_not_allowed_is_never_taken_and_pointed_out(workshop: Workshop, machine: CloudMachine) -> None:
    publish(machine, "stranger-12-20261114")
    workshop.commit({"web/web.pkr.hcl": template(machine)})
    for owners in (("099720109477",), ("amazon", "aws-marketplace")):
        with pytest.raises(UpstreamError, match="No AMI named stranger-12-") as caught:
            await workshop.until(account(workshop, machine, of(upstream(*owners, name="stranger-12-*"))), "upstream")
        assert ACCOUNT in caught.value.kept
        assert "Anybody can publish" in caught.value.kept
        assert caught.value.next_step
    with pytest.raises(UpstreamError, match="No AMI named nobody-has-this") as caught:
        await workshop.until(account(workshop, machine, of(upstream(ACCOUNT, name="nobody-has-this"))), "upstream")
    assert caught.value.kept == ""


async def test_a_template_that_does_not_take_the_ami_is_refused(workshop: Workshop, machine: CloudMachine) -> None:
    workshop.commit({"web/web.pkr.hcl": machine.template()})
    without = role(build="amazon-ebs.web", declares=("ingot_version",), upstream=upstream(ACCOUNT))
    with pytest.raises(UpstreamError, match="finds its AMI by itself"):
        await workshop.until(account(workshop, machine, without), "upstream")


async def test_the_region_may_be_the_persons_and_self_is_the_account(workshop: Workshop, machine: CloudMachine) -> None:
    publish(machine, "own-12-20261114")
    workshop.commit({"web/web.pkr.hcl": template(machine)})
    chosen = upstream("self", name="own-12-*", region="", architecture="x86_64")
    record = (await workshop.until(account(workshop, machine, of(chosen)), "upstream"))["record"]
    details = cast("dict[str, str]", cast("dict[str, object]", record)["details"])
    assert (details["region"], details["owner"]) == (REGION, ACCOUNT)
    with pytest.raises(UpstreamError, match="No AMI"):
        await workshop.until(
            account(workshop, machine, of(upstream("self", name="own-12-*", architecture="arm64"))), "upstream"
        )


# --- the rule, with answers that moto does not give

NOW = 1_795_000_000.0  # 2026-11-18
CANONICAL = "099720109477"


def ami(number: int, created: str, deprecated: str = "", **more: str) -> PublishedAmi:
    return PublishedAmi(
        f"ami-{number}", f"vendor-12-{number}", CANONICAL, "", f"{created}T10:00:00.000Z", deprecated, **more
    )


def test_the_newest_that_is_not_over_wins() -> None:
    older, newer = ami(9, "2026-09-01"), ami(1, "2026-10-01")
    over = ami(2, "2026-11-01", "2026-11-17T00:00:00.000Z")
    later = ami(3, "2026-09-15", "2027-01-01T00:00:00.000Z")
    pending = ami(4, "2026-11-10", state="pending")
    asked = upstream(CANONICAL)
    assert upstream_ami.newest_of([newer, over, pending, older, later], asked, REGION, NOW) == newer
    assert upstream_ami.newest_of([older, later], asked, REGION, NOW) == later


@pytest.mark.parametrize(
    ("only", "reason"),
    [
        (ami(2, "2026-11-01", "2026-11-17T00:00:00.000Z"), "ami-2, was deprecated on 2026-11-17"),
        (ami(2, "2026-11-01", "no date"), "ami-2, was deprecated"),
        (ami(2, "2026-11-01", state="disabled"), "ami-2, is disabled"),
    ],
)
def test_what_nobody_should_use_any_more_is_refused(only: PublishedAmi, reason: str) -> None:
    with pytest.raises(UpstreamError, match=reason):
        upstream_ami.newest_of([only], upstream(CANONICAL), REGION, NOW)


class Lying(Ec2):
    """An EC2 that pays no heed to the owners that are asked for."""

    def __init__(self) -> None:
        self.region = REGION

    def published(self, name: str, *, owner: str = "", architecture: str = "") -> list[PublishedAmi]:
        return [ami(1, "2026-10-01"), PublishedAmi("ami-666", name, "666666666666", "", "2026-11-01T10:00:00.000Z")]


def test_that_it_is_one_of_the_owners_is_looked_at_here() -> None:
    found = upstream_ami._published(Lying(), upstream(CANONICAL, "amazon"))  # pyright: ignore[reportPrivateUsage]
    assert [one.id for one in found] == ["ami-1"]


def test_what_was_used_is_compared_where_packer_said_it() -> None:
    record = UpstreamRecord("ami", "", details={"ami": "ami-1"})
    upstream_ami.make_sure_it_was_used(record, {"a": {"source_image": "ami-1"}, "b": {"source_image": ""}, "c": {}})
    with pytest.raises(UpstreamError, match="b was built on ami-2, and not on ami-1"):
        upstream_ami.make_sure_it_was_used(record, {"a": {"source_image": "ami-1"}, "b": {"source_image": "ami-2"}})
