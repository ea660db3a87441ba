"""Launching machines in EC2, for looking at an AMI: each with a key pair and a security group of the test's own.

All of it carries the tags that it is given from the moment at which it is made, so that whoever comes after a worker
that was killed finds it.
"""

import time
from collections.abc import Mapping
from typing import Any

import msgspec

from core.adapters.aws import Ec2, Instance, code_of
from core.errors import ToolError

_LAUNCH = "ec2:RunInstances, ec2:CreateTags, ec2:DescribeInstances and ec2:TerminateInstances"
_KEYS = "ec2:ImportKeyPair, ec2:DeleteKeyPair and ec2:CreateTags"
_GROUPS = "ec2:CreateSecurityGroup, ec2:AuthorizeSecurityGroupIngress, ec2:DeleteSecurityGroup and ec2:CreateTags"
_SMALL = {"arm64": "t4g.micro"}
"""Architecture → a small type of machine that has it; t3.micro for the others."""
_OTHER_TYPE = "Name another type of machine in ingot.toml: [test.amazon] instance-type"
_SUBNET = "Name a subnet in ingot.toml: [test.amazon] subnet"
_ADVICE = {
    "VcpuLimitExceeded": f"Wait until others have ended, or let AWS raise the limit. {_OTHER_TYPE}",
    "InstanceLimitExceeded": f"Wait until others have ended, or let AWS raise the limit. {_OTHER_TYPE}",
    "InsufficientInstanceCapacity": f"AWS has none of it there now: try again later. {_OTHER_TYPE}",
    "Unsupported": f"That place has no such machines. {_OTHER_TYPE}, or subnet",
    "InvalidInstanceType": _OTHER_TYPE,
    "InvalidParameterValue": f"{_OTHER_TYPE}; its architecture has to be that of the AMI.",
    "VPCIdNotSpecified": f"The account has no default network. {_SUBNET}",
    "VPCResourceNotSpecified": f"The account has no default network. {_SUBNET}",
    "MissingInput": f"The account has no default network. {_SUBNET}",
    "InvalidSubnetID.NotFound": _SUBNET,
    "InvalidGroup.NotFound": "Name others in ingot.toml: [test.amazon] security-groups",
}
"""What to do about an answer of EC2's, where that is known."""

_NOT_YET = frozenset({"InvalidKeyPair.NotFound", "InvalidGroup.NotFound", "InvalidGroupId.NotFound"})
"""What EC2 says of what it has just made, for some seconds."""
_NOT_YET_FOR = (1.0, 2.0, 4.0)
_THERE = frozenset({"InvalidKeyPair.Duplicate", "InvalidGroup.Duplicate", "InvalidPermission.Duplicate"})


class Launch(msgspec.Struct, frozen=True):
    """A machine that is wanted."""

    ami: str
    instance_type: str
    key_pair: str
    security_groups: tuple[str, ...]
    """Their ids."""
    subnet: str
    """Empty: one of the default network."""
    public: bool | None
    """Whether it gets an address for everybody; None: as its subnet has it."""
    token: str
    """Up to 64 signs. The same once more launches nothing more."""
    tags: Mapping[str, str]


class Launching(Ec2):
    """One region of EC2, for who starts machines in it. Blocking: call it in a thread."""

    def launch(self, wanted: Launch) -> Instance:
        """Start a machine whose disks go with it, that ends when it is shut down, and that gives its metadata only to
        who has a token (IMDSv2). It is on its way when this returns. Raises ToolError where EC2 refuses."""
        image = self._image(wanted.ami)
        arguments: dict[str, Any] = {
            "ImageId": wanted.ami,
            "InstanceType": wanted.instance_type,
            "MinCount": 1,
            "MaxCount": 1,
            "KeyName": wanted.key_pair,
            "ClientToken": wanted.token,
            "InstanceInitiatedShutdownBehavior": "terminate",
            "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled"},
            "TagSpecifications": [_tagged(kind, wanted.tags) for kind in ("instance", "volume")],
        }
        if outliving := _outliving(image):
            arguments["BlockDeviceMappings"] = outliving
        if wanted.subnet and wanted.public is not None:
            arguments["NetworkInterfaces"] = [
                {
                    "DeviceIndex": 0,
                    "SubnetId": wanted.subnet,
                    "Groups": list(wanted.security_groups),
                    "AssociatePublicIpAddress": wanted.public,
                    "DeleteOnTermination": True,
                }
            ]
        else:
            arguments["SecurityGroupIds"] = list(wanted.security_groups)
            if wanted.subnet:
                arguments["SubnetId"] = wanted.subnet
        answer = self._try("launch a machine of", wanted.ami, "run_instances", _LAUNCH, **arguments)
        launched = answer["Instances"][0]
        return Instance(
            id=launched["InstanceId"],
            state=launched["State"]["Name"],
            launched=launched["LaunchTime"].timestamp(),
            key_pair=wanted.key_pair,
            security_groups=(),
            tags=wanted.tags,
        )

    def small_type(self, ami: str) -> str:
        """A small type of machine that has the architecture of an AMI. Raises ToolError."""
        return _SMALL.get(str(self._image(ami).get("Architecture")), "t3.micro")

    def import_key_pair(self, name: str, public: str, tags: Mapping[str, str]) -> None:
        """Have a key pair of that name; of one that was there before, nothing stays. Raises ToolError."""
        self.remove_key_pair(name)
        self._make(
            *("import the key pair", name, "import_key_pair", _KEYS),
            KeyName=name,
            PublicKeyMaterial=public.encode(),
            TagSpecifications=[_tagged("key-pair", tags)],
        )

    def make_security_group(
        self, name: str, *, subnet: str, port: int, allow: tuple[str, ...], tags: Mapping[str, str]
    ) -> str:
        """A group in the network of a subnet (the default one without), which lets in only what comes from `allow` to
        one TCP port; its name is nobody else's. Gives its id. Raises ToolError."""
        network: dict[str, str] = {}
        if subnet:
            found = self._try(
                "look at", subnet, "describe_subnets", f"{_GROUPS}, ec2:DescribeSubnets", SubnetIds=[subnet]
            )
            network = {"VpcId": found["Subnets"][0]["VpcId"]}
        made = self._make(
            *("make the security group", name, "create_security_group", _GROUPS),
            GroupName=name,
            Description="A boot test of Ingot's",
            TagSpecifications=[_tagged("security-group", tags)],
            **network,
        )
        group = str(made["GroupId"]) if made else self._made_before(name)
        rule: dict[str, Any] = {
            "IpProtocol": "tcp",
            "FromPort": port,
            "ToPort": port,
            "IpRanges": [{"CidrIp": block} for block in allow if ":" not in block],
            "Ipv6Ranges": [{"CidrIpv6": block} for block in allow if ":" in block],
        }
        self._make(
            *("open", name, "authorize_security_group_ingress", _GROUPS),
            GroupId=group,
            IpPermissions=[{key: value for key, value in rule.items() if value != []}],
        )
        return group

    def console_now(self, instance_id: str) -> str:
        """What the machine has said by now, where EC2 can tell that of its type; else what `console` gives. Raises
        ToolError."""
        what = ("look at the console of", instance_id, "get_console_output", "ec2:GetConsoleOutput")
        try:
            answer = self._call(*what, InstanceId=instance_id, Latest=True)
        except ToolError as error:
            if code_of(error.__cause__) not in ("UnsupportedOperation", "InvalidParameterCombination"):
                raise
            return self.console(instance_id)
        return str(answer.get("Output") or "")

    def _image(self, ami: str) -> dict[str, Any]:
        answer = self._try("look at", ami, "describe_images", "ec2:DescribeImages", ImageIds=[ami])
        images: list[dict[str, Any]] = answer.get("Images", [])
        if not images:
            raise ToolError(
                f"{self.region} has no AMI {ami} (any more).",
                "Look whether somebody deregistered it, and whether the credentials of this run are of its account.",
            )
        return images[0]

    def _made_before(self, name: str) -> str:
        """Id of the security group that was made by a call whose answer was lost: EC2 may say that there is one for
        some seconds before it shows it. Raises ToolError."""
        for wait in (0.0, *_NOT_YET_FOR):
            time.sleep(wait)
            if found := self._groups(name):
                return found[0]
        raise ToolError(
            f"{self.region} says that there is a security group {name} already, and does not show it.",
            "Try again in a minute: EC2 shows what was just made a little later.",
        )

    def _make(self, doing: str, what: str, operation: str, needs: str, **arguments: Any) -> dict[str, Any]:
        """Make what nobody else has. Empty where it is there: made by a call whose answer was lost, since botocore then
        calls again by itself, and none of these calls has a token. Raises ToolError."""
        try:
            return self._try(doing, what, operation, needs, **arguments)
        except ToolError as error:
            if code_of(error.__cause__) not in _THERE:
                raise
            return {}

    def _try(self, doing: str, what: str, operation: str, needs: str, **arguments: Any) -> dict[str, Any]:
        waits = iter(_NOT_YET_FOR)
        while True:
            try:
                return self._call(doing, what, operation, needs, **arguments)
            except ToolError as error:
                code = code_of(error.__cause__)
                if code in _NOT_YET and (wait := next(waits, None)) is not None:
                    time.sleep(wait)
                elif advice := _ADVICE.get(code):
                    raise ToolError(error.what, advice) from error
                else:
                    raise


def _outliving(image: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The disks of an AMI that would stay when their machine has gone, changed so that they do not."""
    mappings: list[dict[str, Any]] = image.get("BlockDeviceMappings", [])
    return [
        {
            "DeviceName": mapping["DeviceName"],
            "Ebs": {
                "DeleteOnTermination": True,
                **({"VolumeSize": size} if (size := mapping["Ebs"].get("VolumeSize")) else {}),
            },
        }
        for mapping in mappings
        if mapping.get("Ebs", {}).get("DeleteOnTermination") is False
    ]


def _tagged(kind: str, tags: Mapping[str, str]) -> dict[str, Any]:
    return {"ResourceType": kind, "Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}
