"""What client and worker say to each other over the worker's socket: one line of JSON each way.

Secrets travel here and nowhere else; neither side writes them down.
"""

import os
import socket
import struct
from collections.abc import Mapping

import msgspec

from core import __version__
from core.places import Places

LINE_LIMIT = 4 * 1024 * 1024
"""Bytes of one message: secrets may be keys and certificates."""

CANNOT_WORK = "the worker cannot work: "
"""Begins the last line in the log of a worker that could not start."""


class Wake(msgspec.Struct, frozen=True, tag="wake", tag_field="do"):
    """Look at the index: something was asked for."""


class GiveSecrets(msgspec.Struct, frozen=True, tag="secrets", tag_field="do"):
    """The values of a run's `secret_names`, and a wake."""

    run: str
    secrets: Mapping[str, str]


class Ask(msgspec.Struct, frozen=True, tag="status", tag_field="do"):
    """How are you?"""


class Stop(msgspec.Struct, frozen=True, tag="stop", tag_field="do"):
    """Begin nothing new, leave the holders running, end."""


Message = Wake | GiveSecrets | Ask | Stop


class WorkerStatus(msgspec.Struct, frozen=True):
    """How the worker stands."""

    pid: int
    version: str
    started: float
    """Seconds since the epoch."""
    concurrency: int
    running: int
    queued: int
    waiting: int
    """Waiting and paused runs."""


class Reply(msgspec.Struct, frozen=True):
    """The worker's answer to any message. `error` is empty where it did what was asked."""

    status: WorkerStatus
    error: str = ""


class Presence(msgspec.Struct, frozen=True):
    """What a living worker has in its lock file: so that a client with another XDG_RUNTIME_DIR finds its socket."""

    pid: int
    socket: str
    version: str
    file: int = 0
    """Inode of the lock file: in a copy of it, it speaks of another home's worker. 0: of a worker that does not say."""


def version_key(version: str) -> tuple[int, ...]:
    """Version strings as something that can be compared: `0.10.0` is newer than `0.9.1`.

    >>> version_key("0.10.0") > version_key("0.9.1")
    True
    """
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in version.split("."))


def mine() -> str:
    """The version of this program."""
    return __version__


def peer_is_me(connection: socket.socket) -> bool:
    """Whether the other end belongs to the same user (SO_PEERCRED, unix(7)), or to root, who can do anything anyway."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return uid in (os.getuid(), 0)


def presence(places: Places) -> Presence | None:
    """What the last worker of this home left in the lock file. It may be dead."""
    try:
        with places.worker_lock.open("rb") as file:
            found = msgspec.json.decode(file.read(), type=Presence)
            return found if found.file in (0, os.fstat(file.fileno()).st_ino) else None
    except (OSError, msgspec.DecodeError, msgspec.ValidationError):
        return None
