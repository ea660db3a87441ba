"""Where what a command prints cannot be written: said in words, with an exit status."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from core.cli.output import ExitStatus
from core.model.run import StageState
from core.places import Places
from core.store.index import Index
from core.store.log_writer import LogWriter
from tests.unit.test_index import REQUEST, STAGES

FULL = Path("/dev/full")
pytestmark = pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")


def environment(place: Path) -> dict[str, str]:
    return {**os.environ, "INGOT_HOME": str(place / "state"), "HOME": str(place)}


def printed_to_a_full_disk(place: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    with FULL.open("w") as full:
        return subprocess.run(
            (sys.executable, "-m", "core.cli", "-C", str(place), *words),
            env=environment(place),
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )


@pytest.mark.parametrize("lines", [3, 3000])
@pytest.mark.parametrize("words", [("logs", "1"), ("roles", "--json"), ("runs", "--all")])
def test_what_cannot_be_printed_is_said(tmp_path: Path, words: tuple[str, ...], lines: int) -> None:
    """The little that is kept back to the end, and what is more than that."""
    places = Places(tmp_path / "state")
    index = Index(places.index)
    run = index.add_run(REQUEST, STAGES)
    index.update_stage(run.uid, run.stages[0].key, state=StageState.SUCCEEDED)
    index.close()
    subprocess.run(("git", "init", "-q", tmp_path), check=True)
    log = LogWriter(places.log(run.uid, run.stages[0].key))
    log.write(b"a line of the log\n" * lines)
    log.close()

    done = printed_to_a_full_disk(tmp_path, *words)
    assert done.returncode == ExitStatus.FAILED, done.stderr
    assert done.stderr.splitlines() == [
        "ingot: What is printed cannot be written: No space left on device.",
        "       What the command did before is done.",
        "       Send it elsewhere.",
    ]


def test_a_reader_who_has_gone_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "web.pkr.hcl").write_text('source "null" "web" {}\n')
    subprocess.run(("git", "init", "-q", tmp_path), check=True)
    read, write = os.pipe()
    os.close(read)
    try:
        done = subprocess.run(
            (sys.executable, "-m", "core.cli", "-C", str(tmp_path), "roles"),
            env=environment(tmp_path),
            stdout=write,
            stderr=subprocess.PIPE,
            check=False,
        )
    finally:
        os.close(write)
    assert (done.returncode, done.stderr) == (ExitStatus.DONE, b"")
