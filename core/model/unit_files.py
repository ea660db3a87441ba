"""What starts with a system, as the links and unit files on its disk say (systemd.unit(5), systemd.socket(5))."""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator

from core.model.inventory import Port, Service, ServiceState
from core.model.listing import Listing

_SYSTEM = "/etc/systemd/system"
_PLACES = (_SYSTEM, "/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system")
"""Where unit files lie, what is found first counts (systemd.unit(5), Unit File Load Path)."""
_WANTED = re.compile(rf"{_SYSTEM}/([^/]+)\.(?:wants|requires)/([^/]+)")
_MASKED = re.compile(rf"{_SYSTEM}/([^/]+\.[a-z]+)")
_SYSV = re.compile(r"/etc/rc[2-5]\.d/S[0-9]{2}([^/]+)")
_OPENRC = re.compile(r"/etc/runlevels/([^/]+)/([^/]+)")
_LISTENS = {"ListenStream": "tcp", "ListenDatagram": "udp"}
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - what others wrote
_ADDRESS = re.compile(r"(?:(?P<address>\[[^\]]*\]|[^:\[\]/]+):)?(?P<port>[0-9]{1,5})")


class Units:
    """The units of one disk."""

    def __init__(self, listing: Listing, content: Callable[[str], bytes | None]) -> None:
        self._listing = listing
        self._content = content
        self._wanted: dict[str, set[str]] = defaultdict(set)
        self._masked: set[str] = set()
        self._dropped: list[str] = []
        old: dict[str, set[str]] = defaultdict(set)
        for path, entry in listing.entries.items():
            if found := _WANTED.fullmatch(path):
                self._wanted[found[2]].add(found[1])
            elif (found := _MASKED.fullmatch(path)) and (
                entry.target == "/dev/null" or (entry.kind == "f" and entry.size == 0)
            ):
                self._masked.add(found[1])
            elif found := _SYSV.fullmatch(path):
                old[found[1]].add("init")
            elif found := _OPENRC.fullmatch(path):
                old[found[2]].add(found[1])
            elif ".socket.d/" in path and path.endswith(".conf"):
                self._dropped.append(path)
        for name, starters in old.items():
            if not self._path(f"{name}.service"):  # systemd looks at the unit alone then
                self._wanted[name] |= starters

    def services(self) -> Iterator[Service]:
        """The units that were enabled or masked in this image; what is always there by a package's will is none."""
        for name, starters in self._wanted.items():
            if name not in self._masked:
                yield Service(name, ServiceState.ENABLED, tuple(sorted(starters)))
        for name in self._masked:
            yield Service(name, ServiceState.MASKED)

    def ports(self) -> Iterator[Port]:
        """Where the enabled socket units listen in the network."""
        for name in self._wanted:
            if name.endswith(".socket") and name not in self._masked:
                for protocol, listens in self._listens(name):
                    if (found := _ADDRESS.fullmatch(listens)) and 0 < int(found["port"]) < 65536:
                        address = (found["address"] or "").strip("[]")
                        yield Port(protocol, int(found["port"]), "" if address in _EVERYWHERE else address, name)

    def _listens(self, name: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        for text in self._texts(name):
            for line in text.splitlines():
                key, equals, value = (part.strip() for part in line.partition("="))
                if not equals or key not in _LISTENS:
                    continue
                if value:
                    found.append((_LISTENS[key], value))
                else:
                    found = []  # an empty assignment takes back all before it
        return found

    def _texts(self, name: str) -> Iterator[str]:
        """A unit's file, then what is dropped in beside it, in its order."""
        template = re.sub(r"@[^.]+\.", "@.", name)
        if path := self._path(name) or self._path(template):
            yield (self._content(path) or b"").decode(errors="replace")
        dropped = {
            path.rpartition("/")[2]: path
            for place in reversed(_PLACES)
            for path in self._dropped
            if path.startswith(f"{place}/{name}.d/")
        }
        for _, path in sorted(dropped.items()):
            yield (self._content(path) or b"").decode(errors="replace")

    def _path(self, name: str) -> str:
        return next((path for place in _PLACES if (path := f"{place}/{name}") in self._listing.entries), "")
