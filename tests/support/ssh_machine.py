"""A machine to log in to: OpenSSH's sshd on a port of its own, as the user who runs the tests."""

import contextlib
import getpass
import os
import random
import shutil
import signal
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path

from patience import wait

from core.model.machine import Jump, Login, Machine


def missing() -> str:
    """Which program is not here; empty when all are."""
    programs = ("ssh", "ssh-keygen", "ssh-agent", "ssh-add")
    return next((name for name in programs if not shutil.which(name)), "" if _sshd() else "sshd")


def _sshd() -> str | None:
    return shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:/usr/local/sbin")


def make_key(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(("ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-f", str(path)), check=True)
    return path


def fingerprint_of(key: Path) -> str:
    """As ssh-keygen prints it."""
    told = subprocess.run(("ssh-keygen", "-l", "-f", f"{key}.pub"), check=True, capture_output=True, text=True)
    return told.stdout.split()[1]


class SshMachine:
    """One sshd. `login` is a key that it lets in, `host` its own key."""

    def __init__(self, place: Path, port: int = 0, address: str = "127.0.0.1") -> None:
        self.place = place
        place.mkdir(mode=0o700, parents=True)
        self.port = port or free_port()
        self.address = address
        self.user = getpass.getuser()
        self.host = make_key(place / "host")
        self.login = make_key(place / "login")
        self.authorized = place / "authorized"
        self.authorized.write_text((place / "login.pub").read_text())
        self._running: subprocess.Popen[bytes] | None = None

    def machine(self, **more: object) -> Machine:
        """How to get in with the right key; its pin is in a directory of its own."""
        given: dict[str, object] = {
            "run_uid": "1",
            "stage_key": "build/qemu.web",
            "build": "qemu.web",
            "kind": "qemu",
            "host": "127.0.0.1",
            "port": self.port,
            "login": Login(self.user, (str(self.login),)),
            "known_hosts": str(self.place / "keys" / "known_hosts"),
        }
        return Machine(**{**given, **more})  # pyright: ignore[reportArgumentType] - the fields of a Machine

    @property
    def as_jump(self) -> Jump:
        return Jump("127.0.0.1", self.port, Login(self.user, (str(self.login),)))

    def start(self, *more: str) -> None:
        """`more` are lines of sshd_config, which go before its own."""
        lines = (
            *more,
            f"Port {self.port}",
            f"ListenAddress {self.address}",
            *(() if any(line.startswith("HostKey ") for line in more) else (f"HostKey {self.host}",)),
            f"AuthorizedKeysFile {self.authorized}",
            "PidFile none",
            "UsePAM no",
            "StrictModes no",
            "PermitRootLogin prohibit-password",
            "PasswordAuthentication no",
            "Subsystem sftp internal-sftp",
            # What a login shell of this user does at its start is not for tests, which may kill it in the middle.
            # sshd takes the first SetEnv alone.
            f"SetEnv HOME={self.place}",
        )
        config = self.place / "sshd_config"
        config.write_text("\n".join(lines) + "\n")
        if os.getuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # where Debian's sshd looks for its empty directory
        with (self.place / "sshd.log").open("ab") as log:
            argv = (*self._inside(), str(_sshd()), "-D", "-e", "-f", str(config))
            self._running = subprocess.Popen(argv, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        wait(lambda: _answers(self.port, self.address), "sshd answers", (self.place / "sshd.log").read_text)

    def _inside(self) -> tuple[str, ...]:
        """What starts the server."""
        return ()

    def new_host_key(self) -> None:
        """As after a new installation; takes effect with the next start."""
        for path in (self.host, self.host.with_suffix(".pub")):
            path.unlink()
        make_key(self.host)

    def stop(self) -> None:
        """It is gone with everybody's connections and what they ran, as when the power fails."""
        if self._running is None:
            return
        self._running.send_signal(signal.SIGSTOP)  # it makes no more children while these are counted
        gone = self.processes()
        for pid in gone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._running.wait()
        self._running = None
        # A child that is just made still has the listening socket: the next start would find the port taken.
        wait(lambda: not any(_lives(pid) for pid in gone), "all of it has ended")

    def freeze(self) -> None:
        """It says nothing more, and its connections stay open: a machine that hangs. `stop` ends it."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def processes(self) -> list[int]:
        """sshd and all that it started, sessions of their own too."""
        assert self._running is not None
        found = [self._running.pid]
        for pid in found:
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in task.read_text().split()]
        return found


GUEST = "guest"
PASSWORD = "correct horse battery staple"
_HASH = "$6$ingottest$aqHVP82TNB1QqwqoocDHSpC8NZQpol1bPJ7gCmpyxJL0IsVjOq9hP53d50wa8wmvCWbFckf00MNd2L5pTdk9l1"


class PasswordMachine(SshMachine):
    """One that lets GUEST in with PASSWORD and nobody with a key. GUEST is a user of this server alone: it sees an
    /etc/passwd and /etc/shadow of its own, in a mount namespace, for which it takes root (`cannot_have_users`)."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.user = GUEST
        (place / "passwd").write_text(Path("/etc/passwd").read_text() + f"{GUEST}:x:54321:54321::/:/bin/sh\n")
        (place / "shadow").write_text(f"{GUEST}:{_HASH}:19000:0:99999:7:::\n")
        (place / "shadow").chmod(0o600)

    def start(self, *more: str) -> None:
        super().start("PasswordAuthentication yes", "PubkeyAuthentication no", *more)

    def _inside(self) -> tuple[str, ...]:
        script = 'mount --bind "$1" /etc/passwd && mount --bind "$2" /etc/shadow && shift 2 && exec "$@"'
        files = (str(self.place / "passwd"), str(self.place / "shadow"))
        return ("unshare", "--mount", "--propagation", "private", "--", "sh", "-c", script, "sh", *files)


def cannot_have_users() -> str:
    """Why there can be no PasswordMachine here; empty where there can."""
    if os.getuid() != 0:
        return "a server with users of its own takes root"
    allowed = subprocess.run(
        ("unshare", "--mount", "--propagation", "private", "true"), capture_output=True, check=False
    )
    return "" if allowed.returncode == 0 else "there are no mount namespaces here"


@contextlib.contextmanager
def ssh_machine(place: Path, *more: str) -> Generator[SshMachine]:
    """Started for a test, and gone after it."""
    machine = SshMachine(place)
    try:
        machine.start(*more)
        yield machine
    finally:
        machine.stop()


def _lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def free_port() -> int:
    """Below those that the system gives to whoever asks for any (ip_local_port_range), and claimed for as long as this
    process lives: no other test gets it, and nobody else between two starts of a server."""
    while True:
        port = random.randrange(12_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe, socket.socket(socket.AF_UNIX) as claim:
            probe.bind(("127.0.0.1", port))
            claim.bind(f"\0ingot-test-port-{port}")  # an abstract address: it goes with the process (unix(7))
            claim.detach()
            return port


def _answers(port: int, address: str) -> bool:
    with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
        return True
    return False
