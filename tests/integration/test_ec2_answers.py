"""How EC2 may answer: in pages, and so that an answer is lost and the call is made again."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import pytest
from cloud_account import CloudAccount, cloud_account
from cloud_machine import CREDENTIALS, REGION
from lossy_cloud import lossy

from core.adapters.aws import Ec2
from core.adapters.aws_machines import Launching
from core.errors import ToolError

NAME = "ingot-of-a-test"
TAGS = {"IngotRun": "run1"}
PAGE = 100
"""Launches of which moto tells at once."""


@pytest.fixture
def account() -> Iterator[CloudAccount]:
    with cloud_account() as made:
        yield made


def test_all_machines_of_a_run_are_found_on_whatever_page_they_are(account: CloudAccount) -> None:
    ec2 = account.client()
    tags = [{"ResourceType": "instance", "Tags": [{"Key": "IngotRun", "Value": "run1"}]}]
    for _ in range(PAGE + 1):
        ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1, TagSpecifications=tags)
    assert len(Ec2(REGION, account.environment).instances_tagged("run1")) == PAGE + 1


def test_what_was_made_by_a_call_whose_answer_was_lost_is_not_in_the_way(account: CloudAccount) -> None:
    calls = ("ImportKeyPair", "CreateSecurityGroup", "AuthorizeSecurityGroupIngress", "DeleteSecurityGroup")
    with lossy(account.endpoint, calls) as (endpoint, lost):
        ec2 = Launching(REGION, account.credentials, endpoint)
        ec2.import_key_pair(
            NAME, "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBxyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy x", TAGS
        )
        group = ec2.make_security_group(NAME, subnet="", port=22, allow=("192.0.2.0/24",), tags=TAGS)
        (found,) = account.client().describe_security_groups(GroupIds=[group])["SecurityGroups"]
        assert (found["GroupName"], len(found["IpPermissions"])) == (NAME, 1)
        assert lost == list(calls[:3])


# --- with answers that moto does not give


def answering(ec2: Ec2) -> Any:
    """Answers in the place of EC2, in the order in which they are added; more than these it does not give."""
    return import_module("botocore.stub").Stubber(ec2._client)  # pyright: ignore[reportPrivateUsage] - its way out


def test_others_who_have_a_name_are_looked_for_on_one_page() -> None:
    ec2 = Ec2(REGION, CREDENTIALS)
    images = [{"ImageId": f"ami-{owner}", "OwnerId": owner} for owner in ("666", "111", "666")]
    with answering(ec2) as stub:
        stub.add_response("describe_images", {"Images": images, "NextToken": "there are thousands of pages"})
        assert ec2.owners_of("vendor-12-*", "arm64") == ("111", "666")


def made_already(stub: Any, *shown: str) -> None:
    """A group whose making is answered with that it is there; `shown` is what is there each time when it is looked."""
    stub.add_client_error("create_security_group", "InvalidGroup.Duplicate", http_status_code=400)
    for group in shown:
        stub.add_response("describe_security_groups", {"SecurityGroups": [{"GroupId": group}] if group else []})


def test_a_group_that_ec2_does_not_show_at_once_is_looked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.adapters.aws_machines._NOT_YET_FOR", (0.0, 0.0))
    ec2 = Launching(REGION, CREDENTIALS)
    with answering(ec2) as stub:
        made_already(stub, "", "sg-1")
        stub.add_response("authorize_security_group_ingress", {})
        assert ec2.make_security_group(NAME, subnet="", port=22, allow=("192.0.2.0/24",), tags=TAGS) == "sg-1"
        stub.assert_no_pending_responses()


def test_a_group_that_ec2_never_shows_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.adapters.aws_machines._NOT_YET_FOR", (0.0, 0.0))
    ec2 = Launching(REGION, CREDENTIALS)
    with answering(ec2) as stub:
        made_already(stub, "", "", "")
        with pytest.raises(ToolError, match=f"there is a security group {NAME} already, and does not show it"):
            ec2.make_security_group(NAME, subnet="", port=22, allow=("192.0.2.0/24",), tags=TAGS)
        stub.assert_no_pending_responses()
