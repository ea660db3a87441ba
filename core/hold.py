"""What a holder and its clients agree on: the files in a hold's directory and the messages on its socket.

A hold is a directory (0700). `holder.json` says who holds, and is there before the tool starts; `exit.json` says how
the tool ended, and is written last, whole or not at all. On the socket each message is one line of JSON, and so is each
answer.
"""

import base64
import json
import os
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from core.living import Identity

HOLDER_FILE = "holder.json"
EXIT_FILE = "exit.json"
LOCK_FILE = "holder.lock"
OWN_LOG_FILE = "holder.log"
"""What the holder itself has to say when it breaks; empty as a rule."""

MESSAGE_LIMIT = 1024 * 1024
"""Bytes of one message at most."""

EndedBy = Literal["", "cancel", "limit"]


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """What a holder is to run, and how. It travels through memory only: it holds secrets."""

    argv: tuple[str, ...]
    cwd: Path
    environment: dict[str, str] = field(repr=False)
    """The whole of it (process.environment). The marks of living.py are added, so that a sweep finds what is left."""
    log: Path
    """Gets what the tool prints, redacted; appended to."""
    secrets: tuple[str, ...] = field(default=(), repr=False)
    run_uid: str = ""
    grace: float = 30.0
    """Seconds between SIGINT, SIGTERM and SIGKILL."""
    limit: float | None = None
    """Seconds after which the holder itself ends the tool."""
    columns: int = 200
    rows: int = 50
    keep: bool = False
    """Do not end what the tool leaves behind (a machine after Packer's abort). The holder stays, and keeps the terminal
    open for it, until it has ended or is interrupted."""

    def to_json(self) -> bytes:
        """By the standard library, as arguments and variables may hold lone surrogates (os.fsdecode)."""
        return json.dumps(asdict(self), default=os.fspath).encode()

    @classmethod
    def from_json(cls, raw: bytes) -> "ToolSpec":
        return msgspec.convert(json.loads(raw), cls, dec_hook=_path)


def _path(wanted: type, value: object) -> object:
    if wanted is Path and isinstance(value, str):
        return Path(value)
    raise NotImplementedError(wanted)  # how a dec_hook tells msgspec that a type is none of its own


@dataclass(frozen=True, slots=True)
class Exit:
    """How a tool ended. One of `code` and `signal` is set."""

    code: int | None
    signal: int | None
    started: float
    ended: float
    ended_by: EndedBy = ""
    """Who wanted it: the tool itself (empty), a cancel, or the time limit."""


@dataclass(frozen=True, slots=True)
class HolderRecord:
    """`holder.json`: who holds."""

    holder: Identity
    tool: Identity | None
    """None until it has started."""
    socket: str
    log: str
    run_uid: str

    @classmethod
    def read(cls, directory: Path) -> "HolderRecord | None":
        try:
            return msgspec.json.decode((directory / HOLDER_FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            return None

    def write(self, directory: Path) -> None:
        write_whole(directory / HOLDER_FILE, msgspec.json.encode(self))


def read_exit(directory: Path) -> Exit | None:
    """How the tool ended, or None as long as that is not known."""
    try:
        return msgspec.json.decode((directory / EXIT_FILE).read_bytes(), type=Exit)
    except FileNotFoundError:
        return None


def write_whole(path: Path, content: bytes) -> None:
    """Write a small file whole or not at all, and for good (fsync)."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    part.replace(path)
    sync_directory(path.parent)


def sync_directory(directory: Path) -> None:
    """Make the names in a directory last."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def holder_command(directory: Path, socket: Path) -> list[str]:
    """`-P`: a directory named `core` where we happen to be must not be taken for ours."""
    return [sys.executable, "-P", "-m", "core.holder", str(directory), str(socket)]


class Status(msgspec.Struct, frozen=True, tag="status", tag_field="do"):
    """Say how it stands."""


class Send(msgspec.Struct, frozen=True, tag="send", tag_field="do"):
    """Type something at the tool."""

    data: str
    """Bytes in base64."""

    @classmethod
    def of(cls, data: bytes) -> "Send":
        return cls(base64.b64encode(data).decode())

    @property
    def raw(self) -> bytes:
        return base64.b64decode(self.data, validate=True)


class Interrupt(msgspec.Struct, frozen=True, tag="interrupt", tag_field="do"):
    """End the tool: SIGINT, then SIGTERM, then SIGKILL."""


class Limit(msgspec.Struct, frozen=True, tag="limit", tag_field="do"):
    """Set the time limit anew."""

    seconds: float | None
    """From now; None takes it away."""


class Redact(msgspec.Struct, frozen=True, tag="redact", tag_field="do"):
    """Register more secrets."""

    secrets: tuple[str, ...]


Message = Status | Send | Interrupt | Limit | Redact


class Answer(msgspec.Struct, frozen=True):
    """To each message."""

    error: str = ""
    """Why it was not done; empty when it was."""
    tool: int = 0
    """Process id of the tool, 0 when it does not run."""
    ending: EndedBy = ""
    seconds_left: float | None = None
    """Until the time limit."""
    bytes_dropped: int = 0
    """Output that was lost because the disk was full for too long."""
    unwritten: int = 0
    """Output that waits for room on the disk."""
