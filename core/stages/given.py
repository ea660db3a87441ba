"""What all kinds of upstream share: a file is verified by its digest, recorded, and given to the builds."""

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import process, text
from core.adapters import qemu
from core.errors import IngotError, UpstreamError
from core.hold import write_whole
from core.model.image import UpstreamRecord
from core.stages.environment import NETWORK
from core.stages.file_manifest import flush
from core.stages.stage import StageJob
from core.stages.work import Meter, in_thread, metered

PIECE = 4 * 1024 * 1024


def left_to_the_template(job: StageJob, record: UpstreamRecord, remark: str) -> Mapping[str, object]:
    job.say(f"Upstream: {record.description}. {remark}")
    return {"path": "", "digest": "", "size": 0, "virtual_size": 0, "record": msgspec.to_builtins(record)}


async def given(job: StageJob, path: Path, record: UpstreamRecord) -> Mapping[str, object]:
    disk = await _virtual_size(path)
    if not job.run.request.role.takes_upstream:
        job.say("The template does not declare ingot_upstream: what it builds on is not known to be this.")
        record = replace(record, verified="", details={**record.details, "given to the template": "no"})
    how = f"verified by {record.verified}" if record.verified else "unverified"
    job.say(f"Upstream: {record.description}, {how}: {record.digest}")
    job.say(f"          {path} ({text.size(path.stat().st_size)})")
    return {
        "path": str(path),
        "digest": record.digest,
        "size": path.stat().st_size,
        "virtual_size": disk,
        "record": msgspec.to_builtins(record),
    }


async def _virtual_size(path: Path) -> int:
    """What the disk is to a machine, in bytes; the file's size where it is no disk (an ISO) or qemu-img is not here."""
    try:
        return (await qemu.info(path)).virtual_size
    except IngotError:
        return path.stat().st_size


def network(job: StageJob) -> dict[str, str]:
    """How the run reaches the network: its person's proxies, whose passwords are secrets, else the worker's."""
    given = {**process.environment(keep=NETWORK), **job.run.request.environment, **job.secrets}
    return {name: given[name] for name in NETWORK if name in given}


class _Seen(msgspec.Struct):
    """A file whose digest was computed: it counts as the same while these stay the same."""

    digest: str
    size: int
    changed: int
    """st_mtime_ns."""
    inode: int


async def verified_again(job: StageJob, path: Path, wanted: str, name: str) -> str:
    """The digest of the file, which must be `wanted` (`sha256:<hex>`). Computed, unless the very file was computed
    before."""
    note = job.places.cache / "digests" / hashlib.sha256(str(path).encode()).hexdigest()
    found = path.stat()
    seen: _Seen | None = None
    with contextlib.suppress(OSError, msgspec.DecodeError):
        seen = msgspec.json.decode(note.read_bytes(), type=_Seen)
    if seen and (seen.size, seen.changed, seen.inode) == (found.st_size, found.st_mtime_ns, found.st_ino):
        digest = seen.digest
        job.say(f"{name} was verified before, and size, time and inode of {path.name} have not changed since.")
    else:
        digest = await metered(job, f"verifying {name}", lambda meter: file_digest(path, meter))
        with contextlib.suppress(OSError):  # then it is computed once more the next time
            note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            seen = _Seen(digest, found.st_size, found.st_mtime_ns, found.st_ino)
            await in_thread(write_whole, note, msgspec.json.encode(seen))
    if f"sha256:{digest}" != wanted:
        note.unlink(missing_ok=True)
        raise UpstreamError(
            f"{path} is not the disk that was registered as {name}: its sha256 is {digest}, the ledger says {wanted}.",
            f"Find out who changed it. Then build {name.partition(' ')[0]} again.",
        )
    return digest


def keep(part: Path, path: Path, note: Path, content: bytes) -> None:
    """Give what came its name, and then its note, for good. Wherever this is interrupted the next attempt can go on:
    what is unfinished stays writable, and no note speaks of what is not there. Blocking. Raises OSError."""
    flush(part)  # the note of it is: so must be what it speaks of
    part.rename(path)
    path.chmod(0o400)
    write_whole(note, content)


def file_digest(path: Path, meter: Meter | None = None, algorithm: str = "sha256") -> str:
    """Hex digest of a file."""
    digest = hashlib.new(algorithm)
    if meter:
        meter.done, meter.total = 0, path.stat().st_size
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            digest.update(piece)
            if meter:
                meter.advance(len(piece))
    return digest.hexdigest()


def content_digest(content: bytes) -> str:
    """`sha256:<hex>` of what is in memory."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
