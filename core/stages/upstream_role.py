"""An upstream that is another role's image: the newest that may be built on, or why there is none."""

import asyncio
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from core.errors import UpstreamError
from core.model.decided import Decided
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord, may_become_good
from core.model.role import DISK_BUILDERS, Role, Upstream
from core.model.states import Verdict, by_whom
from core.stages.given import given, left_to_the_template, verified_again
from core.stages.stage import StageJob

DISKS = frozenset({"qcow2", "raw", "vmdk", "vhd"})
_TOLD = 3
"""How many images a refusal tells about."""

ArtifactOf = Callable[[ImageVersion], Artifact | None]
"""What of an image version can be built on here."""


async def from_role(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
    """Raises UpstreamError."""
    job.progress(f"looking for an image of {upstream.role}")
    request = job.run.request
    contents = await asyncio.to_thread(job.ledger.read)
    image, artifact = chosen(
        [image for image in contents.images if image.role == upstream.role],
        contents.decided,
        upstream,
        request.parent_run,
        lambda image: ami_of(image) if _wants_ami(request.role, request.builds) else disk_of(image),
        time.time(),
    )
    name = f"{image.role} {image.version}"
    state = contents.decided.effective((image.role, image.version), time.time()).state
    job.say(f"{name} is {state.value}{', made for this' if image.run == request.parent_run else ''}.")
    details = {"commit": image.commit, "run": image.run, "build": artifact.build, "state": state.value}
    if artifact.format == "ami":
        region, _, ami = artifact.location.partition(":")
        details |= {"ami": ami, "region": region}
        record = UpstreamRecord("role", name, "", "ledger", image.role, image.version, details)
        return {**left_to_the_template(job, record, f"It is {artifact.location}."), "ami": ami}
    path = Path(artifact.location)
    digest = await verified_again(job, path, artifact.digest, name)
    record = UpstreamRecord("role", name, f"sha256:{digest}", "ledger", image.role, image.version, details)
    return {**await given(job, path, record), "format": artifact.format}


def chosen(
    images: Sequence[ImageVersion],
    decided: Decided,
    upstream: Upstream,
    parent_run: str,
    artifact_of: ArtifactOf,
    now: float,
) -> tuple[ImageVersion, Artifact]:
    """The image version to build on, of those of the parent: the one that `parent_run` made for this very run, which
    need not be tested yet, else the newest in one of the states that are taken.

    Nothing that is revoked, by itself or with what it is built on, nothing of which that cannot be told, and nothing
    whose newest tests failed. Raises UpstreamError that says what there is instead, and what to do.
    """
    role = upstream.role
    newest_first = sorted(images, key=lambda image: image.created, reverse=True)
    if not newest_first:
        raise UpstreamError(
            f"It is built on {role}, and there is no image of {role} yet.", f"Build it first: ingot build {role}"
        )
    made_for_this = [image for image in newest_first if parent_run and image.run == parent_run]
    reasons: list[str] = []
    for image in made_for_this or newest_first:
        reason = _why_not(image, decided, upstream.built_on, bool(made_for_this), now)
        if not reason and (artifact := artifact_of(image)):
            return image, artifact
        reasons.append(f"{image.version} {reason or _elsewhere(image)}")
    more = f"; and {len(reasons) - _TOLD} more" if len(reasons) > _TOLD else ""
    raise UpstreamError(
        f"It is built on {role}, and no image of {role} can be built on: {'; '.join(reasons[:_TOLD])}{more}.",
        _next_step(made_for_this or newest_first, decided, upstream, now),
    )


def _why_not(
    image: ImageVersion, decided: Decided, takes: Sequence[ImageState], made_for_this: bool, now: float
) -> str:
    """In words that follow the version; empty where it may be built on."""
    key = (image.role, image.version)
    for one in (key, *decided.ancestors(key)):
        if one in decided.unreadable:
            return f"may be revoked: what was decided about {one[0]} {one[1]} cannot be read"
    effective = decided.effective(key, now)
    if effective.state is ImageState.REVOKED:
        by = f" {by_whom(effective.because)}" if effective.because else ""
        return f"is built on {effective.inherited}, which is revoked{by}" if effective.inherited else f"is revoked{by}"
    if effective.verdict is Verdict.FAILED:
        return "failed its newest tests"
    if made_for_this or effective.state in takes:
        return ""
    if effective.state is not ImageState.CANDIDATE:
        return f"is {effective.state.value}"
    return "is a candidate" + (", and was touched by hand" if may_become_good(image) else "")


def _next_step(images: Sequence[ImageVersion], decided: Decided, upstream: Upstream, now: float) -> str:
    role = upstream.role
    for image in images:
        effective = decided.effective((image.role, image.version), now)
        if effective.verdict is Verdict.FAILED:
            return f"Look at what failed: ingot tests {role} {image.version}. Mend it, then: ingot build {role}"
        if effective.state is ImageState.CANDIDATE and may_become_good(image):
            continue
        if effective.state is ImageState.CANDIDATE and ImageState.CANDIDATE not in upstream.built_on:
            takes = ", ".join(f'"{state.value}"' for state in (ImageState.CANDIDATE, *upstream.built_on))
            return (
                f"Test it first: ingot test {role} {image.version}. To build on what is not tested, "
                f"say so in ingot.toml: takes = [{takes}]"
            )
        if effective.state in upstream.built_on:
            return f"Build it here: ingot build {role}"
    return f"Build it again: ingot build {role}"


def disk_of(image: ImageVersion) -> Artifact | None:
    """Its disk on this machine."""
    host = socket.gethostname()
    for artifact in image.artifacts:
        if artifact.format in DISKS and artifact.host in ("", host) and Path(artifact.location).is_file():
            return artifact
    return None


def ami_of(image: ImageVersion) -> Artifact | None:
    """Its AMI."""
    return next((artifact for artifact in image.artifacts if artifact.format == "ami"), None)


def _wants_ami(role: Role, builds: Sequence[str]) -> bool:
    """Whether all that is built is made in EC2, from an AMI."""
    kinds = [build.kind for build in role.builds if build.name in builds]
    return any(kind.startswith("amazon-") for kind in kinds) and not DISK_BUILDERS & set(kinds)


def _elsewhere(image: ImageVersion) -> str:
    hosts = sorted({artifact.host for artifact in image.artifacts if artifact.host not in ("", socket.gethostname())})
    where = f" (it is on {', '.join(hosts)})" if hosts else ""
    return f"has nothing that can be built on from this machine{where}"
