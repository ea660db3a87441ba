"""What the build starts from: had once, verified always, and recorded with how far it can be trusted.

Gives `path` of a file on this machine (empty where the template has its own way), its `digest`, `size` and
`virtual_size`, and the `record` that the image version keeps. Nothing unverified gets the name under which builds find
it.
"""

import asyncio
import socket
from collections.abc import Mapping
from pathlib import Path

from core.errors import UpstreamError
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.role import Upstream, UpstreamKind
from core.stages.given import given, left_to_the_template, verified_again
from core.stages.stage import StageJob
from core.stages.upstream_ami import from_ami
from core.stages.upstream_archive import from_archive
from core.stages.upstream_file import from_file

USABLE = frozenset({ImageState.CANDIDATE, ImageState.GOOD, ImageState.RELEASED})
"""States of an image version that may be built on."""
DISKS = frozenset({"qcow2", "raw", "vmdk", "vhd"})


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Raises UpstreamError when it cannot be had or is not what was promised, SpaceError when it can never fit."""
    upstream = job.run.request.role.upstream
    match upstream.kind:
        case UpstreamKind.ROLE:
            return await _from_role(job, upstream)
        case UpstreamKind.FILE:
            return await from_file(job, upstream)
        case UpstreamKind.ARCHIVE:
            return await from_archive(job, upstream)
        case UpstreamKind.AMI:
            return await from_ami(job, upstream)
        case UpstreamKind.TEMPLATE:
            return left_to_the_template(
                job, UpstreamRecord("template", "found by the template itself"), "It is recorded as unverified."
            )


async def _from_role(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
    job.progress(f"looking for an image of {upstream.role}")
    images = await asyncio.to_thread(job.ledger.images)
    image, artifact = newest_here(images, upstream.role, job.run.request.parent_run)
    path = Path(artifact.location)
    digest = await verified_again(job, path, artifact.digest, f"{image.role} {image.version}")
    record = UpstreamRecord(
        kind="role",
        description=f"{image.role} {image.version}",
        digest=f"sha256:{digest}",
        verified="ledger",
        role=image.role,
        version=image.version,
        details={"commit": image.commit, "run": image.run, "build": artifact.build},
    )
    return await given(job, path, record)


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
