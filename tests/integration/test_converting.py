"""Asking for formats: what cannot be is refused at once and clearly, and the program does the rest by itself."""

import hashlib
import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import repository
from installed import Ingot
from msgspec.structs import replace

from core.engine.client import Engine
from core.errors import RefusedError
from core.model.image import Artifact, ImageVersion, UpstreamRecord
from core.model.pipeline import Purpose
from core.model.run import Run, RunRequest
from core.model.states import Act, StateChange
from core.places import Places
from core.services import catalogue
from core.services.converting import Converting
from core.stages.leftovers import workspace_key
from core.store.index import Index
from core.store.ledger import Ledger

pytestmark = [
    pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed"),
    pytest.mark.skipif(shutil.which("qemu-img") is None, reason="qemu-img is not installed"),
]

ADA = "Ada Example <ada@example.org>"


class Asked(Engine):
    """Notes what it was asked for."""

    def __init__(self, places: Places) -> None:
        super().__init__(places)
        self.index = Index(places.index)

    def submit(self, request: RunRequest, secrets: object = None) -> Run:
        assert not secrets
        return self.index.add_run(request, ("convert",))


class Shop:
    """A workspace with images whose disks are made by qemu-img."""

    def __init__(self, root: Path, places: Places) -> None:
        self.root, self.places = root, places
        places.create()
        repository.commit(repository.new(root), {})
        self.workspace = catalogue.identify(root)
        self.ledger = Ledger(root)

    def image(self, version: str, **of_artifact: object) -> ImageVersion:
        place = self.places.images / workspace_key(self.workspace) / "web" / version
        place.mkdir(parents=True)
        disk = place / "qemu.web.qcow2"
        subprocess.run(("qemu-img", "create", "-q", "-f", "qcow2", str(disk), "8M"), check=True)
        digest = f"sha256:{hashlib.sha256(disk.read_bytes()).hexdigest()}"
        artifact = Artifact("qemu.web", "qcow2", str(disk), digest, disk.stat().st_size, 8 << 20, socket.gethostname())
        artifact = replace(artifact, **of_artifact)  # pyright: ignore[reportArgumentType] - fields of it
        upstream = UpstreamRecord("file", "debian")
        image = ImageVersion("web", version, "c" * 40, time.time(), f"r{version}", ADA, upstream, (artifact,), "web")
        self.ledger.register(image, ADA, "")
        return image


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    return Shop(tmp_path / "shop", Places(tmp_path / "home"))


def ask(shop: Shop, version: str, *formats: str) -> Run:
    return Converting(shop.places, engine=Asked(shop.places)).convert(shop.root, "web", version, formats)


def test_a_run_is_asked_for_with_all_that_it_needs(shop: Shop) -> None:
    image = shop.image("1")
    request = ask(shop, "1", "ova", "raw", "ova").request
    assert (request.purpose, request.version, request.formats) == (Purpose.CONVERT, "1", ("raw", "ova"))
    assert (request.role.name, request.builds, request.commit) == ("web", ("qemu.web",), image.commit)
    assert request.asked_by == ADA


@pytest.mark.parametrize(
    ("formats", "what", "fix"),
    [
        (("vdh",), "'vdh' is no format", "Did you mean vhd?"),
        (("raw", "floppy"), "'floppy' is no format", "Use: qcow2, raw"),
        (("qcow2",), "has qcow2 already", "ingot images web"),
    ],
)
def test_what_cannot_be_made_is_refused(shop: Shop, formats: tuple[str, ...], what: str, fix: str) -> None:
    shop.image("1")
    with pytest.raises(RefusedError, match=what) as refused:
        ask(shop, "1", *formats)
    assert fix in refused.value.next_step


def test_an_image_that_is_not_here_is_refused_with_where_it_is(shop: Shop) -> None:
    gone = shop.image("1")
    Path(gone.artifacts[0].location).unlink()
    shop.image("2", host="elsewhere")
    shop.image("3", format="ami", location="eu-central-1:ami-7", host="")
    deleted = shop.image("4")
    shop.ledger.remove_artifacts("web", "4", [deleted.artifacts[0].location], ADA)
    for version, what in {
        "1": r"gone from this machine: /.*qemu\.web\.qcow2",
        "2": "are on elsewhere",
        "3": "only in a cloud: eu-central-1:ami-7",
        "4": "they were deleted",
        "9": "no image web 9",
    }.items():
        with pytest.raises(RefusedError, match=what) as refused:
            ask(shop, version, "raw")
        assert refused.value.next_step


def test_a_revoked_image_is_refused_with_the_reason(shop: Shop) -> None:
    image = shop.image("1")
    revoked = StateChange("web", "1", image.run, Act.REVOKED, ADA, time.time(), "a key was left in it")
    shop.ledger.decide([revoked], ADA, "revoke")
    with pytest.raises(RefusedError, match=r"web 1 is revoked \(a key was left in it\)"):
        ask(shop, "1", "raw")


def test_the_program_converts_prunes_and_sweeps(make_ingot: Callable[[], Ingot], tmp_path: Path) -> None:
    ingot = make_ingot()
    shop = Shop(tmp_path / "shop", Places(ingot.home / "state"))
    shop.image("1")
    refused = ingot("-C", str(shop.root), "convert", "web", "1", "vhdd")
    assert (refused.returncode, "Did you mean vhd" in refused.stderr) == (2, True)
    done = ingot("-C", str(shop.root), "convert", "web", "1", "vhd", "ova", "--wait")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "read back, the same as qemu.web.qcow2" in done.stdout
    listed = json.loads(ingot("-C", str(shop.root), "images", "--json").stdout)
    assert [one["format"] for one in listed[0]["artifacts"]] == ["qcow2", "vhd", "ova"]
    again = ingot("-C", str(shop.root), "convert", "web", "1", "ova", "vhd")
    assert (again.returncode, "has vhd and ova already" in again.stderr) == (2, True)

    said = ingot("-C", str(shop.root), "prune").stdout
    assert "no [retention]" in said
    (shop.root / "ingot.toml").write_text("[retention]\nkeep = 1\n")
    shop.image("2")
    dry = ingot("-C", str(shop.root), "prune", "--dry-run")
    assert "would be free again" in dry.stdout, dry.stdout + dry.stderr
    unasked = ingot("-C", str(shop.root), "prune")
    assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True)
    assert ingot("-C", str(shop.root), "--readonly", "prune", "--yes").returncode == 2
    assert len(list((ingot.home / "state/images").glob("*/web/1/*"))) == 5, "a disk, two formats, their manifests"
    pruned = json.loads(ingot("-C", str(shop.root), "prune", "--yes", "--json").stdout)
    assert list(pruned["deleted"]) == ["web 1"]
    assert not list((ingot.home / "state/images").glob("*/web/1"))

    left = ingot.home / "state/runs/0000dead/output"
    left.mkdir(parents=True)
    (left / "disk.qcow2").write_bytes(b"x" * 100_000)
    os.utime(left.parent, (0, 0))
    unasked = ingot("sweep")
    assert (unasked.returncode, "--yes" in unasked.stderr) == (2, True)
    assert "runs/0000dead" in unasked.stdout
    assert "all of a run that is not on record" in unasked.stdout
    assert json.loads(ingot("sweep", "--dry-run", "--json").stdout)[0]["name"] == "runs/0000dead"
    assert ingot("--readonly", "sweep", "--yes").returncode == 2
    assert left.is_dir()
    assert "Removed runs/0000dead" in ingot("sweep", "runs/0000dead", "--yes").stdout
    assert not left.parent.exists()
    assert "Nothing is left" in ingot("sweep").stdout
