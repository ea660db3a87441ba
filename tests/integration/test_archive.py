"""A bootable disk from Debian's own signed archive."""

import asyncio
import shutil
import subprocess
import tempfile
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path

import pytest
from ssh_machine import free_port

from core.adapters import archive, qemu
from core.errors import UpstreamError
from core.model.role import Upstream, UpstreamKind

DEBIAN = Upstream(UpstreamKind.ARCHIVE, distribution="debian", suite="bookworm", disk_size="2G")
TOOLS = ("mmdebstrap", "mke2fs", "qemu-img", "gpgv", "debugfs")

pytestmark = [
    pytest.mark.skipif(not all(shutil.which(tool) for tool in TOOLS), reason=f"needs {', '.join(TOOLS)}"),
    pytest.mark.skipif(not archive.KEYRINGS["debian"].is_file(), reason="debian-archive-keyring is not installed"),
]


def nothing(*_: object) -> None: ...


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Where mmdebstrap unpacks: looked at afterwards. Not below tmp_path, which only we may enter."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="ingot-test-") as name:
        Path(name).chmod(0o755)
        monkeypatch.setenv("TMPDIR", name)
        yield Path(name)


def key_pair(directory: Path) -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(directory / "key")], check=True)
    return directory / "key"


def boot(disk: Path, port: int, key: Path, accelerator: str) -> "subprocess.Popen[bytes]":
    given = b64encode(key.with_suffix(".pub").read_bytes()).decode()
    return subprocess.Popen(
        [
            *("qemu-system-x86_64", "-machine", f"pc,accel={accelerator}", "-cpu", "max", "-smp", "2"),
            *("-m", "512", "-display", "none", "-drive", f"file={disk},if=virtio,format=qcow2,snapshot=on"),
            *("-netdev", f"user,id=net,hostfwd=tcp:127.0.0.1:{port}-:22", "-device", "virtio-net,netdev=net"),
            *("-smbios", f"type=11,value=io.systemd.credential.binary:ssh.authorized_keys.root={given}"),
        ]
    )


def in_disk(raw: Path, command: str) -> str:
    """What debugfs says of the file system in the disk's only partition."""
    partition = f"{raw}?offset={1 << 20}"
    return subprocess.run(["debugfs", "-R", command, partition], capture_output=True, text=True, check=True).stdout


@pytest.mark.vm
@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="qemu-system-x86_64 is not installed")
async def test_a_disk_from_the_archive_holds_no_secret_and_lets_in_only_the_key_given_at_boot(
    tmp_path: Path, temporary: Path
) -> None:
    said: list[str] = []
    steps: list[float] = []
    disk = tmp_path / "debian.qcow2"
    record = await archive.make_disk(
        DEBIAN, disk, say=said.append, progress=lambda _, fraction: steps.append(fraction or 0.0)
    )

    assert record.releases[0].suite == "bookworm"
    assert all(release.fingerprints for release in record.releases)
    assert record.package_count > 100
    assert steps == sorted(steps)
    assert [path.name for path in tmp_path.iterdir()] == ["debian.qcow2"]
    assert list(temporary.iterdir()) == []

    raw = tmp_path / "debian.raw"
    await qemu.convert(disk, raw, "raw")
    assert "ssh_host_" not in in_disk(raw, "ls /etc/ssh")
    assert in_disk(raw, "cat /etc/machine-id") == ""
    assert "root:*:" in in_disk(raw, "cat /etc/shadow")
    assert "authorized_keys" not in in_disk(raw, "ls /root/.ssh")
    raw.unlink()

    key = key_pair(tmp_path)
    port = free_port()
    machine = await asyncio.to_thread(boot, disk, port, key, await qemu.accelerator())
    try:
        ask = "cat /run/ssh-keys/root; ls /root/.ssh; systemctl is-system-running --wait"
        async with asyncio.timeout(400):
            answer = ""
            while "ssh-ed25519" not in answer:
                await asyncio.sleep(2)
                answer = await asyncio.to_thread(_ssh, key, port, ask)
        assert answer.split()[-1] == "running"
    finally:
        machine.kill()
        machine.wait()


def _ssh(key: Path, port: int, command: str) -> str:
    options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "BatchMode=yes", "ConnectTimeout=60"]
    argv = ["ssh", "-F", "none", "-i", str(key), "-p", str(port), *(f"-o{option}" for option in options)]
    return subprocess.run([*argv, "root@127.0.0.1", command], capture_output=True, text=True).stdout


async def test_cancelled_in_the_middle_it_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    making = asyncio.create_task(archive.make_disk(DEBIAN, tmp_path / "debian.qcow2", say=nothing, progress=nothing))
    async with asyncio.timeout(300):
        while not list(temporary.glob("*/mmdebstrap.*/var")):
            assert not making.done()
            await asyncio.sleep(0.1)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert list(tmp_path.iterdir()) == []
    assert list(temporary.iterdir()) == []
    running = [command for command in _commands() if str(temporary).encode() in command]
    assert running == []


def _commands() -> list[bytes]:
    found: list[bytes] = []
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(process.read_bytes())
        except OSError:
            continue
    return found


class Offers:
    """Stands where mmdebstrap is: gives a system whose index nobody signed."""

    code = 0

    async def __call__(self, name: str, argv: object, *, cwd: Path, **_: object) -> "Offers":
        record = cwd / "offered/.record"
        record.mkdir(parents=True)
        (record / "archive_InRelease").write_text("Codename: bookworm\nDate: Sat, 14 Nov 2026 09:00:00 UTC\n")
        await asyncio.to_thread(
            subprocess.run, ["tar", "-cf", cwd / "root.tar", "-C", cwd / "offered", "."], check=True
        )
        return self


async def test_an_index_that_nobody_signed_makes_no_disk(tmp_path: Path, temporary: Path) -> None:
    with pytest.raises(UpstreamError, match="not signed"):
        await archive.make_disk(DEBIAN, tmp_path / "debian.qcow2", say=nothing, progress=nothing, tool=Offers())
    assert list(tmp_path.iterdir()) == []
    assert list(temporary.iterdir()) == []


@pytest.fixture
def strangers(tmp_path: Path, temporary: Path) -> Iterator[Path]:
    """A keyring with a key that has signed nothing."""
    home, keyring = tmp_path / "gpg", temporary.parent / f"{temporary.name}.gpg"
    home.mkdir(mode=0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--passphrase", ""]
    subprocess.run([*gpg, "--quick-gen-key", "nobody@example.org", "ed25519"], check=True, capture_output=True)
    keyring.write_bytes(subprocess.run([*gpg, "--export"], check=True, capture_output=True).stdout)
    subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "gpg-agent"], check=False)
    yield keyring
    keyring.unlink()


@pytest.mark.skipif(not shutil.which("gpg"), reason="gpg is not installed")
async def test_keys_that_this_machine_trusts_besides_do_not_count(
    tmp_path: Path, strangers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "KEYRINGS", {"debian": strangers})
    said: list[str] = []
    with pytest.raises(UpstreamError, match="mmdebstrap could not"):
        await archive.make_disk(DEBIAN, tmp_path / "debian.qcow2", say=said.append, progress=nothing)
    assert "NO_PUBKEY" in "".join(said)
    assert not list(tmp_path.glob("*debian*"))
