"""What was made safe on the disk (fsync) before it got its name: that alone outlives a power cut."""

import os
from pathlib import Path

import pytest


def synced_names(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The names of the files and directories that are made safe from now on."""
    safe: set[str] = set()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        fsync(descriptor)
        safe.add(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", noted)
    return safe
