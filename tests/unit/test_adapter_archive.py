"""What can be told of a disk from an archive before one is made."""

import struct
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.adapters import archive, archive_system, bootable_disk
from core.errors import UpstreamError
from core.model.role import Upstream, UpstreamKind

DEBIAN = Upstream(UpstreamKind.ARCHIVE, distribution="debian", suite="bookworm")


def nothing(*_: object) -> None: ...


@pytest.fixture
def keyring(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    file = tmp_path / "keyring.gpg"
    file.touch()
    monkeypatch.setattr(archive, "KEYRINGS", {"debian": file})
    return file


@pytest.mark.parametrize(
    "wrong",
    [
        replace(DEBIAN, distribution="plan9"),
        replace(DEBIAN, distribution=""),
        replace(DEBIAN, suite=""),
        replace(DEBIAN, suite="-o=x"),
        replace(DEBIAN, suite="../bookworm"),
        replace(DEBIAN, packages=("python3", "--allow-unauthenticated")),
        replace(DEBIAN, packages=("a b",)),
        replace(DEBIAN, packages=("?installed",)),
        replace(DEBIAN, disk_size="4 GB"),
        replace(DEBIAN, disk_size="100M"),
        replace(DEBIAN, disk_size="3T"),
    ],
    ids=lambda wrong: f"{wrong.distribution}-{wrong.suite}-{wrong.packages}-{wrong.disk_size}",
)
async def test_what_cannot_be_made_is_refused_before_anything_is_written(
    wrong: Upstream, tmp_path: Path, keyring: Path
) -> None:
    place = tmp_path / "disks"
    place.mkdir()
    with pytest.raises(UpstreamError) as refused:
        await archive.make_disk(wrong, place / "debian.qcow2", say=nothing, progress=nothing)
    assert refused.value.next_step
    assert list(place.iterdir()) == []


async def test_without_the_keys_of_the_archive_no_disk_is_made(tmp_path: Path, keyring: Path) -> None:
    keyring.unlink()
    with pytest.raises(UpstreamError, match="keys") as refused:
        await archive.make_disk(DEBIAN, tmp_path / "debian.qcow2", say=nothing, progress=nothing)
    assert "debian-archive-keyring" in refused.value.next_step


class _Fails:
    """A tool that ends badly after it has written something."""

    code = 1
    options: tuple[str, ...] = ()

    async def __call__(self, name: str, argv: object, *, cwd: Path, **_: object) -> "_Fails":
        (cwd / "root.tar").write_bytes(b"half of it")
        self.options = tuple(argv)  # type: ignore[arg-type]
        return self


async def test_a_failure_leaves_nothing_behind(tmp_path: Path, keyring: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    temporary, place = tmp_path / "temporary", tmp_path / "disks"
    temporary.mkdir()
    place.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    programs = tmp_path / "programs"
    programs.mkdir()
    for program in ("mmdebstrap", "mke2fs", "qemu-img", "gpgv", "tar"):
        (programs / program).touch(0o755)
    monkeypatch.setenv("PATH", str(programs))
    fails = _Fails()
    with pytest.raises(UpstreamError, match="bookworm"):
        await archive.make_disk(DEBIAN, place / "debian.qcow2", say=nothing, progress=nothing, tool=fails)
    assert list(place.iterdir()) == []
    assert list(temporary.iterdir()) == []
    assert f"--keyring={keyring}" in fails.options
    assert not [option for option in fails.options if "authenti" in option.lower() or "insecure" in option.lower()]


def test_the_boot_sector_has_one_active_partition_over_all_of_the_disk() -> None:
    size = 4 << 30
    sector = bootable_disk.boot_sector(b"\xeb" * 512, size)
    assert len(sector) == 512
    assert sector[510:] == b"\x55\xaa"
    assert sector[:440] == b"\xeb" * 440
    active, kind, first, count = struct.unpack("<B3xB3xII", sector[446:462])
    assert (active, kind) == (0x80, 0x83)
    assert first * 512 == 1 << 20
    assert (first + count) * 512 == size
    assert sector[462:510] == bytes(48)


def test_the_disk_keeps_no_key_that_is_given_at_boot() -> None:
    provision = archive_system.settings()["/etc/tmpfiles.d/provision.conf"]
    written = [line.split()[1] for line in provision.splitlines() if "ssh.authorized_keys" in line]
    assert written == ["/run/ssh-keys/root"]
