"""The list of installed packages in a database of rpm's, in the form that it has had since rpm 4.16: SQLite.

Each package is a header in the table `Packages`: the number of entries, the length of the data, the entries of 16
bytes (tag, type, offset, count; all big-endian), then the data (rpm's docs/manual/format_header.md, without the magic
that a header has in a file).
"""

import itertools
import sqlite3
import struct
from collections.abc import Mapping

from core.model.inventory import Package, PackageKind

_INT32, _STRING, _I18N = 4, 6, 9
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCHITECTURE, _SOURCE = 1000, 1001, 1002, 1003, 1022, 1044
_KEYS = "gpg-pubkey"
"""rpm lists the keys that it trusts as packages of this name."""
_MOST_STEPS = 200
"""Millions of steps of SQLite's machine: far more than 10,000 packages take."""


class NotReadableError(Exception):
    """It is no such database, or a damaged one."""


def rpm(database: bytes) -> list[Package]:
    """What a `rpmdb.sqlite` lists; headers that are damaged are left out. Raises NotReadableError."""
    # A database that was used with a write-ahead log says so here, and could not be opened in memory (SQLite, Database
    # File Format, 1.3.3). What is only in that log is not seen; rpm leaves none behind when it ends.
    alone = database[:18] + b"\x01\x01" + database[20:]
    connection = sqlite3.connect(":memory:")
    # Whoever wrote the disk wrote the database: a view in the table's place could give rows for ever.
    steps = itertools.count()
    connection.set_progress_handler(lambda: next(steps) > _MOST_STEPS, 1_000_000)
    try:
        connection.deserialize(alone)
        connection.execute("PRAGMA trusted_schema = OFF")
        if connection.execute("SELECT type FROM sqlite_schema WHERE name = 'Packages'").fetchall() != [("table",)]:
            raise NotReadableError("it has no table of packages")
        headers: list[object] = [row[0] for row in connection.execute("SELECT blob FROM Packages ORDER BY hnum")]
    except (sqlite3.Error, OverflowError, MemoryError) as error:
        raise NotReadableError(str(error)) from error
    finally:
        connection.close()
    return [package for header in headers if (package := _package(_values(header)))]


def _package(values: Mapping[int, str]) -> Package | None:
    name, version = values.get(_NAME, ""), values.get(_VERSION, "")
    if not name or not version or name == _KEYS:
        return None
    epoch, release = values.get(_EPOCH, ""), values.get(_RELEASE, "")
    whole = (f"{epoch}:" if epoch not in ("", "0") else "") + version + (f"-{release}" if release else "")
    # A source package is named `openssl-3.0.7-27.el9.src.rpm`.
    source = values.get(_SOURCE, "").removesuffix(".src.rpm").removesuffix(".nosrc.rpm").rsplit("-", 2)[0]
    return Package(PackageKind.RPM, name, whole, values.get(_ARCHITECTURE, ""), source if source != name else "")


def _values(header: object) -> dict[int, str]:
    """The first value of each tag that is a text or a number."""
    if not isinstance(header, bytes) or len(header) < 8:
        return {}
    entries, length = struct.unpack_from(">II", header)
    start = 8 + entries * 16
    if start + length > len(header):
        return {}
    data = header[start : start + length]
    values: dict[int, str] = {}
    for at in range(8, start, 16):
        tag, kind, offset, _ = struct.unpack_from(">IIII", header, at)
        if kind in (_STRING, _I18N):
            values[tag] = data[offset:].split(b"\0", 1)[0].decode(errors="replace") if offset < length else ""
        elif kind == _INT32 and offset + 4 <= length:
            values[tag] = str(struct.unpack_from(">I", data, offset)[0])
    return values
