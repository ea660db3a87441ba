"""The pipe into which a tool tells what it does, apart from what it prints (ToolSpec.events): kept as its log is, and
redacted before it is on disk. A tool finds it by its environment; who cannot write into it goes on without.
"""

import os
import selectors
import time
from pathlib import Path

from core.hold import EVENTS_FILE, EVENTS_MARK, ToolSpec
from core.holder_log import ToolLog

_READ = 65536
_READ_AT_ONCE = 16


class EventPipe:
    """Part of the holder's loop, from before the tool's start to after its end."""

    def __init__(self, directory: Path, spec: ToolSpec, loop: selectors.BaseSelector) -> None:
        """Raises StoreError where the events cannot be kept, OSError where no pipe can be made."""
        assert spec.events is not None
        self._path = directory / EVENTS_FILE
        self._loop = loop
        self.kept = ToolLog(spec.events, spec.secrets)
        self._path.unlink(missing_ok=True)
        os.mkfifo(self._path, 0o600)
        # For writing as well: between two writers of the tool's it must not look like the end.
        self._pipe = os.open(self._path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        loop.register(self._pipe, selectors.EVENT_READ, self._use)

    @property
    def marks(self) -> dict[str, str]:
        """What the tool's environment has, to find it."""
        return {EVENTS_MARK: str(self._path)}

    def flush(self) -> None:
        """The tool has ended: keep what is in the pipe."""
        self._read()
        self.kept.flush()

    def close(self) -> None:
        """What it left behind has ended too."""
        self._read()
        self._loop.unregister(self._pipe)
        os.close(self._pipe)
        self._path.unlink(missing_ok=True)
        self.kept.close()

    def write(self) -> None:
        self.kept.write()
        self.kept.due(time.monotonic())

    def _use(self, _events: int) -> None:
        self._read()

    def _read(self) -> None:
        for _ in range(_READ_AT_ONCE):
            try:
                chunk = os.read(self._pipe, _READ)
            except BlockingIOError:
                return
            self.kept.take(chunk)
