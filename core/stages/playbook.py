"""How a playbook is to be run for a build by Ansible: its variables, environment and keys, and the plan of its
machine."""

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec

from core.adapters import ansible, ansible_events, galaxy, qemu, ssh_keys, test_machine
from core.ansible_tool.plan import Plan
from core.errors import ToolError
from core.model.ansible_build import AnsibleBuild
from core.model.role import Build, Role
from core.stages.disks import of_qemu
from core.stages.environment import (
    ANSIBLE,
    base_environment,
    checkout_of,
    keys_of,
    private_tmp,
    version_of,
)
from core.stages.stage import StageJob

PREFIXES: Final = ("INGOT_VAR_", "PKR_VAR_")
"""How the environment of who asks for a build names the values of the role's sensitive variables."""


@dataclass(frozen=True, slots=True)
class Playbook:
    """One playbook of one build."""

    build: Build
    role: Role
    settings: AnsibleBuild
    checkout: Path
    output: Path
    environment: dict[str, str]
    key_file: Path
    public_key: str
    known_hosts: Path
    variables: str = field(repr=False)
    """JSON; with secrets."""

    async def plan(self, job: StageJob, *, asks: bool) -> Path:
        """The file that tells the program what to do."""
        upstream = job.result("upstream")
        disk = Path(str(upstream.get("path") or ""))
        if not disk.is_file():
            raise ToolError(
                f"{self.role.name} is built by Ansible, and its upstream is no disk on this machine.",
                "Say in ingot.toml what it is built on: [roles.NAME.upstream] (docs/workspace.md).",
            )
        # A vendor's disk says what it is; one that a machine of ours wrote to is what it was registered as.
        info = await qemu.info(disk, of_qemu(str(upstream.get("format") or "")))
        disk_format = {"vpc": "vhd"}.get(info.format, info.format)
        plan = Plan(
            build=self.build.name,
            run_uid=job.run.uid,
            host=self.role.name,
            checkout=str(self.checkout),
            playbook=self.settings.playbook,
            private=str(private_tmp(job) / "runner"),
            directory=str(self.output / "machine"),
            disk=str(disk),
            disk_format=disk_format,
            disk_size=self.settings.disk_size,
            private_key=str(self.key_file),
            public_key=self.public_key,
            known_hosts=str(self.known_hosts),
            user=self.settings.user,
            memory=self.settings.memory,
            cpus=self.settings.cpus,
            accelerator=await qemu.accelerator(),
            firmware=await test_machine.firmware_of(disk, disk_format),
            idempotent=self.settings.idempotent,
            asks=asks,
        )
        file = self.known_hosts.with_name("plan.json")
        file.write_bytes(msgspec.json.encode(plan))
        return file


async def prepare(job: StageJob, build_name: str) -> Playbook:
    """Everything for running the playbook of this build. Repeating it gives the same. Raises ToolError."""
    role, checkout = job.run.request.role, checkout_of(job)
    build, settings = role.build(build_name), role.ansible
    if build is None or settings is None:
        raise ToolError(f"The role {role.name} has no build {build_name} by Ansible.", "ingot roles shows what it has.")
    private = keys_of(job.directory) / build_name
    pair = await ssh_keys.make(private, f"ingot-{job.run.uid}-{build_name}")
    environment = base_environment(job) | ANSIBLE
    secrets = _sensitive(role, environment)
    for name in [name for name in environment if name.startswith(PREFIXES)]:
        del environment[name]  # the playbook has them as variables; its tasks need them nowhere else
    tmp = private_tmp(job)
    environment |= {
        "ANSIBLE_LOCAL_TEMP": str(tmp / "ansible"),
        "ANSIBLE_SSH_CONTROL_PATH_DIR": str(tmp / "cp"),
        "ANSIBLE_DIFF_ALWAYS": "1",
    }
    if file := ansible.configuration(checkout, settings.playbook):
        environment["ANSIBLE_CONFIG"] = str(file)
    installed = str(job.result("checkout").get("galaxy") or "")
    environment |= galaxy.search_paths(Path(installed) if installed else None, checkout, environment.get("HOME", ""))
    environment |= ansible_events.environment(environment, checkout, [(checkout / settings.playbook).parent])
    job.add_secrets([pair.private_file.read_text(), *secrets.values()])
    output = job.directory / "output" / build_name
    output.mkdir(mode=0o700, parents=True, exist_ok=True)
    values: dict[str, str] = {
        **role.variables,
        "ingot_version": version_of(job),
        "ingot_commit": job.run.request.commit,
        "ingot_run": job.run.uid,
        "ingot_role": role.name,
        **secrets,
    }
    return Playbook(
        build=build,
        role=role,
        settings=settings,
        checkout=checkout,
        output=output,
        environment=environment,
        key_file=pair.private_file,
        public_key=pair.public,
        known_hosts=private / "known_hosts",
        variables=json.dumps(values),
    )


def _sensitive(role: Role, environment: dict[str, str]) -> dict[str, str]:
    found = {
        name: next((environment[key] for prefix in PREFIXES if (key := f"{prefix}{name}") in environment), None)
        for name in role.sensitive
    }
    return {name: value for name, value in found.items() if value is not None}
