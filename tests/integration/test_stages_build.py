"""A run's stages with real Packer: what comes of a template, what the tools are given, and what is left behind."""

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from workshop import FILE_TEMPLATE, Workshop, role

from core import process

pytestmark = pytest.mark.skipif(process.find("packer") is None, reason="packer is not installed")


@pytest.fixture
def workshop(tmp_path: Path) -> Iterator[Workshop]:
    made = Workshop(tmp_path)
    yield made
    made.close()


async def test_a_template_becomes_an_image_version_with_its_file_under_images(workshop: Workshop) -> None:
    commit = workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role())
    result = await workshop.until(run, "register")
    workshop.end(run, succeeded=True)

    (image,) = workshop.ledger.images()
    assert (image.role, image.version, image.commit, image.run) == ("web", result["version"], commit, run.uid)
    (artifact,) = image.artifacts
    path = Path(artifact.location)
    assert path.read_text() == f"version {image.version}"
    assert path.is_relative_to(workshop.places.images)
    assert artifact.size == path.stat().st_size
    assert artifact.digest.startswith("sha256:")
    assert stat.S_IMODE(path.stat().st_mode) == 0o444
    beside = msgspec.json.decode(path.with_name(f"{path.name}.manifest.json").read_bytes())
    assert (beside["version"], beside["artifact"]["digest"]) == (image.version, artifact.digest)
    assert image.tools["packer"]
    left = {entry.name for entry in workshop.places.run(run.uid).iterdir()}
    assert not left & {"checkout", "keys", "output", "register", "tmp"}
