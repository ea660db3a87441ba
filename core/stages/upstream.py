"""What the build starts from: had once, verified always, and recorded with how far it can be trusted.

Gives `path` of a file on this machine (empty where the template has its own way), its `digest`, `size` and
`virtual_size`, and the `record` that the image version keeps. Nothing unverified gets the name under which builds find
it.
"""

import asyncio
import contextlib
import hashlib
import os
import re
import socket
import time
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import msgspec

from core import __version__, process, text
from core.adapters import archive, download, qemu
from core.adapters.download import shown
from core.errors import IngotError, UpstreamError
from core.holding import Exit
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.role import Upstream, UpstreamKind
from core.stages import space
from core.stages.environment import NETWORK, checkout_of
from core.stages.stage import LineSink, StageJob
from core.stages.work import Meter, alone, metered

USABLE = frozenset({ImageState.CANDIDATE, ImageState.GOOD, ImageState.RELEASED})
"""States of an image version that may be built on."""
DISKS = frozenset({"qcow2", "raw", "vmdk", "vhd"})
PIECE = 4 * 1024 * 1024


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Raises UpstreamError when it cannot be had or is not what was promised, SpaceError when it can never fit."""
    upstream = job.run.request.role.upstream
    match upstream.kind:
        case UpstreamKind.ROLE:
            return await _from_role(job, upstream)
        case UpstreamKind.FILE:
            return await _from_file(job, upstream)
        case UpstreamKind.ARCHIVE:
            return await _from_archive(job, upstream)
        case UpstreamKind.TEMPLATE:
            return _left_to_the_template(
                job, UpstreamRecord("template", "found by the template itself"), "It is recorded as unverified."
            )


def _left_to_the_template(job: StageJob, record: UpstreamRecord, remark: str) -> Mapping[str, object]:
    job.say(f"Upstream: {record.description}. {remark}")
    return {"path": "", "digest": "", "size": 0, "virtual_size": 0, "record": msgspec.to_builtins(record)}


async def _given(job: StageJob, path: Path, record: UpstreamRecord) -> Mapping[str, object]:
    disk = await _virtual_size(path)
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


# --- another role's image
# ------------------------------------------------------------------------------------------------


async def _from_role(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
    job.progress(f"looking for an image of {upstream.role}")
    images = await asyncio.to_thread(job.ledger.images)
    image, artifact = newest_here(images, upstream.role, job.run.request.parent_run)
    path = Path(artifact.location)
    digest = await _verified_again(job, path, artifact.digest, f"{image.role} {image.version}")
    record = UpstreamRecord(
        kind="role",
        description=f"{image.role} {image.version}",
        digest=f"sha256:{digest}",
        verified="ledger",
        role=image.role,
        version=image.version,
        details={"commit": image.commit, "run": image.run, "build": artifact.build},
    )
    return await _given(job, path, record)


def newest_here(images: list[ImageVersion], role: str, parent_run: str) -> tuple[ImageVersion, Artifact]:
    """The image version of `role` to build on, and its disk on this machine: the one that `parent_run` made, else the
    newest.

    Raises UpstreamError that says what there is instead.
    """
    of_role = sorted((image for image in images if image.role == role), key=lambda image: image.created, reverse=True)
    if made := [image for image in of_role if parent_run and image.run == parent_run]:
        of_role = made
    host = socket.gethostname()
    for image in of_role:
        if image.state not in USABLE:
            continue
        for artifact in image.artifacts:
            if artifact.format in DISKS and artifact.host in ("", host) and Path(artifact.location).is_file():
                return image, artifact
    if not of_role:
        raise UpstreamError(
            f"It is built on {role}, and there is no image of {role} yet.", f"Build it first: ingot build {role}"
        )
    newest = of_role[0]
    hosts = sorted(
        {artifact.host for image in of_role for artifact in image.artifacts if artifact.host not in ("", host)}
    )
    where = f" ({newest.version} is on {', '.join(hosts)})" if hosts else f" ({newest.version} is {newest.state})"
    raise UpstreamError(
        f"It is built on {role}, and no usable image of {role} has a disk on this machine{where}.",
        f"Build it here: ingot build {role}",
    )


class _Seen(msgspec.Struct):
    """A file whose digest was computed: it counts as the same while these stay the same."""

    digest: str
    size: int
    changed: int
    """st_mtime_ns."""
    inode: int


async def _verified_again(job: StageJob, path: Path, wanted: str, name: str) -> str:
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
        note.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        _write(note, msgspec.json.encode(_Seen(digest, found.st_size, found.st_mtime_ns, found.st_ino)))
    if f"sha256:{digest}" != wanted:
        note.unlink(missing_ok=True)
        raise UpstreamError(
            f"{path} is not the disk that was registered as {name}: its sha256 is {digest}, the ledger says {wanted}.",
            f"Find out who changed it. Then build {name.partition(' ')[0]} again.",
        )
    return digest


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


# --- a file with a checksum
# ----------------------------------------------------------------------------------------------


class _Fetched(msgspec.Struct):
    """What is known of a file in the cache, beside it."""

    name: str
    url: str
    sha256: str
    sha512: str
    size: int


async def _from_file(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
    role = job.run.request.role
    description = shown(upstream.url)
    if not upstream.checksum:
        raise UpstreamError(
            f"The upstream {description} has no checksum, so what comes could be anything.",
            'Add checksum = "sha256:…" to it in ingot.toml.',
        )
    if "ingot_upstream" not in role.declares:
        # Packer fetches it by itself, compares it with the same checksum, and keeps it in the shared cache.
        algorithm, _, value = upstream.checksum.partition(":")
        digest = upstream.checksum if algorithm == "sha256" else ""
        record = UpstreamRecord(
            "file",
            description,
            digest,
            "" if algorithm == "file" else f"{algorithm} (by Packer)",
            details={algorithm: value},
        )
        return _left_to_the_template(job, record, f"Packer fetches it and compares its {algorithm}.")
    environment = _network(job)
    url = _place(job, upstream.url)
    algorithm, wanted = await asyncio.to_thread(
        _promised, upstream.checksum, upstream.url, checkout_of(job), environment
    )
    store = job.places.cache / "upstreams"
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with alone(job, store / f"{wanted[:64]}.lock", f"fetches {description}"):
        if cached := await _cached(job, store, algorithm, wanted):
            path, fetched = cached
        else:
            path, fetched = await _fetch(job, store, url, upstream.url, algorithm, wanted, environment)
    record = UpstreamRecord(
        kind="file",
        description=description,
        digest=f"sha256:{fetched.sha256}",
        verified=algorithm
        if not upstream.checksum.startswith("file:")
        else f"{algorithm} from {shown(upstream.checksum[5:])}",
        details={"sha512": fetched.sha512} if algorithm == "sha512" else {},
    )
    return await _given(job, path, record)


def _network(job: StageJob) -> dict[str, str]:
    """How the run reaches the network: its person's proxies, whose passwords are secrets, else the worker's."""
    given = {**process.environment(keep=NETWORK), **job.run.request.environment, **job.secrets}
    return {name: given[name] for name in NETWORK if name in given}


def _place(job: StageJob, url: str) -> str:
    """A URL as it is; a path in the checkout, else in the user's tree (large media are seldom in Git: the checksum
    holds)."""
    if "://" in url:
        return url
    for root in (checkout_of(job), Path(job.run.request.workspace.root)):
        if (root / url).is_file():
            return str(root / url)
    raise UpstreamError(f"There is no file {url}, which the role is built on.", "Put it there, or correct ingot.toml.")


def _promised(checksum: str, url: str, checkout: Path, environment: Mapping[str, str]) -> tuple[str, str]:
    """The algorithm and the hex digest that the upstream must have; read from a checksum file where that is named."""
    if checksum.startswith("file:"):
        place = checksum.removeprefix("file:")
        if "://" not in place:
            place = str(checkout / place)
        listed = download.read_small(place, environment=environment).decode(errors="replace")
        name = PurePosixPath(unquote(urlsplit(url).path)).name
        found = checksum_in(listed, name)
        if not found:
            raise UpstreamError(
                f"{shown(place)} has no SHA-256 or SHA-512 checksum of {name}.", "Correct the checksum's url."
            )
        return found
    algorithm, _, value = checksum.partition(":")
    if (algorithm, len(value)) not in (("sha256", 64), ("sha512", 128)) or not re.fullmatch(r"[0-9a-fA-F]+", value):
        raise UpstreamError(
            f"The checksum {checksum!r} is none that counts.",
            "Write sha256:<64 hex digits>, sha512:<128>, or file:<url>.",
        )
    return algorithm, value.lower()


def checksum_in(listed: str, name: str) -> tuple[str, str] | None:
    """Algorithm and digest of a file in a list of checksums: the formats of sha256sum(1), of BSD, or a bare digest.

    >>> checksum_in("SHA256 (a.iso) = " + "0" * 64, "a.iso") == ("sha256", "0" * 64)
    True
    """
    lengths = {64: "sha256", 128: "sha512"}
    bare = listed.split()
    if len(bare) == 1 and len(bare[0]) in lengths and re.fullmatch(r"[0-9a-fA-F]+", bare[0]):
        return lengths[len(bare[0])], bare[0].lower()
    for line in listed.splitlines():
        plain = re.fullmatch(r"\\?([0-9a-fA-F]{64}|[0-9a-fA-F]{128}) [ *]?(.+)", line.strip())
        tagged = re.fullmatch(r"SHA(?:256|512) \((.+)\) = ([0-9a-fA-F]{64}|[0-9a-fA-F]{128})", line.strip())
        file, value = (plain[2], plain[1]) if plain else (tagged[1], tagged[2]) if tagged else ("", "")
        if value and PurePosixPath(file.strip()).name == name:
            return lengths[len(value)], value.lower()
    return None


async def _cached(job: StageJob, store: Path, algorithm: str, wanted: str) -> tuple[Path, _Fetched] | None:
    for note in sorted(store.glob("*.fetched.json")):
        try:
            fetched = msgspec.json.decode(note.read_bytes(), type=_Fetched)
        except msgspec.DecodeError:
            continue
        path = store / fetched.name
        if (fetched.sha256 if algorithm == "sha256" else fetched.sha512) != wanted or not path.is_file():
            continue
        try:
            await _verified_again(job, path, f"sha256:{fetched.sha256}", "the cached file")
        except UpstreamError as error:
            job.say(f"{error.what} It is removed and fetched again.")
            path.unlink()
            note.unlink()
            return None
        return path, fetched
    return None


async def _fetch(
    job: StageJob, store: Path, url: str, original: str, algorithm: str, wanted: str, environment: Mapping[str, str]
) -> tuple[Path, _Fetched]:
    part = store / f".{wanted[:64]}.part"
    if "://" not in url:
        await space.make_sure_of(job, store, Path(url).stat().st_size, f"a copy of {shown(original)}")
    loop = asyncio.get_running_loop()

    def work(meter: Meter) -> None:
        download.fetch(
            url,
            part,
            meter,
            environment=environment,
            say=lambda line: loop.call_soon_threadsafe(job.say, line) and None,
        )

    job.say(f"Fetching {shown(original)}{' (going on)' if part.exists() else ''}")
    await metered(job, f"fetching {PurePosixPath(urlsplit(original).path).name}", work)
    found = await metered(job, "verifying what came", lambda meter: file_digest(part, meter, algorithm))
    if found != wanted:
        size = part.stat().st_size
        part.unlink()
        raise UpstreamError(
            f"What came from {shown(original)} is not what was promised: {algorithm} {found}, and not {wanted}.",
            "If the vendor published a new one, put its checksum in; otherwise do not use it.",
            kept=f"The {text.size(size)} that came were removed.",
        )
    sha256 = (
        found
        if algorithm == "sha256"
        else await metered(job, "computing sha256", lambda meter: file_digest(part, meter))
    )
    name = sha256 + _endings(PurePosixPath(unquote(urlsplit(original).path)).name)
    fetched = _Fetched(name, shown(original), sha256, found if algorithm == "sha512" else "", part.stat().st_size)
    part.chmod(0o400)
    part.rename(store / name)
    _write(store / f"{sha256}.fetched.json", msgspec.json.encode(fetched))
    return store / name, fetched


# --- a distribution's signed archive
# ---------------------------------------------------------------------------------------

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


async def _from_archive(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
    recipe = hashlib.sha256(
        msgspec.json.encode(
            [
                __version__,
                upstream.distribution,
                upstream.suite,
                sorted(upstream.packages),
                upstream.disk_size,
                archive.MINIMUM,
            ]
        )
    ).hexdigest()[:16]
    name = f"{upstream.distribution} {upstream.suite}"
    store = job.places.cache / "upstreams"
    store.mkdir(mode=0o700, parents=True, exist_ok=True)
    async with alone(job, store / f"archive-{recipe}.lock", f"makes a disk of {name}"):
        cached = await _cached_disk(job, store, recipe)
        if cached and time.time() - cached[1].made < ARCHIVE_AGE:
            return await _given(job, cached[0], cached[1].record)
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
    return await _given(job, path, made.record)


async def _cached_disk(job: StageJob, store: Path, recipe: str) -> tuple[Path, _MadeDisk] | None:
    """The newest disk made by this recipe, its digest verified."""
    found: list[tuple[Path, _MadeDisk]] = []
    for note in store.glob(f"archive-{recipe}-*.json"):
        with contextlib.suppress(OSError, msgspec.DecodeError):
            if (disk := note.with_suffix(".qcow2")).is_file():
                found.append((disk, msgspec.json.decode(note.read_bytes(), type=_MadeDisk)))
    for disk, made in sorted(found, key=lambda one: one[1].made, reverse=True):
        try:
            await _verified_again(job, disk, made.record.digest, made.record.description)
        except UpstreamError as error:
            job.say(f"{error.what} It is not used.")
            disk.unlink()
            continue
        return disk, made
    return None


async def _make_disk(job: StageJob, store: Path, recipe: str, upstream: Upstream) -> tuple[Path, _MadeDisk]:
    part = store / f"archive-{recipe}.qcow2"
    network = _network(job)

    async def tool(
        name: str, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str], on_line: LineSink | None = None
    ) -> Exit:
        return await job.tool(name, argv, cwd=cwd, environment={**environment, **network}, on_line=on_line)

    made = await archive.make_disk(upstream, part, say=job.say, progress=job.progress, tool=tool)
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
    part.chmod(0o400)
    _write(disk.with_suffix(".json"), msgspec.json.encode(kept))
    part.rename(disk)
    return disk, kept


def _endings(name: str) -> str:
    """`.iso`, `.qcow2`, `.img.xz`: Packer unpacks and names disks by them.

    >>> _endings("debian-12.5.0-amd64.iso"), _endings("disk.raw.xz"), _endings("disk")
    ('.iso', '.raw.xz', '')
    """
    found = re.search(r"(?:\.[A-Za-z][A-Za-z0-9]{0,5}(?=\.(?:gz|xz|bz2|zst|zip)$))?\.[A-Za-z][A-Za-z0-9]{0,5}$", name)
    return found[0].lower() if found else ""


def _write(path: Path, content: bytes) -> None:
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    part.write_bytes(content)
    part.rename(path)
