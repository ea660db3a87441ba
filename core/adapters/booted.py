"""What a booted machine says of itself: one question over SSH, and what its answer means.

The question is a script for the plainest of shells, in sections; what a machine lacks leaves its section empty. It
changes nothing. For anybody but root it asks through sudo, where that goes without a password.
"""

import re
import shlex

import msgspec

_SCRIPT = r"""
PATH=$PATH:/usr/sbin:/sbin
section() { printf '\n==%s==\n' "$1"; }
section uid; id -u
section machine-id; cat /etc/machine-id
section host-keys; for file in /etc/ssh/ssh_host_*_key.pub; do cat "$file" && echo; done
section release; cat /etc/image-release
section kernel; uname -sr
section disk; df -Pk / | tail -n 1
section users; cut -d: -f1 /etc/passwd
section authorized
patterns=$(sshd -T | sed -n 's/^authorizedkeysfile //p')
cut -d: -f1,6 /etc/passwd | while IFS=: read -r user home; do
  for pattern in ${patterns:-.ssh/authorized_keys .ssh/authorized_keys2}; do
    file=$pattern
    case "$file" in *%*) file=$(echo "$file" | sed "s|%u|$user|g; s|%h|$home|g");; esac
    case "$file" in /*) ;; *) file=$home/$file;; esac
    [ -f "$file" ] && sed "s|^|$file |" "$file" && echo  # its last line may have no end
  done
done | sort -u
section ports; ss -Hltnup || ss -Hltnu
section init; cat /proc/1/comm
section services; systemctl list-units --type=service --state=running --no-legend --plain --no-pager
section clock
for unit in systemd-timesyncd chrony chronyd ntp ntpd ntpsec openntpd; do
  state=$(systemctl is-enabled "$unit.service" 2>/dev/null)
  case "$state" in enabled*|static|alias) echo "$unit";; esac
done
section synchronised; timedatectl show --property NTPSynchronized --value
section end
"""
ASKING = (
    f'if [ "$(id -u)" = 0 ]; then sh -c {shlex.quote(_SCRIPT)}; '
    f"elif sudo -n true; then sudo -n sh -c {shlex.quote(_SCRIPT)}; else sh -c {shlex.quote(_SCRIPT)}; fi 2>/dev/null"
)
"""The question."""
_SECTION = re.compile(r"==([a-z-]+)==")
_PROCESS = re.compile(r'\(\("([^"]+)"')


class AuthorizedKey(msgspec.Struct, frozen=True):
    """A line of an authorized_keys file."""

    file: str
    key: str
    """Type and blob, as they are compared."""
    comment: str


class Booted(msgspec.Struct, frozen=True):
    """The answer."""

    whole: bool = False
    """All sections are there."""
    root: bool = False
    """It was asked as root: it could see everything."""
    machine_id: str = ""
    host_keys: tuple[str, ...] = ()
    """Type and blob of each."""
    release: str = ""
    kernel: str = ""
    users: tuple[str, ...] = ()
    authorized: tuple[AuthorizedKey, ...] = ()
    ports: tuple[str, ...] = ()
    """`tcp 0.0.0.0:22 sshd`"""
    init: str = ""
    """The name of the first process: `systemd`."""
    services: tuple[str, ...] = ()
    clock: tuple[str, ...] = ()
    """Services that keep the time and are enabled."""
    synchronised: str = ""
    """`yes`, `no`, or empty where nothing says it."""
    disk_used: int | None = None
    """Bytes."""
    disk_size: int | None = None

    @property
    def systemd(self) -> bool:
        return self.init == "systemd"


def read(answer: bytes) -> Booted:
    """What the machine said. It could say anything: nothing of it is more than text."""
    sections: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in answer.decode(errors="replace").splitlines():
        if mark := _SECTION.fullmatch(line):
            lines = sections.setdefault(mark[1], [])
        elif line.strip():
            lines.append(line.strip())

    def first(name: str) -> str:
        return next(iter(sections.get(name, ())), "")

    used, size = _disk(first("disk"))
    return Booted(
        whole="end" in sections,
        root=first("uid") == "0",
        machine_id=first("machine-id"),
        host_keys=tuple(" ".join(line.split()[:2]) for line in sections.get("host-keys", ())),
        release="\n".join(sections.get("release", ())),
        kernel=first("kernel"),
        users=tuple(sections.get("users", ())),
        authorized=tuple(key for line in sections.get("authorized", ()) if (key := _authorized(line))),
        ports=tuple(sorted({port for line in sections.get("ports", ()) if (port := _port(line))})),
        init=first("init"),
        services=tuple(sorted(line.split()[0] for line in sections.get("services", ()))),
        clock=tuple(sections.get("clock", ())),
        synchronised=first("synchronised"),
        disk_used=used,
        disk_size=size,
    )


def _authorized(line: str) -> AuthorizedKey | None:
    """`/root/.ssh/authorized_keys no-pty ssh-ed25519 AAAA… ada@example.org`; options may have spaces in quotes."""
    file, _, rest = line.partition(" ")
    if rest.lstrip().startswith("#"):
        return None
    found = re.search(r"(?:^|\s)((?:ssh-|ecdsa-|sk-)\S+)\s+(AAAA\S+)\s*(.*)", rest)
    return AuthorizedKey(file, f"{found[1]} {found[2]}", found[3].strip()) if found else None


def _port(line: str) -> str:
    """`tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))`"""
    words = line.split()
    if len(words) < 5:
        return ""
    process = _PROCESS.search(line)
    return f"{words[0]} {words[4]} {process[1] if process else ''}".strip()


def _disk(line: str) -> tuple[int | None, int | None]:
    """Bytes used and in all, from a line of `df -Pk`."""
    words = line.split()
    if len(words) >= 3 and words[1].isdecimal() and words[2].isdecimal():
        return int(words[2]) * 1024, int(words[1]) * 1024
    return None, None
