"""What an upstream file must be, and who says so: a digest, a list of checksums, a signature."""

import re
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import msgspec

from core.adapters import download, gpg
from core.adapters.download import shown
from core.adapters.gpg import Keyring, Signature
from core.errors import UpstreamError
from core.model.role import Upstream
from core.stages.environment import checkout_of
from core.stages.given import content_digest
from core.stages.stage import StageJob
from core.stages.work import metered


class Promise(msgspec.Struct, frozen=True):
    """What was promised, and for the lineage: by whom."""

    algorithm: str
    """`sha256` or `sha512`."""
    digest: str
    """Hexadecimal."""
    verified: str
    """In words: `sha512 from https://…/SHA512SUMS, signed by …`."""
    details: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


@asynccontextmanager
async def keys_of(job: StageJob, upstream: Upstream) -> AsyncGenerator[Keyring | None]:
    """The keys that may have signed it, as the commit has them; None where nothing has to be signed.

    Raises UpstreamError, ToolError.
    """
    if not upstream.key:
        yield None
        return
    checkout = checkout_of(job)
    file = (checkout / upstream.key).resolve()
    if not (file.is_file() and file.is_relative_to(checkout.resolve())):
        raise UpstreamError(
            f"There is no file {upstream.key} in commit {job.run.request.commit[:7]}: the key that must have signed "
            f"{shown(upstream.url)}.",
            "Put the vendor's public key there, and commit it.",
        )
    async with gpg.keyring(file, upstream.key, _scratch(job), upstream.fingerprint) as ring:
        yield ring


async def promise_of(
    job: StageJob, upstream: Upstream, ring: Keyring | None, environment: Mapping[str, str]
) -> Promise | None:
    """The digest that the upstream must have; None where only the file itself is signed. Raises UpstreamError."""
    if not upstream.checksum:
        return None
    if upstream.checksum.startswith("file:"):
        return await _from_list(job, upstream, ring, environment)
    algorithm, _, value = upstream.checksum.partition(":")
    if (algorithm, len(value)) not in (("sha256", 64), ("sha512", 128)) or not re.fullmatch(r"[0-9a-fA-F]+", value):
        raise UpstreamError(
            f"The checksum {upstream.checksum!r} is none that counts.",
            "Write sha256:<64 hex digits>, sha512:<128>, or file:<url>.",
        )
    return Promise(algorithm, value.lower(), algorithm)


async def signature_of(job: StageJob, upstream: Upstream, environment: Mapping[str, str]) -> Path | None:
    """The detached signature of the file itself, on the disk; None where it needs none. Raises UpstreamError."""
    if not upstream.signature or upstream.checksum.startswith("file:"):
        return None
    return await _small(job, upstream.signature, "signature", environment)


def told_of(signature: Signature, upstream: Upstream) -> dict[str, str]:
    """What the lineage keeps of a signature that counted."""
    details = {
        "signed by": signature.key.user,
        "key": signature.key.fingerprint,
        "key file": upstream.key,
        "signature": shown(upstream.signature) or "in the list of checksums itself",
        "signed on": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(signature.made)),
        "signed digest": signature.digest,
    }
    return details | ({"signing subkey": signature.by} if signature.by != signature.key.fingerprint else {})


async def _from_list(
    job: StageJob, upstream: Upstream, ring: Keyring | None, environment: Mapping[str, str]
) -> Promise:
    place = upstream.checksum.removeprefix("file:")
    listed = await _small(job, place, "checksums", environment)
    content = listed.read_bytes()
    verified, details = f"from {shown(place)}, which is not signed", dict[str, str]()
    if ring is not None:
        job.progress(f"verifying the signature of {PurePosixPath(place).name}")
        if upstream.signature:
            of_it = await _small(job, upstream.signature, "signature", environment)
            signature = await ring.detached(listed, of_it, shown(place), limit=download.SMALL_TIME)
        else:
            signature, content = await ring.inline(listed, shown(place))
        job.say(f"{shown(place)} is signed by {signature.key}, with {signature.digest}.")
        verified, details = f"from {shown(place)}, signed by {signature.key}", told_of(signature, upstream)
    name = name_of(upstream.url)
    found = checksum_in(content.decode(errors="replace"), name)
    if not found:
        raise UpstreamError(
            f"{shown(place)} has no SHA-256 or SHA-512 checksum of {name}.", "Correct the checksum's url."
        )
    algorithm, digest = found
    details = {"checksums": shown(place), "digest of the checksums": content_digest(listed.read_bytes()), **details}
    return Promise(algorithm, digest, f"{algorithm} {verified}", details)


async def _small(job: StageJob, place: str, name: str, environment: Mapping[str, str]) -> Path:
    """A small file from a URL or the checkout, in the run's own directory."""
    source = place if "://" in place else str(checkout_of(job) / place)
    content = await metered(
        job,
        f"fetching {PurePosixPath(urlsplit(place).path).name}",
        lambda meter: download.read_small(source, meter, environment=environment),
    )
    kept = _scratch(job) / name
    kept.write_bytes(content)
    return kept


def _scratch(job: StageJob) -> Path:
    directory = job.directory / "upstream"
    directory.mkdir(mode=0o700, exist_ok=True)
    return directory


def name_of(url: str) -> str:
    """What a list of checksums calls it."""
    return PurePosixPath(unquote(urlsplit(url).path)).name


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
