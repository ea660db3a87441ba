"""A configuration file for OpenSSH, with which a program gets into one machine as Ingot does: with its keys and its
pin, and nothing of the user's own."""

from pathlib import Path

from core.adapters import ssh
from core.model.machine import Machine


def write(file: Path, machine: Machine, socket: Path) -> Path:
    """Have the machine in `file` under the name `machine`; gives the file.

    Commands share one connection over `socket`, whose path has to be short: without hardware virtualisation each new
    one costs a second.
    """
    values = {
        "HostName": machine.host,
        "Port": str(machine.port),
        "User": machine.login.user,
        "IdentitiesOnly": "yes",
        "IdentityAgent": "none",
        "UserKnownHostsFile": f'"{machine.known_hosts}"',
        # InSpec takes the pin from here alone: for a user's own file it always looks into /dev/null.
        "GlobalKnownHostsFile": f'"{machine.known_hosts}"',
        "StrictHostKeyChecking": "yes",
        "UpdateHostKeys": "no",
        "BatchMode": "yes",
        "LogLevel": "ERROR",
        "ControlMaster": "auto",
        "ControlPersist": "60",
        "ControlPath": f'"{socket}"',
    }
    keys = [f'  IdentityFile "{key}"' for key in machine.login.key_files]
    if machine.jump is not None:
        values["ProxyCommand"] = ssh.proxy_command(machine, machine.jump)
    lines = ["Host machine", *(f"  {name} {value}" for name, value in values.items()), *keys]
    file.write_text("\n".join(lines) + "\n")
    return file
