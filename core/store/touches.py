"""What was done by hand in a run, as files in the run's own directory: they outlive its clean-up.

A touch is on the disk before what it tells of begins, and each is a file of its own: several people, in processes that
know nothing of each other, may be in the same machine. Who reads them (the register stage) believes that a touch is
there even where its file is damaged: an image is rather marked without need than not at all.
"""

import os
import secrets
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core.errors import StoreError
from core.model.touch import Touch, TouchKind

DIRECTORY = "touches"
"""Below the run's directory."""
_RECORD = ".json"
_TRANSCRIPT = ".cast"
_PART = ".part"


class Touches:
    """The touches of one run."""

    def __init__(self, run_directory: Path) -> None:
        self.directory = run_directory / DIRECTORY

    def add(self, touch: Touch, *, recorded: bool = False) -> Path:
        """Write a touch down, for good (fsync), under a name of its own; gives its file.

        `recorded`: what comes back will be kept beside it (`transcript`). Raises StoreError: then nothing may be done
        by hand, as nobody would know.
        """
        try:
            self._make()
            while True:
                name = f"{max(int(touch.when * 1000), 0):013d}-{secrets.token_hex(4)}"
                named = replace(touch, transcript=name + _TRANSCRIPT) if recorded else touch
                path = self.directory / (name + _RECORD)
                if _write_new(path, msgspec.json.encode(named)):
                    return path
        except OSError as error:
            raise StoreError(
                f"What is done by hand cannot be written down in {self.directory}: {error.strerror}.",
                "Without that record there is no shell: make room, and see that the run's directory is there.",
            ) from error

    def all(self) -> list[Touch]:
        """The touches of the run, the oldest first; each once. One whose file cannot be read is among them, without
        its details."""
        found = {_read(path): None for path in sorted(self.directory.glob(f"*{_RECORD}"))}
        return sorted(found, key=lambda touch: touch.when)

    def transcript(self, of: Path | Touch) -> Path:
        """Where the transcript of a touch is, or will be: of its file, or of itself as `all` gives it."""
        return of.with_suffix(_TRANSCRIPT) if isinstance(of, Path) else self.directory / Path(of.transcript).name

    def _make(self) -> None:
        """The run's own directory must be there: whoever removed it has ended the run."""
        try:
            self.directory.mkdir(mode=0o700)
        except FileExistsError:
            return
        _sync(self.directory.parent)


def _write_new(path: Path, content: bytes) -> bool:
    """Write a file that is not there yet, whole or not at all, and for good. False when somebody has that name."""
    part = path.with_name(path.name + _PART)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        try:
            os.write(descriptor, content)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        try:
            path.hardlink_to(part)
        except FileExistsError:
            return False
    finally:
        part.unlink(missing_ok=True)
    _sync(path.parent)
    return True


def _sync(directory: Path) -> None:
    """Make the names in it last."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(path: Path) -> Touch:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Touch)
    except (OSError, msgspec.DecodeError, ValueError):
        when = path.name.partition("-")[0]
        return Touch(
            TouchKind.SHELL, "unknown", int(when) / 1000 if when.isdecimal() else 0.0, "", "its record is damaged"
        )
