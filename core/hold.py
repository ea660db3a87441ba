"""What a holder and its clients agree on: the files in a hold's directory and the messages on its socket.

A hold is a directory (0700). `holder.json` says who holds, and is there before the tool starts; `prompt.json` says what
the tool waits for and who answered what; `exit.json` says how the tool ended, and is written last, whole or not at all.
On the socket each message is one line of JSON, and so is each answer.
"""

import base64
import json
import os
import re
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import msgspec

from core.living import Identity

HOLDER_FILE = "holder.json"
EXIT_FILE = "exit.json"
PROMPT_FILE = "prompt.json"
EVENTS_FILE = "events.pipe"
EVENTS_MARK = "INGOT_EVENTS"
"""Environment variable with the path of the pipe into which the tool may tell what it does (ToolSpec.events)."""
LOCK_FILE = "holder.lock"
OWN_LOG_FILE = "holder.log"
"""What the holder itself has to say when it breaks; empty as a rule."""

MESSAGE_LIMIT = 1024 * 1024
"""Bytes of one message at most."""

EndedBy = Literal["", "cancel", "limit"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """A question of the tool's, and what becomes of it: answered at once, or held until somebody answers."""

    pattern: str
    """Regular expression (MULTILINE, so that `^` is the start of a line); see `asks`."""
    reply: str = ""
    """Typed at once. Empty: the prompt is held."""
    goodbye: str = ""
    """Typed, in place of SIGINT, when the tool is to be ended while it waits here, and when it comes to ask this while
    it is being ended."""

    def __post_init__(self) -> None:
        """Raises re.error here, and not in a holder, where the pattern is none."""
        self._whole()

    def asks(self, text: str) -> bool:
        """Whether the end of this output is the prompt: the match reaches to the text's last character. A prompt has no
        line end after it; what has one is told, not asked.

        >>> Prompt("^==> [^:]+: Press enter to continue[.] ").asks("one line\\n==> web: Press enter to continue. ")
        True
        >>> Prompt(r"Press enter to continue[.]\\s*").asks("web: Press enter to continue.\\n")
        False
        """
        return not text.endswith("\n") and self._whole().search(text) is not None

    def _whole(self) -> re.Pattern[str]:
        return re.compile(rf"(?:{self.pattern})\Z", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Held:
    """A prompt that the tool waits at until somebody answers."""

    number: int
    """1, 2, … in this hold: an answer names it."""
    text: str
    """The end of the tool's output up to the prompt, earlier lines too: 4,096 characters at most, redacted, without
    colours, with plain line ends."""
    since: float
    """When it was taken for a prompt (epoch)."""
    pattern_index: int
    """Which of `ToolSpec.prompts` it is."""


@dataclass(frozen=True, slots=True)
class Answered:
    """How the wait at a held prompt was over."""

    number: int
    by: str
    """Who answered, as in a commit: `Ada Example <ada@example.org>`. Empty where nobody did."""
    what: str
    """The answer in a word, such as `retry`; or `cancel`, `time limit`, `the tool ended`, `the tool went on`."""
    at: float
    """Epoch."""

    def __str__(self) -> str:
        clock = time.strftime("%H:%M", time.localtime(self.at))
        if self.by:
            return f"{self.by} answered it at {clock}: {self.what}."
        return f"It is over since {clock}: {self.what}."


@dataclass(frozen=True, slots=True)
class PromptRecord:
    """`prompt.json`: what the tool waits for, and how all earlier prompts were over."""

    held: Held | None = None
    answers: tuple[Answered, ...] = ()

    @classmethod
    def read(cls, directory: Path) -> "PromptRecord":
        try:
            return msgspec.json.decode((directory / PROMPT_FILE).read_bytes(), type=cls)
        except FileNotFoundError:
            return cls()

    def write(self, directory: Path) -> None:
        write_whole(directory / PROMPT_FILE, msgspec.json.encode(self))


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
    open for it, until it has ended, is interrupted, or the time limit is up. An answer can ask for this later."""
    prompts: tuple[Prompt, ...] = ()
    """What the tool may ask; the first whose pattern matches counts."""
    prompt_limit: float | None = None
    """Seconds that a held prompt may wait: its time limit from then on, until it is answered. None: the tool's own."""
    events: Path | None = None
    """Gets what the tool tells beside that, a line of JSON an event, redacted as well; appended to."""

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
    kept: bool = False
    """What it left behind is kept (ToolSpec.keep), and the holder stays for that."""


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
    """Write a small file whole or not at all, and for good (fsync). Of several who write it at once one is the last,
    and none is in another's way. Raises OSError."""
    # As tempfile.mkstemp does, which takes long to load: each build waits for its holder.
    part = path.with_name(f"{path.name}.{os.urandom(8).hex()}.part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            left = memoryview(content)
            while left:  # a disk that fills up takes a part first, and says so only the next time
                left = left[os.write(descriptor, left) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
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


class Reply(msgspec.Struct, frozen=True, tag="reply", tag_field="do"):
    """Answer a held prompt, if it is the one that is held now."""

    number: int
    data: str
    """What is typed: bytes in base64."""
    by: str
    what: str
    keep: bool = False
    """What the tool leaves behind from now on stays (ToolSpec.keep), and so does the time limit."""
    end: bool = False
    """End the tool, as `Interrupt` does, in place of typing `data`: the prompt has no answer that would."""

    @property
    def raw(self) -> bytes:
        return base64.b64decode(self.data, validate=True)


class WaitHeld(msgspec.Struct, frozen=True, tag="wait_held", tag_field="do"):
    """Say how it stands when a prompt later than `after` is held, or when prompt `after`, held now, is over."""

    after: int


class WaitAnswered(msgspec.Struct, frozen=True, tag="wait_answered", tag_field="do"):
    """Say how it stands when this prompt is held no more; `Answer.answered` is then how this one was over."""

    number: int


Message = Status | Send | Interrupt | Limit | Redact | Reply | WaitHeld | WaitAnswered


class Answer(msgspec.Struct, frozen=True):
    """To each message."""

    error: str = ""
    """Why it was not done; empty when it was."""
    refused: bool = False
    """Not done, as somebody was faster or it is too late: `error` says who and what."""
    tool: int = 0
    """Process id of the tool, 0 when it does not run."""
    ending: EndedBy = ""
    seconds_left: float | None = None
    """Until the time limit."""
    bytes_dropped: int = 0
    """Output that was lost because the disk was full for too long."""
    unwritten: int = 0
    """Output that waits for room on the disk."""
    held: Held | None = None
    """The prompt that it waits at."""
    answered: Answered | None = None
    """How the last held prompt was over; to `Reply` and `WaitAnswered`: how that one was."""
    keeps: bool = False
    """The tool has ended, and what it left behind is kept."""
