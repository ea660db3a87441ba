"""An EC2 that is not Amazon's (moto, in a server of its own) and a machine in it: a real sshd on this host.

Packer's amazon-ebs builder is pointed at both by the template's own options, and works whole. As the real one, the
machine lets in whoever has the private half of a key pair of that EC2, those that Packer makes for one build too; and
its console shows the fingerprints of its host keys as cloud-init writes them, which moto's does not.
"""

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTINGINGOT0000",
    "AWS_SECRET_ACCESS_KEY": "test/only+SecretOfNoAccount0000000000",
}


@dataclass(frozen=True)
class CloudMachine:
    """Where everything is."""

    endpoint: str
    ssh_port: int
    user: str
    private_key: Path
    source_ami: str

    @property
    def ec2(self) -> Any:
        boto3: Any = import_module("boto3")  # it carries no types
        return boto3.client(
            "ec2",
            region_name=REGION,
            endpoint_url=self.endpoint,
            aws_access_key_id=CREDENTIALS["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
        )

    def states(self) -> dict[str, str]:
        """Instance → its state."""
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for reservation in self.ec2.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
        }

    def made_by_packer(self) -> list[str]:
        """Names of the key pairs and security groups that Packer made and did not remove."""
        names = [pair["KeyName"] for pair in self.ec2.describe_key_pairs()["KeyPairs"]]
        names += [group["GroupName"] for group in self.ec2.describe_security_groups()["SecurityGroups"]]
        return [name for name in names if name.startswith("packer_")]

    def template(self, provisioners: str = "", *, own_key: bool = True) -> str:
        """A template whose amazon-ebs source builds on `source_ami`, in HCL2. Without `own_key` Packer makes a key pair
        for the build."""
        key = (
            f"""\
  ssh_private_key_file        = "{self.private_key}"
  ssh_keypair_name            = "builder"
"""
            if own_key
            else ""
        )
        return f"""\
variable "ingot_version" {{
  default = "dev"
}}
source "amazon-ebs" "web" {{
  region                      = "{REGION}"
  custom_endpoint_ec2         = "{self.endpoint}"
  skip_credential_validation  = true
  skip_metadata_api_check     = true
  skip_region_validation      = true
  ami_name                    = "web-${{var.ingot_version}}"
  instance_type               = "t3.micro"
  ssh_host                    = "127.0.0.1"
  ssh_port                    = {self.ssh_port}
  ssh_username                = "{self.user}"
{key}  tags                        = {{ Project = "shop" }}
  source_ami_filter {{
    filters     = {{ image-id = "{self.source_ami}" }}
    owners      = ["self", "amazon", "123456789012"]
    most_recent = true
  }}
}}
build {{
  sources = ["source.amazon-ebs.web"]
{provisioners}
}}
"""


def missing() -> str:
    """Which program is not here; empty when all are."""
    return next((name for name in ("packer", "ssh-keygen") if not shutil.which(name)), "" if _sshd() else "sshd")


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


@contextlib.contextmanager
def cloud_machine(place: Path) -> Generator[CloudMachine]:
    """Started for a test, and gone after it."""
    place.mkdir(mode=0o700)
    for name in ("host", "login"):
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)), check=True)
    (place / "authorized").write_text((place / "login.pub").read_text())
    port = _free_port()
    (place / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {place / 'host'}\nAuthorizedKeysFile {place / 'authorized'}\n"
        "PidFile none\nUsePAM no\nStrictModes no\nPermitRootLogin prohibit-password\nPasswordAuthentication no\n"
        # Old Packers make RSA keys, and sign with SHA-1.
        "PubkeyAcceptedAlgorithms +ssh-rsa\n"
        "Subsystem sftp internal-sftp\n"
    )
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's sshd looks for its empty directory
    with (place / "sshd.log").open("wb") as log:
        sshd = subprocess.Popen((str(_sshd()), "-D", "-e", "-f", str(place / "sshd_config")), stderr=log)
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    try:
        _wait_for(port)
        host, moto_port = moto.get_host_and_port()
        # What moto holds belongs to its process, not to a server.
        reset = urllib.request.Request(f"http://{host}:{moto_port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        machine = CloudMachine(f"http://{host}:{moto_port}", port, getpass.getuser(), place / "login", "")
        with (place / "login.pub").open("rb") as public:
            machine.ec2.import_key_pair(KeyName="builder", PublicKeyMaterial=public.read())
        images = machine.ec2.describe_images()["Images"]
        source = next(image["ImageId"] for image in images if image["RootDeviceType"] == "ebs")
        with _lets_in_key_pairs(machine, place / "authorized"), _console(place / "host.pub"):
            yield CloudMachine(machine.endpoint, port, machine.user, machine.private_key, source)
    finally:
        sshd.terminate()
        sshd.wait()
        moto.stop()


@contextlib.contextmanager
def _lets_in_key_pairs(machine: CloudMachine, authorized: Path) -> Generator[None]:
    """Each key pair is known to the machine, and that of a real EC2 is when it starts."""
    stop = threading.Event()
    ec2 = machine.ec2

    def follow() -> None:
        known = ""
        while not stop.wait(0.2):
            pairs = ec2.describe_key_pairs(IncludePublicKey=True)["KeyPairs"]
            keys = "".join(f"{pair['PublicKey'].strip()}\n" for pair in pairs)
            if keys != known:
                (authorized.with_suffix(".part")).write_text(keys)
                (authorized.with_suffix(".part")).rename(authorized)
                known = keys

    follower = threading.Thread(target=follow)
    follower.start()
    try:
        yield
    finally:
        stop.set()
        follower.join()


@contextlib.contextmanager
def _console(host_key: Path) -> Generator[None]:
    """moto has one text for all machines, and no host key in it."""
    shown = subprocess.run(("ssh-keygen", "-lf", str(host_key)), check=True, capture_output=True, text=True).stdout
    texts: Any = import_module("moto.ec2.responses.general")
    before = texts.SAMPLE_CONSOLE_OUTPUT
    texts.SAMPLE_CONSOLE_OUTPUT = (
        f"{before}<14>Nov 20 14:00:00 cloud-init: #############################################################\r\n"
        "<14>Nov 20 14:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n"
        f"<14>Nov 20 14:00:00 cloud-init: {shown.strip()}\r\n"
        "<14>Nov 20 14:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r\n"
    )
    try:
        yield
    finally:
        texts.SAMPLE_CONSOLE_OUTPUT = before


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(port: int) -> None:
    for _ in range(100):
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise AssertionError("sshd does not answer")
