"""An upstream that is a file: fetched once, or copied, and refused when it is not what was promised."""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import msgspec

from core import text
from core.adapters import download
from core.adapters.download import shown
from core.adapters.gpg import ChangedError, Keyring, Signature
from core.errors import UpstreamError
from core.model.image import UpstreamRecord
from core.model.role import Upstream
from core.stages import space
from core.stages.environment import checkout_of
from core.stages.given import file_digest, given, keep, left_to_the_template, network, verified_again
from core.stages.stage import StageJob
from core.stages.upstream_promise import Promise, keys_of, name_of, promise_of, signature_of, told_of
from core.stages.work import Meter, alone, in_thread, metered

SignedBy = Callable[[Path], Awaitable[Signature]]
"""The signature that counts of a file itself. Raises UpstreamError."""


class _Fetched(msgspec.Struct):
    """What is known of a file in the cache, beside it."""

    name: str
    url: str
    sha256: str
    sha512: str
    size: int


class _Wanted(msgspec.Struct, frozen=True):
    """Which file is to be had, and what must hold of it before it gets a name."""

    url: str
    """Where it is: a URL, or a path on this machine."""
    written: str
    """The same as ingot.toml has it."""
    environment: Mapping[str, str]
    promise: Promise | None
    signed_by: SignedBy | None

    @property
    def key(self) -> str:
        """What its lock and its unfinished part are called."""
        if self.promise:
            return self.promise.digest[:64]
        return hashlib.sha256(self.written.encode()).hexdigest()

    def is_it(self, fetched: _Fetched) -> bool:
        """Whether a file in the cache may be the one; where only its signature is known, that decides."""
        if self.promise:
            return getattr(fetched, self.promise.algorithm) == self.promise.digest
        return fetched.url == shown(self.written)


async def from_file(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
    """Raises UpstreamError, SpaceError, ToolError."""
    description = shown(upstream.url)
    if not (upstream.checksum or upstream.signature):
        raise UpstreamError(
            f"The upstream {description} has no checksum, so what comes could be anything.",
            'Add checksum = "sha256:…" to it in ingot.toml.',
        )
    if not job.run.request.role.takes_upstream:
        return _left_to_packer(job, upstream, description)
    environment = network(job)
    url = _place(job, upstream.url)
    async with keys_of(job, upstream) as ring:
        promise = await promise_of(job, upstream, ring, environment)
        signature = await signature_of(job, upstream, environment)
        signed_by = _signed_by(job, ring, signature, description) if ring and signature else None
        wanted = _Wanted(url, upstream.url, environment, promise, signed_by)
        store = job.places.cache / "upstreams"
        store.mkdir(mode=0o700, parents=True, exist_ok=True)
        async with alone(job, store / f"{wanted.key}.lock", f"fetches {description}"):
            path, fetched, signed = await _cached(job, store, wanted) or await _fetch(job, store, wanted)
    verified = [promise.verified] if promise else []
    details = {"sha512": fetched.sha512} if fetched.sha512 else dict[str, str]()
    details |= promise.details if promise else {}
    if signed:
        verified.append(f"signature of {signed.key}")
        details |= told_of(signed, upstream)
    record = UpstreamRecord("file", description, f"sha256:{fetched.sha256}", " and ".join(verified), details=details)
    return await given(job, path, record)


def _left_to_packer(job: StageJob, upstream: Upstream, description: str) -> Mapping[str, object]:
    """Packer fetches it by itself, compares it with the same checksum, and keeps it in the shared cache."""
    if upstream.key:
        raise UpstreamError(
            f"{description} has to be signed, and the template fetches its media by itself: "
            "Ingot cannot verify what it is built on.",
            'Declare variable "ingot_upstream" in the template and build on it: docs/templates.md.',
        )
    algorithm, _, value = upstream.checksum.partition(":")
    digest = upstream.checksum if algorithm == "sha256" else ""
    verified = "" if algorithm == "file" else f"{algorithm} (by Packer)"
    record = UpstreamRecord("file", description, digest, verified, details={algorithm: value})
    return left_to_the_template(job, record, f"Packer fetches it and compares its {algorithm}.")


def _place(job: StageJob, url: str) -> str:
    """A URL as it is; a path in the checkout, else in the user's tree (large media are seldom in Git: the checksum
    holds)."""
    if "://" in url:
        return url
    for root in (checkout_of(job), Path(job.run.request.workspace.root)):
        if (root / url).is_file():
            return str(root / url)
    raise UpstreamError(f"There is no file {url}, which the role is built on.", "Put it there, or correct ingot.toml.")


def _signed_by(job: StageJob, ring: Keyring, signature: Path, description: str) -> SignedBy:
    async def signed_by(path: Path) -> Signature:
        job.progress(f"verifying the signature of {name_of(description)}")
        found = await ring.detached(path, signature, description)
        job.say(f"{description} is signed by {found.key}, with {found.digest}.")
        return found

    return signed_by


async def _cached(job: StageJob, store: Path, wanted: _Wanted) -> tuple[Path, _Fetched, Signature | None] | None:
    """A file in the cache, looked at anew: a key may have expired or been taken away since."""
    for note in sorted(store.glob("*.fetched.json")):
        try:
            fetched = msgspec.json.decode(note.read_bytes(), type=_Fetched)
        except msgspec.DecodeError:
            continue
        path = store / fetched.name
        if not wanted.is_it(fetched) or not path.is_file():
            continue
        try:
            await verified_again(job, path, f"sha256:{fetched.sha256}", "the cached file")
        except UpstreamError as error:
            job.say(f"{error.what} It is removed and fetched again.")
            path.unlink()
            note.unlink()
            return None
        try:
            return path, fetched, await wanted.signed_by(path) if wanted.signed_by else None
        except ChangedError:
            if wanted.promise:
                raise
            job.say("What is in the cache is not what is signed now: it is fetched again.")
    return None


async def _fetch(job: StageJob, store: Path, wanted: _Wanted) -> tuple[Path, _Fetched, Signature | None]:
    part = store / f".{wanted.key}.part"
    if "://" not in wanted.url:
        await space.make_sure_of(job, store, Path(wanted.url).stat().st_size, f"a copy of {shown(wanted.written)}")
    await _download(job, part, wanted)
    promise = wanted.promise
    algorithm = promise.algorithm if promise else "sha256"
    found = await metered(job, "verifying what came", lambda meter: file_digest(part, meter, algorithm))
    if promise and found != promise.digest:
        raise UpstreamError(
            f"What came from {shown(wanted.written)} is not what was promised: "
            f"{algorithm} {found}, and not {promise.digest}.",
            "If the vendor published a new one, put its checksum in; otherwise do not use it.",
            kept=_removed(part),
        )
    signed = None
    if wanted.signed_by:
        try:
            signed = await wanted.signed_by(part)
        except UpstreamError as error:
            error.kept = _removed(part)
            raise
    sha256 = (
        found
        if algorithm == "sha256"
        else await metered(job, "computing sha256", lambda meter: file_digest(part, meter))
    )
    name = sha256 + _endings(name_of(wanted.written))
    sha512 = found if algorithm == "sha512" else ""
    fetched = _Fetched(name, shown(wanted.written), sha256, sha512, part.stat().st_size)
    await in_thread(keep, part, store / name, store / f"{sha256}.fetched.json", msgspec.json.encode(fetched))
    return store / name, fetched, signed


async def _download(job: StageJob, part: Path, wanted: _Wanted) -> None:
    """All of it in `part`; where the disk is full, the run waits for room and goes on."""
    loop = asyncio.get_running_loop()
    store, name = part.parent, name_of(wanted.written)

    def work(meter: Meter) -> None:
        download.fetch(
            wanted.url,
            part,
            meter,
            environment=wanted.environment,
            say=lambda line: loop.call_soon_threadsafe(job.say, line) and None,
            room=lambda: space.free(store) - space.MARGIN,
        )

    had = -1
    while True:
        job.say(f"Fetching {shown(wanted.written)}{' (going on)' if part.exists() else ''}")
        try:
            return await metered(job, f"fetching {name}", work)
        except download.NoRoomError as full:
            have = part.stat().st_size if part.exists() else 0
            if have == had:
                raise  # room was waited for, or there seemed to be some, and it did not help
            had = have
            job.say(full.what)
            await space.make_sure_of(job, store, full.needed, f"the rest of {name}")


def _removed(part: Path) -> str:
    size = part.stat().st_size
    part.unlink()
    return f"The {text.size(size)} that came were removed."


def _endings(name: str) -> str:
    """`.iso`, `.qcow2`, `.img.xz`: Packer unpacks and names disks by them.

    >>> _endings("debian-12.5.0-amd64.iso"), _endings("disk.raw.xz"), _endings("disk")
    ('.iso', '.raw.xz', '')
    """
    found = re.search(r"(?:\.[A-Za-z][A-Za-z0-9]{0,5}(?=\.(?:gz|xz|bz2|zst|zip)$))?\.[A-Za-z][A-Za-z0-9]{0,5}$", name)
    return found[0].lower() if found else ""
