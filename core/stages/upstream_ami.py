"""An upstream that is an AMI: the newest of a name, of owners that the workspace trusts, pinned for this run.

Anybody can publish an AMI under any name, a vendor's as well: the owner alone says whose it is.
"""

import asyncio
import time
from calendar import timegm
from collections.abc import Mapping, Sequence

from core.adapters import packer
from core.adapters.aws import Ec2, PublishedAmi
from core.errors import UpstreamError
from core.model.image import UpstreamRecord
from core.model.role import Upstream
from core.stages.environment import base_environment, checkout_of, template_variables
from core.stages.given import left_to_the_template
from core.stages.stage import StageJob
from core.stages.work import in_thread


async def from_ami(job: StageJob, upstream: Upstream) -> Mapping[str, object]:
    """Gives `ami` beside what every upstream gives. Raises UpstreamError, ToolError."""
    role = job.run.request.role
    if "ingot_upstream" not in role.declares:
        raise UpstreamError(
            f"The template {role.template} finds its AMI by itself: what Ingot chooses would not be what it builds on.",
            'Declare variable "ingot_upstream" in it, and set: source_ami = var.ingot_upstream (docs/templates.md).',
        )
    environment = base_environment(job)
    variables = template_variables(environment)
    endpoint = await asyncio.to_thread(packer.custom_endpoint, role, checkout_of(job), variables)
    region = upstream.region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    job.progress(f"looking for {upstream.name} of {', '.join(upstream.owners)}")
    ec2 = await asyncio.to_thread(Ec2, region, environment, endpoint)
    found = await in_thread(_published, ec2, upstream)
    try:
        chosen = newest_of(found, upstream, ec2.region, time.time())
    except UpstreamError as error:
        others = () if found else await in_thread(ec2.owners_of, upstream.name, upstream.architecture)
        if others:
            error.kept = f"Others have AMIs of that name: {', '.join(others)}. Anybody can publish under any name."
        raise
    details = {
        "ami": chosen.id,
        "name": chosen.name,
        "owner": chosen.owner,
        "created": chosen.created,
        "region": ec2.region,
        "architecture": chosen.architecture,
        "asked for": f"{upstream.name} of {', '.join(upstream.owners)}",
    }
    if chosen.alias:
        details["owner alias"] = chosen.alias
    record = UpstreamRecord("ami", f"{chosen.name} ({chosen.id})", "", f"owner {chosen.owner}", details=details)
    given = left_to_the_template(job, record, f"Of {chosen.owner}, created {chosen.created}.")
    return {**given, "ami": chosen.id}


def _published(ec2: Ec2, upstream: Upstream) -> list[PublishedAmi]:
    """What each of the owners has of that name. That EC2 gives no other is not left to EC2 alone."""
    found: list[PublishedAmi] = []
    for owner in upstream.owners:
        amis = ec2.published(upstream.name, owner=owner, architecture=upstream.architecture)
        found += [ami for ami in amis if owner in ("self", ami.owner, ami.alias)]
    return found


def newest_of(found: Sequence[PublishedAmi], upstream: Upstream, region: str, now: float) -> PublishedAmi:
    """The newest that can be built on: available, and not deprecated. Raises UpstreamError."""
    what = f"AMI named {upstream.name} in {region or 'this region'}"
    owners = " or ".join(upstream.owners)
    usable = [ami for ami in found if ami.state == "available" and not _is_over(ami.deprecated, now)]
    if usable:
        return max(usable, key=lambda ami: (ami.created, ami.id))
    if not found:
        raise UpstreamError(
            f"No {what} belongs to {owners}.",
            "Correct the name or the region in ingot.toml; add an owner only if you know that it is the vendor.",
        )
    last = max(found, key=lambda ami: (ami.created, ami.id))
    why = f"was deprecated on {last.deprecated[:10]}" if _is_over(last.deprecated, now) else f"is {last.state}"
    raise UpstreamError(
        f"No {what} of {owners} can be built on: the newest, {last.id}, {why}.",
        "Look for what the vendor publishes now, and correct the name in ingot.toml.",
    )


def make_sure_it_was_used(record: UpstreamRecord, results: Mapping[str, Mapping[str, object]]) -> None:
    """That the builds were made on the AMI that was chosen, as far as Packer said what it built on. `results` are what
    the builds gave, by their names. Raises UpstreamError."""
    for build, result in results.items():
        used = str(result.get("source_image") or "")
        if used and used != record.details.get("ami"):
            raise UpstreamError(
                f"{build} was built on {used}, and not on {record.details.get('ami')}, which was chosen for it.",
                "In the template, set: source_ami = var.ingot_upstream, without a source_ami_filter.",
                kept="What it made is not registered; its AMI is in your account.",
            )


def _is_over(date: str, now: float) -> bool:
    """Whether a time as EC2 writes it (`2026-11-14T10:00:00.000Z`) is past."""
    try:
        return bool(date) and timegm(time.strptime(date[:19], "%Y-%m-%dT%H:%M:%S")) <= now
    except ValueError:
        return True  # it has a date that we cannot read: not to be built on
