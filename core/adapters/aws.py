"""EC2, as far as images need it: looking at an AMI and tagging it with its snapshots; looking at the machine of a
build, what its console says, and ending it with what Packer made for it; deleting an AMI with its snapshots.

Credentials are those that the run names (profile, region, container or instance role) or that its person's shell had.
Not for the workbench or the commands to import, for the sake of aws_client.py.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

import msgspec

from core.adapters.aws_client import RETRIES, client
from core.errors import ToolError

_exceptions: Any = import_module("botocore.exceptions")  # by name: they carry no types, and nothing here needs them

_IMAGES = "ec2:DescribeImages and ec2:CreateTags"
_MACHINES = "ec2:DescribeInstances, ec2:TerminateInstances, ec2:DeleteKeyPair, ec2:DeleteSecurityGroup"
_CONSOLE = "ec2:GetConsoleOutput"
_LOOKING = "ec2:DescribeImages, ec2:DescribeSnapshots, ec2:DescribeInstances, sts:GetCallerIdentity"
_DELETING = "ec2:DeregisterImage, ec2:DeleteSnapshot"
_GONE = frozenset({"InvalidAMIID.NotFound", "InvalidAMIID.Unavailable", "InvalidSnapshot.NotFound"})
_CREDENTIALS = (
    "Start it from a shell that has them: AWS_PROFILE (after aws configure, or aws sso login), or AWS_ACCESS_KEY_ID "
    "and AWS_SECRET_ACCESS_KEY."
)
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"})

_AT_ONCE = 200
"""Values that EC2 takes in one filter."""


class Ami(msgspec.Struct, frozen=True):
    """An AMI as EC2 describes it."""

    region: str
    id: str
    name: str
    state: str
    snapshots: tuple[str, ...]
    volume_bytes: int | None
    """Size of the root volume as the machine sees it."""
    tags: Mapping[str, str]
    owner: str = ""
    """The number of the account."""

    @property
    def location(self) -> str:
        """As the ledger holds it, and as Packer's manifest writes it."""
        return f"{self.region}:{self.id}"


class Snapshot(msgspec.Struct, frozen=True):
    """A snapshot of the account, as EC2 describes it."""

    id: str
    volume_bytes: int
    """Size of the volume that it was made of: it takes at most that."""
    description: str
    tags: Mapping[str, str]


class PublishedAmi(msgspec.Struct, frozen=True):
    """An AMI that somebody offers."""

    id: str
    name: str
    owner: str
    """The number of the account."""
    alias: str
    """`amazon`, `aws-marketplace`; empty for most accounts."""
    created: str
    """As EC2 writes it: `2026-11-14T10:00:00.000Z`."""
    deprecated: str = ""
    """From when on it is to be used no more, likewise; empty for never."""
    state: str = "available"
    architecture: str = ""


class Instance(msgspec.Struct, frozen=True):
    """A machine as EC2 describes it."""

    id: str
    state: str
    """`pending`, `running`, `shutting-down`, `terminated`, `stopping`, `stopped`."""
    launched: float
    """Seconds since the epoch."""
    key_pair: str
    security_groups: tuple[str, ...]
    """Their names."""
    tags: Mapping[str, str]
    image: str = ""
    """Id of the AMI that it was launched from."""
    public: str = ""
    """Its address for everybody; empty where it has none (yet)."""
    private: str = ""
    """Its address in its network."""
    reason: str = ""
    """Why it is in that state, where EC2 says so: `Server.InternalError: …`."""

    @property
    def ended(self) -> bool:
        """It is gone for good: it costs nothing any more."""
        return self.state == "terminated"

    @property
    def ending(self) -> bool:
        """Nothing needs to be done about it any more."""
        return self.state in ("shutting-down", "terminated")


class Ec2:
    """One region of EC2. Blocking: call it in a thread."""

    def __init__(
        self,
        region: str,
        environment: Mapping[str, str],
        endpoint: str = "",
        *,
        whose: str = "of this run",
        attempts: int = RETRIES,
    ) -> None:
        """`environment` holds AWS's usual variables; `endpoint` wins over them (the template's
        `custom_endpoint_ec2`). `region` may be empty: the profile's then. `whose` credentials they are is said where
        they do not do."""
        self._client: Any = client(region, environment, endpoint, attempts=attempts)
        self._whose = whose
        self.region = region or str(self._client.meta.region_name or "")

    def ami(self, ami_id: str) -> Ami:
        """Raises ToolError when EC2 cannot be asked, or has no such AMI."""
        answer = self._call("look at", ami_id, "describe_images", _IMAGES, ImageIds=[ami_id])
        images: list[dict[str, Any]] = answer.get("Images", [])
        if not images:
            raise ToolError(
                f"{self.region} has no AMI {ami_id}.", "Look into the account and region that the build used."
            )
        return _as_ami(self.region, images[0])

    def amis(self, ids: Sequence[str], *, owner: str = "") -> list[Ami]:
        """Those of these AMIs that there are, of one owner (`self`: the account) or of all, disabled ones as well.
        Raises ToolError."""
        of: dict[str, Any] = {"Owners": [owner]} if owner else {}
        of |= {"IncludeDeprecated": True, "IncludeDisabled": True}
        found = self._matching("AMIs", "describe_images", "Images", "image-id", ids, **of)
        return [_as_ami(self.region, image) for image in found]

    def snapshots(self, by: str, values: Sequence[str]) -> list[Snapshot]:
        """Those of the account that one of EC2's filters lets through: `snapshot-id`, `tag:…`, `tag-key`. Raises
        ToolError."""
        found = self._matching("snapshots", "describe_snapshots", "Snapshots", by, values, OwnerIds=["self"])
        return [
            Snapshot(
                id=snapshot["SnapshotId"],
                volume_bytes=int(snapshot.get("VolumeSize") or 0) * 1024**3,
                description=snapshot.get("Description", ""),
                tags={tag["Key"]: tag["Value"] for tag in snapshot.get("Tags", [])},
            )
            for snapshot in found
        ]

    def launched_from(self, amis: Sequence[str]) -> list[Instance]:
        """The account's machines that were launched from one of these AMIs. Raises ToolError."""
        found = self._matching("machines", "describe_instances", "Reservations", "image-id", amis)
        return _as_instances(found)

    def deregister(self, ami_id: str) -> None:
        """No machine can be launched from the AMI any more; its snapshots stay. No error where it is gone already.
        Raises ToolError."""
        self._unless_gone("deregister", ami_id, "deregister_image", ImageId=ami_id)

    def remove_snapshot(self, snapshot_id: str) -> None:
        """No error where it is gone already. Raises ToolError, such as while an AMI is made of it (`is_in_use`)."""
        self._unless_gone("delete the snapshot", snapshot_id, "delete_snapshot", SnapshotId=snapshot_id)

    def published(self, name: str, *, owner: str, architecture: str = "") -> list[PublishedAmi]:
        """The AMIs of an owner whose name matches a pattern (`*`, `?`). Raises ToolError."""
        found = self._all(
            *("look for", name, "describe_images", "Images", "ec2:DescribeImages"),
            Owners=[owner],
            **_named(name, architecture),
        )
        return [
            PublishedAmi(
                id=image["ImageId"],
                name=image.get("Name", ""),
                owner=image.get("OwnerId", ""),
                alias=image.get("ImageOwnerAlias", ""),
                created=image.get("CreationDate", ""),
                deprecated=image.get("DeprecationTime", ""),
                state=image.get("State", ""),
                architecture=image.get("Architecture", ""),
            )
            for image in found
        ]

    def owners_of(self, name: str, architecture: str = "", limit: int = 5) -> tuple[str, ...]:
        """Some of those who have AMIs of a name: to say that there are, never to trust them. Raises ToolError."""
        # Only the first page: all that everybody offers would be many, and nobody could stop the asking.
        answer = self._call(
            *("look for", name, "describe_images", "ec2:DescribeImages"),
            MaxResults=1000,
            **_named(name, architecture),
        )
        images: list[dict[str, Any]] = answer.get("Images", [])
        return tuple(sorted({str(image.get("OwnerId", "")) for image in images})[:limit])

    def tag(self, ami: Ami, tags: Mapping[str, str]) -> None:
        """Put the tags on the AMI and its snapshots. Repeating it changes nothing. Raises ToolError."""
        self._call(
            "tag",
            ami.id,
            "create_tags",
            _IMAGES,
            Resources=[ami.id, *ami.snapshots],
            Tags=[{"Key": key, "Value": value} for key, value in tags.items()],
        )

    def instance(self, instance_id: str) -> Instance | None:
        """None when EC2 knows nothing of it (any more). Raises ToolError."""
        found = self._instances(instance_id, InstanceIds=[instance_id])
        return found[0] if found else None

    def instances_tagged(self, value: str) -> list[Instance]:
        """Those that have this as the value of any tag. Raises ToolError."""
        return self._instances(f"machines tagged {value}", Filters=[{"Name": "tag-value", "Values": [value]}])

    def terminate(self, instance_id: str) -> None:
        """Begin to end a machine; repeating it changes nothing. Look at it afterwards. Raises ToolError."""
        self._call("end", instance_id, "terminate_instances", _MACHINES, InstanceIds=[instance_id])

    def remove_key_pair(self, name: str) -> None:
        """No error where there is none. Raises ToolError."""
        self._call("remove the key pair", name, "delete_key_pair", _MACHINES, KeyName=name)

    def remove_security_group(self, name: str) -> None:
        """No error where there is none. Raises ToolError, such as while a machine has it."""
        for group in self._groups(name):
            self._call("remove", name, "delete_security_group", _MACHINES, GroupId=group)

    def console(self, instance_id: str) -> str:
        """What the machine said on its console lately; empty where EC2 has nothing yet (minutes, at times). Raises
        ToolError."""
        answer = self._call(
            "look at the console of", instance_id, "get_console_output", _CONSOLE, InstanceId=instance_id
        )
        return str(answer.get("Output") or "")

    def _groups(self, name: str) -> list[str]:
        """Ids of the security groups of a name. Raises ToolError."""
        wanted = [{"Name": "group-name", "Values": [name]}]
        found = self._all("look at", name, "describe_security_groups", "SecurityGroups", _MACHINES, Filters=wanted)
        return [str(group["GroupId"]) for group in found]

    def _instances(self, what: str, **wanted: Any) -> list[Instance]:
        try:
            found = self._all("look at", what, "describe_instances", "Reservations", _MACHINES, **wanted)
        except ToolError as error:
            if code_of(error.__cause__) == "InvalidInstanceID.NotFound":
                return []
            raise
        return _as_instances(found)

    def _matching(
        self, what: str, operation: str, key: str, by: str, values: Sequence[str], **more: Any
    ) -> list[dict[str, Any]]:
        """All of what a filter of EC2 lets through, for any number of values."""
        found: list[dict[str, Any]] = []
        for at in range(0, len(values), _AT_ONCE):
            filters = [{"Name": by, "Values": list(values[at : at + _AT_ONCE])}]
            found += self._all("look at", what, operation, key, _LOOKING, Filters=filters, **more)
        return found

    def _all(
        self, doing: str, what: str, operation: str, key: str, needs: str, **arguments: Any
    ) -> list[dict[str, Any]]:
        """All pages of an answer: EC2 may send one with little or nothing in it, and go on after that."""
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {}
        while True:
            answer = self._call(doing, what, operation, needs, **arguments, **page)
            found += answer.get(key, [])
            if not answer.get("NextToken"):
                return found
            page = {"NextToken": answer["NextToken"]}

    def _unless_gone(self, doing: str, what: str, operation: str, **arguments: Any) -> None:
        try:
            self._call(doing, what, operation, _DELETING, **arguments)
        except ToolError as error:
            if code_of(error.__cause__) not in _GONE:
                raise

    def _call(self, doing: str, what: str, operation: str, needs: str, **arguments: Any) -> dict[str, Any]:
        try:
            return getattr(self._client, operation)(**arguments)
        except (_exceptions.BotoCoreError, _exceptions.ClientError) as error:
            why = f"the credentials {self._whose} have expired" if code_of(error) in _EXPIRED else str(error)
            next_step = f"Look at the credentials and permissions {self._whose} ({needs} are needed), then retry."
            if isinstance(error, _exceptions.NoCredentialsError):
                why, next_step = "there are no credentials", _CREDENTIALS
            raise ToolError(
                f"Cannot {doing} {what} in {self.region or 'AWS'}: {why.rstrip('.')}.",
                next_step,
                kept="The AMI itself is not touched." if needs == _IMAGES else "",
            ) from error


def account_of(environment: Mapping[str, str], region: str, *, whose: str, attempts: int = RETRIES) -> str:
    """The number of the account that these credentials are of. Raises ToolError."""
    try:
        return str(client(region, environment, "", "sts", attempts=attempts).get_caller_identity()["Account"])
    except (_exceptions.BotoCoreError, _exceptions.ClientError) as error:
        raise ToolError(
            f"Cannot tell which account of AWS the credentials {whose} are of: {str(error).rstrip('.')}.",
            f"Look at the credentials {whose}, and at AWS_ENDPOINT_URL where it is not Amazon's, then retry.",
        ) from error


def is_in_use(error: BaseException) -> bool:
    """Whether it says that a snapshot cannot go as an AMI is made of it; for some seconds after that AMI was
    deregistered EC2 still says so."""
    return code_of(error.__cause__) == "InvalidSnapshot.InUse"


def _named(name: str, architecture: str) -> dict[str, Any]:
    """What EC2 is asked for AMIs whose name matches a pattern, of one architecture or (empty) of any."""
    wanted = [{"Name": "name", "Values": [name]}]
    if architecture:
        wanted.append({"Name": "architecture", "Values": [architecture]})
    # Deprecated ones as well: that a name has only those left is to be said.
    return {"Filters": wanted, "IncludeDeprecated": True}


def _as_ami(region: str, image: Mapping[str, Any]) -> Ami:
    disks: list[dict[str, Any]] = [
        mapping["Ebs"] for mapping in image.get("BlockDeviceMappings", []) if "Ebs" in mapping
    ]
    sizes = [int(disk["VolumeSize"]) for disk in disks if disk.get("VolumeSize")]
    return Ami(
        region=region,
        id=image["ImageId"],
        name=image.get("Name", ""),
        state=image.get("State", ""),
        snapshots=tuple(disk["SnapshotId"] for disk in disks if disk.get("SnapshotId")),
        volume_bytes=sizes[0] * 1024**3 if sizes else None,
        tags={tag["Key"]: tag["Value"] for tag in image.get("Tags", [])},
        owner=image.get("OwnerId", ""),
    )


def _as_instances(reservations: Sequence[Mapping[str, Any]]) -> list[Instance]:
    machines: list[dict[str, Any]] = [found for reservation in reservations for found in reservation["Instances"]]
    return [
        Instance(
            id=found["InstanceId"],
            state=found["State"]["Name"],
            launched=found["LaunchTime"].timestamp(),
            key_pair=found.get("KeyName") or "",
            security_groups=tuple(group["GroupName"] for group in found.get("SecurityGroups", [])),
            tags={tag["Key"]: tag["Value"] for tag in found.get("Tags", [])},
            image=found.get("ImageId") or "",
            public=found.get("PublicIpAddress") or "",
            private=found.get("PrivateIpAddress") or "",
            reason=str(found.get("StateReason", {}).get("Message") or ""),
        )
        for found in machines
    ]


def code_of(error: BaseException | None) -> str:
    """AWS's own word for what went wrong."""
    response: dict[str, Any] = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))
