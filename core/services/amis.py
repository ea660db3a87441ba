"""The AMIs of image versions, as EC2 has them now, and deleting them with their snapshots.

By the credentials of the environment that the person has (AWS_PROFILE and the like; AWS_ENDPOINT_URL is honoured),
never by those of runs. Touched is only what says itself that it is of that image version: an AMI of the account with
the tags that *register* gave it, and the snapshots that it is made of. Those of an AMI that is gone are known by the
same tags, and by the AMI's id: in the description that EC2 gives them, or in a tag from just before.

Blocking, and on the network: for threads and commands. boto3 is loaded with the first question.
"""

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from core.errors import IngotError, RefusedError
from core.model.image import Artifact, ImageVersion

if TYPE_CHECKING:
    from core.adapters.aws import Ami, Ec2, Snapshot

FORMAT = "ami"
DELETING = "IngotDeleting"
"""Tag of a snapshot whose AMI is about to be deregistered: the AMI's id."""

_WHOSE = "of this shell"
_ATTEMPTS = 3
"""At one call: a person waits."""
_SNAPSHOT_IS_FREE_AFTER = (1.0, 3.0, 6.0, 10.0)
"""Seconds between tries to delete a snapshot: EC2 takes a moment to see that its AMI is gone."""
_LOCATION = re.compile(r"([a-z]{2,}(?:-[a-z]+)+-[0-9]+):(ami-[0-9a-f]{8,17})")


class CloudImage(msgspec.Struct, frozen=True):
    """An AMI of an image version, or what is left of it."""

    location: str
    """`region:ami-…`"""
    recorded: bool
    """The ledger has it; else it was taken off, and something of it may be left."""
    ami: "Ami | None" = None
    """None where it is gone, or where that is not known (`left`)."""
    snapshots: "tuple[Snapshot, ...]" = ()
    instances: tuple[str, ...] = ()
    """Ids of machines of the account that were launched from it and have not ended."""
    left: IngotError | None = None
    """Why it cannot be touched with these credentials: EC2 cannot be asked, or has something else there."""

    @property
    def there(self) -> bool:
        """Something of it is, for certain."""
        return self.ami is not None or bool(self.snapshots)

    @property
    def size(self) -> int:
        """Bytes that its snapshots take at most: EC2 says only how large their volumes are."""
        return sum(snapshot.volume_bytes for snapshot in self.snapshots)

    @property
    def refused(self) -> IngotError | None:
        """Why it cannot be deleted."""
        if self.left or not self.instances:
            return self.left
        return RefusedError(
            f"{' and '.join(self.instances)} {'was' if len(self.instances) == 1 else 'were'} launched from "
            f"{self.location}, and {'has' if len(self.instances) == 1 else 'have'} not ended.",
            "End that first, or launch it anew from another version.",
        )


class Wanted(msgspec.Struct, frozen=True):
    """An AMI to be looked at."""

    image: ImageVersion
    location: str
    account: str = ""
    """Where the ledger says so: the account that it was made in."""
    recorded: bool = True

    @property
    def region(self) -> str:
        return self.location.partition(":")[0]

    @property
    def id(self) -> str:
        return self.location.partition(":")[2]

    @property
    def tags(self) -> dict[str, str]:
        """What *register* put on it and on its snapshots, of which no other building has the same."""
        return {"IngotRun": self.image.run, "ImageRole": self.image.role, "ImageVersion": self.image.version}


@dataclass(slots=True)
class Gone:
    """How deleting went."""

    freed: int = 0
    """Bytes, at most."""
    standing: list[str] = field(default_factory=list[str])
    """Locations of the AMIs that are there still."""
    error: IngotError | None = None
    """The first thing that went wrong."""


def of(artifacts: Iterable[Artifact]) -> list[Artifact]:
    """Those of the artifacts that are AMIs."""
    return [artifact for artifact in artifacts if artifact.format == FORMAT and not artifact.host]


def wanted(image: ImageVersion, recorded: Sequence[Artifact], removed: Iterable[str] = ()) -> list[Wanted]:
    """The AMIs that an image version has by the ledger, and those that it had: `removed` are the locations of artifacts
    that were deleted, files among them."""
    found = [Wanted(image, artifact.location, artifact.account) for artifact in of(recorded)]
    known = {one.location for one in found}
    found += [
        Wanted(image, location, recorded=False)
        for location in dict.fromkeys(removed)
        if location not in known and _LOCATION.fullmatch(location)
    ]
    return found


def look(asked: Sequence[Wanted], environment: Mapping[str, str]) -> dict[tuple[str, str], list[CloudImage]]:
    """How each of them is now, by role and version. What cannot be asked is in `left`: raises nothing."""
    by_region: dict[str, list[Wanted]] = {}
    found: dict[str, CloudImage] = {}
    for one in asked:
        if _LOCATION.fullmatch(one.location):
            by_region.setdefault(one.region, []).append(one)
        else:
            nowhere = RefusedError(f"{one.location} is no place of an AMI.", "See what it is: ingot images --json")
            found[one.location] = CloudImage(one.location, one.recorded, left=nowhere)
    for region, there in by_region.items():
        try:
            found |= _look_in(region, there, environment)
        except IngotError as error:
            found |= {one.location: CloudImage(one.location, one.recorded, left=error) for one in there}
    by_image: dict[tuple[str, str], list[CloudImage]] = {}
    for one in asked:
        by_image.setdefault((one.image.role, one.image.version), []).append(found[one.location])
    return by_image


def delete(images: Sequence[CloudImage], asked: Sequence[Wanted], environment: Mapping[str, str]) -> Gone:
    """Deregister the AMIs, and delete the snapshots. Nothing here looks whether that may be: `CloudImage.refused` does.

    Raises nothing: of what went wrong the first is in the result, and all the rest is tried. Can be repeated.
    """
    by_location = {one.location: one for one in asked}
    regions: dict[str, Ec2] = {}
    gone = Gone()
    snapshots: dict[str, tuple[Ec2, Snapshot, Wanted]] = {}
    for image in images:  # all of them first: two AMIs may be made of one snapshot
        one = by_location[image.location]
        try:
            ec2 = regions.get(one.region) or regions.setdefault(one.region, _ec2(one.region, environment))
            if image.ami is not None:
                _deregister(ec2, image, image.ami, one)
        except IngotError as error:
            gone.standing += [image.location]
            gone.error = gone.error or error
        else:
            snapshots |= {snapshot.id: (ec2, snapshot, one) for snapshot in image.snapshots}
    for ec2, snapshot, one in snapshots.values():
        try:
            _remove(ec2, snapshot)
            gone.freed += snapshot.volume_bytes
        except IngotError as error:
            error.kept = f"{one.location} itself is deregistered; its snapshot {snapshot.id} is there still."
            error.next_step += f" Deleting {one.image.role} {one.image.version} again goes on with what is left."
            gone.error = gone.error or error
    return gone


def _deregister(ec2: "Ec2", image: CloudImage, ami: "Ami", one: Wanted) -> None:
    if not all(_is_of(snapshot, one) for snapshot in image.snapshots):
        # Were we killed right after, nothing else would tell whose they are. Not every builder lets EC2 describe them.
        ec2.tag(ami, {**one.tags, DELETING: ami.id})
    ec2.deregister(ami.id)


def _remove(ec2: "Ec2", snapshot: "Snapshot") -> None:
    from core.adapters import aws

    for wait in _SNAPSHOT_IS_FREE_AFTER:
        try:
            return ec2.remove_snapshot(snapshot.id)
        except IngotError as error:
            if not aws.is_in_use(error):
                raise
            time.sleep(wait)
    return ec2.remove_snapshot(snapshot.id)


def _ec2(region: str, environment: Mapping[str, str]) -> "Ec2":
    from core.adapters.aws import Ec2

    return Ec2(region, environment, whose=_WHOSE, attempts=_ATTEMPTS)


def _look_in(region: str, asked: Sequence[Wanted], environment: Mapping[str, str]) -> dict[str, CloudImage]:
    ec2 = _ec2(region, environment)
    ids = list(dict.fromkeys(one.id for one in asked))
    mine = {ami.id: ami for ami in ec2.amis(ids, owner="self")}
    foreign = {ami.id: ami for ami in ec2.amis([one for one in ids if one not in mine])}
    running: dict[str, list[str]] = {}
    for instance in ec2.launched_from(list(mine)):
        if not instance.ending:
            running.setdefault(instance.image, []).append(instance.id)
    runs = list(dict.fromkeys(one.image.run for one in asked))
    snapshots = {snapshot.id: snapshot for snapshot in ec2.snapshots("tag:IngotRun", runs)}
    untagged = [one for ami in mine.values() for one in ami.snapshots if one not in snapshots]
    snapshots |= {snapshot.id: snapshot for snapshot in ec2.snapshots("snapshot-id", untagged)}
    account = _Account(ec2, region, environment, used=bool(mine or snapshots))
    found: dict[str, CloudImage] = {}
    for one in asked:
        ami = mine.get(one.id)
        has = ami.snapshots if ami else ()
        parts = tuple(part for part in snapshots.values() if part.id in has or _is_of(part, one))
        image = CloudImage(one.location, one.recorded, ami, parts, tuple(sorted(running.get(one.id, []))))
        left: IngotError | None = None
        if ami is not None:
            left = _not_it(one, ami)
        elif one.id in foreign:
            left = _of_others(one, foreign[one.id].owner)
        elif one.recorded and not parts:
            left = account.why_not_gone(one)
        found[one.location] = CloudImage(one.location, one.recorded, left=left) if left else image
    return found


@dataclass(slots=True)
class _Account:
    """Whether an AMI that cannot be seen is gone, or only elsewhere: credentials may be those of another account."""

    ec2: "Ec2"
    region: str
    environment: Mapping[str, str]
    used: bool
    """Something of Ingot's is known to be in this account and region."""
    number: str = ""

    def why_not_gone(self, one: Wanted) -> IngotError | None:
        if one.account:
            from core.adapters import aws

            self.number = self.number or aws.account_of(self.environment, self.region, whose=_WHOSE, attempts=_ATTEMPTS)
            return _of_others(one, one.account) if one.account != self.number else None
        self.used = self.used or bool(self.ec2.snapshots("tag-key", ["IngotRun"]))
        if self.used:
            return None
        return RefusedError(
            f"{one.location} cannot be seen, and whether it is gone cannot be told: nobody noted the account that it "
            "was made in, and nothing that Ingot made is in this one.",
            "Say whose credentials to use: AWS_PROFILE=…",
        )


def _not_it(one: Wanted, ami: "Ami") -> IngotError | None:
    wrong = next((name for name, value in one.tags.items() if ami.tags.get(name) != value), "")
    if not wrong:
        return None
    said = f"its tag {wrong} is {ami.tags[wrong]!r}" if wrong in ami.tags else f"it has no tag {wrong}"
    return RefusedError(
        f"{one.location} does not say that it is {one.image.role} {one.image.version}: {said}.",
        "Look at what it is, and delete it by hand if it is nothing that anybody needs.",
    )


def _of_others(one: Wanted, account: str) -> IngotError:
    return RefusedError(
        f"{one.location} is of the account {account}, and the credentials {_WHOSE} are of another.",
        "Say whose credentials to use: AWS_PROFILE=…",
    )


def _is_of(snapshot: "Snapshot", one: Wanted) -> bool:
    """Whether it says that it was made for this AMI of this image version. The tags alone would not do: those of a
    machine may be handed on to snapshots of what it has written."""
    if any(snapshot.tags.get(name) != value for name, value in one.tags.items()):
        return False
    # As EC2 describes them: “Created by CreateImage(i-…) for ami-…”, “Copied for DestinationAmi ami-… from SourceAmi
    # ami-…”, where the second is another's.
    described = re.search(rf"(?:CreateImage\(.*\) for|DestinationAmi) {re.escape(one.id)}\b", snapshot.description)
    return bool(described) or snapshot.tags.get(DELETING) == one.id
