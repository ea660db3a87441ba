"""How large an image is: what its files hold and what they take on the disk are two figures, each by its name."""

import os
import socket
import subprocess
from pathlib import Path

import pytest
from msgspec.structs import replace

from core.cli import main
from core.model.image import Artifact
from core.model.standing import Standing
from core.places import Places
from core.services import catalogue, images
from core.store.index import Index
from tests.unit.test_index import image
from tui.cells import image_columns
from tui.theme import plain

HELD, TAKEN = 952_000_000, 1_000_000


def test_a_file_with_holes_has_both_sizes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "state"))
    subprocess.run(("git", "init", "-q", tmp_path / "shop"), check=True)
    places, workspace = Places.of(os.environ), catalogue.identify(tmp_path / "shop")
    places.create()
    file = images.directory_of(places, workspace, image()) / "web.qcow2"
    file.parent.mkdir(parents=True)
    with file.open("wb") as disk:
        disk.write(b"x" * TAKEN)
        disk.truncate(HELD)
    web = replace(image(), artifacts=(Artifact("qemu.web", "qcow2", str(file), size=HELD, host=socket.gethostname()),))
    index = Index(places.index)
    index.replace_images(workspace.id, [web], "")
    index.close()

    assert main(("-C", str(tmp_path / "shop"), "images")) == 0, capsys.readouterr().err
    headings, row, *_ = capsys.readouterr().out.splitlines()
    assert headings.split()[-3:] == ["FILES", "ON", "DISK"]
    assert row.split()[-4:] == ["952", "MB", "1.0", "MB"]
    (shown,) = (one for one in image_columns(lambda: 1.0, Standing) if one.id == "size")
    assert (shown.title, plain(shown.value(web))) == ("FILES", "952 MB")
