"""What was made safe on the disk (fsync) before it got its name: that alone outlives a power cut."""

import os
import re
from pathlib import Path

import pytest


def synced_names(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the files and directories that are made safe from now on; of files that have none yet, what they
    are to be called and `.part`."""
    safe: set[str] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        name = Path(f"/proc/self/fd/{descriptor}").readlink().name
        safe.add(re.sub(r"\.[0-9a-f]{16}\.part$", ".part", name))  # core/hold.py, write_whole

    monkeypatch.setattr(os, "fsync", noted)
    return safe
