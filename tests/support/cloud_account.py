"""An account of an EC2 that is not Amazon's (moto, in a server of its own), with AMIs of image versions in it."""

import contextlib
import json
import urllib.request
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from cloud_machine import CREDENTIALS, REGION, client, ec2_server

NUMBER = "123456789012"
"""Of moto's account; of all credentials that it knows nothing of."""


@dataclass(frozen=True)
class CloudAccount:
    """Where it is, and with which credentials."""

    endpoint: str
    credentials: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """What a person's shell has."""
        return {**self.credentials, "AWS_ENDPOINT_URL": self.endpoint}

    def client(self, service: str = "ec2", region: str = REGION) -> Any:
        keys = tuple(
            self.credentials.get(f"AWS_{name}") for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN")
        )
        return client(self.endpoint, service, region, *keys)

    def ami(self, role: str, version: str, run: str, region: str = REGION) -> str:
        """The location of an AMI with its snapshot as Packer makes them and *register* tags them."""
        ec2 = self.client(region=region)
        instance = ec2.run_instances(ImageId="ami-12345678", MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
        ami: str = ec2.create_image(InstanceId=instance, Name=f"{role}-{version}-{run}")["ImageId"]
        ec2.terminate_instances(InstanceIds=[instance])
        tags = {"ImageRole": role, "ImageVersion": version, "IngotRun": run, "IngotCommit": "c" * 40}
        self.tag(region, [ami, *self.snapshots_of(f"{region}:{ami}")], tags)
        return f"{region}:{ami}"

    def tag(self, region: str, resources: list[str], tags: Mapping[str, str]) -> None:
        pairs = [{"Key": key, "Value": value} for key, value in tags.items()]
        self.client(region=region).create_tags(Resources=resources, Tags=pairs)

    def snapshots_of(self, location: str) -> list[str]:
        region, _, ami = location.partition(":")
        (image,) = self.client(region=region).describe_images(ImageIds=[ami])["Images"]
        return [mapping["Ebs"]["SnapshotId"] for mapping in image["BlockDeviceMappings"] if "Ebs" in mapping]

    def amis(self, region: str = REGION) -> set[str]:
        """Locations of the account's own."""
        images = self.client(region=region).describe_images(Owners=["self"])["Images"]
        return {f"{region}:{image['ImageId']}" for image in images}

    def snapshots(self, region: str = REGION) -> set[str]:
        found = self.client(region=region).describe_snapshots(OwnerIds=["self"])["Snapshots"]
        return {snapshot["SnapshotId"] for snapshot in found}

    def other(self, number: str) -> "CloudAccount":
        """Another account, as one of whom this one is let in."""
        role = f"arn:aws:iam::{number}:role/guest"
        given = self.client("sts").assume_role(RoleArn=role, RoleSessionName="guest")["Credentials"]
        keys = {"AWS_ACCESS_KEY_ID": given["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": given["SecretAccessKey"]}
        return replace(self, credentials=keys | {"AWS_SESSION_TOKEN": given["SessionToken"]})

    @contextlib.contextmanager
    def only(self, *actions: str) -> Generator["CloudAccount"]:
        """The account as somebody sees it who may do nothing else there: `ec2:Describe*`."""
        iam, name = self.client("iam"), f"person-{len(self.client('iam').list_users()['Users'])}"
        iam.create_user(UserName=name)
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*"}
        policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="only", PolicyDocument=policy)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        keys = {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}
        self.post("reset-auth", b"0")
        try:
            yield replace(self, credentials=keys)
        finally:
            self.post("reset-auth", b"inf")

    def post(self, what: str, said: bytes = b"") -> None:
        """Tell moto itself something."""
        kind = {"Content-Type": "text/plain"}
        asked = urllib.request.Request(f"{self.endpoint}/moto-api/{what}", data=said, headers=kind, method="POST")
        urllib.request.urlopen(asked).close()


@contextlib.contextmanager
def cloud_account() -> Generator[CloudAccount]:
    """Empty, started for a test, and gone after it."""
    with ec2_server() as endpoint:
        yield CloudAccount(endpoint, CREDENTIALS)
