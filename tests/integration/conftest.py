"""Real machines for the tests that need one."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from booted_machine import Booted
from installed import Ingot, Shop
from patience import wait
from paused_run import PausedRuns
from person import Person
from signing import Vendor
from ssh_machine import SshMachine, free_port, ssh_machine
from tmux_terminal import Terminal
from workshop import Workshop


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
            ingot("cancel", run, "--wait", "--yes")
        ingot("worker", "stop")
        wait(lambda ingot=ingot: not ingot.left_behind(), "nothing is left behind", ingot.left_behind)
        shutil.rmtree(ingot.home / "state", ignore_errors=True)


@pytest.fixture(scope="session")
def shop(make_ingot: Callable[[], Ingot]) -> Shop:
    """One real build of minutes for all tests that stand on it: they share `xdist_group("shop")`."""
    ingot = make_ingot()
    made = Shop(ingot, ingot.home / "shop")
    demo = ingot("demo", str(made.root), "--no-open")
    assert demo.returncode == 0, demo.stdout + demo.stderr
    logs = ingot("logs", "-f", "1", timeout=1200)
    assert logs.returncode == 0, logs.stdout[-6000:] + logs.stderr
    assert "TASK [hardening" in logs.stdout
    return made


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[..., Terminal]]:
    """Opens the program in terminals, all closed at the end."""
    made: list[Terminal] = []

    def open_it(ingot: Ingot, where: Path, *words: str, size: tuple[int, int] = (120, 40)) -> Terminal:
        made.append(Terminal(tmp_path / f"tmux-{len(made)}", ingot, where, *words, size=size))
        return made[-1]

    yield open_it
    for terminal in made:
        terminal.close()


@pytest.fixture
def boot(tmp_path: Path) -> Iterator[Callable[..., Booted]]:
    """Boots a disk without changing it (QEMU's -snapshot), with a key that the machine gets from its firmware."""
    running: list[subprocess.Popen[bytes]] = []

    def start(disk: Path, drive: str = "if=virtio,format=qcow2") -> Booted:
        key = tmp_path / f"key-{len(running)}"
        subprocess.run(("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)), check=True)
        public = subprocess.run(("base64", "-w0", f"{key}.pub"), check=True, capture_output=True, text=True).stdout
        port = free_port()
        words = ["qemu-system-x86_64", "-cpu", "max", "-smp", "2", "-m", "1024", "-display", "none", "-snapshot"]
        words += ["-drive", f"file={disk},{drive}"]
        words += ["-nic", f"user,model=virtio-net-pci,hostfwd=tcp:127.0.0.1:{port}-:22"]
        words += ["-smbios", f"type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={public}"]
        running.append(subprocess.Popen(words, stdin=subprocess.DEVNULL))
        machine = Booted(port, key)
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


@pytest.fixture(scope="module")
def vendor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    made = Vendor(tmp_path_factory.mktemp("vendor"))
    made.home.chmod(0o700)
    yield made
    made.close()


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    yield made
    made.close()


@pytest.fixture
def ingot(tmp_path: Path) -> Ingot:
    """The program with a home of the test's own."""
    return Ingot(tmp_path)


@pytest.fixture
def runs(ingot: Ingot) -> Iterator[PausedRuns]:
    """In the home of `ingot`."""
    made = PausedRuns(ingot.home / "state", ingot.home / "shop")
    yield made
    made.close()


@pytest.fixture
def sshd(tmp_path: Path) -> Iterator[SshMachine]:
    with ssh_machine(tmp_path / "machine") as machine:
        yield machine


@pytest.fixture
def people() -> Iterator[list[Person]]:
    """All that are put in here leave at the end."""
    made: list[Person] = []
    yield made
    for person in made:
        person.close()
