"""Reports on what a run made, that stages before *register* write and that go on the ledger with the image version."""

import asyncio
import gzip
from collections.abc import Iterable

import msgspec

from core.secrets import Redactor
from core.stages.stage import StageJob


def write(job: StageJob, name: str, report: object) -> None:
    """Keep a report (what msgspec makes JSON of) under a name such as `seal-qemu.web`; the newest of a name counts."""
    place = job.directory / "evidence"
    place.mkdir(mode=0o700, exist_ok=True)
    part = place / f".{name}.part"
    part.write_bytes(msgspec.json.encode(report))
    part.rename(place / f"{name}.json")


def names(job: StageJob) -> tuple[str, ...]:
    """The reports of this run."""
    return tuple(sorted(path.stem for path in (job.directory / "evidence").glob("*.json")))


async def packed(job: StageJob) -> dict[str, bytes]:
    """The reports of this run as the ledger takes them."""
    found = names(job)
    if not found:
        return {}
    await job.wait_for_secrets()
    return await asyncio.to_thread(_packed, job, found)


def _packed(job: StageJob, found: Iterable[str]) -> dict[str, bytes]:
    secrets = job.secrets.values()
    return {name: compressed((job.directory / "evidence" / f"{name}.json").read_bytes(), secrets) for name in found}


def compressed(report: bytes, secrets: Iterable[str]) -> bytes:
    """Redacted, and the same bytes for the same report."""
    return gzip.compress(Redactor(secrets).redact(report), mtime=0)
