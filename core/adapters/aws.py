"""EC2, as far as images need it: looking at an AMI and tagging it with its snapshots.

Credentials are those that the run names (profile, region, container or instance role) or that its person's shell had;
the worker's own environment is never looked at. Not for the workbench or the commands to import: boto3 takes a quarter
of a second.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from core.errors import ToolError

# By name: they carry no types, and nothing here needs them. At once: a worker outlives the replacement of its program.
_boto3: Any = import_module("boto3")
_botocore: Any = import_module("botocore.session")
_exceptions: Any = import_module("botocore.exceptions")

RETRIES = 8
"""Attempts at one call, with botocore's jittered back-off between them ("standard" retry mode)."""


@dataclass(frozen=True, slots=True)
class Ami:
    """An AMI as EC2 describes it."""

    region: str
    id: str
    name: str
    state: str
    snapshots: tuple[str, ...]
    volume_bytes: int | None
    """Size of the root volume as the machine sees it."""
    tags: Mapping[str, str]

    @property
    def location(self) -> str:
        """As the ledger holds it, and as Packer's manifest writes it."""
        return f"{self.region}:{self.id}"


class Ec2:
    """One region of EC2. Blocking: call it in a thread."""

    def __init__(self, region: str, environment: Mapping[str, str], endpoint: str = "") -> None:
        """`environment` holds AWS's usual variables; `endpoint` wins over them (the template's
        `custom_endpoint_ec2`)."""
        self.region = region
        self._client: Any = _client(region, environment, endpoint)

    def ami(self, ami_id: str) -> Ami:
        """Raises ToolError when EC2 cannot be asked, or has no such AMI."""
        answer = self._call("look at", ami_id, "describe_images", ImageIds=[ami_id])
        images: list[dict[str, Any]] = answer.get("Images", [])
        if not images:
            raise ToolError(
                f"{self.region} has no AMI {ami_id}.", "Look into the account and region that the build used."
            )
        image = images[0]
        disks: list[dict[str, Any]] = [
            mapping["Ebs"] for mapping in image.get("BlockDeviceMappings", []) if "Ebs" in mapping
        ]
        sizes = [int(disk["VolumeSize"]) for disk in disks if disk.get("VolumeSize")]
        return Ami(
            region=self.region,
            id=ami_id,
            name=image.get("Name", ""),
            state=image.get("State", ""),
            snapshots=tuple(disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")),
            volume_bytes=sizes[0] * 1024**3 if sizes else None,
            tags={tag["Key"]: tag["Value"] for tag in image.get("Tags", [])},
        )

    def tag(self, ami: Ami, tags: Mapping[str, str]) -> None:
        """Put the tags on the AMI and its snapshots. Repeating it changes nothing. Raises ToolError."""
        self._call(
            "tag",
            ami.id,
            "create_tags",
            Resources=[ami.id, *ami.snapshots],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )

    def _call(self, doing: str, what: str, operation: str, **arguments: Any) -> dict[str, Any]:
        try:
            return getattr(self._client, operation)(**arguments)
        except (_exceptions.BotoCoreError, _exceptions.ClientError) as error:
            raise ToolError(
                f"Cannot {doing} {what} in {self.region}: {error}",
                "Look at the credentials and permissions of this run "
                "(ec2:DescribeImages and ec2:CreateTags are needed), then retry.",
                kept="The AMI itself is not touched.",
            ) from error


def _client(region: str, environment: Mapping[str, str], endpoint: str) -> Any:
    core: Any = _botocore.Session()
    for variable, setting in (("AWS_CONFIG_FILE", "config_file"), ("AWS_SHARED_CREDENTIALS_FILE", "credentials_file")):
        if variable in environment:
            core.set_config_variable(setting, environment[variable])
    key, secret = environment.get("AWS_ACCESS_KEY_ID"), environment.get("AWS_SECRET_ACCESS_KEY")
    try:
        session: Any = _boto3.Session(
            botocore_session=core,
            # As the AWS tools do: keys in the environment win over a profile named there.
            profile_name=None if key else environment.get("AWS_PROFILE") or None,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            aws_session_token=environment.get("AWS_SESSION_TOKEN") if key else None,
            region_name=region,
        )
        return session.client(
            "ec2",
            endpoint_url=endpoint
            or environment.get("AWS_ENDPOINT_URL_EC2")
            or environment.get("AWS_ENDPOINT_URL")
            or None,
            config=import_module("botocore.config").Config(retries={"mode": "standard", "total_max_attempts": RETRIES}),
        )
    except _exceptions.BotoCoreError as error:
        raise ToolError(
            f"Cannot use AWS in {region}: {error}", "Look at AWS_PROFILE and the AWS configuration files."
        ) from error
