"""The boot test: how a throwaway machine is started from an image version, and what is looked at in it."""

import msgspec


class AmazonTest(msgspec.Struct, frozen=True):
    """`[test.amazon]` and `[roles.NAME.test.amazon]`: how machines of an AMI are launched. What is empty is as the
    template's source has it for the machine of the build."""

    instance_type: str = ""
    subnet: str = ""
    """Its id."""
    security_groups: tuple[str, ...] = ()
    """Ids of those that the machines have; without, the test has one of its own, which lets in SSH alone."""
    address: str = ""
    """`public` or `private`: by which of its addresses a machine is entered."""
    user: str = ""
    """As whom."""
    allow: tuple[str, ...] = ("0.0.0.0/0",)
    """CIDR blocks from where the test's own security group lets SSH in."""


class BootTest(msgspec.Struct, frozen=True):
    """`[test]` and `[roles.NAME.test]` of ingot.toml."""

    enabled: bool = True
    """Without, nothing but a person's decision makes an image version good."""
    suites: tuple[str, ...] = ()
    """Paths relative to the root: directories or files of pytest/testinfra, goss files, InSpec profiles, programs."""
    user: str = "root"
    """As whom the machine of a disk is entered."""
    memory: int = 1024
    """MiB."""
    cpus: int = 2
    limit: float = 300.0
    """Seconds in which the machine has to answer on SSH."""
    skip: tuple[str, ...] = ()
    """Names of built-in cases (core/model/boot_checks.py) that are not looked at."""
    keep: bool = False
    """Keep the machine for the debug screen when a case fails."""
    amazon: AmazonTest = msgspec.field(default_factory=AmazonTest)
