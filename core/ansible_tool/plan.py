"""What the program is told, and how it ends."""

from enum import IntEnum
from pathlib import Path

import msgspec

from core.adapters.firmware import Firmware
from core.adapters.ssh_keys import KeyPair
from core.adapters.test_machine import Guest
from core.model.machine import Login, Machine

VARIABLES = "INGOT_ANSIBLE_VARIABLES"
"""Environment variable with the playbook's variables as JSON: secrets may be among them."""


class Ended(IntEnum):
    """Exit status."""

    GOOD = 0
    FAILED = 10
    """A task failed, and the machine was cleaned up."""
    CHANGES = 11
    """The second run of the playbook changed something."""
    MACHINE = 12
    """The machine did not come up, or ended by itself, or does not end."""
    KEPT = 13
    """A task failed, and the machine goes on."""


class Plan(msgspec.Struct, frozen=True):
    """Everything but secrets."""

    build: str
    run_uid: str
    host: str
    """What the machine is called in the inventory."""
    checkout: str
    playbook: str
    private: str
    """A directory for what only this program needs."""
    directory: str
    """The machine's own: its overlay among it."""
    disk: str
    """What it boots, and never writes to."""
    disk_format: str
    disk_size: str
    private_key: str
    public_key: str
    known_hosts: str
    user: str
    memory: int
    cpus: int
    accelerator: str
    firmware: Firmware | None
    """Of its machine; None is QEMU's own BIOS."""
    idempotent: bool
    asks: bool
    """A failed task asks what to do; else the machine is cleaned up."""

    @property
    def guest(self) -> Guest:
        return Guest(
            directory=Path(self.directory),
            name=f"{self.run_uid}-{self.build}",
            disk=Path(self.disk),
            disk_format=self.disk_format,
            key=KeyPair(Path(self.private_key), self.public_key),
            user=self.user,
            memory=self.memory,
            cpus=self.cpus,
            accelerator=self.accelerator,
            firmware=self.firmware,
        )

    def machine(self, port: int) -> Machine:
        return Machine(
            run_uid=self.run_uid,
            stage_key=f"build/{self.build}",
            build=self.build,
            kind="qemu",
            host="127.0.0.1",
            port=port,
            login=Login(user=self.user, key_files=(self.private_key,)),
            known_hosts=self.known_hosts,
        )
