"""What the machines of a test in EC2 are to be: as the template has the machine of the build, and as `[test.amazon]`
says."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from core.adapters.communicator import Account, communicator_of, list_setting, setting
from core.adapters.ssh_keys import KeyPair
from core.errors import RefusedError
from core.model.image import Artifact, ImageVersion
from core.model.machine import Jump, Login, Machine
from core.stages import cloud
from core.stages.environment import checkout_of, template_variables
from core.stages.stage import StageJob


class Plan(msgspec.Struct, frozen=True):
    """What the machines of one test are to be."""

    image: str
    """`web 0.1.0`"""
    ami: str
    machine: Machine
    """As far as it is known before there is one: port, login, jump host, region."""
    key: KeyPair
    subnet: str = ""
    security_groups: tuple[str, ...] = ()
    """Their ids; none: the test makes one."""
    address: str = ""
    """`public` or `private`, by which the machines are entered; empty: public where there is one."""
    public: bool | None = None
    """Whether they get a public address; None: as the subnet has it."""
    allow: tuple[str, ...] = ()
    """From where the test's own group lets SSH in."""


class NotEnteredError(RefusedError):
    """Machines of this build cannot be entered, so that a test could look at nothing."""


class Planned(msgspec.Struct, frozen=True):
    """The plan, and where it is carried out."""

    plan: Plan
    account: cloud.Account


def plan_of(job: StageJob, image: ImageVersion, artifact: Artifact, key: KeyPair, private: Path) -> Planned:
    """`private` is a directory for what opens a jump host. Reads the template: call it in a thread.

    Raises NotEnteredError where the machine of the build is not entered by SSH: then one of a test cannot be either.
    """
    role, checkout, settings = job.run.request.role, checkout_of(job), job.run.request.role.test.amazon
    build = role.build(job.stage.build)
    region, _, ami = artifact.location.partition(":")
    if build is None:
        raise RefusedError(f"The role {role.name} has no build {job.stage.build} any more.", "See: ingot roles")
    blank = Machine(job.run.uid, job.stage.key, build.name, build.kind, region=region)
    account = cloud.account_of(job.run, blank, checkout, job.secrets)
    variables = {**role.variables, **template_variables(account.environment)}
    said = communicator_of(role, checkout, variables, build)
    if said.type != "ssh":
        raise NotEnteredError(f"The machine of {build.name} is entered by {said.type}, and a test enters by SSH alone.")

    def told(name: str) -> str:
        return setting(role, checkout, variables, build, name)

    group = told("security_group_id")
    groups = list_setting(role, checkout, variables, build, "security_group_ids") or ((group,) if group else ())
    address = settings.address or {"public": "public", "privat": "private"}.get(said.interface[:6], "")
    gets = settings.address or ("public" if told("associate_public_ip_address") == "true" else "")
    jump: Jump | None = None
    if said.bastion is not None:
        login = _login(said.bastion.account, account.environment, private)
        job.add_secrets([said.bastion.account.password] if said.bastion.account.password else [])
        jump = Jump(said.bastion.host, said.bastion.port, login)
    machine = Machine(
        run_uid=job.run.uid,
        stage_key=job.stage.key,
        build=build.name,
        kind=build.kind,
        port=said.port,
        login=Login(settings.user or said.account.user or "root", key_files=(str(key.private_file),)),
        jump=jump,
        region=region,
        instance_type=settings.instance_type or said.instance_type,
        image=f"{image.role} {image.version}",
    )
    return Planned(
        Plan(
            image=f"{image.role} {image.version}",
            ami=ami,
            machine=machine,
            key=key,
            subnet=settings.subnet or told("subnet_id"),
            security_groups=settings.security_groups or groups,
            address=address,
            public={"public": True, "private": False}.get(gets),
            allow=settings.allow,
        ),
        account,
    )


def _login(account: Account, environment: Mapping[str, str], private: Path) -> Login:
    password = ""
    if account.password:
        private.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = private / "password.jump"
        file.unlink(missing_ok=True)
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as written:
            written.write(account.password)
        password = str(file)
    return Login(
        user=account.user,
        key_files=(account.key_file,) if account.key_file else (),
        password_file=password,
        agent=environment.get("SSH_AUTH_SOCK", "") if account.agent else "",
    )
