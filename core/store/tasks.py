"""Reading what Ansible told of its tasks: a file of JSON lines that grows while a holder writes it."""

import os
from pathlib import Path

import msgspec

from core.model.tasks import TaskEvent, TaskTable

_PIECE = 1024 * 1024
_LONGEST = 4 * 1024 * 1024
"""Bytes of a line without an end that are waited for."""


class TaskReader:
    """The table of one stage, as far as it was told. Not for several threads."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._begun = b""
        self._decoder = msgspec.json.Decoder(TaskEvent)
        self.table = TaskTable()

    def refresh(self) -> bool:
        """Read what was told since; whether that was anything. Blocks for milliseconds."""
        before = self._offset
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:  # no playbook has begun
            return False
        try:
            while piece := os.pread(descriptor, _PIECE, self._offset):
                self._offset += len(piece)
                self._take(piece)
        finally:
            os.close(descriptor)
        return self._offset != before

    def _take(self, piece: bytes) -> None:
        *lines, self._begun = (self._begun + piece).split(b"\n")
        if len(self._begun) > _LONGEST:
            self._begun = b""
        for line in lines:
            try:
                event = self._decoder.decode(line)
            except msgspec.DecodeError:
                continue  # cut off where the disk was full, or written by another version: the rest counts
            self.table.take(event)


def read(path: Path) -> TaskTable:
    """The table of a file; an empty one where there is none."""
    reader = TaskReader(path)
    reader.refresh()
    return reader.table
