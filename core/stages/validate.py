"""Asks Packer whether the template is right, with the values that the build will have; installs its plugins before
that."""

import os
from collections.abc import Mapping

from core import process
from core.adapters import packer
from core.errors import ToolError, WorkspaceError
from core.model.role import Syntax
from core.stages import validate_playbook
from core.stages.environment import Preparation, prepare
from core.stages.stage import StageJob
from core.stages.work import alone


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Gives `packer`, its version. Raises WorkspaceError for a template that is not right, ToolError for a Packer that
    is not."""
    version = ""
    role = job.run.request.role
    if role.ansible is not None:
        return await validate_playbook.carry_out(job)
    for number, build in enumerate(job.run.request.builds):
        preparation = await prepare(job, build)
        version = preparation.packer.version_text
        if number == 0:
            job.say(f"Packer {version} at {preparation.packer.program}, run in {_inside(preparation)}.")
            await _install_plugins(job, preparation)
        await _validate(job, preparation)
    return {"packer": version}


async def _install_plugins(job: StageJob, preparation: Preparation) -> None:
    role, found = preparation.role, preparation.packer
    if not role.requires_plugins:
        return
    if not found.has_init:
        raise ToolError(
            f"{role.template} has required_plugins, which Packer {found.version_text} does not know (since 1.7).",
            "Install a newer Packer: developer.hashicorp.com/packer/install",
        )
    if role.syntax is not Syntax.HCL2:
        return
    async with alone(job, job.places.cache / "packer-init.lock", "installs Packer's plugins"):
        job.progress("installing Packer's plugins")
        ended = await job.tool(
            "init",
            packer.arguments(found, "init", preparation.template),
            cwd=preparation.directory,
            environment=preparation.environment,
            on_line=(said := list[str]()).append,
        )
    if ended.code != 0:
        why = next((line for line in reversed(said) if line.strip()), "")
        raise ToolError(
            f"Packer could not install the plugins of {role.template}: {why.strip()}",
            "Look at the network. A PACKER_GITHUB_API_TOKEN lifts GitHub's limit on requests.",
        )


async def _validate(job: StageJob, preparation: Preparation) -> None:
    job.progress(f"validating {preparation.role.template} for {preparation.build.name}")
    # Not under a holder: it makes nothing, so it is ended with the worker and simply done again.
    ended = await process.run(
        preparation.arguments("validate"),
        cwd=preparation.directory,
        env={**preparation.environment, "INGOT_RUN": job.run.uid},
    )
    said = (ended.out + ended.err).decode(errors="replace").splitlines()
    for line in said:
        job.say(line)
    if ended.code == 0:
        return
    found = packer.problems("\n".join(said), preparation.checkout, preparation.directory)
    if not found:
        last = next((line for line in reversed(said) if line.strip()), f"exit status {ended.code}")
        raise WorkspaceError(
            f"Packer does not accept {preparation.role.template}: {last.strip()}", "The log has all of it."
        )
    first = found[0]
    where = first.path or preparation.role.template
    place = f"{where}:{first.line}" if first.line else where
    sentence = first.reason if first.reason.endswith(("?", ".")) else f"{first.reason}."
    others = f" There are {len(found) - 1} more." if len(found) > 1 else ""
    raise WorkspaceError(
        f"{place}: {sentence}{others}", "Correct it, commit, and build again. The log has Packer's words."
    )


def _inside(preparation: Preparation) -> str:
    relative = os.path.relpath(preparation.directory, preparation.checkout)
    return "the repository's root" if relative == "." else relative
