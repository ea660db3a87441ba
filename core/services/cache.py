"""What Ingot keeps on this machine and can do without: upstreams, downloads, old checkouts, logs. Each can be deleted.

What a run that is not over needs is not. Images are no cache: services/images deletes them.
"""

import contextlib
import difflib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from core.errors import IngotError, RefusedError
from core.model.run import Run
from core.places import Places
from core.services import disk
from core.store.index import Index


class CacheEntry(msgspec.Struct, frozen=True):
    """One thing that can be deleted by its name."""

    name: str
    kind: str
    """What it is, in words."""
    path: str
    size: int
    """Bytes on the disk."""
    used: float
    """When it was last changed or read, seconds since the epoch."""
    used_by: str = ""
    """`run 12`: it cannot be deleted before that is over."""


READING = 12 * 3600.0
"""Seconds after which nobody can be reading a commit any more: its clone may take three hours (adapters/git.py)."""

UNFINISHED = "an upstream that was not fetched to its end"
"""What a CacheEntry is that a cut-off download left."""

_WHOLE = {
    "packer": "what Packer downloaded",
    "parsed": "templates, as they were read",
    "digests": "notes on files that were verified",
    "pace": "how long builds took",
}
"""Directories of the cache that are deleted whole."""


def listing(places: Places) -> list[CacheEntry]:
    """Everything that can be deleted, the largest first."""
    index = Index(places.index)
    try:
        entries = list(_entries(places, index))
    finally:
        index.close()
    return sorted(entries, key=lambda entry: (-entry.size, entry.name))


def delete(places: Places, name: str) -> int:
    """Delete one entry by its name; gives the bytes that are free again.

    Raises RefusedError when there is none of that name or a run needs it, StoreError when something is left of it.
    """
    entries = {entry.name: entry for entry in listing(places)}
    if name not in entries:
        near = difflib.get_close_matches(name, entries, n=1)
        raise RefusedError(f"Nothing in the cache is called {name!r}.", f"{near[0]}?" if near else "See: ingot cache")
    entry = entries[name]
    if entry.used_by:
        raise RefusedError(f"{name} is used by {entry.used_by}.", "Wait for its end, or cancel it.")
    path = Path(entry.path)
    if entry.name.startswith("runs/") and entry.name.endswith("/work"):
        return sum(disk.remove(part, places.home) for part in sorted(path.iterdir()) if part.name != "logs")
    freed = disk.remove(path, places.home)
    if path.parent == places.cache / "upstreams":
        for note in _notes(path):
            freed += disk.remove(note, places.home)
    return freed


def sweep(places: Places, now: float) -> int:
    """Remove what a client left that was killed while it read a commit (services/buildable.py): gives the bytes.

    No client says that it is alive, so age decides: READING is far more than the longest reading takes. What cannot be
    removed is left for the next time.
    """
    freed = 0
    for path in _children(places.home / "reading"):
        with contextlib.suppress(OSError, IngotError):
            if now - path.lstat().st_mtime > READING:
                freed += disk.remove(path, places.home)
    return freed


def _entries(places: Places, index: Index) -> Iterator[CacheEntry]:
    active = index.runs(active_only=True)
    chosen = {run.uid: index.stage_result(run.uid, "upstream").get("path") for run in active}
    installed = {run.uid: index.stage_result(run.uid, "checkout").get("galaxy") for run in active}

    def by_result(results: Mapping[str, object]) -> Callable[[Path], str]:
        """Who uses a file: the run that chose it, or one that has not chosen yet and may."""
        return lambda path: _named([run for run in active if results[run.uid] in (None, str(path))])

    for path in _children(places.cache / "upstreams"):
        if path.suffix in (".lock", ".json"):
            continue
        unfinished = path.name.startswith(".") or path.suffix == ".part"
        kind = UNFINISHED if unfinished else "an upstream"
        yield _entry(f"upstreams/{path.name}", kind, path, by_result(chosen)(path))
    for path in _children(places.cache / "galaxy"):
        if path.suffix != ".lock":
            yield _entry(f"galaxy/{path.name}", "Ansible roles and collections", path, by_result(installed)(path))
    for name, kind in _WHOLE.items():
        if (path := places.cache / name).is_dir():
            yield _entry(name, kind, path, _named(active) if name == "packer" else "")
    yield from _of_runs(places, index)


def _of_runs(places: Places, index: Index) -> Iterator[CacheEntry]:
    for path in _children(places.home / "runs"):
        run = index.run(path.name)
        which = str(run.id) if run and run.uid == path.name else path.name
        of = f"run {run.id} ({run.role}, {run.state.value})" if run else "a run that is not on record"
        using = f"run {run.id}" if run and not run.state.ended else ""
        logs = path / "logs"
        if logs.is_dir():
            yield _entry(f"runs/{which}/logs", f"logs of {of}", logs, using)
        work = [part for part in _children(path) if part.name != "logs"]
        if work:
            size = sum(disk.size_of(part) for part in work)
            used = max(part.lstat().st_mtime for part in work)
            yield CacheEntry(f"runs/{which}/work", f"checkout and files of {of}", str(path), size, used, using)


def _entry(name: str, kind: str, path: Path, used_by: str) -> CacheEntry:
    found = path.lstat()
    used = max(found.st_mtime, 0 if path.is_dir() else found.st_atime)
    return CacheEntry(name, kind, str(path), disk.size_of(path), used, used_by)


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []


def _notes(upstream: Path) -> list[Path]:
    """What is kept beside an upstream about it (core/stages/upstream_*.py): meaningless without it."""
    fetched = upstream.with_name(f"{upstream.name[:64]}.fetched.json")  # its name begins with its sha256
    return [note for note in (upstream.with_suffix(".json"), fetched) if note.is_file()]


def _named(runs: list[Run]) -> str:
    return " and ".join(f"run {run.id}" for run in runs)
