"""An EC2 that is not Amazon's (cloud_machine.py) whose every instance is a machine of its own.

An instance has a public address of its own, 127.0.0.2 and on, all at one port. A machine lets in the key pair that its
instance was launched with and nobody else, and only if a security group of the instance lets somebody from here reach
that port when it boots. Starting, stopping and ending take their time, as in the real one; what moto leaves out of the
real one's rules is here where a boot test may run into it (`_Extension`).

Which machine it is depends on the AMI: without a disk it is an sshd that says what a test wants (stand_in_guest.py),
up at once; with a disk QEMU boots that, entered as root.
"""

import contextlib
import getpass
import ipaddress
import itertools
import threading
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cloud_guests import Boots, Guest, Launch, QuickGuest, RealGuest
from cloud_machine import REGION, Cloud, client, ec2_server
from ssh_machine import free_port
from stand_in_guest import Guests, guests

_ACCOUNT = "123456789012"
"""moto's."""
_CODES = {"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}
_SHOWN = 65_536
"""Bytes at the end of a console that EC2 gives."""
_NO_TOKEN = "ABCDE"
"""What moto takes for a client's token where there is none."""


@dataclass(frozen=True)
class BootingCloud(Cloud):
    """`source_ami` is what the cloud was made with."""

    guests: Guests
    """Tells the machines of AMIs without a disk what to be."""
    _extension: "_Extension" = field(repr=False)

    def register(self, name: str, disk: Path | None = None, disk_format: str = "qcow2") -> str:
        """Another AMI. The disk is as Ingot's artifacts have it (`qcow2`, `raw`)."""
        return self._extension.register(name, _boots(self.guests, disk, disk_format))

    def template(self, provisioners: str = "", settings: str = "") -> str:
        """Packer makes its own key pair and security group, and finds the address by itself."""
        return self.packer_template(provisioners, settings)

    def leftovers(self) -> list[str]:
        """Instances that have not ended, key pairs, and security groups that somebody made."""
        return [
            *(f"{name} is {state}" for name, state in self.states().items() if state != "terminated"),
            *self.names(),
        ]

    def machine(self, instance: str) -> Guest:
        return self._extension.machines[instance]


def _boots(told: Guests, disk: Path | None, disk_format: str) -> Boots:
    return lambda launch: QuickGuest(launch, told) if disk is None else RealGuest(launch, disk, disk_format)


@contextlib.contextmanager
def booting_cloud(place: Path, disk: Path | None = None, disk_format: str = "qcow2") -> Generator[BootingCloud]:
    """Started for a test, and gone after it with all its machines. `place` is made."""
    told = guests(place / "guests")
    extension = _Extension(place, free_port())
    with ec2_server() as endpoint, extension.at_work(endpoint):
        ami = extension.register("source", _boots(told, disk, disk_format))
        user = getpass.getuser() if disk is None else "root"
        yield BootingCloud(endpoint, extension.port, user, ami, told, extension)


class _Extension:
    """What moto lacks, while it is `at_work`.

    - Instances of known AMIs are machines, pending until they are switched on, shutting down until they are off; and so
      are those of the AMIs that are made of them.
    - The console is the machine's.
    - What is launched once more with the same client token is not launched again.
    - An AMI or a key pair that is not there is refused at once, and so is the removal of a security group in use.
    """

    def __init__(self, place: Path, port: int) -> None:
        self.port = port
        self.machines: dict[str, Guest] = {}
        """By their instances; those that have ended, too."""
        self._endpoint = ""
        self._place = place
        self._boots: dict[str, Boots] = {}
        self._addresses = itertools.count(2)
        self._tokens: dict[str, tuple[str, Any]] = {}
        self._doing: dict[str, threading.Thread] = {}
        self._launching = threading.Lock()

    def register(self, name: str, boots: Boots) -> str:
        ami: str = client(self._endpoint).register_image(Name=name)["ImageId"]
        backends: Any = import_module("moto.ec2.models").ec2_backends
        made = backends[_ACCOUNT][REGION].amis[ami]
        made.architecture, made.virtualization_type, made.root_device_type = "x86_64", "hvm", "ebs"
        self._boots[ami] = boots
        return ami

    @contextlib.contextmanager
    def at_work(self, endpoint: str) -> Generator[None]:
        self._endpoint = endpoint
        instances: Any = import_module("moto.ec2.models.instances")
        amis: Any = import_module("moto.ec2.models.amis").AmiBackend
        groups: Any = import_module("moto.ec2.models.security_groups").SecurityGroupBackend
        answers: Any = import_module("moto.ec2.responses.general").General
        changed = (
            (instances.InstanceBackend, "run_instances", self._run_instances),
            (instances.Instance, "start", self._start),
            (instances.Instance, "stop", self._stop),
            (instances.Instance, "terminate", self._terminate),
            (amis, "create_image", self._create_image),
            (groups, "delete_security_group", self._delete_group),
            (answers, "get_console_output", self._console),
        )
        with pytest.MonkeyPatch.context() as patch:
            for owner, name, instead in changed:
                patch.setattr(owner, name, _method(instead, getattr(owner, name)))
            try:
                yield
            finally:
                for thread in self._doing.values():
                    thread.join()
                for machine in self.machines.values():
                    machine.end()

    def _run_instances(
        self, original: Any, backend: Any, image_id: str, count: int, user_data: Any, groups: Any, **more: Any
    ) -> Any:
        errors: Any = import_module("moto.ec2.exceptions")
        token, asked = more["client_token"], repr((image_id, count, user_data, groups, more))
        with self._launching:
            if token in self._tokens and token != _NO_TOKEN:
                before, reservation = self._tokens[token]
                if before != asked:
                    raise errors.EC2ClientError("IdempotentParameterMismatch", "Another launch has this client token.")
                return reservation
            backend.describe_images(ami_ids=[image_id])
            if more["key_name"]:
                backend.describe_key_pairs(key_names=[more["key_name"]])
            reservation = original(backend, image_id, count, user_data, groups, **more)
            self._tokens[token] = asked, reservation
            if image_id in self._boots:
                for instance in reservation.instances:
                    self._launch(backend, instance)
            return reservation

    def _launch(self, backend: Any, instance: Any) -> None:
        address = f"127.0.0.{next(self._addresses)}"
        key = backend.key_pairs[instance.key_name].public_key.strip() if instance.key_name else ""
        launch = Launch(self._place / instance.id, instance.id, address, self.port, key)
        self.machines[instance.id] = self._boots[instance.image_id](launch)
        (card, *_) = instance.nics.values()
        public, card.public_ip = bool(card.public_ip), None
        # moto would make one up at every start.
        card.public_ip_auto_assign = False
        self._switch_on(instance, address if public else "")

    def _switch_on(self, instance: Any, address: str) -> None:
        def start() -> None:
            self.machines[instance.id].start(reachable=bool(address) and _lets_in(instance, self.port))
            instance.nics[0].public_ip = address or None

        self._in_background(instance, "pending", start, "running")

    def _in_background(self, instance: Any, meanwhile: str, do: Callable[[], None], then: str) -> None:
        """One after the other for each instance."""
        before = self._doing.get(instance.id)
        _is(instance, meanwhile)

        def work() -> None:
            if before is not None:
                before.join()
            try:
                do()
            except Exception:
                _is(instance, "terminated")
                raise
            if instance.state == meanwhile:  # else it is on its way to something else by now
                _is(instance, then)

        self._doing[instance.id] = threading.Thread(target=work)
        self._doing[instance.id].start()

    def _start(self, original: Any, instance: Any) -> Any:
        address = instance.nics[0].public_ip
        previous = original(instance)
        if instance.id in self.machines and previous.name == "stopped":
            self._switch_on(instance, address)
        return previous

    def _stop(self, original: Any, instance: Any) -> Any:
        previous = original(instance)
        if instance.id in self.machines:
            self._in_background(instance, "stopping", self.machines[instance.id].stop, "stopped")
        return previous

    def _terminate(self, original: Any, instance: Any) -> Any:
        previous = original(instance)
        if instance.id in self.machines and previous.name != "terminated":
            instance.nics[0].public_ip = None
            self._in_background(instance, "shutting-down", self.machines[instance.id].end, "terminated")
        return previous

    def _create_image(self, original: Any, backend: Any, instance_id: str, *given: Any, **named: Any) -> Any:
        made = original(backend, instance_id, *given, **named)
        if instance_id in self.machines:
            self._boots[made.id] = self.machines[instance_id].image()
        return made

    def _delete_group(self, original: Any, backend: Any, name: str | None = None, group_id: str | None = None) -> None:
        errors: Any = import_module("moto.ec2.exceptions")
        for instance in backend.all_instances():
            for group in instance.nics[0].group_set:
                if instance.state != "terminated" and (group.id == group_id or group.name == name):
                    raise errors.DependencyViolationError(f"resource {group.id} has a dependent object")
        original(backend, name, group_id)

    def _console(self, original: Any, answer: Any) -> Any:
        instance = answer.ec2_backend.get_instance(answer._get_param("InstanceId"))
        if instance.id not in self.machines:
            return original(answer)
        text: Any = import_module("moto.core.types").Base64EncodedString
        result: Any = import_module("moto.core.responses").ActionResult
        said = self.machines[instance.id].console()[-_SHOWN:]
        shown = {"Output": text.from_raw_string(said)} if said else {}
        return result({"InstanceId": instance.id, "Timestamp": instance.launch_time, **shown})


def _method(instead: Any, original: Any) -> Any:
    def method(of: Any, *given: Any, **named: Any) -> Any:
        return instead(original, of, *given, **named)

    return method


def _is(instance: Any, state: str) -> None:
    instance._state.name, instance._state.code = state, _CODES[state]


def _lets_in(instance: Any, port: int) -> bool:
    """A security group of the instance lets somebody on this host reach the port."""
    here = ipaddress.ip_address("127.0.0.1")
    return any(
        rule.cidr_ipv4 and here in ipaddress.ip_network(rule.cidr_ipv4)
        for group in instance.nics[0].group_set
        for rule in group.ingress_rules
        if rule.ip_protocol == "-1" or (rule.ip_protocol == "tcp" and rule.from_port <= port <= rule.to_port)
    )
