"""An EC2 that is not Amazon's (moto, in a server of its own) and a machine in it: a real sshd on this host.

Packer's amazon-ebs builder is pointed at both by the template's own options, and works whole. As the real one, the
machine lets in whoever has the private half of a key pair of that EC2, those that Packer makes for one build too; and
its console shows the fingerprints of its host keys as cloud-init writes them, which moto's does not. That all instances
are this one machine is enough for a build; where each is to be one of its own: booting_cloud.py.
"""

import contextlib
import functools
import json
import shutil
import subprocess
import threading
import urllib.request
from collections.abc import Generator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import ssh_machine
from moto.server import ThreadedMotoServer

REGION = "eu-central-1"
CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "AKIATESTINGINGOT0000",
    "AWS_SECRET_ACCESS_KEY": "test/only+SecretOfNoAccount0000000000",
}


@dataclass(frozen=True)
class Cloud:
    """Where everything is."""

    endpoint: str
    ssh_port: int
    user: str
    source_ami: str

    @property
    def ec2(self) -> Any:
        return client(self.endpoint)

    def states(self) -> dict[str, str]:
        """Instance → its state."""
        return {
            instance["InstanceId"]: instance["State"]["Name"]
            for reservation in self.ec2.describe_instances()["Reservations"]
            for instance in reservation["Instances"]
        }

    def names(self) -> list[str]:
        """Of all key pairs, and of all security groups but the one that is always there."""
        names = [pair["KeyName"] for pair in self.ec2.describe_key_pairs()["KeyPairs"]]
        names += [group["GroupName"] for group in self.ec2.describe_security_groups()["SecurityGroups"]]
        return [name for name in names if name != "default"]

    def packer_template(self, provisioners: str, settings: str) -> str:
        """A template whose amazon-ebs source builds on `source_ami`, in HCL2. `settings` are lines of the source."""
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
  ssh_port                    = {self.ssh_port}
  ssh_username                = "{self.user}"
{settings}  tags                        = {{ Project = "shop" }}
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


@dataclass(frozen=True)
class CloudMachine(Cloud):
    """One with the machine in it."""

    private_key: Path

    def made_by_packer(self) -> list[str]:
        """Names of the key pairs and security groups that Packer made and did not remove."""
        return [name for name in self.names() if name.startswith("packer_")]

    def shell(self, *lines: str) -> str:
        """A provisioner that runs them. The machine's /tmp is that of the tests: what is uploaded lies elsewhere, as
        Packer takes it away only when it ends as it should."""
        folder = json.dumps(str(self.private_key.parent))
        return f'  provisioner "shell" {{\n    remote_folder = {folder}\n    inline = {json.dumps(lines)}\n  }}\n'

    def template(self, provisioners: str = "", *, own_key: bool = True) -> str:
        """Without `own_key` Packer makes a key pair for the build."""
        settings = '  ssh_host                    = "127.0.0.1"\n'
        if own_key:
            settings += f"""\
  ssh_private_key_file        = "{self.private_key}"
  ssh_keypair_name            = "builder"
"""
        return self.packer_template(provisioners, settings)


def missing() -> str:
    """Which program is not here; empty when all are."""
    return ssh_machine.missing() if shutil.which("packer") else "packer"


@functools.cache
def client(
    endpoint: str,
    service: str = "ec2",
    region: str = REGION,
    key: str | None = CREDENTIALS["AWS_ACCESS_KEY_ID"],
    secret: str | None = CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
    token: str | None = None,
) -> Any:
    """One takes a moment to be made."""
    boto3: Any = import_module("boto3")  # it carries no types
    return boto3.client(
        service,
        region_name=region,
        endpoint_url=endpoint,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
    )


@contextlib.contextmanager
def ec2_server() -> Generator[str]:
    """moto with nothing in it but what an account has from its beginning; gives its endpoint."""
    moto = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    moto.start()
    try:
        host, port = moto.get_host_and_port()
        # What moto holds belongs to its process, not to a server.
        reset = urllib.request.Request(f"http://{host}:{port}/moto-api/reset", method="POST")
        urllib.request.urlopen(reset).close()
        yield f"http://{host}:{port}"
    finally:
        moto.stop()


@contextlib.contextmanager
def cloud_machine(place: Path) -> Generator[CloudMachine]:
    """Started for a test, and gone after it."""
    # Old Packers make RSA keys, and sign with SHA-1.
    with ssh_machine.ssh_machine(place, "PubkeyAcceptedAlgorithms +ssh-rsa") as machine, ec2_server() as endpoint:
        ec2 = client(endpoint)
        ec2.import_key_pair(KeyName="builder", PublicKeyMaterial=machine.authorized.read_bytes())
        images = ec2.describe_images()["Images"]
        source = next(image["ImageId"] for image in images if image["RootDeviceType"] == "ebs")
        with _lets_in_key_pairs(ec2, machine.authorized), _console(machine.host):
            yield CloudMachine(endpoint, machine.port, machine.user, source, machine.login)


@contextlib.contextmanager
def _lets_in_key_pairs(ec2: Any, authorized: Path) -> Generator[None]:
    """Each key pair is known to the machine, and that of a real EC2 is when it starts."""
    stop = threading.Event()

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
    texts: Any = import_module("moto.ec2.responses.general")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(texts, "SAMPLE_CONSOLE_OUTPUT", texts.SAMPLE_CONSOLE_OUTPUT + host_key_shown(host_key))
        yield


def host_key_shown(host_key: Path) -> str:
    """As cloud-init writes it onto the console."""
    shown = subprocess.run(("ssh-keygen", "-lf", f"{host_key}.pub"), check=True, capture_output=True, text=True).stdout
    return (
        "<14>Nov 20 14:00:00 cloud-init: #############################################################\r\n"
        "<14>Nov 20 14:00:00 cloud-init: -----BEGIN SSH HOST KEY FINGERPRINTS-----\r\n"
        f"<14>Nov 20 14:00:00 cloud-init: {shown.strip()}\r\n"
        "<14>Nov 20 14:00:00 cloud-init: -----END SSH HOST KEY FINGERPRINTS-----\r\n"
    )
