"""What a workspace has: templates, the roles they make, and what each role is built from."""

from collections.abc import Mapping
from enum import StrEnum

import msgspec

from core.model.ansible_build import AnsibleBuild
from core.model.boot_test import BootTest
from core.model.image import ImageState
from core.model.sealing import SealSettings

DISK_BUILDERS = frozenset(
    {
        "ansible",
        "qemu",
        "virtualbox-iso",
        "virtualbox-ovf",
        "virtualbox-vm",
        "vmware-iso",
        "vmware-vmx",
        "parallels-iso",
    }
)
"""Types of builders whose result is a disk on this machine."""


class Syntax(StrEnum):
    """The two languages of Packer templates, and what is built without one."""

    HCL2 = "hcl2"
    JSON = "json"
    ANSIBLE = "ansible"
    """A playbook, which Ingot itself runs in a machine that it boots."""


class Problem(msgspec.Struct, frozen=True):
    """Something wrong in a file of the workspace: where, what, and how to mend it."""

    path: str
    """Relative to the workspace's root."""
    reason: str
    line: int | None = None
    fix: str = ""


class Build(msgspec.Struct, frozen=True):
    """One Packer source of a role, or the Ansible builder, on its way to one artifact."""

    name: str
    """As a person says it and as Packer's `-only=` takes it: `qemu.web` (HCL2) or the builder's name (JSON)."""
    kind: str
    """The builder's type: `qemu`, `amazon-ebs`, `null`, …"""


BUILT_ON = (ImageState.GOOD, ImageState.RELEASED)
"""States of a parent's image that may be built on where the role does not say which."""


class UpstreamKind(StrEnum):
    """How the image that a build starts from is had, and so how it is verified."""

    ROLE = "role"
    """Another role's image."""
    FILE = "file"
    """A URL or path with a checksum, or with a checksum file."""
    ARCHIVE = "archive"
    """Made from a distribution's signed archive."""
    AMI = "ami"
    """The newest AMI of a name that belongs to one of the owners."""
    TEMPLATE = "template"
    """The template finds it by itself; Ingot records what the tool said, as unverified."""


class Upstream(msgspec.Struct, frozen=True):
    """What a role is built on. Which fields count depends on `kind`."""

    kind: UpstreamKind = UpstreamKind.TEMPLATE
    role: str = ""
    """ROLE: the parent role's name."""
    takes: tuple[ImageState, ...] = ()
    """ROLE: the states of an image of it that may be built on; empty for what holds where nothing is said."""
    url: str = ""
    """FILE: an http(s) URL, or a path relative to the workspace's root."""
    checksum: str = ""
    """FILE: `sha256:<hex>` or `sha512:<hex>`, or `file:<url of a checksum file>`. Empty only where the file itself is
    signed."""
    signature: str = ""
    """FILE: where the detached signature is, of the checksum file where there is one, else of the file itself."""
    key: str = ""
    """FILE: the public key that must have signed it, a file relative to the workspace's root. Without `signature` the
    checksum file holds its own."""
    fingerprint: str = ""
    """FILE: the full fingerprint of the one key in `key` that counts, in upper case; empty for all of them."""
    owners: tuple[str, ...] = ()
    """AMI: account numbers, or `self`, `amazon`, …: nobody else's image is taken."""
    name: str = ""
    """AMI: with `*` and `?`, as EC2's filters take it."""
    region: str = ""
    """AMI: empty for the one that the run's credentials say."""
    architecture: str = ""
    """AMI: `x86_64`, `arm64`; empty for any."""
    distribution: str = ""
    """ARCHIVE: `debian`."""
    suite: str = ""
    """ARCHIVE: `bookworm`."""
    packages: tuple[str, ...] = ()
    """ARCHIVE: what the disk has beyond the minimum that boots and answers on SSH."""
    disk_size: str = ""
    """ARCHIVE: size of the disk as qemu-img takes it, such as `4G`."""

    @property
    def built_on(self) -> tuple[ImageState, ...]:
        """ROLE: the states of an image of the parent that may be built on."""
        return self.takes or BUILT_ON

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the workspace that say what may be built on; not the upstream itself, which has a digest."""
        places = (self.key, self.signature, self.checksum.removeprefix("file:") if self.checksum[:5] == "file:" else "")
        return tuple(place for place in places if place and "://" not in place)


class Role(msgspec.Struct, frozen=True):
    """What a machine is for: one template with one set of variables."""

    name: str
    template: str
    """A directory of `*.pkr.hcl` files, a single file, or a JSON template; relative to the root, `.` for the root. With
    ANSIBLE the playbook."""
    syntax: Syntax
    variable_files: tuple[str, ...] = ()
    """Given to Packer with `-var-file=`, in this order, without what it loads by itself (`*.auto.pkrvars.hcl`)."""
    variables: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])
    """Set by ingot.toml, given to Packer as `PKR_VAR_…`."""
    builds: tuple[Build, ...] = ()
    provisioners: tuple[str, ...] = ()
    """Their types, in order: `shell`, `ansible`, …"""
    playbooks: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    """Files and directories, relative to the root, whose change makes the role stale."""
    declares: tuple[str, ...] = ()
    """The variables that the template declares: decides which `ingot_…` values are passed."""
    sensitive: tuple[str, ...] = ()
    """Those of them declared sensitive: their values are registered with the redactor."""
    requires_plugins: bool = False
    """The template has `required_plugins`: it needs `packer init` and Packer 1.7 or newer."""
    outside: tuple[str, ...] = ()
    """Files a build needs and Git does not hold; copied into the checkout from the user's tree."""
    ansible: AnsibleBuild | None = None
    """How Ingot builds it without Packer."""
    upstream: Upstream = Upstream()
    seal: SealSettings = msgspec.field(default_factory=SealSettings)
    test: BootTest = msgspec.field(default_factory=BootTest)
    formats: tuple[str, ...] = ()
    """What a good image version of it is converted to: `vhd`, `ova`, …"""
    problems: tuple[Problem, ...] = ()
    """With any, the role is shown but cannot be built."""

    @property
    def takes_upstream(self) -> bool:
        """Whether its builds start from what Ingot gives them, and not from what the template names itself."""
        return "ingot_upstream" in self.declares or any(build.kind == "ansible" for build in self.builds)

    def build(self, name: str) -> Build | None:
        return next((build for build in self.builds if build.name == name), None)
