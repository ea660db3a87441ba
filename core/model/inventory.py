"""What is in an image: its system, packages, services, ports, users, and the files that say how it is set up.

An inventory is taken of a disk that is not running (core/model/inventory_taking.py), so it says what the disk holds.
What a service opens only once it runs, a boot test finds. Nothing in an inventory is a secret, or a digest of one: it
goes on the ledger.
"""

from enum import StrEnum

import msgspec

PATHS: tuple[str, ...] = (
    "/etc/os-release",
    "/usr/lib/os-release",
    "/etc/passwd",
    "/etc/group",
    "/etc/shadow",  # to see whose password opens a door; of what it says nothing else is kept
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/status.d/*",
    "/lib/apk/db/installed",
    "/usr/lib/apk/db/installed",
    "/etc/apk/arch",
    "/var/lib/rpm/rpmdb.sqlite",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/lib/systemd/system/*.socket",
    "/usr/lib/systemd/system/*.socket",
    # What is in these is compared. They are named one by one, and not as /etc/**, because keys lie between them.
    "/etc/**.conf",
    "/etc/**.cfg",
    "/etc/**.cnf",
    "/etc/**.ini",
    "/etc/**.json",
    "/etc/**.toml",
    "/etc/**.yml",
    "/etc/**.yaml",
    "/etc/**.xml",
    "/etc/**.properties",
    "/etc/**.list",
    "/etc/**.sources",
    "/etc/**.repo",
    "/etc/**.rules",
    "/etc/**.sh",
    "/etc/**_config",
    "/etc/systemd/**",
    "/etc/apt/apt.conf.d/*",
    "/etc/apt/preferences.d/*",
    "/etc/apt/trusted.gpg.d/*",
    "/etc/cron*/**",
    "/etc/crontab",
    "/etc/default/**",
    "/etc/sysconfig/*",
    "/etc/init.d/*",
    "/etc/logrotate.d/*",
    "/etc/pam.d/*",
    "/etc/*/sites-*/*",
    "/etc/*/conf-*/*",
    "/etc/sudoers",
    "/etc/sudoers.d/*",
    "/etc/debian_version",
    "/etc/environment",
    "/etc/exports",
    "/etc/fstab",
    "/etc/hostname",
    "/etc/hosts",
    "/etc/hosts.*",
    "/etc/issue*",
    "/etc/login.defs",
    "/etc/modules",
    "/etc/motd*",
    "/etc/profile",
    "/etc/shells",
    "/etc/timezone",
    "/usr/local/bin/*",
    "/usr/local/sbin/*",
)
"""The files of a disk that an inventory is taken from, as core/adapters/disk_reading.py takes them."""


class PackageKind(StrEnum):
    """Who keeps the list that a package is in."""

    DEB = "deb"
    RPM = "rpm"
    APK = "apk"
    PYTHON = "python"
    GEM = "gem"


class Package(msgspec.Struct, frozen=True):
    """One installed package."""

    kind: PackageKind
    name: str
    version: str
    """Whole, as its package manager has it: `1:9.2p1-2+deb12u3`."""
    architecture: str = ""
    source: str = ""
    """The source package, where its name is another."""


class System(msgspec.Struct, frozen=True):
    """The operating system."""

    id: str = ""
    """As os-release(5) has it: `debian`, `rocky`, …"""
    version: str = ""
    """`12`; empty for what has none."""
    name: str = ""
    """For people: `Debian GNU/Linux 12 (bookworm)`."""
    architecture: str = ""
    """As its package manager calls it: `amd64`, `x86_64`."""
    kernels: tuple[str, ...] = ()
    """Versions of the kernels that are there to be booted."""


class ServiceState(StrEnum):
    """What was decided about a service."""

    ENABLED = "enabled"
    """It is started at boot, or when something asks for it."""
    MASKED = "masked"
    """It can never be started."""


class Service(msgspec.Struct, frozen=True):
    """A service, timer or other unit about which the image says more than its package does."""

    name: str
    """`nginx.service`, `fstrim.timer`; without an ending where an older init starts it."""
    state: ServiceState
    wanted_by: tuple[str, ...] = ()
    """What starts it: `multi-user.target`, …"""


class Port(msgspec.Struct, frozen=True):
    """A port that something listens at."""

    protocol: str
    """`tcp` or `udp`."""
    number: int
    address: str = ""
    """Where it listens; empty for everywhere."""
    by: str = ""
    """What listens: a unit, or a program."""


class Password(StrEnum):
    """Whether a password opens a user's door."""

    SET = "set"
    NONE = "none"
    """It is locked, or was never set."""
    EMPTY = "empty"
    """There is none, and none is asked for."""
    UNKNOWN = "unknown"


NO_SHELLS = ("nologin", "false", "sync", "shutdown", "halt")
"""Programs that end a login, or that do one thing."""


class User(msgspec.Struct, frozen=True):
    """A user of the machine."""

    name: str
    uid: int
    shell: str = ""
    groups: tuple[str, ...] = ()
    """Those beside its own."""
    password: Password = Password.UNKNOWN
    keys: bool = False
    """It has an authorized_keys file."""

    @property
    def can_log_in(self) -> bool:
        """It has a shell, and a password or a key that may open it."""
        return self.shell.rpartition("/")[2] not in NO_SHELLS and (self.password is not Password.NONE or self.keys)


class File(msgspec.Struct, frozen=True):
    """A file that says how a system is set up, or that lends somebody's rights."""

    path: str
    mode: int
    """Permissions, as chmod takes them."""
    uid: int
    gid: int
    size: int
    """Bytes."""
    digest: str = ""
    """The first half of the SHA-256 of what is in it, as hex; empty for what may be secret, and what was not read."""
    link: str = ""
    """Where it points to, if it is a link."""


class Use(msgspec.Struct, frozen=True):
    """What a directory takes."""

    path: str
    size: int
    """Bytes of the files below it."""


class Inventory(msgspec.Struct, frozen=True):
    """What is in one disk. All lists are sorted."""

    system: System = System()
    packages: tuple[Package, ...] = ()
    services: tuple[Service, ...] = ()
    ports: tuple[Port, ...] = ()
    """Those that can be known of a disk that is not running, and those that a boot test saw."""
    users: tuple[User, ...] = ()
    disk: tuple[Use, ...] = ()
    """The directories at the top and what is large in them; `/` is all of it."""
    files: tuple[File, ...] = ()
    not_read: tuple[str, ...] = ()
    """What could not be looked at, in sentences."""

    @property
    def size(self) -> int:
        """Bytes of all files."""
        return next((use.size for use in self.disk if use.path == "/"), 0)
