"""The local EC2 whose instances are machines: it behaves where the boot test of an AMI leans on it."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from booting_cloud import BootingCloud, booting_cloud
from installed import Shop
from ssh_machine import fingerprint_of, make_key, missing

from core.adapters import booted

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


class Account:
    """One who launches instances, with a key pair and a security group."""

    def __init__(self, cloud: BootingCloud, place: Path, port: int = 0) -> None:
        self.cloud = cloud
        self.ec2 = cloud.ec2
        self.key = make_key(place / "key")
        self.ec2.import_key_pair(KeyName="mine", PublicKeyMaterial=Path(f"{self.key}.pub").read_bytes())
        self.group = self.ec2.create_security_group(GroupName="mine", Description="of a test")["GroupId"]
        self.ec2.authorize_security_group_ingress(
            GroupId=self.group, IpProtocol="tcp", CidrIp="0.0.0.0/0", FromPort=port or cloud.ssh_port,
            ToPort=port or cloud.ssh_port,
        )  # fmt: skip

    def launch(self, **more: Any) -> list[str]:
        asked = {
            "ImageId": self.cloud.source_ami, "KeyName": "mine", "SecurityGroupIds": [self.group], "MinCount": 1,
            "MaxCount": 1,
        }  # fmt: skip
        made = self.ec2.run_instances(**{**asked, **more})["Instances"]
        assert [one["State"]["Name"] for one in made] == ["pending"] * len(made)
        return [one["InstanceId"] for one in made]

    def address(self, instance: str) -> str:
        """Once it runs."""
        self.ec2.get_waiter("instance_running").wait(InstanceIds=[instance], WaiterConfig={"Delay": 0.05})
        (found,) = self.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
        return found["Instances"][0].get("PublicIpAddress", "")

    def end(self, *instances: str) -> None:
        self.ec2.terminate_instances(InstanceIds=list(instances))
        self.ec2.get_waiter("instance_terminated").wait(InstanceIds=list(instances), WaiterConfig={"Delay": 0.05})

    def stop(self, instance: str) -> None:
        self.ec2.stop_instances(InstanceIds=[instance])
        self.ec2.get_waiter("instance_stopped").wait(
            InstanceIds=[instance], WaiterConfig={"Delay": 0.1, "MaxAttempts": 2400}
        )

    def into(self, instance: str, command: str) -> str:
        """What a command says in a machine that may still be booting."""
        address, deadline = self.address(instance), time.monotonic() + 300
        while (done := self.enter(address, command)).returncode == 255:
            assert time.monotonic() < deadline, done.stderr
            time.sleep(1)
        return done.stdout

    def enter(self, address: str, command: str, key: Path | None = None) -> "subprocess.CompletedProcess[str]":
        options = ("UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "BatchMode=yes", "IdentitiesOnly=yes")
        said = [word for option in options for word in ("-o", option)]
        words = ["ssh", "-F", "none", *said, "-i", str(key or self.key), "-p", str(self.cloud.ssh_port)]
        words += [f"{self.cloud.user}@{address}", command]
        return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)

    def listens(self, address: str) -> bool:
        with socket.socket() as probe:
            probe.settimeout(5)
            return probe.connect_ex((address, self.cloud.ssh_port)) == 0


@pytest.fixture
def account(tmp_path: Path) -> Iterator[Account]:
    with booting_cloud(tmp_path / "cloud") as cloud:
        yield Account(cloud, tmp_path)


def test_each_instance_is_a_machine_that_its_key_opens(account: Account, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    account.ec2.import_key_pair(KeyName="other", PublicKeyMaterial=Path(f"{other}.pub").read_bytes())
    one, two = account.launch(MinCount=2, MaxCount=2)
    first, second = account.address(one), account.address(two)
    assert len({first, second}) == 2
    answers = [booted.read(account.enter(address, booted.ASKING).stdout.encode()) for address in (first, second)]
    assert all(answer.whole for answer in answers)
    assert answers[0].machine_id != answers[1].machine_id
    for instance, address in ((one, first), (two, second)):
        shown = account.ec2.get_console_output(InstanceId=instance)["Output"]
        own = fingerprint_of(tmp_path / "cloud" / instance / "host")
        assert own in shown
        assert own in _fingerprint(address, account.cloud.ssh_port)
    assert "Permission denied" in account.enter(first, "true", other).stderr


def test_what_has_ended_is_gone_and_the_rest_is_told(account: Account) -> None:
    (one,) = account.launch()
    address = account.address(one)
    assert account.cloud.leftovers() == [f"{one} is running", "mine", "mine"]
    with pytest.raises(Exception, match="DependencyViolation"):
        account.ec2.delete_security_group(GroupId=account.group)
    account.end(one)
    assert not account.listens(address)
    account.ec2.delete_security_group(GroupId=account.group)
    account.ec2.delete_key_pair(KeyName="mine")
    assert account.cloud.leftovers() == []


def test_leaving_ends_all_machines(tmp_path: Path) -> None:
    with booting_cloud(tmp_path / "cloud") as cloud:
        account = Account(cloud, tmp_path)
        address = account.address(*account.launch())
        assert account.listens(address)
    assert not account.listens(address)


def test_a_launch_that_is_repeated_with_its_token_launches_nothing(account: Account) -> None:
    (one,) = account.launch(ClientToken="once")
    account.address(one)
    again = account.ec2.run_instances(
        ImageId=account.cloud.source_ami, KeyName="mine", SecurityGroupIds=[account.group], MinCount=1, MaxCount=1,
        ClientToken="once",
    )  # fmt: skip
    assert [instance["InstanceId"] for instance in again["Instances"]] == [one]
    with pytest.raises(Exception, match="IdempotentParameterMismatch"):
        account.launch(ClientToken="once", MinCount=2, MaxCount=2)
    assert len(account.cloud.states()) == 1


def test_a_launch_with_what_is_not_there_is_refused(account: Account) -> None:
    with pytest.raises(Exception, match=r"InvalidKeyPair\.NotFound"):
        account.launch(KeyName="nobody's")
    with pytest.raises(Exception, match=r"InvalidAMIID\.NotFound"):
        account.launch(ImageId="ami-00000000")
    assert account.cloud.states() == {}


def test_what_no_security_group_lets_in_is_not_reached(tmp_path: Path) -> None:
    with booting_cloud(tmp_path / "cloud") as cloud:
        account = Account(cloud, tmp_path, port=22)
        assert not account.listens(account.address(*account.launch()))


def test_a_silent_machine_runs_and_does_not_answer(account: Account) -> None:
    account.cloud.guests.is_silent()
    (one,) = account.launch()
    assert not account.listens(account.address(one))
    assert account.ec2.get_console_output(InstanceId=one)["Output"] == "booting\r\n"


def test_an_image_that_is_made_of_a_machine_boots(account: Account) -> None:
    (one,) = account.launch()
    address = account.address(one)
    account.stop(one)
    assert not account.listens(address)
    made = account.ec2.create_image(InstanceId=one, Name="web")["ImageId"]
    account.end(one)
    assert account.enter(account.address(*account.launch(ImageId=made)), "echo in it").stdout == "in it\n"


@pytest.mark.vm
@pytest.mark.long
@pytest.mark.xdist_group("shop")
@pytest.mark.skipif(
    not all(shutil.which(tool) for tool in ("packer", "qemu-system-x86_64", "mmdebstrap", "guestfish")),
    reason="packer, qemu-system-x86_64, mmdebstrap or guestfish is not installed",
)
def test_a_real_disk_boots_and_an_image_of_it_has_what_was_written_in_it(shop: Shop, tmp_path: Path) -> None:
    disk = Path(shop.image("base")["artifacts"][0]["location"])
    before = disk.stat().st_mtime_ns
    with booting_cloud(tmp_path / "cloud", disk) as cloud:
        account = Account(cloud, tmp_path)
        (one,) = account.launch()
        assert account.into(one, "uname && echo written > /root/note") == "Linux\n"
        account.stop(one)
        assert "login:" in account.ec2.get_console_output(InstanceId=one)["Output"]
        made = account.ec2.create_image(InstanceId=one, Name="web")["ImageId"]
        account.end(one)
        (two,) = account.launch(ImageId=made)
        assert account.into(two, "cat /root/note") == "written\n"
    assert disk.stat().st_mtime_ns == before


def _fingerprint(address: str, port: int) -> str:
    keys = subprocess.run(("ssh-keyscan", "-p", str(port), address), check=True, capture_output=True).stdout
    return subprocess.run(("ssh-keygen", "-lf", "-"), check=True, capture_output=True, input=keys).stdout.decode()
