"""A throwaway QEMU machine on a disk that it cannot change: its overlay, its seed, and its command line.

The disk is the backing file of an overlay and is opened read-only; all that the machine writes goes into the overlay,
which goes with it. Who may log in comes from outside the disk, in the two ways that images know: as a credential of
systemd in the firmware's tables (systemd.exec(5), `ssh.authorized_keys.root`), and as a NoCloud seed for cloud-init.
The machine boots by BIOS, or by UEFI where its disk can do nothing else, without Secure Boot.
"""

import base64
import json
import shutil
import socket
import uuid
from pathlib import Path

import msgspec

from core import process
from core.adapters import firmware
from core.adapters.firmware import Firmware
from core.adapters.ssh_keys import KeyPair
from core.model.machine import Login, Machine

FORMATS = {"qcow2": "qcow2", "raw": "raw", "vmdk": "vmdk", "vhd": "vpc", "vhdx": "vhdx", "vdi": "vdi"}
"""What an overlay can stand on: the format of an artifact → QEMU's name of it."""
_NAMESPACE = uuid.UUID("3c6a2f0e-6f0d-4f4e-9d0b-6c1f5f0c8a11")
"""Ours, for identities that are made from names."""


class Guest(msgspec.Struct, frozen=True):
    """One throwaway machine, before it is started."""

    directory: Path
    """Its own; everything of it is in there, and is gone with it."""
    name: str
    """Unique among the machines of all runs: its hardware's identity is made from it."""
    disk: Path
    disk_format: str
    """As the artifact has it: `qcow2`, `vhd`."""
    key: KeyPair
    user: str
    memory: int
    """MiB."""
    cpus: int
    accelerator: str
    firmware: Firmware | None = None
    """What it boots by; None is QEMU's own BIOS."""

    @property
    def overlay(self) -> Path:
        return self.directory / "overlay.qcow2"

    @property
    def console(self) -> Path:
        return self.directory / "console.log"

    @property
    def variables(self) -> Path:
        """Of its UEFI firmware."""
        return self.directory / "variables.fd"

    @property
    def seed(self) -> Path:
        return self.directory / "seed"

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"


async def prepare(guest: Guest) -> None:
    """Everything that the machine is started from, fresh. Raises ToolError."""
    shutil.rmtree(guest.directory, ignore_errors=True)
    guest.directory.mkdir(mode=0o700, parents=True)
    argv = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", FORMATS[guest.disk_format]]
    await process.run([*argv, "-b", str(guest.disk.absolute()), str(guest.overlay)], check=True)
    if guest.firmware is not None:
        shutil.copyfile(guest.firmware.variables, guest.variables)
    guest.seed.mkdir()
    (guest.seed / "meta-data").write_text(json.dumps({"instance-id": f"ingot-{guest.name}"}))
    (guest.seed / "user-data").write_text(f"#cloud-config\n{json.dumps(_user_data(guest))}\n")


def _user_data(guest: Guest) -> dict[str, object]:
    """Who may log in, for cloud-init (JSON is YAML): the image's own default user, root, and who is asked for."""
    users: list[object] = ["default"]
    if guest.user != "root":
        users.append({"name": guest.user, "ssh_authorized_keys": [guest.key.public]})
    return {"ssh_authorized_keys": [guest.key.public], "disable_root": False, "users": users}


def arguments(guest: Guest, port: int) -> list[str]:
    """The command line; `port` of 127.0.0.1 leads to the machine's SSH. Its hardware has an identity of its own, as two
    machines of one image have: another UUID, another address of the network card."""
    identity = uuid.uuid5(_NAMESPACE, guest.name)
    mac = "52:54:00:" + ":".join(f"{byte:02x}" for byte in identity.bytes[:3])
    credential = base64.b64encode(guest.key.public.encode()).decode()
    seed = {"driver": "vvfat", "dir": str(guest.seed), "label": "cidata", "read-only": True}
    machine, flash = f"pc,accel={guest.accelerator}", list[str]()
    if guest.firmware is not None:
        machine += ",pflash0=firmware,pflash1=variables"
        flash += _flash("firmware", guest.firmware.code_format, guest.firmware.code, read_only=True)
        flash += _flash("variables", guest.firmware.variables_format, str(guest.variables), read_only=False)
    return [
        "qemu-system-x86_64", "-name", guest.name, "-machine", machine, "-cpu", "max", *flash,
        "-smp", str(guest.cpus), "-m", str(guest.memory), "-uuid", str(identity),
        "-no-user-config", "-nodefaults", "-display", "none", "-vga", "std",
        "-serial", f"file:{_escaped(guest.console)}",
        # First, so that it sits in the slot where such machines have theirs, and is called as there.
        "-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22",
        "-device", f"virtio-net-pci,netdev=net,mac={mac}",
        "-blockdev", json.dumps({"driver": "qcow2", "node-name": "disk", "discard": "unmap",
                                 "file": {"driver": "file", "filename": str(guest.overlay)}}),
        "-device", "virtio-blk-pci,drive=disk,bootindex=0",
        "-blockdev", json.dumps({"driver": "raw", "node-name": "seed", "read-only": True, "file": seed}),
        "-device", "virtio-blk-pci,drive=seed",
        "-device", "virtio-rng-pci",
        "-smbios", "type=1,serial=ds=nocloud",
        "-smbios", f"type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={credential}",
    ]  # fmt: skip


def _flash(name: str, file_format: str, file: str, *, read_only: bool) -> list[str]:
    chip = {"driver": file_format, "node-name": name, "read-only": read_only}
    return ["-blockdev", json.dumps(chip | {"file": {"driver": "file", "filename": file, "read-only": read_only}})]


def _escaped(path: Path) -> str:
    """A comma in a value of QEMU's is written twice."""
    return str(path).replace(",", ",,")


async def firmware_of(disk: Path, disk_format: str) -> Firmware | None:
    """What a machine boots a disk by; `disk_format` as the artifact has it. Raises ToolError where there is none."""
    return firmware.uefi() if await firmware.boot_mode(disk, FORMATS[disk_format]) == "uefi" else None


def free_port() -> int:
    """A port that nobody listens on now. Somebody may be faster: then QEMU says so and ends, and another is tried."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def machine_of(guest: Guest, port: int, run_uid: str, stage_key: str, build: str, image: str) -> Machine:
    """How to get into it."""
    return Machine(
        run_uid=run_uid,
        stage_key=stage_key,
        build=build,
        kind="qemu",
        host="127.0.0.1",
        port=port,
        login=Login(user=guest.user, key_files=(str(guest.key.private_file),)),
        known_hosts=str(guest.known_hosts),
        connected=True,
        console=str(guest.console),
        image=image,
    )
