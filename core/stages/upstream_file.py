"""An upstream that is a file with a checksum: fetched once, or copied, and refused when it is not what was promised."""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from urllib.parse import unquote, urlsplit

import msgspec

from core import text
from core.adapters import download
from core.adapters.download import shown
from core.errors import UpstreamError
from core.model.image import UpstreamRecord
from core.model.role import Upstream
from core.stages import space
from core.stages.environment import checkout_of
from core.stages.given import file_digest, given, left_to_the_template, network, verified_again, write
from core.stages.stage import StageJob
from core.stages.work import Meter, alone, metered


class _Fetched(msgspec.Struct):
    """What is known of a file in the cache, beside it."""

    name: str
    url: str
    sha256: str
    sha512: str
    size: int


async def from_file(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
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
        return left_to_the_template(job, record, f"Packer fetches it and compares its {algorithm}.")
    environment = network(job)
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
    return await given(job, path, record)


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
            await verified_again(job, path, f"sha256:{fetched.sha256}", "the cached file")
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
    write(store / f"{sha256}.fetched.json", msgspec.json.encode(fetched))
    return store / name, fetched


def _endings(name: str) -> str:
    """`.iso`, `.qcow2`, `.img.xz`: Packer unpacks and names disks by them.

    >>> _endings("debian-12.5.0-amd64.iso"), _endings("disk.raw.xz"), _endings("disk")
    ('.iso', '.raw.xz', '')
    """
    found = re.search(r"(?:\.[A-Za-z][A-Za-z0-9]{0,5}(?=\.(?:gz|xz|bz2|zst|zip)$))?\.[A-Za-z][A-Za-z0-9]{0,5}$", name)
    return found[0].lower() if found else ""
