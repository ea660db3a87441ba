"""An upstream that is made from a distribution's signed archive, and kept for a while."""

import contextlib
import hashlib
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from core import __version__, text
from core.adapters import archive, archive_system
from core.errors import IngotError, UpstreamError
from core.holding import Exit
from core.model.image import UpstreamRecord
from core.model.role import Upstream
from core.stages import space
from core.stages.given import given, keep, network, verified_again
from core.stages.stage import LineSink, StageJob
from core.stages.work import alone, in_thread

ARCHIVE_AGE = 7 * 24 * 3600.0
"""Seconds for which a disk made from an archive is used again; an older one is made anew, with the security updates
since."""
ARCHIVE_ROOM = 3 * 1024**3
"""Bytes that making one takes for a while: packages, files, an uncompressed and a compressed disk."""


class _MadeDisk(msgspec.Struct):
    """What is known of a disk that was made from an archive, beside it."""

    made: float
    """Seconds since the epoch."""
    record: UpstreamRecord


async def from_archive(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
    recipe = hashlib.sha256(
        msgspec.json.encode(
            [
                __version__,
                upstream.distribution,
                upstream.suite,
                sorted(upstream.packages),
                upstream.disk_size,
                archive_system.MINIMUM,
            ]
        )
    ).hexdigest()[:16]
    name = f"{upstream.distribution} {upstream.suite}"
    store = job.places.cache / "upstreams"
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with alone(job, store / f"archive-{recipe}.lock", f"makes a disk of {name}"):
        cached = await _cached_disk(job, store, recipe)
        if cached and time.time() - cached[1].made < ARCHIVE_AGE:
            return await given(job, cached[0], cached[1].record)
        await space.make_sure_of(job, store, ARCHIVE_ROOM, f"making a disk of {name}")
        try:
            path, made = await _make_disk(job, store, recipe, upstream)
        except IngotError as error:
            if not cached:
                raise
            job.say(f"{error.what}")
            age = text.age(time.time() - cached[1].made)
            job.say(f"The disk of {name} that was made {age} ago is used instead.")
            path, made = cached
    return await given(job, path, made.record)


async def _cached_disk(job: StageJob, store: Path, recipe: str) -> tuple[Path, _MadeDisk] | None:
    """The newest disk made by this recipe, its digest verified."""
    found: list[tuple[Path, _MadeDisk]] = []
    for note in store.glob(f"archive-{recipe}-*.json"):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            if (disk := note.with_suffix(".qcow2")).is_file():
                found.append((disk, msgspec.json.decode(note.read_bytes(), type=_MadeDisk)))
    for disk, made in sorted(found, key=lambda one: one[1].made, reverse=True):
        try:
            await verified_again(job, disk, made.record.digest, made.record.description)
        except UpstreamError as error:
            job.say(f"{error.what} It is not used.")
            disk.unlink()
            continue
        return disk, made
    return None


async def _make_disk(job: StageJob, store: Path, recipe: str, upstream: Upstream) -> tuple[Path, _MadeDisk]:
    part = store / f"archive-{recipe}.qcow2"
    reach = network(job)

    async def tool(
        name: str, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], on_line: LineSink | None = None
    ) -> Exit:
        return await job.tool(name, argv, cwd=cwd, environment={**environment, **reach}, on_line=on_line)

    made = await archive.make_disk(
        upstream, part, say=job.say, progress=job.progress, tool=tool, goes_on=lambda: job.leaving
    )
    release = made.releases[0]
    record = UpstreamRecord(
        kind="archive",
        description=made.description,
        digest=made.digest,
        verified=made.verified,
        details={
            "suite": made.suite,
            "date": release.date,
            "keyring": made.keyring,
            "packages": str(made.package_count),
            "packages digest": made.packages_digest,
            **{f"InRelease of {one.suite}": one.digest for one in made.releases},
        },
    )
    disk = store / f"archive-{recipe}-{made.digest.removeprefix('sha256:')[:12]}.qcow2"
    kept = _MadeDisk(time.time(), record)
    await in_thread(keep, part, disk, disk.with_suffix(".json"), msgspec.json.encode(kept))
    return disk, kept
