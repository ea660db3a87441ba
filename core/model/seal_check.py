"""Whether anything of its making is left in an image: a pure function of what is on its disk.

It knows nothing of how the image was sealed, and looks by itself.
"""

import re
from collections.abc import Callable, Iterator

import msgspec

from core.model.listing import Entry, Listing, globs
from core.model.seal_items import ITEMS, Item
from core.model.sealing import MOST_PATHS, Finding, ItemState, SealSettings

Content = Callable[[str], bytes | None]
"""What is in a file, links followed; None where that was not read."""

PATHS: tuple[str, ...] = (
    "/etc/image-release",
    "/etc/machine-id",
    "/var/lib/dbus/machine-id",
    "/etc/passwd",
    "/etc/shadow",
    "/etc/group",
    "/etc/sudoers",
    "/etc/sudoers.d/*",
    "/etc/udev/rules.d/*",
    "/etc/systemd/network/*",
    "/etc/sysconfig/network-scripts/ifcfg-*",
    "/etc/sysconfig/network/ifcfg-*",
    "/etc/netplan/*",
    "/etc/network/interfaces",
    "/etc/network/interfaces.d/*",
    "/etc/NetworkManager/system-connections/*",
    "/**/.ssh/authorized_keys*",
    "/etc/ssh/authorized_keys*",
    "/etc/ssh/authorized_keys*/**",
    "/etc/ssh/sshd_config",
    "/etc/ssh/sshd_config.d/*",
    # What may make host keys at the first boot.
    "/etc/systemd/system/**",
    "/usr/lib/systemd/system/*ssh*",
    "/lib/systemd/system/*ssh*",
    "/etc/init.d/*",
    "/etc/rc.local",
)
"""What has to be read of a disk, beside its list, to say what is left in it."""

_EMPTY_IDS = frozenset({b"", b"uninitialized"})
"""Of /etc/machine-id in an image (machine-id(5), first boot semantics)."""

_SETTINGS: tuple[tuple[str, str], ...] = (
    ("/etc/udev/rules.d/*persistent-net*.rules", r"^\s*[^#\s]"),
    ("/etc/udev/rules.d/*.rules", r"^[^#]*ATTR\{address\}==\"[0-9A-Fa-f]{2}:"),
    ("/etc/systemd/network/*", r"^\s*(?:Permanent)?MACAddress\s*=\s*[0-9A-Fa-f]"),
    ("/etc/sysconfig/network-scripts/ifcfg-*", r"^\s*HWADDR\s*=\s*\S"),
    ("/etc/sysconfig/network/ifcfg-*", r"^\s*(?:HWADDR|LLADDR)\s*=\s*[\"']?[0-9A-Fa-f]"),
    ("/etc/netplan/*", r"^[^#]*\bmacaddress\s*:\s*[\"']?[0-9A-Fa-f]"),
    ("/etc/network/interfaces", r"^\s*hwaddress\s"),
    ("/etc/network/interfaces.d/*", r"^\s*hwaddress\s"),
    ("/etc/NetworkManager/system-connections/*", r"^\s*mac-address\s*=\s*[0-9A-Fa-f]"),
)
"""Where an interface is told by its hardware address, and what then stands there."""

_OF_BUILDS = ("packer",)
"""Nobody but a build is called so."""
_PERHAPS_OF_BUILDS = ("vagrant",)
"""Of a build where they may become root without a password."""


class Facts(msgspec.Struct, frozen=True):
    """What is known of the run that made the image."""

    marks: tuple[str, ...] = ()
    """What stands in keys that only this run has: their comment, or the public key itself."""


def check(
    listing: Listing, content: Content, settings: SealSettings, facts: Facts | None = None
) -> tuple[Finding, ...]:
    """Look for every item of the table, in its order. A path is named under the first item that it belongs to."""
    found = _Check(listing, content, settings, facts or Facts())
    return tuple(found.finding(item) for item in ITEMS)


def host_keys_by(listing: Listing, content: Content) -> str:
    """What makes SSH host keys in a machine that has none: its path, or nothing."""
    for path in ("/usr/bin/cloud-init", "/usr/lib/systemd/system/sshd-keygen.target"):
        if listing.resolved(path):
            return path
    units = globs("/etc/systemd/system/**", "/usr/lib/systemd/system/*ssh*", "/lib/systemd/system/*ssh*")
    scripts = globs("/etc/init.d/*", "/etc/rc.local")
    for path, entry in sorted(listing.entries.items()):
        if entry.kind == "f" and (units.fullmatch(path) or scripts.fullmatch(path)):
            text = content(path) or b""
            # Debian's /etc/init.d/ssh and ssh.service only speak of the keys.
            if re.search(rb"^[^#\n]*(?:ssh-keygen\b.*\s-(?:A|[a-zA-Z]*f|t)\b|dpkg-reconfigure\s+openssh)", text, re.M):
                return path
    return ""


def has_ssh_server(listing: Listing) -> bool:
    return any(listing.resolved(path) for path in ("/usr/sbin/sshd", "/usr/bin/sshd", "/usr/sbin/dropbear"))


class _Check:
    def __init__(self, listing: Listing, content: Content, settings: SealSettings, facts: Facts) -> None:
        self.listing = listing
        self.content = content
        self.settings = settings
        self.facts = facts
        self.named: set[str] = set()
        self.by_content = {
            "machine-id": self._machine_ids,
            "hardware-addresses": self._hardware_addresses,
            "build-keys": self._build_keys,
            "build-users": self._build_users,
            "named-paths": self._named_paths,
        }
        every = [glob for item in ITEMS for glob in (*item.paths, *item.filled)]
        anywhere = globs(*every)
        self.candidates = [entry for path, entry in listing.entries.items() if anywhere.fullmatch(path)]

    def finding(self, item: Item) -> Finding:
        if item.id in self.settings.keep:
            return Finding(item.id, item.title, ItemState.KEPT)
        looking = self.by_content.get(item.id)
        paths = sorted(set(looking() if looking else self._by_path(item)))
        if paths:
            return Finding(item.id, item.title, ItemState.FOUND, tuple(paths[:MOST_PATHS]), len(paths), item.advice)
        applies = not item.belongs_to or any(path in self.listing.entries for path in item.belongs_to)
        if item.id == "named-paths":
            applies = bool(self.settings.remove)
        return Finding(item.id, item.title, ItemState.CLEAN if applies else ItemState.NOT_APPLICABLE)

    def _by_path(self, item: Item) -> Iterator[str]:
        present, filled, fine = globs(*item.paths), globs(*item.filled), globs(*item.fine)
        for entry in self.candidates:
            if entry.path in self.named or fine.fullmatch(entry.path):
                continue
            if present.fullmatch(entry.path) or (_holds_something(entry) and filled.fullmatch(entry.path)):
                self.named.add(entry.path)
                yield entry.path

    def _machine_ids(self) -> Iterator[str]:
        for path in ("/etc/machine-id", "/var/lib/dbus/machine-id"):
            entry = self.listing.entries.get(path)
            if entry is None or entry.kind == "l":  # a link to the other one, in most systems
                continue
            said = self.content(path)
            if said is None or said.strip() not in _EMPTY_IDS:
                yield path

    def _hardware_addresses(self) -> Iterator[str]:
        for glob, setting in _SETTINGS:
            where, what = globs(glob), re.compile(setting.encode(), re.MULTILINE | re.IGNORECASE)
            for path, entry in self.listing.entries.items():
                if entry.kind == "f" and where.fullmatch(path) and what.search(self.content(path) or b""):
                    yield path

    def _build_keys(self) -> Iterator[str]:
        places = globs("/**/.ssh/authorized_keys*", "/etc/ssh/authorized_keys*", "/etc/ssh/authorized_keys*/**")
        marks = [mark.encode() for mark in self.facts.marks if mark]
        for path, entry in self.listing.entries.items():
            if entry.kind == "f" and places.fullmatch(path):
                text = self.content(path) or b""
                if any(mark in text for mark in marks):
                    yield path

    def _build_users(self) -> Iterator[str]:
        users = dict.fromkeys((*self.settings.users, *_OF_BUILDS))
        for user in (*users, *(user for user in _PERHAPS_OF_BUILDS if self._becomes_root(user))):
            for path in ("/etc/passwd", "/etc/shadow", "/etc/group"):
                for line in self._lines(path):
                    fields = line.split(":")
                    members = fields[3].split(",") if path == "/etc/group" and len(fields) > 3 else []
                    if fields[0] == user or user in members:
                        yield f"{path}: {user}"
            if f"/home/{user}" in self.listing.entries:
                yield f"/home/{user}"
            yield from (f"{path}: {user}" for path in self._sudoers() if self._rules(path, user))

    def _becomes_root(self, user: str) -> bool:
        return any("NOPASSWD" in rule for path in self._sudoers() for rule in self._rules(path, user))

    def _sudoers(self) -> list[str]:
        where = globs("/etc/sudoers", "/etc/sudoers.d/*")
        return [path for path, entry in self.listing.entries.items() if entry.kind == "f" and where.fullmatch(path)]

    def _rules(self, path: str, user: str) -> list[str]:
        return [line for line in self._lines(path) if line.split(None, 1)[:1] == [user]]

    def _named_paths(self) -> Iterator[str]:
        named = globs(*(path.rstrip("/") for path in self.settings.remove))
        yield from (path for path in self.listing.entries if named.fullmatch(path))

    def _lines(self, path: str) -> list[str]:
        return (self.content(path) or b"").decode(errors="replace").splitlines()


def _holds_something(entry: Entry) -> bool:
    return entry.kind == "f" and entry.size > 0
