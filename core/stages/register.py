"""The last stage: what the builds made becomes an image version, once, whole, and for ever.

Nothing is visible under `images/` until all of it is there: artifacts are looked at and measured in the run's
own directory, and then the whole version is renamed into place. Killed at any point and carried out again it ends the
same.
"""

import asyncio
import re
import shutil
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import __version__, process
from core.adapters import packer, qemu
from core.adapters.aws import Ami, Ec2
from core.adapters.download import shown
from core.errors import RefusedError, ToolError
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.stages import by_hand, disks, evidence, file_manifest, prove, space
from core.stages.artifacts import Made
from core.stages.environment import base_environment, checkout_of, template_variables, version_of
from core.stages.file_manifest import Manifest
from core.stages.given import file_digest
from core.stages.leftovers import RUN_NOTE, file_name, version_directory
from core.stages.stage import StageJob
from core.stages.upstream_ami import make_sure_it_was_used
from core.stages.work import Meter, in_thread, metered


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Gives `version` and `artifacts`. Raises ToolError, LedgerError, RefusedError."""
    request = job.run.request
    registered = await asyncio.to_thread(_registered, job)
    if registered is None:
        made = {name: disks.made_by(job, name) for name in request.builds}
        if not any(made.values()):
            job.say("The builds made nothing that can be kept, so there is no image version.")
            return {"version": "", "artifacts": []}
        registered = await _image(job, made)
        job.progress("writing to the ledger")
        try:
            beside = await by_hand.packed(job, registered)
            reports = await evidence.packed(job)
            why = f"built by run {job.run.uid}"
            await in_thread(job.ledger.register, registered, request.asked_by, why, beside, reports)
        except asyncio.CancelledError:
            if await asyncio.to_thread(_registered, job) is None:
                raise  # else it came too late: the image version is there for good, and the stage says so
        if job.ledger.last_shared.state == "offline":
            job.say(f"Others do not know yet: the ledger's remote cannot be reached ({job.ledger.last_shared.reason}).")
    else:
        job.say("It was registered before the interruption.")
    (version_directory(job.places, request, registered.version) / RUN_NOTE).unlink(missing_ok=True)
    for artifact in registered.artifacts:
        job.say(f"Registered: {artifact.format} {artifact.location} {artifact.digest}")
    return {
        "version": registered.version,
        "artifacts": [msgspec.to_builtins(artifact) for artifact in registered.artifacts],
    }


def _registered(job: StageJob) -> ImageVersion | None:
    return next((image for image in job.ledger.images() if image.run == job.run.uid), None)


async def _image(job: StageJob, made: Mapping[str, list[Made]]) -> ImageVersion:
    request = job.run.request
    version = version_of(job)
    upstream = _upstream(job)
    tools = await _tools(job)
    image = ImageVersion(
        role=request.role.name,
        version=version,
        commit=request.commit,
        created=time.time(),
        run=job.run.uid,
        built_by=request.asked_by,
        upstream=upstream,
        artifacts=(),
        template=request.role.template,
        inputs=request.role.inputs,
        tools=tools,
        evidence=evidence.names(job),
        outside=msgspec.convert(job.result("checkout").get("outside") or [], tuple[str, ...]),
    )
    image = await by_hand.marked(job, image)
    place = version_directory(job.places, request, version)
    if place.exists():
        if not (place / RUN_NOTE).is_file() or (place / RUN_NOTE).read_text() != job.run.uid:
            raise RefusedError(
                f"{place} is there already, from another run.", f"Look at what it is, and remove it: {place}"
            )
        kept = _kept(place)
        return replace(
            image,
            created=kept[0].created,
            artifacts=(*(one.artifact for one in kept), *await _clouds(job, made, image)),
        )
    staging = job.directory / "register"
    await asyncio.to_thread(shutil.rmtree, staging, ignore_errors=True)
    staging.mkdir(mode=0o700)
    files = [await _keep(job, image, build, one, number, staging, place) for build, number, one in _numbered(made)]
    clouds = await _clouds(job, made, image)
    if files:
        (staging / RUN_NOTE).write_text(job.run.uid)
        await in_thread(_into_place, staging, place)
    return replace(image, artifacts=(*files, *clouds))


def _numbered(made: Mapping[str, list[Made]]) -> list[tuple[str, int, Made]]:
    return [
        (build, number, one) for build, all_of_it in made.items() for number, one in enumerate(all_of_it) if one.path
    ]


def _kept(place: Path) -> list[Manifest]:
    """What an earlier attempt brought into place."""
    return [file_manifest.read(note) for note in sorted(place.glob("*.manifest.json"))]


async def _keep(
    job: StageJob, image: ImageVersion, build: str, made: Made, number: int, staging: Path, place: Path
) -> Artifact:
    """Look at and measure one file; it and its manifest are then in `staging`."""
    source = Path(made.path)
    ending = made.format if made.format != "file" else (source.suffix.lstrip(".") or "file")
    name = f"{file_name(build)}{f'-{number}' if number else ''}.{ending}"
    why_not = "it is no disk"
    if made.format in disks.OPENED:
        await disks.ready(job, made)
        why_not = await _stamped(job, build, made) if number == 0 else "it is not the first disk"
    stamped = not why_not
    stamp = f"stamped inside as {image.role} {image.version}" if stamped else f"not stamped inside: {why_not}"
    job.say(f"{name}: {stamp}.")
    virtual = await _check(job, source, made.format)
    kept = staging / name
    await _take(job, source, kept)
    digest = await metered(job, f"computing the sha256 of {name}", lambda meter: file_digest(kept, meter))
    artifact = Artifact(
        build=build,
        format=made.format,
        location=str(place / name),
        digest=f"sha256:{digest}",
        size=kept.stat().st_size,
        virtual_size=virtual,
        host=socket.gethostname(),
        stamped_inside=stamped,
    )
    manifest = file_manifest.manifest_of(image, artifact, image.tools, why_not)
    await asyncio.to_thread(file_manifest.write_beside, kept, manifest)
    return artifact


async def _stamped(job: StageJob, build: str, made: Made) -> str:
    """Why the version is not inside a disk, or nothing. The stage *prove* read that; builds without that stage have
    their disk stamped now. Raises ToolError for a disk that was written to since it was looked at."""
    source = Path(made.path)
    sealed, proved = job.result(f"seal/{build}"), job.result(f"prove/{build}")
    if not sealed:
        job.progress(f"stamping {source.name}, or reading its stamp")
        why_not = await disks.stamped(job, made, None)
        await disks.sound(job, made)
        return why_not
    if (file := proved.get("file")) and file != prove.state_of(source):
        raise ToolError(
            f"{source.name} was changed after it was looked at, so nobody knows what is in it.",
            "Find out what writes to it, and build again.",
        )
    return str(proved.get("stamp", sealed.get("stamp")) or "")


async def _take(job: StageJob, source: Path, kept: Path) -> None:
    """Give the file a second name in the run's directory. The first one stays until the end, for an attempt after
    this."""
    if source.is_relative_to(job.directory):
        try:
            kept.hardlink_to(source)
        except OSError:  # a file system without links
            pass
        else:
            return
    # Outside of the run's directory its template puts it where people look for it: there it stays as it is.
    await space.make_sure_of(job, kept, source.stat().st_size, f"copying {source.name}")
    await metered(job, f"copying {source.name}", lambda meter: _copy(source, kept, meter))


def _copy(source: Path, target: Path, meter: Meter) -> None:
    meter.total = source.stat().st_size
    with source.open("rb") as reading, target.open("wb") as writing:
        while piece := reading.read(4 * 1024 * 1024):
            writing.write(piece)
            meter.advance(len(piece))


def _into_place(staging: Path, place: Path) -> None:
    place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    staging.rename(place)
    file_manifest.flush(place.parent)


async def _check(job: StageJob, path: Path, disk_format: str) -> int | None:
    """Bytes that the machine sees of the disk. Raises ToolError for a disk that qemu-img finds damaged."""
    if disk_format not in disks.OPENED:
        return None
    job.progress(f"checking {path.name}")
    of_qemu = disks.of_qemu(disk_format)
    await qemu.check(path, of_qemu)
    return (await qemu.info(path, of_qemu)).virtual_size


async def _clouds(job: StageJob, made: Mapping[str, list[Made]], image: ImageVersion) -> list[Artifact]:
    """Tag the AMIs with what they are. Repeating it changes nothing."""
    if not any(one.location for all_of_it in made.values() for one in all_of_it):
        return []
    await job.wait_for_secrets()  # the credentials of the cloud may be among them
    environment = base_environment(job)
    found: list[Artifact] = []
    for build, all_of_it in made.items():
        for one in all_of_it:
            if not one.location:
                continue
            job.progress(f"tagging {one.location}")
            tags = {
                "ImageVersion": image.version,
                "ImageRole": image.role,
                "IngotRun": image.run,
                "IngotCommit": image.commit,
            }
            endpoint = packer.custom_endpoint(job.run.request.role, checkout_of(job), template_variables(environment))
            ami = await asyncio.to_thread(_tag, one.location, tags, environment, endpoint)
            job.say(f"Tagged {one.location}: {', '.join(f'{key}={value}' for key, value in tags.items())}")
            if job.run.request.role.seal.enabled:
                job.say(f"{one.location} cannot be opened here: what is left in it is seen when it is tested.")
            found.append(
                Artifact(
                    build=build,
                    format="ami",
                    location=one.location,
                    virtual_size=ami.volume_bytes,
                    account=ami.owner,
                )
            )
    return found


def _tag(location: str, tags: Mapping[str, str], environment: Mapping[str, str], endpoint: str) -> Ami:
    region, _, ami_id = location.partition(":")
    ec2 = Ec2(region, environment, endpoint)
    ami = ec2.ami(ami_id)
    ec2.tag(ami, tags)
    return ami


def _upstream(job: StageJob) -> UpstreamRecord:
    """As recorded before the builds; what the template found by itself is told by what Packer printed."""
    record = msgspec.convert(job.result("upstream")["record"], UpstreamRecord)
    if "ami" in record.details:
        make_sure_it_was_used(record, {build: job.result(f"build/{build}") for build in job.run.request.builds})
    if record.kind != "template":
        return record
    details: dict[str, str] = {}
    for build in job.run.request.builds:
        result = job.result(f"build/{build}")
        for key, name in (("source_image", "AMI"), ("media", "media")):
            if seen := shown(str(result.get(key) or "")):
                details[f"{name} of {build}"] = seen
    if not details:
        return record
    return replace(record, description=", ".join(dict.fromkeys(details.values())), details=details)


async def _tools(job: StageJob) -> dict[str, str]:
    """The versions of what had a hand in it."""
    request = job.run.request
    by_packer = str(job.result("validate").get("packer") or "")
    tools = {"ingot": __version__} | ({"packer": by_packer} if by_packer else {})
    asked: dict[str, list[str]] = {}
    if any(build.kind in ("qemu", "ansible") for build in request.role.builds if build.name in request.builds):
        asked["qemu"] = ["qemu-img", "--version"]
    if any(kind == "ansible" for kind in request.role.provisioners):
        asked["ansible"] = ["ansible", "--version"]
    for name, command in asked.items():
        try:
            answer = await process.run(command, env=base_environment(job), timeout=60)
        except ToolError:
            continue
        if found := re.search(r"\d+(?:\.\d+)+", answer.out.decode(errors="replace")):
            tools[name] = found[0]
    return tools
