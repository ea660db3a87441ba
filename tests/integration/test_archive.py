"""A bootable disk from Debian's own signed archive, when that goes wrong. What comes of it else: test_whole_job.py."""

import asyncio
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.adapters import archive
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


async def test_cancelled_in_the_middle_it_leaves_nothing(tmp_path: Path, temporary: Path) -> None:
    steps: list[float] = []
    making = asyncio.create_task(
        archive.make_disk(
            DEBIAN,
            tmp_path / "debian.qcow2",
            say=nothing,
            progress=lambda _, fraction: steps.append(fraction or 0.0),
        )
    )
    async with asyncio.timeout(300):
        while not list(temporary.glob("*/mmdebstrap.*/var")):
            assert not making.done()
            await asyncio.sleep(0.1)
    making.cancel()
    with pytest.raises(asyncio.CancelledError):
        await making
    assert steps == sorted(steps)
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


class Killed(Offers):
    """Dies as mmdebstrap dies of SIGKILL as root: what it has mounted stays so."""

    async def __call__(self, name: str, argv: object, *, cwd: Path, **_: object) -> "Killed":
        self.code = 137
        place = (cwd / "temporary").readlink() / "mmdebstrap.X/a b"
        place.mkdir(parents=True)
        await asyncio.to_thread(subprocess.run, ["mount", "-t", "tmpfs", "none", place], check=True)
        return self


def _may_mount(place: Path) -> bool:
    mounted = subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False, capture_output=True).returncode == 0
    return mounted and subprocess.run(["umount", place], check=True).returncode == 0


async def test_what_a_killed_mmdebstrap_left_mounted_is_unmounted_before_it_is_removed(
    tmp_path: Path, temporary: Path
) -> None:
    if not _may_mount(tmp_path):
        pytest.skip("nothing can be mounted here")
    with pytest.raises(UpstreamError, match="mmdebstrap could not"):
        await archive.make_disk(DEBIAN, tmp_path / "debian.qcow2", say=nothing, progress=nothing, tool=Killed())
    assert list(temporary.iterdir()) == []
    assert str(temporary) not in Path("/proc/self/mountinfo").read_text()
