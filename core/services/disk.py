"""What files take on the disk, and taking them away: only ever below the directory that is Ingot's own."""

import contextlib
import os
import shutil
from pathlib import Path
from types import TracebackType

from core.errors import RefusedError, StoreError


def size_of(path: Path) -> int:
    """Bytes that a file, or all files below a directory, take on the disk; 0 where nothing is. Follows no links."""
    total = 0
    pending = [path]
    while pending:
        place = pending.pop()
        try:
            found = place.lstat()
            total += found.st_blocks * 512
            if place.is_dir() and not place.is_symlink():
                pending.extend(place.iterdir())
        except OSError:
            continue  # gone meanwhile, or not ours to read: it cannot be counted
    return total


def inside(path: Path, home: Path) -> Path:
    """The path, which must really be below `home`, whatever links lead there. Raises RefusedError."""
    top = Path(os.path.realpath(home))
    real = Path(os.path.realpath(path.parent)) / path.name
    if path.name in ("", "..") or real == top or not real.is_relative_to(top):
        raise RefusedError(f"{path} is not below {home}: Ingot did not put it there.", "Delete it by hand.")
    return real


def remove(path: Path, home: Path) -> int:
    """Remove a file or directory below `home`, and give the bytes that are free again. Of a link, only the link goes.
    Somebody else may be removing it as well.

    Raises RefusedError for a place elsewhere, StoreError when something is left.
    """
    real = inside(path, home)
    freed = size_of(real)
    try:
        if real.is_dir() and not real.is_symlink():
            for directory, names, _ in os.walk(real):
                for name in (".", *names):
                    place = Path(directory, name)
                    if not place.is_symlink():
                        with contextlib.suppress(FileNotFoundError):
                            place.chmod(0o700)  # tools make what they keep read-only
            shutil.rmtree(real, onerror=_unless_gone)
        else:
            real.unlink(missing_ok=True)
    except OSError as error:
        raise StoreError(
            f"{error.filename or real} cannot be removed: {error.strerror}.",
            "Mend that, then delete it again.",
            kept=f"{freed - size_of(real)} bytes are free again.",
        ) from error
    return freed


def _unless_gone(_: object, __: str, raised: tuple[type[BaseException], BaseException, TracebackType]) -> None:
    if not isinstance(raised[1], FileNotFoundError):
        raise raised[1]
