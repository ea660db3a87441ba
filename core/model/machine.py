"""A machine of a build: where it is, how to get into it, and who owns it. No secret is in here, only files of them."""

from enum import StrEnum

import msgspec


def is_cloud(kind: str) -> bool:
    """Whether machines of this builder run in a cloud that Ingot can end them in.

    >>> is_cloud("amazon-ebs"), is_cloud("qemu")
    (True, False)
    """
    return kind.startswith("amazon-")


class MachineState(StrEnum):
    """Who owns the machine."""

    BUILDING = "building"
    """Packer is at work in it."""
    PAUSED = "paused"
    """Packer waits for an answer, and the machine with it."""
    KEPT = "kept"
    """Packer let go of it: it is Ingot's, until somebody ends it or its time is over."""
    GONE = "gone"


class KeyProof(StrEnum):
    """What the pinned host key of a machine in a cloud was compared with. Its value is for a person."""

    NONE = ""
    """Nothing is pinned yet, or it is no machine in a cloud."""
    FIRST_CONTACT = "host key pinned on first contact; the console showed no fingerprint to compare with"
    CONSOLE = "host key is one that the machine's own console shows"
    OTHER = "the pinned host key is none of those that the machine's own console shows: do not trust it"


class Login(msgspec.Struct, frozen=True):
    """How to be let in by one SSH server."""

    user: str = ""
    key_files: tuple[str, ...] = ()
    """Absolute paths of private keys."""
    password_file: str = ""
    """Absolute path of a 0600 file with the password."""
    agent: str = ""
    """`SSH_AUTH_SOCK` of the agent to ask; empty for none."""


class Jump(msgspec.Struct, frozen=True):
    """The host that the connection goes through (Packer's `ssh_bastion_…`)."""

    host: str
    port: int = 22
    login: Login = Login()


class Machine(msgspec.Struct, frozen=True):
    """The machine of one build of one run."""

    run_uid: str
    stage_key: str
    build: str
    """`qemu.web`"""
    kind: str
    """The builder's type, `qemu`."""
    state: MachineState = MachineState.BUILDING
    communicator: str = "ssh"
    """`ssh`, `winrm`, `none`."""
    host: str = ""
    """Empty as long as Packer has not said it."""
    port: int = 22
    login: Login = Login()
    jump: Jump | None = None
    known_hosts: str = ""
    """Absolute path of the file that pins the machine's host key; made on first contact."""
    connected: bool = False
    """Packer has been in: from now on a shell can be opened."""
    instance: str = ""
    """The cloud's id of it."""
    region: str = ""
    instance_type: str = ""
    """What the cloud is paid for, `t3.micro`, as the template says it."""
    pid: int = 0
    """QEMU's process; 0 when not known."""
    memory: int = 0
    """Bytes of this host's memory that it may take; 0 when not known."""
    cpus: int = 0
    """Processors that it may keep busy; 0 when not known."""
    disk: int = 0
    """Bytes that its disk took here when it was last looked at, which is when it paused."""
    console: str = ""
    """File or UNIX socket of its serial console."""
    vnc: str = ""
    """`127.0.0.1:5901`"""
    image: str = ""
    """What it was started from: `base 0.1.0`."""
    until: float | None = None
    """KEPT: when it is ended (seconds since the epoch)."""
    kept_by: str = ""

    @property
    def in_cloud(self) -> bool:
        """It runs elsewhere, under an account that pays for it, and not as a process here."""
        return is_cloud(self.kind)

    @property
    def address(self) -> str:
        """`root@127.0.0.1:3059`"""
        user = f"{self.login.user}@" if self.login.user else ""
        return f"{user}{self.host}:{self.port}" if self.host else ""


def no_ssh(machine: Machine) -> str:
    """Why Ingot opens no shell in a machine that is reached over WinRM."""
    where = f", at {machine.address}" if machine.address else ""
    return f"{machine.build} is reached over WinRM{where}: there is no SSH in it, and Ingot opens shells over SSH only."


def into_winrm(machine: Machine) -> str:
    """What a person can do about such a machine, a line for each.

    >>> print(into_winrm(Machine("u", "build/w", "w", "null", host="192.0.2.7", port=5986, login=Login("Admin"))))
    As Admin, with the template's winrm_password:
    WinRM: 192.0.2.7 port 5986 (Enter-PSSession, evil-winrm)
    Remote Desktop: 192.0.2.7 port 3389, where it is let through
    Its pause can be answered and extended all the same. An SSH communicator would give a shell.
    """
    user = f"As {machine.login.user}, with" if machine.login.user else "With"
    lines = [f"{user} the template's winrm_password:"]
    if machine.host:
        lines.append(f"WinRM: {machine.host} port {machine.port} (Enter-PSSession, evil-winrm)")
    if machine.host and machine.kind != "qemu":  # of whose machine only the port that Packer uses leads here
        lines.append(f"Remote Desktop: {machine.host} port 3389, where it is let through")
    if machine.vnc:
        lines.append(f"Its screen: {machine.vnc} (VNC)")
    if not machine.host and not machine.vnc:
        lines = ["Packer has not said yet where it is."]
    lines.append("Its pause can be answered and extended all the same. An SSH communicator would give a shell.")
    return "\n".join(lines)
