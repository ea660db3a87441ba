"""The file of the index: opened, brought up to date, read and written, with what SQLite says turned into words for a
person. What is in it is said elsewhere (schema.py, index.py, index_pauses.py)."""

import errno
import os
import sqlite3
import threading
from collections.abc import Callable, Generator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from core.errors import NoRoomError, StoreError
from core.store.filesystem import refuse_network_filesystem
from core.store.schema import MIGRATIONS

_T = TypeVar("_T")

_PATIENCE = 15.0
"""Seconds that a write waits for another process's write; each takes milliseconds."""
_LITTLE = 1 << 20
"""Bytes: with less room than this SQLite may get none for what it writes beside the file (-wal, -shm)."""


class Database:
    """A SQLite file at a path; made when it is not there, with its directory. May be used from several threads.

    Where the disk has no room it is read as it was when it was opened, for those who want to know what can go.

    All methods raise StoreError when the file is damaged, on a network file system or of a newer Ingot, and NoRoomError
    when it cannot be written because the disk is full.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._copied = False
        with self._told():
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # any command may be the first one here
        refuse_network_filesystem(path.parent)
        with self._told():
            # Made here and not by SQLite, which would leave it readable by others; its -wal and -shm follow it.
            # Only where there is none: closing any descriptor of an existing file would drop the locks that another
            # connection of this process has on it, and the file gets damaged (sqlite.org/howtocorrupt.html, 2.2).
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
            path.chmod(0o600)
        self._open()

    def _open(self) -> None:
        with self._told():
            self._connection = self._connected(self._path)
            self._copied = False
        try:
            try:
                with self._told():
                    self._prepare()
            except NoRoomError as full:
                self._connection.close()
                self._read_a_copy(full)
        except BaseException:
            self._connection.close()
            raise

    def _open_again(self) -> None:
        """Where a copy is read, and there is room by now: the file itself."""
        with self._lock:
            if self._copied and not self._is_full():
                self._connection.close()
                self._open()

    def _connected(self, path: Path | str) -> sqlite3.Connection:
        return sqlite3.connect(
            path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=256
        )

    def _read_a_copy(self, full: NoRoomError) -> None:
        """Go on with a copy in memory. SQLite needs room beside the file even to read it, unless it has the file for
        itself (sqlite.org/wal.html, 8), which is for no longer than this takes."""
        with self._told():
            self._connection = self._connected(":memory:")
            try:
                with closing(self._connected(self._path)) as alone:
                    alone.execute("PRAGMA locking_mode = EXCLUSIVE")
                    version: int = alone.execute("PRAGMA user_version").fetchone()[0]
                    alone.backup(self._connection)
            except sqlite3.OperationalError as error:
                raise full from error
            if version != len(MIGRATIONS):
                raise full
            self._connection.row_factory = sqlite3.Row
            self._copied = True

    def close(self) -> None:
        """Close the file; it cannot be used any more."""
        with self._lock:
            self._connection.close()

    def data_version(self) -> int:
        """A number that grows when anybody commits a change, this process included."""
        self._open_again()
        with self._told():
            others: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
            return others + self._connection.total_changes

    @contextmanager
    def together(self) -> Generator[None]:
        """What is read and written inside is one transaction: all of it or, where something is raised, nothing; and
        nobody else writes in between."""
        with self._writing():
            yield

    def _prepare(self) -> None:
        connection = self._connection
        connection.row_factory = sqlite3.Row
        mode: str = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        if mode != "wal":
            raise StoreError(
                f"{self._path} is on a file system where SQLite cannot share a file safely.",
                "Set INGOT_HOME to a directory on a local disk.",
            )
        # In WAL mode NORMAL survives a killed process; a power cut may lose the last moments, never the file
        # (sqlite.org/pragma.html#pragma_synchronous).
        connection.executescript("PRAGMA synchronous = NORMAL; PRAGMA foreign_keys = ON;")
        version: int = connection.execute("PRAGMA user_version").fetchone()[0]
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{self._path} was written by a newer Ingot (format {version}; this one knows {len(MIGRATIONS)}).",
                "Run the newer one, or set INGOT_HOME to another directory.",
            )
        if version < len(MIGRATIONS):
            with self._writing() as write:
                # Another process may have done it while this one waited for its turn.
                done: int = connection.execute("PRAGMA user_version").fetchone()[0]
                for migration in MIGRATIONS[done:]:
                    for statement in migration.split(";"):
                        if statement.strip():
                            write(statement, ())
                write(f"PRAGMA user_version = {len(MIGRATIONS)}", ())

    def _read(self, query: str, *values: object) -> list[sqlite3.Row]:
        self._open_again()
        with self._told():
            return self._connection.execute(query, values).fetchall()

    @contextmanager
    def _writing(self) -> Generator[Callable[[str, tuple[object, ...]], int]]:
        """One transaction, all or nothing; inside another it is part of that.

        Gives what executes a statement and counts the rows that it changed.
        """

        def write(statement: str, values: tuple[object, ...]) -> int:
            return self._connection.execute(statement, values).rowcount

        self._open_again()
        if self._copied:
            raise self._no_room()
        with self._told():
            if self._connection.in_transaction:
                yield write
                return
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield write
            except BaseException:
                self._connection.rollback()
                raise
            self._connection.commit()

    @contextmanager
    def _told(self) -> Generator[None]:
        """One user of the connection at a time, and what SQLite says turned into words for a person."""
        with self._lock:
            try:
                yield
            except sqlite3.OperationalError as error:
                raise self._trouble(error) from error
            except sqlite3.ProgrammingError:
                raise  # a defect of ours, such as use after close
            except sqlite3.DatabaseError as error:
                raise self._useless(f"is damaged ({error})") from error
            except OSError as error:
                if error.errno in (errno.ENOSPC, errno.EDQUOT):
                    raise self._no_room() from error
                raise StoreError(f"Cannot open {self._path}: {error.strerror}.", "Look at its directory.") from error

    def _trouble(self, error: sqlite3.OperationalError) -> StoreError:
        said, code = str(error), getattr(error, "sqlite_errorname", "")
        if code == "SQLITE_FULL" or (code.startswith(("SQLITE_IOERR", "SQLITE_CANTOPEN")) and self._is_full()):
            return self._no_room()
        if code.startswith(("SQLITE_LOCKED", "SQLITE_BUSY")):
            return StoreError(
                f"{self._path} has been locked by another process for {_PATIENCE:.0f} s.",
                f"See who holds it: fuser -v {self._path}",
            )
        if code.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_PERM")):
            return StoreError(
                f"Cannot write {self._path}: {said}.", "Look at the rights of the file and its directory."
            )
        if code.startswith("SQLITE_IOERR"):
            return StoreError(
                f"The disk does not read or write {self._path}: {said} ({code}).",
                "Look at the disk and your quota of it: df, quota, dmesg.",
            )
        return self._useless(f"cannot be used ({said})")

    def _is_full(self) -> bool:
        """Whether the disk has next to no room, for bytes or for files."""
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            return False
        return disk.f_bavail * disk.f_frsize < _LITTLE or (disk.f_files > 0 and disk.f_favail == 0)

    def _no_room(self) -> NoRoomError:
        return NoRoomError(
            f"No room to write {self._path}: the disk is full.", "Free disk space; `ingot cache` shows what can go."
        )

    def _useless(self, why: str) -> StoreError:
        return StoreError(
            f"{self._path} {why}.",
            f"Move it away and start again: mv {self._path} {self._path}.damaged",
            kept="No image is lost: what is known of them is in the ledgers and will be read from there again; "
            "the list of past runs will be empty.",
        )


@contextmanager
def sound() -> Generator[None]:
    try:
        yield
    except (msgspec.DecodeError, msgspec.ValidationError) as error:
        raise StoreError(
            f"The index holds something that this Ingot does not understand ({error}).",
            "Run `ingot roles --refresh`; if it stays, move the index away: it is made again.",
        ) from error


def decode(raw: bytes | str, kind: type[_T]) -> _T:
    with sound():
        return msgspec.json.decode(raw, type=kind)
