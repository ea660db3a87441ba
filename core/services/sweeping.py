"""What runs that died left on this machine: found, said with its size and why it is left, and taken away when asked.

Nothing of a run that is not over, of a kept machine or of an image that is registered is ever among it. Where that
cannot be known, it is not listed.
"""

import asyncio
import contextlib
import fcntl
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path

import msgspec

from core.adapters.git import GitRepository
from core.engine.holds import end_tool, holds_of
from core.errors import IngotError, RefusedError
from core.holding import Hold, sweep
from core.living import RUN_MARK, Identity, command, marked
from core.model.machine import MachineState
from core.model.run import Run
from core.places import Places
from core.services import cache, disk
from core.stages.convert import lock_of, run_note
from core.stages.convert import remove as remove_unregistered
from core.stages.environment import tmp_name
from core.stages.file_manifest import note_of
from core.stages.leftovers import RUN_NOTE
from core.store.index import Index
from core.store.ledger import Ledger
from core.store.ledger_tree import REF

WORKING = ("output", "register", "convert", "seal", "reading", "test", "tmp", "keys", "evidence")
"""Directories of a run that it needs while it works, and nobody after it: overlays, half files, copies, keys,
reports."""
NEW = 3600.0
"""Seconds: what is younger may belong to somebody who is at work this moment, such as a lock on a ledger."""
_LOOK_AGAIN = "See: ingot sweep --dry-run"


class Leftover(msgspec.Struct, frozen=True):
    """One thing that can be taken away by its name."""

    name: str
    """`runs/12/output`, `processes/12`, …"""
    what: str
    """What it is, and why nobody needs it."""
    path: str
    """Empty for processes."""
    size: int
    """Bytes on the disk; 0 for processes."""


class Swept(msgspec.Struct, frozen=True):
    """How taking one away went."""

    name: str
    freed: int = 0
    error: IngotError | None = None


def _unheard(_: IngotError) -> None:
    pass


def listing(places: Places, now: float | None = None, tell: Callable[[IngotError], None] = _unheard) -> list[Leftover]:
    """Everything that is left, processes first, then the largest. `tell` is told what on the ledgers that were read is
    not as it should be: what those files may be about is not listed, and the rest is. Raises StoreError."""
    index = Index(places.index)
    try:
        found = list(_Look(places, index, time.time() if now is None else now, tell=tell).all())
    finally:
        index.close()
    return sorted(found, key=lambda one: (bool(one.path), -one.size, one.name))


def remove(places: Places, names: Sequence[str]) -> list[Swept]:
    """Take away what is named, if it is still left by nobody; processes are ended first.

    What cannot be taken away, or is not left any more, is among the results with its error. Raises StoreError.
    """
    there = {one.name: one for one in listing(places)}
    done = [
        Swept(name, error=RefusedError(f"Nothing that is left is called {name!r}.", _LOOK_AGAIN))
        for name in names
        if name not in there
    ]
    for one in there.values():
        if one.name not in names:
            continue
        try:
            done.append(Swept(one.name, _remove(places, one)))
        except IngotError as error:
            done.append(Swept(one.name, error=error))
    return done


def _remove(places: Places, one: Leftover) -> int:
    kind, _, rest = one.name.partition("/")
    path = Path(one.path)
    with _held(places, kind, path):
        if not _still_left(places, one):
            return 0
        match kind:
            case "processes":
                asyncio.run(_end(places, rest))
                return 0
            case "ledger-lock":
                path.unlink(missing_ok=True)
                return one.size
            case "formats":
                disk.inside(path, places.images)
                remove_unregistered(path)
                return one.size
            case "tmp":
                return disk.remove(path, places.runtime)
            case _:
                return disk.remove(path, places.home)


@contextlib.contextmanager
def _held(places: Places, kind: str, path: Path) -> Generator[None]:
    """The lock that a run holds while it works on such a thing (core/stages/work.py), where there is one: nobody
    begins to in between. Raises RefusedError when somebody does."""
    if kind == "formats":
        lock = lock_of(places, path.parent)
    elif path.parent == places.cache / "upstreams":
        lock = path.with_name(f"{path.name.lstrip('.').removesuffix('.part').removesuffix('.qcow2.making')}.lock")
    else:
        yield
        return
    lock.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RefusedError(f"A run may be at work on {path.name} now.", _LOOK_AGAIN) from error
        yield
    finally:
        os.close(descriptor)


def _still_left(places: Places, one: Leftover) -> bool:
    """Whether it is there still. Raises RefusedError when somebody needs it since it was listed: what was taken away
    before it may have taken long."""
    index = Index(places.index)
    try:
        if _Look(places, index, time.time(), sizes=False).has(one):
            return True
    finally:
        index.close()
    if one.path and os.path.lexists(one.path):
        raise RefusedError(f"{one.name} was taken over by somebody meanwhile.", _LOOK_AGAIN)
    return False


async def _end(places: Places, which: str) -> None:
    index = Index(places.index)
    try:
        run = index.run(which)
    finally:
        index.close()
    uid = run.uid if run else which
    for hold in await holds_of(places, uid):
        await end_tool(hold)
    await sweep(uid)


class _Look:
    """One look at everything; without `sizes`, which take long, all of them are 0."""

    def __init__(
        self,
        places: Places,
        index: Index,
        now: float,
        *,
        sizes: bool = True,
        tell: Callable[[IngotError], None] = _unheard,
    ) -> None:
        self._tell = tell
        self._places = places
        self._index = index
        self._now = now
        self._sizes = sizes
        self._living = _living()

    def has(self, one: Leftover) -> bool:
        """Whether it is among what is left."""
        kinds = {
            "processes": self._processes,
            "runs": self._runs,
            "images": self._images,
            "formats": self._images,
            "cache": self._cache,
            "reading": self._cache,
            "tmp": self._temporary,
            "ledger-lock": self._locks,
        }
        return any((found.name, found.path) == (one.name, one.path) for found in kinds[one.name.partition("/")[0]]())

    def all(self) -> Iterator[Leftover]:
        yield from self._processes()
        yield from self._runs()
        yield from self._images()
        yield from self._cache()
        yield from self._temporary()
        yield from self._locks()

    def _is_over(self, uid: str) -> bool:
        """Nothing of the run is at work, or kept."""
        run = self._index.run(uid)
        if (run is not None and not run.state.ended) or self._is_kept(uid) or uid in self._living:
            return False
        return not _holders(self._places, uid)

    def _is_kept(self, uid: str) -> bool:
        """Whether a machine of the run is kept. Asked after whether the run is over: it is kept before that."""
        return any(machine.state is MachineState.KEPT for machine in self._index.machines(uid))

    def _processes(self) -> Iterator[Leftover]:
        for uid, processes in sorted(self._living.items()):
            run = self._index.run(uid)
            ours = run is not None or self._places.run(uid).is_dir()  # those of another home are not ours to judge
            if not ours or (run is not None and not run.state.ended) or self._is_kept(uid):
                continue
            if any(hold.keeps for hold in _holders(self._places, uid)):
                continue  # a machine that is kept, and the record of it is lost: its holder ends it in its time
            names = ", ".join(f"{command(one.pid) or 'process'} ({one.pid})" for one in processes[:5])
            more = f" and {len(processes) - 5} more" if len(processes) > 5 else ""
            yield Leftover(f"processes/{_number(run, uid)}", f"{names}{more}, of {_of(run)}", "", 0)

    def _runs(self) -> Iterator[Leftover]:
        for path in _children(self._places.home / "runs"):
            run = self._index.run(path.name)
            if run is not None and run.uid != path.name:
                continue  # a name that is the number of another run
            parts = [path / name for name in WORKING if (path / name).is_dir()] if run else [path]
            if not path.is_dir() or not parts or not self._is_over(path.name):
                continue
            if run is not None:
                for part in parts:
                    what = f"{_WORDS[part.name]} of {_of(run)}"
                    yield self._leftover(f"runs/{run.id}/{part.name}", what, part)
            elif self._now - path.lstat().st_mtime > NEW:
                yield self._leftover(f"runs/{path.name}", f"all of {_of(run)}", path)

    def _images(self) -> Iterator[Leftover]:
        for note in sorted(self._places.images.glob(f"*/*/*/{RUN_NOTE}")):
            run = self._run_of(note)
            if run is not None and self._never_registered(run, note.parent):
                name = f"images/{note.parent.relative_to(self._places.images)}"
                yield self._leftover(name, f"files that {_of(run)} did not come to registering", note.parent)
        for note in sorted(self._places.images.glob("*/*/*/.*.run")):
            run = self._run_of(note)
            file = note.with_name(note.name[1:].removesuffix(".run"))
            if run is not None and run_note(file) == note and self._never_registered(run, file):
                size = sum(self._size(path) for path in (file, note, note_of(file)))
                name = f"formats/{file.relative_to(self._places.images)}"
                yield Leftover(name, f"a format that {_of(run)} did not come to recording", str(file), size)

    def _run_of(self, note: Path) -> Run | None:
        """The run that a note names, if it is on record and over."""
        with contextlib.suppress(OSError):
            run = self._index.run(note.read_text().strip())
            return run if run is not None and self._is_over(run.uid) else None
        return None

    def _never_registered(self, run: Run, place: Path) -> bool:
        """Whether the ledger that the run wrote to can be read, and knows nothing that lies there."""
        workspace = run.request.workspace
        try:
            contents = Ledger(Path(workspace.root), workspace.remote).read()
        except IngotError:
            return False
        known = [artifact.location for image in (*contents.images, *contents.lost) for artifact in image.artifacts]
        for problem in contents.problems:
            self._tell(problem)
        return not contents.hides_images and not any(Path(one) == place or Path(one).parent == place for one in known)

    def _cache(self) -> Iterator[Leftover]:
        for entry in cache.listing(self._places):
            if entry.name.startswith("upstreams/") and entry.kind == cache.UNFINISHED and not entry.used_by:
                path = Path(entry.path)
                yield self._leftover(f"cache/{entry.name}", "an upstream that was not fetched to its end", path)
        for path in _children(self._places.home / "reading"):
            with contextlib.suppress(OSError):
                if self._now - path.lstat().st_mtime > cache.READING:
                    yield self._leftover(f"reading/{path.name}", "a commit that somebody began to read", path)

    def _temporary(self) -> Iterator[Leftover]:
        """Directories beside the sockets are named by a digest of the run: those of ended runs are looked for."""
        for run in self._index.runs():
            path = self._places.runtime / tmp_name(run.uid)
            if path.is_dir() and self._is_over(run.uid):
                yield self._leftover(f"tmp/{run.id}", f"{_WORDS['tmp']} of {_of(run)}", path)

    def _locks(self) -> Iterator[Leftover]:
        for workspace in self._index.workspaces():
            with contextlib.suppress(IngotError, OSError):
                repository = GitRepository.find(Path(workspace.root))
                lock = repository.common_directory() / f"{REF}.lock" if repository else None
                if lock is not None and self._now - lock.lstat().st_mtime > NEW:
                    what = "a lock on its ledger that somebody who died left: nobody can write to it"
                    yield self._leftover(f"ledger-lock/{workspace.name}", what, lock)

    def _leftover(self, name: str, what: str, path: Path) -> Leftover:
        return Leftover(name, what, str(path), self._size(path))

    def _size(self, path: Path) -> int:
        return disk.size_of(path) if self._sizes else 0


_WORDS = {
    "output": "disks that were being made",
    "register": "files that were being registered",
    "convert": "formats that were being made",
    "seal": "what sealing needed",
    "reading": "copies of what was in a disk",
    "test": "disks and consoles of test machines",
    "tmp": "temporary files",
    "keys": "keys",
    "evidence": "reports on their way to the ledger",
}


def _of(run: Run | None) -> str:
    return f"run {run.id} ({run.role}), which {_ENDED[run.state.value]}" if run else "a run that is not on record"


_ENDED = {"succeeded": "succeeded", "failed": "failed", "cancelled": "was cancelled", "lost": "was lost"}


def _number(run: Run | None, uid: str) -> str:
    return str(run.id) if run else uid


def _living() -> dict[str, list[Identity]]:
    """Uid of each run that a process carries the mark of → those processes. The worker and its clients carry none."""
    uids: set[str] = set()

    def note(marks: dict[str, str]) -> bool:
        uids.add(marks.get(RUN_MARK, ""))
        return False

    marked(note)
    found = {uid: marked(lambda marks, uid=uid: marks.get(RUN_MARK) == uid) for uid in uids if uid.isalnum()}
    return {uid: processes for uid, processes in found.items() if processes}


def _holders(places: Places, uid: str) -> list[Hold]:
    """The living holders of a run's tools, also of those that have ended and left a machine."""
    base = places.run(uid) / "tools"

    async def adopted() -> list[Hold]:
        found = [await Hold.adopt(directory) for directory in sorted(base.glob("*/*")) if directory.is_dir()]
        return [hold for hold in found if hold is not None and (hold.exit is None or hold.keeps)]

    return asyncio.run(adopted()) if base.is_dir() else []


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory / name for name in os.listdir(directory))  # noqa: PTH208 - names will do
    except OSError:
        return []
