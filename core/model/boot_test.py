"""The boot test: how a throwaway machine is started from an image version, and what is looked at in it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class BootTest:
    """`[test]` and `[roles.NAME.test]` of ingot.toml."""

    enabled: bool = True
    """Without, nothing but a person's decision makes an image version good."""
    suites: tuple[str, ...] = ()
    """Paths relative to the root: directories or files of pytest/testinfra, goss files, InSpec profiles, programs."""
    user: str = "root"
    """As whom the machine is entered."""
    memory: int = 1024
    """MiB."""
    cpus: int = 2
    limit: float = 300.0
    """Seconds in which the machine has to answer on SSH."""
    skip: tuple[str, ...] = ()
    """Names of built-in cases (core/model/boot_checks.py) that are not looked at."""
    keep: bool = False
    """Keep the machine for the debug screen when a case fails."""
