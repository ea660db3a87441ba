"""What the instances of a cloud are in tests: machines that can be switched on and off (booting_cloud.py)."""

import asyncio
import contextlib
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cloud_machine import host_key_shown
from ssh_machine import SshMachine
from stand_in_guest import Guests

from core.adapters import qemu, test_machine
from core.adapters.ssh_keys import KeyPair

_POWER_DOWN = 180.0
"""Seconds that a machine has to end by itself."""


@dataclass(frozen=True)
class Launch:
    """What a machine is started with."""

    place: Path
    """A directory of its own, not there yet."""
    name: str
    address: str
    port: int
    public_key: str
    """Empty where the instance has no key pair."""


class Guest(Protocol):
    """One that can be switched on and off."""

    def start(self, *, reachable: bool) -> None: ...

    def stop(self) -> None:
        """It may be started again."""
        ...

    def end(self) -> None:
        """For good, at once, and more than once."""
        ...

    def console(self) -> str: ...

    def image(self) -> "Boots":
        """Of one that is stopped."""
        ...


Boots = Callable[[Launch], Guest]
"""An AMI: makes the machine of an instance."""


class QuickGuest:
    """An sshd of this host, as whoever runs the tests, with host keys of its own."""

    def __init__(self, launch: Launch, told: Guests) -> None:
        self._sshd = SshMachine(launch.place, launch.port, launch.address)
        self._sshd.authorized.write_text(f"{launch.public_key}\n")
        self._told = told
        self._settings = (
            told.forced(launch.place, launch.address.rpartition(".")[2]),
            "PubkeyAcceptedAlgorithms +ssh-rsa",  # old Packers sign so
        )
        self._said = ""

    def start(self, *, reachable: bool) -> None:
        self._said = "booting\r\n"
        if not self._told.silent:
            self._said += host_key_shown(self._sshd.host)
            if reachable:
                self._sshd.start(*self._settings)

    def stop(self) -> None:
        self._sshd.stop()

    def end(self) -> None:
        self.stop()

    def console(self) -> str:
        return self._said

    def image(self) -> Boots:
        return lambda launch: QuickGuest(launch, self._told)


class RealGuest:
    """A virtual machine on a disk, which stays as it is. It has the key from its firmware and from a NoCloud seed, as
    another has it from the cloud's metadata service."""

    def __init__(self, launch: Launch, disk: Path, disk_format: str) -> None:
        self._launch = launch
        self._guest = test_machine.Guest(
            directory=launch.place,
            name=launch.name,
            disk=disk,
            disk_format=disk_format,
            key=KeyPair(Path("/nobody/has/it"), launch.public_key),
            user="root",
            memory=1024,
            cpus=2,
            accelerator=asyncio.run(qemu.accelerator()),
        )
        self._running: subprocess.Popen[bytes] | None = None

    def start(self, *, reachable: bool) -> None:
        if not self._guest.overlay.exists():
            asyncio.run(test_machine.prepare(self._guest))
        forwarded = f",hostfwd=tcp:127.0.0.1:{self._launch.port}-:22"
        there = forwarded.replace("127.0.0.1", self._launch.address) if reachable else ""
        words = [*test_machine.arguments(self._guest, self._launch.port), "-monitor", "stdio"]
        assert sum(forwarded in word for word in words) == 1
        with (self._guest.directory / "qemu.log").open("wb") as log:
            self._running = subprocess.Popen(
                [word.replace(forwarded, there) for word in words],
                stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip

    def stop(self) -> None:
        if self._running is not None:
            assert self._running.stdin is not None
            self._running.stdin.write(b"system_powerdown\n")
            self._running.stdin.flush()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._running.wait(_POWER_DOWN)
            self._switch_off()

    def end(self) -> None:
        self._switch_off()
        self._guest.overlay.unlink(missing_ok=True)

    def _switch_off(self) -> None:
        if self._running is not None:
            with self._running:  # closes its input, waits
                self._running.kill()
            self._running = None

    def console(self) -> str:
        with contextlib.suppress(FileNotFoundError):
            return self._guest.console.read_bytes().decode(errors="replace")
        return ""

    def image(self) -> Boots:
        assert self._running is None, "it is still running"
        image = self._guest.directory / "image.qcow2"  # on the same disk as before
        shutil.copyfile(self._guest.overlay, image)
        return lambda launch: RealGuest(launch, image, "qcow2")
