"""What the build starts from: had once, verified always, and recorded with how far it can be trusted.

Gives `path` of a file on this machine (empty where the template has its own way, or starts from an AMI, which is `ami`
then), its `digest`, `size` and `virtual_size`, and the `record` that the image version keeps. Nothing unverified gets
the name under which builds find it.
"""

from collections.abc import Mapping

from core.model.image import UpstreamRecord
from core.model.role import UpstreamKind
from core.stages.given import left_to_the_template
from core.stages.stage import StageJob
from core.stages.upstream_ami import from_ami
from core.stages.upstream_archive import from_archive
from core.stages.upstream_file import from_file
from core.stages.upstream_role import from_role


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Raises UpstreamError when it cannot be had or is not what was promised, SpaceError when it can never fit."""
    upstream = job.run.request.role.upstream
    match upstream.kind:
        case UpstreamKind.ROLE:
            return await from_role(job, upstream)
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
