"""The first stage: reserves the version, makes the private clone at the commit, and completes it with what Git does
not hold.

Nothing of the user's working tree is built: only the commit, and the files that ingot.toml names as `outside`.
"""

import asyncio
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

from core import config, process
from core.adapters import galaxy
from core.adapters.git import GitRepository
from core.errors import RefusedError, ToolError, WorkspaceError
from core.model.pipeline import Purpose
from core.model.version import base_version
from core.stages.environment import NETWORK
from core.stages.stage import StageJob
from core.stages.work import alone, in_thread


async def carry_out(job: StageJob) -> Mapping[str, object]:
    """Gives `version`, `path` of the checkout, `outside` (names of files) and `galaxy` (a directory, or empty)."""
    request = job.run.request
    if request.purpose is not Purpose.BUILD:
        return await _of_image(job)
    source = GitRepository(Path(request.workspace.root))
    destination = job.directory / "checkout"
    job.progress("cloning the commit")
    clone = await in_thread(GitRepository.clone_at, source.root, request.commit, destination)
    job.progress("reserving the version")
    version = await in_thread(_reserve, job, clone)
    job.say(f"Version {version} of role {request.role.name}, from commit {request.commit[:12]} ({request.ref}).")
    if job.ledger.last_shared.state == "offline":
        job.say(
            f"The ledger's remote cannot be reached ({job.ledger.last_shared.reason}): others may take that version."
        )
    outside = await in_thread(copy_outside, source.root, destination, request.role.outside)
    for name in outside:
        job.say(f"From outside Git: {name}")
    installed = await _install_requirements(job, destination)
    return {
        "version": version,
        "path": str(destination),
        "outside": list(outside),
        "galaxy": str(installed or ""),
    }


async def _of_image(job: StageJob) -> Mapping[str, object]:
    """The commit for a run about an image version that there is: nothing is reserved, and what Git does not hold stays
    where it is: nothing is built."""
    request = job.run.request
    destination = job.directory / "checkout"
    job.progress("cloning the commit")
    await in_thread(GitRepository.clone_at, Path(request.workspace.root), request.commit, destination)
    job.version_reserved(request.version)
    job.say(f"{request.role.name} {request.version}, with what commit {request.commit[:12]} ({request.ref}) has.")
    return {"version": request.version, "path": str(destination), "outside": [], "galaxy": ""}


def _reserve(job: StageJob, clone: GitRepository) -> str:
    """The version string of this run's image; the one that an earlier attempt reserved, if there was one."""
    if job.run.version:
        return job.run.version
    request = job.run.request
    prefix = config.load(clone.root).tag_prefix
    wanted = base_version(clone.tags_at(request.commit), clone.describe(request.commit, prefix), prefix)
    version = job.ledger.reserve(request.role.name, wanted, job.run.uid, request.asked_by)
    job.version_reserved(version)  # at once: by it a cancelled run gives the reservation back
    return version


def copy_outside(root: Path, checkout: Path, names: tuple[str, ...]) -> list[str]:
    """Copy files that Git does not hold from the user's tree, private to the user; gives the names of all of them.

    Raises WorkspaceError for one that is missing, RefusedError for one that leads out of the tree.
    """
    copied: list[str] = []
    for name in names:
        source = root / name
        if not source.exists():
            raise WorkspaceError(
                f"{name} is not there: ingot.toml lists it under `outside` for this role.",
                f"Put it into {root}, or take it off the list.",
            )
        for file in sorted(source.rglob("*")) if source.is_dir() else [source]:
            if file.is_dir():
                continue
            # A link may lead anywhere, that is what people use it for here; the name itself may not.
            relative = os.path.relpath(os.path.normpath(file), root)
            target = checkout / relative
            if relative.startswith("..") or not target.parent.resolve().is_relative_to(checkout.resolve()):
                raise RefusedError(f"{name} leads out of the repository.", "Name files below the repository's root.")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.unlink(missing_ok=True)
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with file.open("rb") as reading, os.fdopen(descriptor, "wb") as writing:
                shutil.copyfileobj(reading, writing)
            target.chmod(0o700 if os.access(file, os.X_OK) else 0o600)
            copied.append(relative)
    return copied


async def _install_requirements(job: StageJob, checkout: Path) -> Path | None:
    """What Ansible Galaxy has to give, from the cache where the same requirements were installed before."""
    role = job.run.request.role
    if not role.playbooks and not any(kind.startswith("ansible") for kind in role.provisioners):
        return None
    files = galaxy.requirements(checkout, role.playbooks)
    if not files:
        return None
    if process.find("ansible-galaxy") is None:
        raise ToolError(
            f"{files[0].name} asks for Ansible roles or collections, and ansible-galaxy is not installed.",
            "Install Ansible (Debian: apt install ansible), then start the run again.",
        )
    key = galaxy.key(files)
    if not key:
        return await _install(job, files, checkout, job.directory / "galaxy")
    cached = job.places.cache / "galaxy" / key
    async with alone(job, cached.with_suffix(".lock"), "installs the same Ansible requirements"):
        if cached.is_dir():
            job.say(f"Ansible requirements: from the cache ({cached}).")
        else:
            part = await _install(job, files, checkout, cached.with_suffix(".part"))
            part.rename(cached)
    return cached


async def _install(job: StageJob, files: list[Path], checkout: Path, directory: Path) -> Path:
    await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)
    directory.mkdir(mode=0o700, parents=True)
    environment = galaxy.install_environment(directory, job.run.request.environment, NETWORK) | dict(job.secrets)
    for number, file in enumerate(files):
        job.progress(f"installing {file.relative_to(checkout.resolve())}")
        said: list[str] = []
        ended = await job.tool(
            f"galaxy-{number}",
            galaxy.install_arguments(file),
            cwd=file.parent,
            environment=environment,
            on_line=said.append,
        )
        if ended.code != 0:
            errors = [line for line in said if line.strip()]
            why = next((line for line in reversed(errors) if "ERROR" in line), errors[-1] if errors else "")
            raise ToolError(
                f"Ansible Galaxy could not install {file.relative_to(checkout.resolve())}: {why.strip()}",
                "Look at the network and at the versions that it names. What was installed once is used again offline.",
            )
    return directory
