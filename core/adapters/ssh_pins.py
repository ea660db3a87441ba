"""Host keys: the files that pin them (sshd(8), SSH_KNOWN_HOSTS FILE FORMAT), and the fingerprints in a cloud's console.

A pin file belongs to one machine of one run. Its first key is written once, whole and exclusively; nothing ever changes
it afterwards.
"""

import base64
import binascii
import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Collection
from pathlib import Path

import msgspec

from core.errors import HostKeyError
from core.model.machine import KeyProof


class HostKey(msgspec.Struct, frozen=True):
    """The public key of an SSH server."""

    algorithm: str
    """`ssh-ed25519`"""
    blob: bytes
    """As it travels in the protocol (RFC 4253, section 6.6)."""

    @property
    def fingerprint(self) -> str:
        """As OpenSSH prints it: `SHA256:…`, without padding."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    def __str__(self) -> str:
        return f"{self.fingerprint} ({self.algorithm})"


def address(host: str, port: int) -> str:
    """How a known_hosts file names a server: `[127.0.0.1]:3059`, and plain `web.example.org` on port 22."""
    return host.lower() if port == 22 else f"[{host.lower()}]:{port}"


def pinned(path: Path) -> tuple[HostKey, ...]:
    """The keys that the machine of this file may show; empty when there is no file yet.

    They hold for the machine wherever it is: a cloud may give it another address when it starts again. Raises
    HostKeyError when the file is there and has no key in it that can be read.
    """
    try:
        lines = path.read_text().splitlines()
    except FileNotFoundError:
        return ()
    except (OSError, ValueError) as error:
        raise HostKeyError(f"The pinned host key {path} cannot be read: {error}.", "Look at the file.") from error
    keys: list[HostKey] = []
    for line in lines:
        match line.split():
            case [_, algorithm, encoded, *_] if not line.startswith(("#", "@")):
                with contextlib.suppress(binascii.Error):
                    keys.append(HostKey(algorithm, base64.b64decode(encoded, validate=True)))
            case _:
                pass
    if not keys:
        raise HostKeyError(
            f"There is no host key in {path}: it is damaged.",
            "Compare the machine's fingerprint with its console, then remove the file: the next contact pins anew.",
        )
    return tuple(keys)


def pin(path: Path, host: str, port: int, key: HostKey) -> tuple[HostKey, ...]:
    """Pin a machine's key on first contact, and say what is pinned: the key of whoever was first.

    The file is made 0600 in a 0700 directory, and appears with its whole content or not at all. Raises HostKeyError
    when it cannot be written.
    """
    line = f"{address(host, port)} {key.algorithm} {base64.b64encode(key.blob).decode()}\n"
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # exclusively, and 0600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(line)
                file.flush()
                os.fsync(file.fileno())
            with contextlib.suppress(FileExistsError):
                os.link(part, path)  # unlike a rename it never replaces what somebody else pinned meanwhile
        finally:
            Path(part).unlink(missing_ok=True)
    except OSError as error:
        raise HostKeyError(
            f"The host key of {host} cannot be pinned in {path}: {error.strerror}.",
            "Without a pin there is no shell: make room or mend the directory's permissions.",
        ) from error
    return pinned(path)


def note_shown(path: Path, fingerprints: Collection[str]) -> None:
    """Keep the fingerprints that the machine's console shows, beside its pin: from now on only these count, whatever
    was pinned before. Raises OSError."""
    if not fingerprints:
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w") as file:
            file.write("".join(f"{one}\n" for one in sorted(fingerprints)))
        Path(part).replace(_shown_file(path))
    finally:
        Path(part).unlink(missing_ok=True)


def shown(path: Path) -> frozenset[str]:
    """What `note_shown` kept for this pin; empty when the console showed nothing."""
    with contextlib.suppress(FileNotFoundError):
        return frozenset(_shown_file(path).read_text().split())
    return frozenset()


def proof(path: Path) -> KeyProof:
    """What the key in this pin file was compared with. Raises HostKeyError for a damaged file."""
    keys, on_console = pinned(path), shown(path)
    if not keys:
        return KeyProof.NONE
    if not on_console:
        return KeyProof.FIRST_CONTACT
    return KeyProof.CONSOLE if all(key.fingerprint in on_console for key in keys) else KeyProof.OTHER


def _shown_file(path: Path) -> Path:
    return path.with_name(f"{path.name}.shown")


_FINGERPRINT = re.compile(r"\bSHA256:[A-Za-z0-9+/]{43}(?![A-Za-z0-9+/])")
_BEGIN, _END = "BEGIN SSH HOST KEY FINGERPRINTS", "END SSH HOST KEY FINGERPRINTS"


def shown_fingerprints(console: str) -> frozenset[str]:
    """The fingerprints that a machine printed on its console when it made its host keys; empty when it did not.

    cloud-init prints them between two marks, each line with `ec2: ` before it, or what else syslog puts there
    (cloud-init, tools/write-ssh-key-fingerprints). Of several boots the last one's count. Elsewhere on the console
    fingerprints are of other keys (who may log in).

    >>> sorted(shown_fingerprints("ec2: -----BEGIN SSH HOST KEY FINGERPRINTS-----\\nec2: 256 SHA256:" + "a" * 43
    ...        + " root@web (ED25519)\\nec2: -----END SSH HOST KEY FINGERPRINTS-----")) == ["SHA256:" + "a" * 43]
    True
    """
    _, begun, rest = console.rpartition(_BEGIN)
    inside, ended, _ = rest.partition(_END)
    return frozenset(_FINGERPRINT.findall(inside)) if begun and ended else frozenset()
