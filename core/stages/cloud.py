"""The machines that a build or a test has in a cloud: found again, and ended with all that was made for them.

Needed where Packer no longer does it for its own: it let go of the machine (its `abort`), or it was killed; and where
a test was killed, or kept its machine (core/stages/booting_cloud.py).
"""

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import process
from core.adapters import packer
from core.adapters.aws import Ec2, Instance
from core.adapters.communicator import communicator_of
from core.errors import IngotError
from core.model.machine import Machine
from core.model.run import Run
from core.stages.environment import NETWORK, template_variables
from core.store.logs import LogReader

_CLOCKS_DIFFER = 600.0
"""Seconds by which this machine's clock may be ahead of the cloud's."""
_GROUP_IS_FREE_AFTER = (2.0, 5.0, 10.0)
"""Seconds between tries to remove a security group."""
TAG_RUN, TAG_STAGE = "IngotRun", "IngotStage"
"""What a test tags with the run's uid and the stage's key: all that it makes."""
_LOOKED_AT = 5_000
"""Lines of a build's log in which Packer has said what it made: it does so before anything of ours runs there."""
_INSTANCE = re.compile(r"Instance ID: (i-[0-9a-f]{8,17})\b")
_KEY_PAIR = re.compile(r"Creating temporary keypair: (packer_[0-9A-Za-z-]+)")
_SECURITY_GROUP = re.compile(r"Creating temporary security group for this instance: (packer_[0-9A-Za-z-]+)")
_OTHERS_SPEAK = re.compile(r"Connected to SSH!|Connected to WinRM!|Provisioning with |Running local shell script")


class Made(msgspec.Struct, frozen=True):
    """What Packer said that it made in the cloud."""

    instances: tuple[str, ...] = ()
    key_pairs: tuple[str, ...] = ()
    security_groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Account:
    """Where it is, and with what one is let in."""

    region: str
    endpoint: str
    environment: Mapping[str, str] = field(repr=False)

    def ec2(self) -> Ec2:
        return Ec2(self.region, self.environment, self.endpoint)


def account_of(run: Run, machine: Machine, checkout: Path | None, secrets: Mapping[str, str]) -> Account:
    """By the run's references to credentials, never the worker's own. Reads the template: call it in a thread."""
    environment = process.environment(extra={**dict(run.request.environment), **secrets}, keep=NETWORK)
    variables = template_variables(environment)
    region, endpoint = machine.region, ""
    if checkout is not None and checkout.is_dir():
        role = run.request.role
        build = role.build(machine.build)
        said = communicator_of(role, checkout, variables, build) if build else None
        region = region or (said.region if said else "")
        endpoint = (said.endpoint if said else "") or packer.custom_endpoint(role, checkout, variables)
    region = region or environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""
    return Account(region, endpoint, environment)


def made(log: Path) -> Made:
    """What Packer's log says. Only what it said before anything else could speak in it counts: a script that prints
    `Instance ID: …` must not end a machine of somebody else's."""
    found: dict[re.Pattern[str], list[str]] = {_INSTANCE: [], _KEY_PAIR: [], _SECURITY_GROUP: []}
    try:
        reader = LogReader(log)
        reader.refresh()
        lines = reader.read(0, _LOOKED_AT)
    except (IngotError, OSError):
        return Made()
    for line in lines:
        said = line.raw.decode(errors="replace")
        before = _OTHERS_SPEAK.search(said)
        said = said[: before.start()] if before else said
        for pattern, names in found.items():
            names += [name for name in pattern.findall(said) if name not in names]
        if before:
            break
    return Made(tuple(found[_INSTANCE]), tuple(found[_KEY_PAIR]), tuple(found[_SECURITY_GROUP]))


def is_of_test(machine: Machine) -> bool:
    """Ingot launched it itself, and not Packer."""
    return machine.stage_key.startswith("test/")


def name_of_test(run_uid: str, stage_key: str) -> str:
    """Of the key pair and the security group that the machines of a test have.

    >>> name_of_test("20261121-1a2b", "test/amazon-ebs.web")
    'ingot-20261121-1a2b-test-amazon-ebs.web'
    """
    return f"ingot-{run_uid}-{re.sub(r'[^A-Za-z0-9._-]', '-', stage_key)}"


def _made(machine: Machine, log: Path) -> Made:
    """What was made for a machine; a test's log has nothing to say of it, as anything may print there."""
    if not is_of_test(machine):
        return made(log)
    name = name_of_test(machine.run_uid, machine.stage_key)
    return Made((), (name,), (name,))


def with_instance(machine: Machine, log: Path) -> Machine:
    """The machine with its id, where only the log knows that."""
    ids = _made(machine, log).instances
    return replace(machine, instance=ids[-1]) if ids and not machine.instance else machine


def living(ec2: Ec2, run: Run, machine: Machine, log: Path) -> list[Instance]:
    """The instances of this build or test that have not ended: by its id, by what Packer's log says, by the run's id in
    a tag. Under which name a template tags with that nobody knows; a test tags with both of ours.

    One that was launched before the run began is somebody else's, whoever says what. Blocking. Raises ToolError.
    """
    ids = dict.fromkeys((*((machine.instance,) if machine.instance else ()), *_made(machine, log).instances))
    found = [instance for one in ids if (instance := ec2.instance(one)) is not None]
    # Who launches a machine of the AMI may give it the AMI's tags, and the uid of the run that made it among them.
    stage = machine.stage_key if is_of_test(machine) else None
    found += [one for one in ec2.instances_tagged(run.uid) if one.id not in ids and one.tags.get(TAG_STAGE) == stage]
    begun = (run.started or run.created) - _CLOCKS_DIFFER
    return [one for one in found if not one.ended and one.launched >= begun]


def remove_rest(ec2: Ec2, machine: Machine, log: Path) -> list[str]:
    """The key pair and the security group that were made for the machine: once that has ended. Gives what is left and
    why. Blocking."""
    left: list[str] = []
    named = _made(machine, log)
    for name in named.key_pairs:
        try:
            ec2.remove_key_pair(name)
        except IngotError as error:
            left.append(error.what)
    for name in named.security_groups:
        try:
            _remove_group(ec2, name)
        except IngotError as error:
            left.append(error.what)
    return left


def _remove_group(ec2: Ec2, name: str) -> None:
    """EC2 lets go of a group some seconds after the machine that had it has ended."""
    for wait in _GROUP_IS_FREE_AFTER:
        try:
            return ec2.remove_security_group(name)
        except IngotError:
            time.sleep(wait)
    return ec2.remove_security_group(name)
