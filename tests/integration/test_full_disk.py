"""A disk without room, a real one: what is known of runs and images is read there, and what makes room works."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import repository

from core.cli import main
from core.errors import LedgerError, NoRoomError
from core.model.run import RunState
from core.places import Places
from core.store.index import Index
from tests.integration.test_images_service import Shop
from tests.unit.test_index import REQUEST, STAGES, WORKSPACE

pytestmark = pytest.mark.skipif(os.getuid() != 0 or not shutil.which("mount"), reason="only root mounts a small disk")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of some megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", place), check=False, capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode()}")
    yield place
    subprocess.run(("umount", place), check=True)


@pytest.fixture
def places(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A home on it, with a run on record, what a lost one left, and a download; the sockets are elsewhere."""
    monkeypatch.setenv("INGOT_HOME", str(disk / "ingot"))
    places = Places.of(os.environ)
    places.create()
    index = Index(places.index)
    index.set_run_state(index.add_run(REQUEST, STAGES).uid, RunState.CANCELLED)
    index.close()
    left = places.run("f" * 32) / "work"
    left.mkdir(parents=True)
    (left / "disk.qcow2").write_bytes(b"x" * 400_000)
    os.utime(left.parent, (1.0, 1.0))
    upstreams = places.cache / "upstreams"
    upstreams.mkdir()
    (upstreams / "debian.qcow2").write_bytes(b"x" * 2_000_000)
    return places


def write_on(index: Index) -> None:
    for _ in range(2000):
        index.add_run(REQUEST, STAGES)


def fill(disk: Path) -> None:
    with (disk / "fill").open("wb", buffering=0) as file:
        for piece in (1 << 16, 1 << 12, 1):
            try:
                while True:
                    file.write(b"\0" * piece)
            except OSError:
                continue


def test_a_full_disk_is_not_called_damage_and_the_record_is_read(disk: Path, places: Places) -> None:
    fill(disk)
    index = Index(places.index)
    also = Index(places.index)
    assert [run.role for run in index.runs()] == [run.role for run in also.runs()] == ["web"]
    with pytest.raises(NoRoomError, match="the disk is full"):
        index.trust(WORKSPACE, "Ada")
    (disk / "fill").unlink()
    index.trust(WORKSPACE, "Ada")  # no more than room was missing
    assert also.trusted(WORKSPACE)
    index.close()
    also.close()


def test_a_record_that_fills_the_disk_itself_stays_readable(disk: Path, places: Places) -> None:
    index = Index(places.index)
    fill(disk)
    with pytest.raises(NoRoomError):
        write_on(index)
    written = len(index.runs())
    index.close()
    index = Index(places.index)
    assert len(index.runs()) == written
    index.close()


def test_what_makes_room_works_without_room(
    disk: Path, places: Places, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = ("-C", str(workspace(tmp_path)))
    fill(disk)
    for words in (("cache",), ("sweep", "--dry-run"), ("prune",), ("images",), ("runs", "--all")):
        assert main((*here, *words)) == 0, capsys.readouterr()
    said = capsys.readouterr().out
    assert "upstreams/debian.qcow2" in said
    assert "runs/ffff" in said
    assert "the disk is full" in said  # of the images: what is shown may be old
    assert main((*here, "sweep", "--yes")) == 0, capsys.readouterr()
    assert not places.run("f" * 32).exists()
    fill(disk)
    assert main((*here, "cache", "--delete", "upstreams/debian.qcow2")) == 0, capsys.readouterr()
    assert "Deleted upstreams/debian.qcow2" in capsys.readouterr().out


@pytest.mark.parametrize("elsewhere", [True, False])
def test_an_image_on_a_full_disk_stays_whole_until_the_ledger_can_be_told(
    disk: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, elsewhere: bool
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path if elsewhere else disk))
    shop = Shop(disk)  # its repository is there, too
    file = Path(shop.image("web", "1").artifacts[0].location)
    fill(disk)
    with pytest.raises(LedgerError, match="no space left") as refused:
        shop.delete("web", "1")
    assert refused.value.kept == "Nothing was deleted."
    assert "ingot sweep, and ingot cache --delete" in refused.value.next_step
    assert file.is_file()
    assert [len(image.artifacts) for image in shop.ledger.images()] == [1]
    (disk / "fill").unlink()
    assert shop.delete("web", "1") >= 8192
    assert [image.artifacts for image in shop.ledger.images()] == [()]
    shop.index.close()


def workspace(place: Path) -> Path:
    """One without images."""
    root = place / "shop"
    root.mkdir()
    (root / "web.pkr.hcl").write_text('source "null" "web" {}\nbuild { sources = ["source.null.web"] }\n')
    repository.commit(repository.new(root), {})
    return root
