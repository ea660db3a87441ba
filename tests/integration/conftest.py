"""Real machines for the tests that need one."""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent


@dataclass(frozen=True)
class Ingot:
    """The program as a user has it: its own home, its own state, its own Git name."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "INGOT_HOME": str(self.home / "state"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"),
            "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
        }

    def start(self, *words: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            (str(BIN / "ingot"), *words), cwd=cwd or self.home, env=self.environment, stdout=subprocess.PIPE, text=True
        )

    def __call__(
        self, *words: str, cwd: Path | None = None, timeout: float = 900
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command; nothing is checked."""
        return subprocess.run(
            (str(BIN / "ingot"), *words),
            cwd=cwd or self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    def left_behind(self) -> list[str]:
        """Command lines of the processes that belong to this home and still run, the worker excepted."""
        mark = f"INGOT_HOME={self.home / 'state'}".encode()
        found: list[str] = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = (process / "environ").read_bytes().split(b"\0")
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                owned = mark in environment or any(part.startswith(b"INGOT_RUN=") for part in environment)
                if owned and str(self.home) in words + str(environment) and "core.engine.worker" not in words:
                    found.append(words)
        return found


@pytest.fixture(scope="session")
def make_ingot(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Ingot]]:
    """Makes homes for the program; at the end its workers are stopped and nothing of it may be left."""
    made: list[Ingot] = []

    def make() -> Ingot:
        home = tmp_path_factory.mktemp("home")
        (home / "gitconfig").write_text("[user]\n\tname = Ada Example\n\temail = ada@example.org\n")
        made.append(Ingot(home))
        return made[-1]

    yield make
    for ingot in made:
        for run in (line.split()[1] for line in ingot("runs", "--all").stdout.splitlines() if line[:1] in "◐·!⏸"):
            ingot("cancel", run, "--wait")
        ingot("worker", "stop")
        deadline = time.monotonic() + 20
        while (left := ingot.left_behind()) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert not left, f"left behind: {left}"
        shutil.rmtree(ingot.home / "state", ignore_errors=True)


@dataclass(frozen=True)
class Machine:
    """A running virtual machine that answers on SSH."""

    port: int
    key: Path

    def __call__(self, command: str) -> str:
        done = subprocess.run(self._ssh(command), capture_output=True, text=True, check=False, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def answers(self) -> bool:
        return subprocess.run(self._ssh("true"), capture_output=True, check=False, timeout=120).returncode == 0

    def _ssh(self, command: str) -> tuple[str, ...]:
        options = ("UserKnownHostsFile=/dev/null", "StrictHostKeyChecking=no", "BatchMode=yes", "ConnectTimeout=20")
        set_options = [word for option in options for word in ("-o", option)]
        return ("ssh", "-F", "none", *set_options, "-i", str(self.key), "-p", str(self.port), "root@127.0.0.1", command)


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[[Path], Machine]]:
    """Boots a disk without changing it (QEMU's -snapshot), with a key that the machine gets from its firmware."""
    running: list[subprocess.Popen[bytes]] = []

    def start(disk: Path) -> Machine:
        key = tmp_path / f"key-{len(running)}"
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True)
        public = subprocess.run(("base64", "-w0", f"{key}.pub"), check=True, capture_output=True, text=True).stdout
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        words = ["qemu-system-x86_64", "-cpu", "max", "-smp", "2", "-m", "1024", "-display", "none", "-snapshot"]
        words += ["-drive", f"file={disk},if=virtio,format=qcow2"]
        words += ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22"]
        words += ["-smbios", f"type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={public}"]
        running.append(subprocess.Popen(words, stdin=subprocess.DEVNULL))
        machine = Machine(port, key)
        deadline = time.monotonic() + 300
        while not machine.answers():
            assert running[-1].poll() is None, "the machine ended"
            assert time.monotonic() < deadline, "the machine does not answer on SSH"
            time.sleep(1)
        return machine

    yield start
    for process in running:
        process.kill()
        process.wait()
