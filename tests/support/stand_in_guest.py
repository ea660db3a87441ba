"""Machines that are an sshd on this one, and say of themselves what a test wants them to say; and a stand-in for QEMU
that starts them: on the port that would lead into the machine, and letting in the key that it would get from its
firmware."""

import os
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

_ANSWER = """\
==uid==
0
==machine-id==
{own}5e1f
==host-keys==
ssh-ed25519 AAAA{own}
==release==
IMAGE_ROLE="web"
IMAGE_VERSION="0.1.0"
==kernel==
Linux 6.1.0
==disk==
/dev/vda1 4000 2000 2000 50% /
==users==
root
==authorized==
==ports==
tcp LISTEN 0 128 0.0.0.0:22 0.0.0.0:* users:(("sshd",pid=1,fd=3))
==init==
systemd
==services==
ssh.service loaded active running Secure Shell
==clock==
chrony
==synchronised==
no
==end==
"""

_QEMU = """\
#!{python}
import base64, os, re, shutil, signal, subprocess, sys
from pathlib import Path
here, words = Path({here!r}), " ".join(sys.argv)
if "hostfwd" not in words:  # asked whether the processor can be had
    sys.exit(1)
name = sys.argv[sys.argv.index("-name") + 1]
port = re.search(r"hostfwd=tcp:127.0.0.1:([0-9]+)-", words)[1]
with (here / "started").open("a") as started:
    started.write(f"{{os.getpid()}} {{port}} {{name}}\\n")
if (here / "silent").exists():
    os.execvp("sleep", ["sleep", "600"])
if (taken := here / "port-taken").exists():
    taken.unlink()
    sys.exit("Could not set up host forwarding rule")
own = here / name
own.mkdir()
key = re.search(r"authorized_keys.root=([A-Za-z0-9+/=]+)", words)[1]
(own / "authorized").write_bytes(base64.b64decode(key) + b"\\n")
subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(own / "host")], check=True)
own.joinpath("own").write_text(name[-1])
Path(words.partition("-serial file:")[2].partition(" ")[0]).write_text("booting\\n")
if os.getuid() == 0:
    Path("/run/sshd").mkdir(exist_ok=True)
config = f\"\"\"
Port {{port}}
ListenAddress 127.0.0.1
HostKey {{own}}/host
AuthorizedKeysFile {{own}}/authorized
PidFile none
UsePAM no
StrictModes no
PermitRootLogin prohibit-password
PasswordAuthentication no
Subsystem sftp sftp-server
ForceCommand {{here}}/say {{own}}
\"\"\"
(own / "config").write_text(config)
sshd = shutil.which("sshd", path=os.environ["PATH"] + ":/usr/sbin:/usr/local/sbin")
# Not in its place: sshd writes its title over the environment, by which a machine is known to belong to a run.
server = subprocess.Popen([sshd, "-D", "-e", "-f", str(own / "config")])
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, lambda *_: server.terminate())
sys.exit(server.wait())
"""

_SAY = """\
#!/bin/sh
case "$SSH_ORIGINAL_COMMAND" in
  *"section machine-id"*) sed "s/{{own}}/$(cat "$1/own")/g" {here}/answer;;
  *is-system-running*) [ -s {here}/failed ] && echo degraded || echo running;;
  *list-units*--failed*) cat {here}/failed;;
  sftp-server|internal-sftp) PATH="$PATH:/usr/lib/openssh:/usr/libexec/openssh:/usr/lib/ssh" exec sftp-server;;
  *"/proc/self/mounts"*)  # what is on its disks
    exec sh -c "$(printf %s "$SSH_ORIGINAL_COMMAND" | sed "s#^cd / #cd {here}/disk #; s#/proc/self/mounts#/dev/null#")"
    ;;
  journalctl*) echo "it could not be started";;
  *) exec sh -c "$SSH_ORIGINAL_COMMAND";;
esac
"""


@dataclass(frozen=True)
class Guests:
    """Where all such machines are told what to be."""

    here: Path

    def says(self, before: str, after: str) -> None:
        """Let every machine say something else of itself; `{own}` is another for each."""
        answer = (self.here / "answer").read_text()
        assert before in answer
        (self.here / "answer").write_text(answer.replace(before, after))

    def has_failed(self, unit: str) -> None:
        (self.here / "failed").write_text(f"{unit} loaded failed failed Something\n")

    def has_on_disk(self, path: str, text: str) -> None:
        """What was there long before any machine was started."""
        file = self.here / "disk" / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (1, 1))

    def is_silent(self) -> None:
        """It boots, and never answers."""
        (self.here / "silent").touch()

    @property
    def silent(self) -> bool:
        return (self.here / "silent").exists()

    def forced(self, own: Path, name: str) -> str:
        """The line of sshd_config by which a server speaks as the machine `name`; `own` is a directory of its own."""
        (own / "own").write_text(name)
        return f"ForceCommand {self.here}/say {own}"


@dataclass(frozen=True)
class StandIn(Guests):
    """Those that the stand-in for QEMU starts."""

    def finds_its_port_taken(self) -> None:
        """The first of the next machines."""
        (self.here / "port-taken").touch()

    @property
    def started(self) -> list[int]:
        """The processes of all machines so far."""
        note = self.here / "started"
        return [int(line.split()[0]) for line in note.read_text().splitlines()] if note.exists() else []

    @property
    def running(self) -> list[int]:
        return [pid for pid in self.started if _lives(pid)]


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def guests(here: Path) -> Guests:
    """Machines that pass every case of a boot test. `here` is made."""
    (here / "disk").mkdir(parents=True)
    (here / "answer").write_text(_ANSWER)
    (here / "failed").touch()
    write_program(here / "say", _SAY.format(here=here))
    return Guests(here)


def stand_in(place: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    """Put it before the real QEMU on PATH."""
    here = guests(place / "guests").here
    programs = place / "bin"
    programs.mkdir()
    write_program(programs / "qemu-system-x86_64", _QEMU.format(python=sys.executable, here=str(here)))
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    return StandIn(here)


def write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
