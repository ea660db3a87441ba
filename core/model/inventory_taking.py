"""Takes the inventory of a disk: what its listing and a few of its files say (core/model/inventory.py).

Whoever made the disk wrote these files: what they hold is looked at, never believed to be in order.
"""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping

from core.model import package_lists, rpm_database, unit_files
from core.model.inventory import (
    File,
    Inventory,
    Package,
    PackageKind,
    Password,
    System,
    Use,
    User,
)
from core.model.listing import Entry, Listing

Content = Callable[[str], bytes | None]
"""What is in a file, links followed; None where it is not there, or was not read."""

_LARGE = 10 * 1024 * 1024
"""Bytes from which a directory of the second level is shown by itself."""
_MOST_FILES = 4000

_NO_DIFFERENCE = re.compile(
    r"/etc/(machine-id|image-release|ld\.so\.cache|mtab|\.pwd\.lock|.*-|ssl/certs/.*|rc[0-9S]\.d/.*"
    r"|systemd/.*\.(wants|requires)/.*)"
)
"""Differs by design, comes with a package that is listed, or is listed as a service."""
_SETUP = ("/etc/", "/usr/local/bin/", "/usr/local/sbin/", "/usr/local/etc/", "/usr/local/lib/systemd/")
_MAY_BE_SECRET = re.compile(
    r"(^|/)(g?shadow|auth\.conf|.*_key|.*\.(key|p12|pfx|jks|keytab|kdbx|ovpn)|\.netrc|\.pgpass|\.htpasswd)-?$"
    r"|/(private|secrets?|letsencrypt|wireguard|credstore[^/]*)/"
)
_KNOWN_TO_HOLD_NO_SECRET = re.compile(r"/etc/(sudoers(\.d/.*)?|doas\.conf|cron[^/]*(/.*)?)")
"""Not readable for everybody and compared all the same: who may do what."""

_KERNEL = re.compile(r"/boot/vmlinu[xz]-(.+)|(?:/usr)?/lib/modules/([^/]+)/vmlinuz")
"""Fedora and its kind keep the kernel beside its modules as well, and /boot can be another file system."""

_RPM = ("/var/lib/rpm/rpmdb.sqlite", "/usr/lib/sysimage/rpm/rpmdb.sqlite")
_OLD_RPM = tuple(
    f"{place}/{name}" for place in ("/var/lib/rpm", "/usr/lib/sysimage/rpm") for name in ("Packages", "Packages.db")
)


def inventory_of(listing: Listing, content: Content) -> Inventory:
    """The inventory of a disk, from all its paths and what is in the files of inventory.PATHS."""
    not_read: list[str] = []
    packages = _packages(listing, content, not_read)
    units = unit_files.Units(listing, content)
    files = sorted(_files(listing, content), key=lambda file: file.path)
    if len(files) > _MOST_FILES:
        not_read.append(f"{len(files) - _MOST_FILES} of {len(files)} files of its setup: there are too many.")
    return Inventory(
        system=_system(listing, content, packages),
        packages=packages,
        services=tuple(sorted(units.services(), key=lambda service: (service.name, service.state))),
        ports=tuple(sorted(set(units.ports()), key=lambda port: (port.protocol, port.number, port.address))),
        users=_users(listing, content, not_read),
        disk=_disk(listing.entries.values()),
        files=tuple(files[:_MOST_FILES]),
        not_read=tuple(not_read),
    )


def _packages(listing: Listing, content: Content, not_read: list[str]) -> tuple[Package, ...]:
    found: list[Package] = []
    for path in ("/var/lib/dpkg/status", *_below(listing, "/var/lib/dpkg/status.d/")):
        found += package_lists.dpkg(_text(content(path)))
    for path in ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"):
        if apks := package_lists.apk(_text(content(path))):
            found += apks
            break  # one is a link to the other
    found += _rpms(listing, content, not_read)
    found += package_lists.by_name(listing.entries)
    return tuple(sorted(found, key=lambda one: (one.kind, one.name, one.architecture, one.version)))


def _rpms(listing: Listing, content: Content, not_read: list[str]) -> list[Package]:
    for path in _RPM:
        database = content(path)
        if database is None:
            continue
        log = listing.resolved(f"{path}-wal")
        if log is not None and log.size:
            not_read.append(f"The newest packages of rpm: they are in {log.path}, which was not read.")
        try:
            return rpm_database.rpm(database)
        except rpm_database.NotReadableError as error:
            not_read.append(f"The packages of rpm: {path} cannot be read ({error}).")
            return []
    if old := next((path for path in _OLD_RPM if path in listing.entries), ""):
        not_read.append(f"The packages of rpm: {old} has a form that only rpm itself can read.")
    return []


def _system(listing: Listing, content: Content, packages: Iterable[Package]) -> System:
    said = _assignments(_text(content("/etc/os-release") or content("/usr/lib/os-release")))
    kinds = (PackageKind.DEB, PackageKind.RPM, PackageKind.APK)
    counted = Counter(
        package.architecture
        for package in packages
        if package.kind in kinds and package.architecture not in ("", "all", "noarch", "(none)")
    )
    return System(
        id=said.get("ID", ""),
        version=said.get("VERSION_ID", ""),
        name=said.get("PRETTY_NAME", "") or said.get("NAME", ""),
        architecture=counted.most_common(1)[0][0] if counted else _text(content("/etc/apk/arch")).strip(),
        kernels=_kernels(listing),
    )


def _kernels(listing: Listing) -> tuple[str, ...]:
    found = {match[1] or match[2] for path in listing.entries if (match := _KERNEL.fullmatch(path))}
    return tuple(sorted(name for name in found if not name.startswith("0-rescue-")))


def _users(listing: Listing, content: Content, not_read: list[str]) -> tuple[User, ...]:
    passwd, shadow = content("/etc/passwd"), content("/etc/shadow")
    if passwd is None:
        not_read.append("The users: there is no /etc/passwd.")
    groups: dict[str, list[str]] = defaultdict(list)
    for group, *more in _records(content("/etc/group"), 4):
        for member in more[2].split(","):
            if member:
                groups[member].append(group)
    passwords = {name: _password(rest[0]) for name, *rest in _records(shadow, 2)}
    users: list[User] = []
    for name, field, uid, _gid, _gecos, home, shell in _records(passwd, 7):
        # Where passwd(5) does not point to shadow(5), the field itself is the password.
        password = passwords.get(name, Password.UNKNOWN) if field == "x" else _password(field)
        users.append(
            User(
                name=name,
                uid=int(uid) if re.fullmatch(r"[0-9]{1,10}", uid) else -1,
                shell=shell,
                groups=tuple(sorted(set(groups[name]))),
                password=password,
                keys=listing.resolved(f"{home}/.ssh/authorized_keys") is not None,
            )
        )
    return tuple(sorted(users, key=lambda user: (user.uid, user.name)))


def _password(field: str) -> Password:
    """What the second field of shadow(5) means; the field goes no further."""
    if not field:
        return Password.EMPTY
    return Password.NONE if field[0] in "!*" else Password.SET


def _disk(entries: Iterable[Entry]) -> tuple[Use, ...]:
    sizes: dict[str, int] = defaultdict(int)
    for entry in entries:
        if entry.kind != "f":
            continue
        parts = entry.path.split("/")[1:-1]
        sizes["/"] += entry.size
        for depth in (1, 2):
            if len(parts) >= depth:
                sizes["/" + "/".join(parts[:depth])] += entry.size
    shown = {path: size for path, size in sizes.items() if size and (path.count("/") == 1 or size >= _LARGE)}
    return tuple(Use(path, size) for path, size in sorted(shown.items()))


def _files(listing: Listing, content: Content) -> Iterator[File]:
    for path, entry in listing.entries.items():
        lends_rights = entry.kind == "f" and bool(entry.mode & 0o6000)
        setup = path.startswith(_SETUP) and entry.kind in "fl" and not _NO_DIFFERENCE.fullmatch(path)
        if lends_rights or setup:
            digest = ""
            if setup and entry.kind == "f" and not _may_be_secret(entry):
                digest = _digest(content(path))
            mode = 0 if entry.kind == "l" else entry.mode & 0o7777
            yield File(path, mode, entry.uid, entry.gid, entry.size, digest, entry.target)


def _may_be_secret(entry: Entry) -> bool:
    """What not everybody may read in the image, and what has a name as secrets have one."""
    if _MAY_BE_SECRET.search(entry.path):
        return True
    return not entry.mode & 0o004 and not _KNOWN_TO_HOLD_NO_SECRET.fullmatch(entry.path)


def _digest(content: bytes | None) -> str:
    if content is None or b"PRIVATE KEY-----" in content:
        return ""
    return hashlib.sha256(content).hexdigest()[:32]


def _below(listing: Listing, directory: str) -> list[str]:
    return sorted(path for path in listing.entries if path.startswith(directory) and not path.endswith(".md5sums"))


def _records(content: bytes | None, fields: int) -> Iterator[list[str]]:
    """The lines of a file such as passwd(5) that have at least so many fields, cut to as many."""
    for line in _text(content).split("\n"):
        parts = line.split(":")
        if len(parts) >= fields and parts[0]:
            yield parts[:fields]


def _assignments(text: str) -> Mapping[str, str]:
    """The lines of os-release(5)."""
    said: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            said[name] = re.sub(r"\\(.)", r"\1", value.strip().strip("\"'"))
    return said


def _text(content: bytes | None) -> str:
    return (content or b"").decode(errors="replace")
