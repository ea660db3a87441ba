"""Tells a stage each line that its tool writes, from the log on disk: nothing is told that is not kept."""

import asyncio
import os
from pathlib import Path

from core.stages.stage import LineSink

_EVERY = 0.1
"""Seconds between two looks at the log."""
_PIECE = 256 * 1024
_LONGEST = 64 * 1024
"""Bytes of a line that are told; a program that writes no line end must not fill the memory."""


class Following:
    """The lines of a log from an offset on."""

    def __init__(self, log: Path, offset: int, on_line: LineSink | None) -> None:
        self._log = log
        self._offset = offset
        self._on_line = on_line
        self._begun = b""

    async def follow(self) -> None:
        """Tell lines as they come, for ever. Raises only what `on_line` raises."""
        while True:  # noqa: ASYNC110 - another process writes the log: no event of ours tells
            # A log that grows faster than it is read leaves the loop to others between two pieces.
            await asyncio.sleep(0 if self._more() else _EVERY)

    def rest(self) -> None:
        """The tool has ended: tell what is there still, a last line without an end too."""
        while self._more():
            pass
        if self._begun:
            self._tell(self._begun)
            self._begun = b""

    def _more(self) -> bool:
        if self._on_line is None:
            return False
        try:
            descriptor = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            piece = os.pread(descriptor, _PIECE, self._offset)
        finally:
            os.close(descriptor)
        self._offset += len(piece)
        *whole, self._begun = (self._begun + piece).split(b"\n")
        if len(self._begun) > _LONGEST:
            whole.append(self._begun)
            self._begun = b""
        for line in whole:
            self._tell(line)
        return len(piece) == _PIECE

    def _tell(self, line: bytes) -> None:
        assert self._on_line is not None
        self._on_line(line[:_LONGEST].removesuffix(b"\r").decode(errors="replace"))
