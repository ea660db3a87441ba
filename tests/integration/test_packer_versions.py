"""Packers of different ages: the one on PATH, one that is too old, one that is something else, and none."""

import os
from pathlib import Path

import pytest
from workshop import FILE_TEMPLATE, Workshop, role

from core import process
from core.adapters import packer
from core.errors import ToolError

WITH_PLUGINS = "packer {\n  required_plugins {}\n}\n" + FILE_TEMPLATE


def put_on_path(monkeypatch: pytest.MonkeyPatch, directory: Path, answer: str) -> None:
    """Something called `packer` that answers like this, before everything else on PATH."""
    directory.mkdir(exist_ok=True)
    program = directory / "packer"
    program.write_text(f"#!/bin/sh\n{answer}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")


async def installed() -> packer.Packer | None:
    try:
        return await packer.find(process.environment())
    except ToolError:
        return None


async def test_a_packer_that_knows_plugins_installs_them_before_validating(workshop: Workshop) -> None:
    found = await installed()
    if found is None or not found.has_init:
        pytest.skip(f"needs Packer 1.7 or newer on PATH; here is {found.version_text if found else 'none'}")
    workshop.commit({"web/web.pkr.hcl": WITH_PLUGINS})
    run = workshop.new_run(role(requires_plugins=True))
    await workshop.until(run, "register")
    workshop.end(run, succeeded=True)
    (image,) = workshop.ledger.images()
    assert image.tools["packer"] == found.version_text


async def test_a_packer_that_does_not_know_plugins_is_told_from_the_template(workshop: Workshop) -> None:
    found = await installed()
    if found is None or found.has_init:
        pytest.skip(f"needs Packer 1.6 on PATH; here is {found.version_text if found else 'none'}")
    workshop.commit({"web/web.pkr.hcl": WITH_PLUGINS})
    run = workshop.new_run(role(requires_plugins=True))
    with pytest.raises(ToolError, match=r"required_plugins, which Packer 1\.6\.\d+ does not know"):
        await workshop.until(run, "validate")
    workshop.end(run, succeeded=False)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("echo 'Packer v1.4.5'", "too old"),
        ("cat > /dev/null; echo 0 0", "does not answer like HashiCorp's Packer"),  # cracklib's reads words
        ("exit 1", "does not answer like HashiCorp's Packer"),
    ],
)
async def test_what_is_no_usable_packer_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, expected: str
) -> None:
    put_on_path(monkeypatch, tmp_path / "bin", answer)
    with pytest.raises(ToolError, match=expected):
        await packer.find(process.environment())


async def test_no_packer_at_all_is_said_with_how_to_have_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="not installed") as caught:
        await packer.find(process.environment())
    assert "apt install packer" in caught.value.next_step


async def test_newer_versions_say_theirs_in_the_same_way(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """command/version.go of 1.16: `Packer v1.16.0`, and a second line when there is a newer one."""
    put_on_path(
        monkeypatch, tmp_path / "bin", "echo 'Packer v1.16.0'; echo; echo 'Your version of Packer is out of date!'"
    )
    found = await packer.find(process.environment())
    assert found.version == (1, 16, 0)
    assert found.has_init
