"""A hold of its own for each test, and the look that nothing of it is left."""

import os
import shutil
import signal
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from holds import SECRET
from patience import PATIENCE, wait

from core import living, process
from core.hold import HolderRecord, read_exit
from core.holding import ToolSpec


@pytest.fixture
def run_uid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[str]:
    """A run of its own. At the end nothing that carries its mark may live, and no holder."""
    runtime = tempfile.mkdtemp(prefix="ingot-t-")  # short, as sockets are in it
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", runtime)
    uid = f"test-{os.getpid()}-{time.time_ns()}"
    yield uid
    found = [(path.parent, HolderRecord.read(path.parent)) for path in tmp_path.rglob("holder.json")]
    holders = {directory: record.holder for directory, record in found if record}
    # The exit is on disk a moment before the holder itself has ended, where it keeps nothing.
    ending = [holders[directory] for directory in holders if (ended := read_exit(directory)) and not ended.kept]
    try:
        wait(lambda: not any(holder.lives for holder in ending), "the holders of ended tools have ended")
    finally:
        left = living.marked(lambda marks: marks.get(living.RUN_MARK) == uid)
        left += [holder for holder in holders.values() if holder.lives]
        names = [living.command(one.pid) for one in left]
        for one in left:
            one.signal(signal.SIGKILL)
        shutil.rmtree(runtime)
    assert not names, f"left running: {names}"


@pytest.fixture
def spec(tmp_path: Path, run_uid: str) -> ToolSpec:
    """To be completed with what to run, and with a short grace where that is not to end when it is told."""
    return ToolSpec((), tmp_path, process.environment(), tmp_path / "tool.log", (SECRET,), run_uid, grace=PATIENCE)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "hold"
