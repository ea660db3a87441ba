"""Seals a disk: virt-sysprep, which takes out of the system on it what belongs to one machine, in one launch.

Only the operations that are named are carried out: what a newer version of it adds may take what a role wants. No
program of the disk's own is run, so a disk for another processor can be sealed as well.
"""

from collections.abc import Sequence
from pathlib import Path

from core.adapters import guestfs
from core.errors import ToolError
from core.model.sealing import SealPlan

PROGRAM = "virt-sysprep"


def arguments(disk: Path, disk_format: str, plan: SealPlan, commands: str) -> list[str]:
    """The command that carries out a plan on a disk; its file `commands` holds what `script` gives. Carried out again,
    it ends the same. Both files are named as from where it runs."""
    argv = [PROGRAM, "--format", disk_format, "--add", str(disk.absolute())]
    argv += ["--operations", ",".join((*plan.operations, "customize")), "--commands-from-file", commands]
    # Where the system has SELinux; elsewhere it does nothing. `--no-logfile` takes out virt-sysprep's own log.
    return [*argv, "--selinux-relabel", "--no-logfile"]


def script(plan: SealPlan, release: str) -> str:
    """What virt-sysprep's own operations lack, as its operation `customize` takes it, which is the last; and the file
    `release` becomes the stamp of the image.

    Before it begins, `customize` gives the image a random seed and a machine id, of all things: both go after it.
    """
    lines = [f"delete {path}" for path in plan.deletes]
    for user in plan.users:
        # Its operation user-account leaves system users, and fails without /etc/login.defs.
        name = user.replace(".", r"\.")
        lines += [f"edit {file}:s/^{name}:.*\\n//" for file in ("/etc/passwd", "/etc/shadow", "/etc/group")]
        lines.append(rf"edit /etc/group:s/,{name}(?=,|$)//; s/:{name},/:/; s/:{name}$/:/")
        lines += [f"delete {path}" for path in (f"/home/{user}", f"/etc/sudoers.d/{user}", f"/etc/sudoers.d/*-{user}")]
    lines += [f"truncate-recursive {directory}" for directory in plan.truncates]
    if "machine-id" in plan.operations:
        # It stays as an empty file: without it, systemd takes the next boot for the first one ever, and enables and
        # disables services as its presets say (machine-id(5)).
        lines += ["touch /etc/machine-id", "truncate /etc/machine-id"]
    lines += [f"delete {guestfs.RELEASE_FILE}", f"upload {release}:{guestfs.RELEASE_FILE}"]
    lines += [f"chmod 0644:{guestfs.RELEASE_FILE}"]
    return "".join(f"{line}\n" for line in lines)


def failed(disk: Path, said: Sequence[str]) -> ToolError:
    """What virt-sysprep said when it failed, and what to do."""
    errors = [line for line in said if line.startswith(f"{PROGRAM}: error")]
    return guestfs.explained(disk, "\n".join((*said, *errors)), PROGRAM)
