"""Other formats of an image version: each is made, read back, compared with the disk that it was made from, brought
beside it, and recorded.

What is not finished lies in the run's own directory, so that nothing under `images/` is ever half. Killed at any point
and carried out again it goes on with the format that it was at.
"""

import asyncio
import contextlib
import re
import socket
from collections import deque
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import __version__, process
from core.adapters import firmware, ova, qemu
from core.adapters import formats as disk_formats
from core.adapters.formats import Source
from core.errors import IngotError, LedgerError, RefusedError, ToolError
from core.model.formats import FORMATS, READABLE, Disk, disks_on, in_order, virtual_size
from core.model.image import Artifact, ImageState, ImageVersion
from core.model.pipeline import Purpose
from core.places import Places
from core.stages import file_manifest, space
from core.stages.file_manifest import note_of
from core.stages.given import file_digest, verified_again
from core.stages.leftovers import version_directory
from core.stages.stage import StageJob
from core.stages.work import alone, in_thread, metered

ROOM = 64 * 1024**2
"""Bytes beyond the content of a disk that the tables of any format take."""
LEAST = 128 * 1024**2
"""Bytes that stay free: on a disk without any not even the end of qemu-img could be written down, and what it wrote
would stay for ever."""
_EVERY = 0.1
"""Seconds between two looks at how far qemu-img is, and at the disk."""


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Gives `artifacts`: those that were made. Raises ToolError, SpaceError, RefusedError, LedgerError; UpstreamError
    where the disk to convert is not the one that was registered."""
    request = job.run.request
    image = await _image(job)
    made: list[Artifact] = []
    if image is not None:
        place = version_directory(job.places, request, image.version)
        async with alone(job, lock_of(job.places, place), f"makes formats of {image.role} {image.version}"):
            image = await asyncio.to_thread(_newest, job, image.version) or image  # with what that run made
            made = await _all(job, image, place)
    return {"artifacts": [msgspec.to_builtins(artifact) for artifact in made]}


async def _image(job: StageJob) -> ImageVersion | None:
    """The image version to convert; None, with the reason in the log, where a build run made none that is good."""
    request = job.run.request
    asked = request.purpose is Purpose.CONVERT
    version = request.version if asked else str(job.result("register").get("version") or "")
    if not version:
        job.say("There is no image version, so there is nothing to convert.")
        return None
    name = f"{request.role.name} {version}"
    image = await asyncio.to_thread(_newest, job, version)
    if image is None:
        raise LedgerError(f"There is no image {name} on the ledger.", "See: ingot images")
    if image.state is ImageState.REVOKED:
        raise RefusedError(f"{name} is revoked: nothing is made of it.", f"Why: ingot images {image.role}")
    if not asked and image.state not in (ImageState.GOOD, ImageState.RELEASED):
        job.say(f"{name} is {image.state}: only what is good is converted at the end of a build.")
        job.say(f"To have its formats all the same: ingot convert {name} {' '.join(request.role.formats)}")
        return None
    return image


def _newest(job: StageJob, version: str) -> ImageVersion | None:
    role = job.run.request.role.name
    return next((one for one in job.ledger.images() if (one.role, one.version) == (role, version)), None)


async def _all(job: StageJob, image: ImageVersion, place: Path) -> list[Artifact]:
    request = job.run.request
    disks = disks_on(image, socket.gethostname(), request.builds)
    if not disks:
        job.say(f"No disk of {image.role} {image.version} is on this machine: there is nothing to convert.")
    made: list[Artifact] = []
    for disk in disks:
        for wanted in in_order(request.formats or request.role.formats):
            there = disk.file(wanted)
            if there is not None and Path(there.location).is_file():
                job.say(f"{wanted}: it is there already, {there.location}")
                continue
            artifact = await _one(job, image, disk, wanted, place)
            disk = replace(disk, files=(*(file for file in disk.files if file.format != wanted), artifact))
            made.append(artifact)
    return made


async def _one(job: StageJob, image: ImageVersion, disk: Disk, wanted: str, place: Path) -> Artifact:
    """Make one format of one disk. Then it is in its place, and on the ledger."""
    target = place / f"{disk.name}.{wanted}"
    artifact = await _from_before(job, target)
    if artifact is None:
        staged, artifact = await _made(job, image, disk, wanted, target)
        await in_thread(_into_place, staged, target, job.run.uid)
    try:
        why = f"made by run {job.run.uid}"
        await in_thread(job.ledger.add_artifacts, image, [artifact], job.run.request.asked_by, why)
    except BaseException:
        # What the ledger does not know must not lie there; a cancel may have come when it was written already.
        if not await asyncio.to_thread(_recorded, job, image.version, artifact):
            remove(target)
        raise
    run_note(target).unlink(missing_ok=True)
    if job.ledger.last_shared.state == "offline":
        job.say(f"Others do not know yet: the ledger's remote cannot be reached ({job.ledger.last_shared.reason}).")
    job.say(f"Made: {artifact.format} {artifact.location} {artifact.digest}")
    return artifact


def _recorded(job: StageJob, version: str, artifact: Artifact) -> bool:
    try:
        image = _newest(job, version)
    except IngotError:
        return True  # that cannot be known now: the next attempt finds the file, and tries again to write it down
    return image is not None and artifact in image.artifacts


async def _from_before(job: StageJob, target: Path) -> Artifact | None:
    """What an attempt brought into its place that did not come to writing it on the ledger."""
    try:
        artifact = (await asyncio.to_thread(file_manifest.read, note_of(target))).artifact
    except (OSError, msgspec.DecodeError):
        return None
    if not target.is_file():
        return None
    # Ours before it is read: by the note of a run that is over, a sweep would take it away meanwhile.
    await asyncio.to_thread(run_note(target).write_text, job.run.uid)
    digest = await metered(job, f"computing the sha256 of {target.name}", lambda meter: file_digest(target, meter))
    return artifact if artifact.digest == f"sha256:{digest}" and artifact.location == str(target) else None


async def _made(job: StageJob, image: ImageVersion, disk: Disk, wanted: str, target: Path) -> tuple[Path, Artifact]:
    """The finished file in the run's own directory, with its manifest, and what it is."""
    chosen, source = await _source(job, image, disk, wanted)
    staging = job.directory / "convert"
    staging.mkdir(mode=0o700, exist_ok=True)
    staged = staging / target.name
    size = (await qemu.info(source.path, source.of_qemu)).virtual_size
    # One that an earlier attempt began has its room, and adopting it must not wait for more: nobody would watch it.
    if not any(staging.glob(f"{disk.name}.*")):
        for half in staging.glob(".*.part"):
            half.unlink()
        content = await disk_formats.measured(source)
        # For an OVA of which no VMDK is there, that is made first.
        needed = (content + ROOM) * (2 if wanted == "ova" and not _streamed(disk) else 1)
        await space.make_sure_of(job, staging, needed, f"making {target.name}")
    if wanted == "ova":
        await _make_ova(job, image, disk, source, size, staged)
    else:
        await _convert(job, source, staged, wanted, size)
        await _read_back(job, source, Source(staged, FORMATS[wanted].of_qemu), wanted, size)
    digest = await metered(job, f"computing the sha256 of {staged.name}", lambda meter: file_digest(staged, meter))
    artifact = Artifact(
        build=disk.build,
        format=wanted,
        location=str(target),
        digest=f"sha256:{digest}",
        size=staged.stat().st_size,
        virtual_size=virtual_size(wanted, size),
        host=socket.gethostname(),
        stamped_inside=chosen.stamped_inside,
    )
    tools = {**image.tools, "ingot": __version__, **await _tools()}
    stamp = "" if chosen.stamped_inside else f"{Path(chosen.location).name}, of which it was made, is not"
    manifest = file_manifest.manifest_of(image, artifact, tools, stamp)
    await asyncio.to_thread(file_manifest.write_beside, staged, manifest)
    return staged, artifact


async def _source(job: StageJob, image: ImageVersion, disk: Disk, wanted: str) -> tuple[Artifact, Source]:
    """The file that it is made from: the first that is there, and it must be what the ledger says."""
    there = [
        file
        for file in disk.files
        if file.format in READABLE and file.format != wanted and Path(file.location).is_file()
    ]
    if not there:
        gone = ", ".join(file.location for file in disk.files)
        raise ToolError(f"No file of {image.role} {image.version} is there to make {wanted} of: {gone}.", "Build it.")
    chosen = there[0]
    path = Path(chosen.location)
    await verified_again(job, path, chosen.digest, f"{image.role} {image.version}")
    job.say(f"{wanted}: made of {path}")
    return chosen, Source(path, READABLE[chosen.format])


async def _convert(job: StageJob, source: Source, staged: Path, wanted: str, size: int) -> None:
    of, name = FORMATS[wanted], staged.name
    whole = virtual_size(wanted, size)
    if whole != size:
        job.say(f"{name}: the disk gets {whole - size} bytes more, to be a multiple of {of.multiple_of}.")
        await run_qemu_img(
            job, f"create-{name}", disk_formats.create(staged, of.of_qemu, of.options, whole), f"making {name}", staged
        )
    argv = disk_formats.convert(source, staged, of.of_qemu, of.options, into=whole != size)
    await run_qemu_img(job, f"convert-{name}", argv, f"writing {name}", staged)
    if not staged.exists():  # an attempt before this took it away as the room ran out, and died before it said so
        raise ToolError(f"{name} was written before the interruption, and is gone.", _ANEW)


async def _read_back(job: StageJob, source: Source, made: Source, wanted: str, size: int) -> None:
    """Raises ToolError when what was made is not, for a machine, what it was made of."""
    name = made.path.name
    # The end of the comparison is on record for good: so must be what was compared.
    await in_thread(file_manifest.flush, made.path)
    if made.length is None:
        found = (await qemu.info(made.path, made.of_qemu)).virtual_size
        if found != virtual_size(wanted, size):
            raise ToolError(f"{name} is a disk of {found} bytes, and not of {virtual_size(wanted, size)}.", _AGAIN)
    await disk_formats.check(made)
    footer = await asyncio.to_thread(disk_formats.vhd_footer, made.path) if wanted == "vhd" else None
    if wanted == "vhd" and (
        footer is None or not (footer.fixed and footer.whole) or footer.size != virtual_size(wanted, size)
    ):
        raise ToolError(f"{name} is no fixed VHD of {virtual_size(wanted, size)} bytes: {footer}.", _AGAIN)
    kind = "compare" if made.length is None else "compare-inside"
    await run_qemu_img(
        job, f"{kind}-{name}", disk_formats.compare(source, made), f"comparing {name} with {source.path.name}"
    )
    job.say(f"{name}: read back, the same as {source.path.name}.")


_ANEW = "Ask for the format again: ingot convert. Nothing half is left."
_AGAIN = "This is a defect of qemu-img or of Ingot; the disk that it was made of is as it was."


def _streamed(disk: Disk) -> Artifact | None:
    """The VMDK that an OVA can take as it is."""
    file = disk.file("vmdk")
    with contextlib.suppress(OSError):
        if file is not None and disk_formats.is_stream_optimized(Path(file.location)):
            return file
    return None


async def _make_ova(job: StageJob, image: ImageVersion, disk: Disk, source: Source, size: int, staged: Path) -> None:
    if not staged.exists():
        await _write_ova(job, image, disk, source, size, staged)
    inside = await metered(job, f"reading {staged.name} back", lambda meter: ova.verify(staged, meter.advance))
    await _read_back(job, source, Source(staged, "vmdk", inside.offset, inside.size), "ova", size)


async def _write_ova(job: StageJob, image: ImageVersion, disk: Disk, source: Source, size: int, staged: Path) -> None:
    there = _streamed(disk)
    if there is None:
        vmdk = staged.with_name(f"{disk.name}.vmdk")
        await _convert(job, source, vmdk, "vmdk", size)
    else:
        vmdk = Path(there.location)
        await verified_again(job, vmdk, there.digest, f"{image.role} {image.version}")
    machine = job.run.request.role.test
    about = ova.Appliance(
        name=disk.name,
        product=image.role,
        version=image.version,
        about=f"{image.role} {image.version}, commit {image.commit}",
        memory=machine.memory,
        cpus=machine.cpus,
        capacity=size,
        boots_by=await firmware.boot_mode(source.path, source.of_qemu),
        created=image.created,
    )
    part = staged.with_name(f".{staged.name}.part")
    async with _room_for(job, part):
        await metered(job, f"writing {staged.name}", lambda meter: ova.write(part, about, vmdk, meter.advance))
    part.rename(staged)
    if there is None:
        vmdk.unlink()


async def run_qemu_img(job: StageJob, name: str, argv: Sequence[str], doing: str, target: Path | None = None) -> None:
    """qemu-img under a holder, its progress shown; `target` is what it writes. Raises SpaceError, ToolError; then what
    it wrote is gone."""
    said: deque[str] = deque(maxlen=20)
    tool = asyncio.ensure_future(
        job.tool(name, argv, cwd=job.directory, environment=process.environment(), on_line=said.append, repeatable=True)
    )
    watching = asyncio.ensure_future(_watch(job, doing, writes=target is not None))
    try:
        await asyncio.wait({tool, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not tool.done() and target is not None:
            target.unlink(missing_ok=True)  # its room is free when qemu-img has ended
            job.say("The disk is full: qemu-img is ended.")
            tool.cancel()
            await asyncio.wait({tool})
            raise _full(job, f"{target.name} has no room on it.")
        ended = await tool
    finally:
        for task in (tool, watching):
            task.cancel()
        await asyncio.wait({tool, watching})
    if ended.code != 0:
        words = disk_formats.last_words("\n".join(said)) if ended.signal is None else f"signal {ended.signal}"
        # Of a disk without room it does not always say that: a compressing format calls it an invalid argument.
        full = "No space left" in words or (target is not None and space.free(job.directory) < LEAST)
        if target is not None:
            target.unlink(missing_ok=True)
        raise _full(job, words) if full else ToolError(f"{doing.capitalize()}: {words}", _LEFT)


_LEFT = "Nothing half of it is left. The log of this stage has all that qemu-img said."


async def _watch(job: StageJob, doing: str, *, writes: bool) -> None:
    """Show how far qemu-img is; ends when it writes and there is no room left for it. It is not looked at once: one
    that is adopted may have ended already, and needs none."""
    log = job.places.log(job.run.uid, job.stage.key)
    while True:
        job.progress(doing, await asyncio.to_thread(disk_formats.fraction, log))
        await asyncio.sleep(_EVERY)
        if writes and space.free(job.directory) < LEAST:
            return


@asynccontextmanager
async def _room_for(job: StageJob, part: Path) -> AsyncGenerator[None]:
    try:
        yield
    except OSError as error:
        part.unlink(missing_ok=True)
        if space.is_full(error):
            raise _full(job, f"{part.name}: {error.strerror}") from error
        raise ToolError(f"{part.name} cannot be written: {error.strerror}.", _LEFT) from error


def _full(job: StageJob, words: str) -> IngotError:
    return space.full(
        f"The disk of {job.directory} is full: {words}",
        "ask for the format again: ingot convert" if job.stage.name == "convert" else "build again",
        kept="Nothing half is left; what was made before is whole.",
    )


def lock_of(places: Places, place: Path) -> Path:
    """What a run holds that makes formats in the directory of an image version."""
    return places.runtime / f"convert-{sha256(str(place).encode()).hexdigest()[:16]}.lock"


def run_note(target: Path) -> Path:
    """Beside a file as long as it is not on the ledger: the uid of the run that brings it there."""
    return target.with_name(f".{target.name}.run")


def remove(target: Path) -> None:
    """Take away a file that is not on the ledger, and what lies beside it."""
    for path in (target, note_of(target), run_note(target)):
        path.unlink(missing_ok=True)


def _into_place(staged: Path, target: Path, uid: str) -> None:
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    run_note(target).write_text(uid)
    note_of(staged).rename(note_of(target))  # where the file is, its manifest is
    staged.rename(target)
    file_manifest.flush(target.parent)


async def _tools() -> dict[str, str]:
    said = await process.run(["qemu-img", "--version"], timeout=60)
    found = re.search(r"\d+(?:\.\d+)+", said.out.decode(errors="replace"))
    return {"qemu": found[0]} if found else {}
