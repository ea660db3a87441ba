"""A real terminal with the program in it, driven key by key and read as a person sees it."""

import os
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

PATIENCE = 600.0
"""Seconds until what should show must show: a program may have to start, or a machine to boot, beside much else."""


class Terminal:
    """A terminal window, which can be closed like one."""

    def __init__(self, socket: Path, ingot: Any, where: Path, *words: str, size: tuple[int, int] = (120, 40)) -> None:
        """`ingot` has the environment to start in; `words` are arguments of the program."""
        self._socket = str(socket)
        self._environment = {**ingot.environment, "TERM": "tmux-256color", "PATH": os.environ["PATH"]}
        command = (str(Path(sys.executable).parent / "ingot"), *words)
        given = [word for name, value in ingot.environment.items() for word in ("-e", f"{name}={value}")]
        shape = ("-x", str(size[0]), "-y", str(size[1]))
        self._tmux("-f", "/dev/null", "new-session", "-d", *shape, "-c", str(where), *given, "--", *command)

    def _tmux(self, *words: str) -> str:
        return subprocess.run(
            ("tmux", "-S", self._socket, *words), env=self._environment, capture_output=True, text=True, check=False
        ).stdout

    def press(self, *keys: str) -> None:
        """Keys as tmux names them: `Enter`, `C-]`, `d`."""
        for key in keys:
            self._tmux("send-keys", key)

    def type(self, text: str) -> None:
        """Text as it is, then Enter."""
        self._tmux("send-keys", "-l", text)
        self._tmux("send-keys", "Enter")

    def paste(self, raw: bytes) -> None:
        """Bytes as they are, in brackets as terminals paste."""
        self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in b"\x1b[200~" + raw + b"\x1b[201~"))

    def seen(self) -> str:
        return self._tmux("capture-pane", "-p")

    def shows(self, text: str) -> str:
        """Wait until the text is on the screen; gives the whole screen."""
        deadline = time.monotonic() + PATIENCE
        while text not in (seen := self.seen()):
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{seen}"
            time.sleep(0.1)
        return seen

    def record(self, file: Path) -> None:
        """Keep what the program writes from now on: what the screen shows for a moment only cannot be waited for."""
        self._tmux("pipe-pane", f"exec cat >> {shlex.quote(str(file))}")

    def resize(self, columns: int, rows: int) -> None:
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def close(self) -> None:
        """As a window is closed: the program gets SIGHUP."""
        self._tmux("kill-server")
