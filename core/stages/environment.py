"""What the tools of a run get as their environment, and as Packer's variables: the same for validating and for
building."""

import asyncio
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from core import process
from core.adapters import ansible_events, galaxy, packer, qemu, ssh_keys
from core.adapters.packer import ON_ERROR_CLEAN_UP, Packer
from core.errors import ToolError
from core.model.passed_on import CERTIFICATES, PACKER
from core.model.role import Build, Role, Syntax
from core.stages.stage import StageJob

NETWORK = (
    "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", *CERTIFICATES,
)  # fmt: skip
"""What of the worker's own environment tools need to reach the network."""

_VARIABLE = "PKR_VAR_"

ANSIBLE: Final[dict[str, str]] = {
    "ANSIBLE_NOCOWS": "1",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_FORCE_COLOR": "0",
    "ANSIBLE_PIPELINING": "1",
    "ANSIBLE_RETRY_FILES_ENABLED": "0",
    "PYTHONUNBUFFERED": "1",  # a task is seen when it begins
}

SOCKET_ROOM = 70
"""Characters of a directory below which Packer's plugins can still make a socket (108 in all, unix(7))."""


class Preparation(msgspec.Struct, frozen=True):
    """How Packer is to be called for one build of the run."""

    packer: Packer
    build: Build
    role: Role
    checkout: Path
    directory: Path
    """From where Packer runs."""
    template: str
    """Relative to `directory`."""
    chosen: str
    """The `-only=…` option."""
    variable_files: tuple[str, ...]
    environment: dict[str, str]
    output: Path
    """Where templates that declare `ingot_output` put what they make; does not exist yet when Packer starts."""
    variables: dict[str, str] = msgspec.field(default_factory=dict[str, str])

    def arguments(self, command: str, pausing: Sequence[str] = ON_ERROR_CLEAN_UP) -> list[str]:
        return packer.arguments(self.packer, command, self.template, self.variable_files, self.chosen, pausing)


def checkout_of(job: StageJob) -> Path:
    return Path(str(job.result("checkout")["path"]))


def version_of(job: StageJob) -> str:
    return str(job.result("checkout")["version"])


def keys_of(job_directory: Path) -> Path:
    """Everything with a secret in it that the run makes: gone when it ends, however it ends."""
    return job_directory / "keys"


def base_environment(job: StageJob) -> dict[str, str]:
    """For any tool of the run: the small environment, what the request refers to, and the secrets (in memory only)."""
    return process.environment(
        extra={**dict(job.run.request.environment), **dict(job.secrets), "TMPDIR": str(private_tmp(job))}, keep=NETWORK
    )


def template_variables(environment: Mapping[str, str]) -> dict[str, str]:
    """What of an environment are values of a template's variables (`PKR_VAR_…`), by their names."""
    return {name.removeprefix(_VARIABLE): value for name, value in environment.items() if name.startswith(_VARIABLE)}


async def prepare(job: StageJob, build_name: str) -> Preparation:
    """Everything for calling Packer for this build. Repeating it gives the same. Raises ToolError, WorkspaceError."""
    request = job.run.request
    role, checkout = request.role, checkout_of(job)
    build = role.build(build_name)
    if build is None:
        raise ToolError(f"The role {role.name} has no build {build_name}.", "ingot roles shows what it has.")
    environment = process.environment(keep=PACKER) | base_environment(job)
    found = await packer.find(environment)
    private = keys_of(job.directory) / build_name
    output = job.directory / "output" / build_name
    offered = await _offered(job, build, private, output)
    variables = packer.variables_for(role, offered)
    directory = await asyncio.to_thread(packer.working_directory, checkout, role)
    variable_files = [os.path.relpath(checkout / file, directory) for file in role.variable_files]
    if role.syntax is Syntax.HCL2:
        environment |= {f"{_VARIABLE}{name}": value for name, value in variables.items()}
    else:
        # JSON templates do not look at PKR_VAR_…: what a person gave that way is put into the file as well.
        given = {name: environment[key] for name in role.declares if (key := f"{_VARIABLE}{name}") in environment}
        if values := {**given, **variables}:
            private.mkdir(mode=0o700, parents=True, exist_ok=True)
            variable_files.append(str(_write_private(private / "variables.json", packer.variables_file(values))))
    environment |= packer.QUIET | ANSIBLE
    environment |= {
        "PACKER_CACHE_DIR": str(job.places.cache / "packer"),
        "ANSIBLE_LOCAL_TEMP": str(private_tmp(job) / "ansible"),
    }
    installed = str(job.result("checkout").get("galaxy") or "")
    environment |= galaxy.search_paths(Path(installed) if installed else None, checkout, environment.get("HOME", ""))
    environment |= ansible_events.environment(
        environment,
        checkout,
        [checkout / "ansible", directory, *((checkout / playbook).parent for playbook in role.playbooks)],
    )
    # In a thread: a large template takes a second to parse, and the worker's loop has others to answer.
    job.add_secrets(await asyncio.to_thread(_secrets, job, checkout, variables))
    return Preparation(
        packer=found,
        build=build,
        role=role,
        checkout=checkout,
        directory=directory,
        template=os.path.relpath(checkout / role.template, directory),
        chosen=packer.only(build.name),
        variable_files=tuple(variable_files),
        environment=environment,
        output=output,
        variables=variables,
    )


async def _offered(job: StageJob, build: Build, private: Path, output: Path) -> dict[str, str]:
    """The values that Ingot has for a template that declares them; the key pair is made only for one that does."""
    upstream = job.result("upstream")
    role = job.run.request.role
    digest = str(upstream.get("digest") or "")
    offered = {
        "ingot_version": version_of(job),
        "ingot_commit": job.run.request.commit,
        "ingot_run": job.run.uid,
        "ingot_role": role.name,
        "ingot_upstream": str(upstream.get("path") or upstream.get("ami") or ""),
        "ingot_upstream_checksum": digest or "none",
        "ingot_output": str(output),
        "ingot_console": str(output.with_name(f"{output.name}.console")),
    }
    if not offered["ingot_upstream"]:
        # Templates give it a default for being run by hand; an empty value would hide that.
        del offered["ingot_upstream"], offered["ingot_upstream_checksum"]
    if "ingot_accelerator" in role.declares:
        offered["ingot_accelerator"] = await qemu.accelerator()
    if {"ingot_ssh_public_key", "ingot_ssh_private_key_file"} & set(role.declares):
        pair = await ssh_keys.make(private, f"ingot-{job.run.uid}-{build.name}")
        job.add_secrets([pair.private_file.read_text()])
        _keep_public_key(job, build.name, pair.public)
        offered["ingot_ssh_public_key"] = pair.public
        offered["ingot_ssh_private_key_file"] = str(pair.private_file)
    return offered


def _keep_public_key(job: StageJob, build: str, key: str) -> None:
    """The pair is gone after the build. By its public half the stage *prove* knows a key that was left in the image."""
    kept = job.directory / "public-keys" / f"{build}.pub"
    kept.parent.mkdir(mode=0o700, exist_ok=True)
    kept.write_text(f"{key}\n")


def _secrets(job: StageJob, checkout: Path, variables: Mapping[str, str]) -> list[str]:
    """Every value that the redactor of this stage has to know."""
    role = job.run.request.role
    given = {**job.run.request.environment, **job.secrets}
    named = [variables[name] for name in role.sensitive if name in variables]
    named += [value for name, value in template_variables(given).items() if name in role.sensitive]
    return [*job.secrets.values(), *named, *packer.sensitive_values(role, checkout)]


def private_tmp(job: StageJob) -> Path:
    """Where tools put what they write for a moment; scripts and variables of provisioners are among it."""
    directory = job.directory / "tmp"
    if len(str(directory)) > SOCKET_ROOM:
        directory = job.places.runtime / tmp_name(job.run.uid)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    return directory


def tmp_name(uid: str) -> str:
    return f"tmp-{hashlib.sha256(uid.encode()).hexdigest()[:12]}"


def _write_private(path: Path, content: bytes) -> Path:
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    return path
