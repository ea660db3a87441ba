"""Reports on what a run made, that stages before *register* write and that go on the ledger with the image version."""

import asyncio
import gzip
from collections.abc import Iterable

import msgspec

from core.adapters import packer
from core.hold import write_whole
from core.secrets import Redactor
from core.stages.environment import checkout_of
from core.stages.stage import StageJob
from core.stages.work import in_thread


async def write(job: StageJob, name: str, report: object) -> None:
    """Keep a report (what msgspec makes JSON of) under a name such as `seal-qemu.web`; the newest of a name counts.

    It is redacted with what the worker knows now; what it has forgotten is taken out of what the ledger gets, and the
    file goes with the run (leftovers.py).
    """
    # In a thread: a report may have megabytes.
    await in_thread(_write, job, name, report)


def _write(job: StageJob, name: str, report: object) -> None:
    place = job.directory / "evidence"
    place.mkdir(mode=0o700, exist_ok=True)
    write_whole(place / f"{name}.json", Redactor(_secrets(job)).redact(msgspec.json.encode(report)))


def read(job: StageJob, name: str) -> bytes:
    """What `write` kept. Raises OSError."""
    return (job.directory / "evidence" / f"{name}.json").read_bytes()


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
    secrets = _secrets(job)
    return {name: compressed(read(job, name), secrets) for name in found}


def _secrets(job: StageJob) -> list[str]:
    """All that the run knows, what its template's files set among it. Reads them: in a thread."""
    role = job.run.request.role
    in_files = packer.sensitive_values(role, checkout_of(job)) if role.sensitive else []
    return [*job.secrets.values(), *in_files]


def compressed(report: bytes, secrets: Iterable[str]) -> bytes:
    """Redacted, and the same bytes for the same report."""
    return gzip.compress(Redactor(secrets).redact(report), mtime=0)
