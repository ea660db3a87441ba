"""The real command on a real terminal: what a headless screen cannot show."""

import contextlib
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from fcntl import ioctl
from pathlib import Path

import pytest
from shop import Shop

PATIENCE = 90.0
"""Seconds for what takes one on a machine that is not busy."""


class Terminal:
    """A program on a pty, and all that it wrote."""

    def __init__(self, argv: list[str], environment: dict[str, str], *, controlling: bool = False) -> None:
        self.ours, self._theirs = pty.openpty()
        ioctl(self.ours, termios.TIOCSWINSZ, struct.pack("HHHH", 42, 140, 0, 0))
        self.modes_before = termios.tcgetattr(self._theirs)
        self.process = subprocess.Popen(
            argv,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=environment,
            start_new_session=True,
            preexec_fn=(lambda: ioctl(0, termios.TIOCSCTTY, 0)) if controlling else None,
        )
        self.said = b""

    @property
    def modes(self) -> list[object]:
        return termios.tcgetattr(self._theirs)

    def read(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            if select.select([self.ours], [], [], left)[0]:
                self.said += os.read(self.ours, 65536)

    def wait_for(self, words: bytes) -> None:
        deadline = time.monotonic() + PATIENCE
        while words not in self.said:
            assert time.monotonic() < deadline, self.said[-3000:].decode(errors="replace")
            assert self.process.poll() is None, self.said[-3000:].decode(errors="replace")
            self.read(0.05)

    def press(self, keys: bytes) -> None:
        os.write(self.ours, keys)

    def ended(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while self.process.poll() is None:
            assert time.monotonic() < deadline, "it does not end"
            self.read(0.05)
        while select.select([self.ours], [], [], 0.2)[0]:
            self.said += os.read(self.ours, 65536)
        return self.process.returncode

    def hang_up(self) -> None:
        """The window is gone."""
        os.close(self.ours)
        os.close(self._theirs)

    def close(self) -> None:
        os.close(self.ours)
        os.close(self._theirs)
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()


def environment(shop: Shop) -> dict[str, str]:
    """What a login shell would have, and no more."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(shop.places.home),
        "TERM": "xterm-256color",
        "LANG": "C.UTF-8",
        "INGOT_HOME": str(shop.places.home),
        "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
    }


@pytest.fixture
def terminal(shop: Shop) -> Iterator[Terminal]:
    """`ingot` in the workspace."""
    opened = Terminal([sys.executable, "-m", "core.cli", "-C", str(shop.root)], environment(shop))
    yield opened
    opened.close()


def test_it_opens_with_data_and_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.wait_for(b"frontend")
    assert b"\x1b[?1049h" in terminal.said, "the alternate screen"
    terminal.press(b"q")
    assert terminal.ended() == 0
    after = terminal.said
    for switch in (b"\x1b[?1049", b"\x1b[?1000", b"\x1b[?1003", b"\x1b[?1006", b"\x1b[?2004"):
        assert after.rfind(switch + b"l") > after.rfind(switch + b"h"), switch
    assert after.rfind(b"\x1b[?25h") > after.rfind(b"\x1b[?25l"), "the cursor shows again"
    assert terminal.modes == terminal.modes_before
    assert b"2 runs go on" in after, "it says that builds go on"


def test_closing_the_terminal_ends_it(terminal: Terminal) -> None:
    terminal.wait_for(b"frontend")
    os.killpg(terminal.process.pid, signal.SIGHUP)
    assert terminal.ended() != 0


def test_closing_a_terminal_whose_leader_waits_for_it_ends_it(shop: Shop, tmp_path: Path) -> None:
    """As `make demo` does in a window of its own: the leader gets the signal, and waits for its child."""
    child = tmp_path / "child"
    leader = (
        "import signal, subprocess, sys; signal.signal(signal.SIGHUP, lambda *_: None)\n"
        "child = subprocess.Popen(sys.argv[2:]); open(sys.argv[1], 'w').write(str(child.pid)); child.wait()"
    )
    ingot = [sys.executable, "-m", "core.cli", "-C", str(shop.root)]
    opened = Terminal([sys.executable, "-c", leader, str(child), *ingot], environment(shop), controlling=True)
    try:
        opened.wait_for(b"frontend")
        opened.hang_up()
        opened.process.wait(PATIENCE)
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(int(child.read_text()), signal.SIGKILL)
        opened.process.kill()
        opened.process.wait()


def test_asked_to_end_it_leaves_the_terminal_as_it_was(terminal: Terminal) -> None:
    terminal.wait_for(b"frontend")
    terminal.process.terminate()
    assert terminal.ended() == 128 + signal.SIGTERM
    assert terminal.modes == terminal.modes_before


def test_nothing_hostile_reaches_the_terminal(bare: Shop) -> None:
    """A repository that nobody prepared: names of folders are whatever the file system takes."""
    subprocess.run(["git", "init", "-q", bare.root], check=True)
    hostile = "\x1b]0;owned\x07\x1b[2Jx\u202ey\x9b31m[@click=app.quit]z"
    for name in ("web", hostile):
        template = bare.root / "packer" / name / "image.pkr.hcl"
        template.parent.mkdir(parents=True)
        template.write_text('source "null" "one" {}\nbuild {\n  sources = ["null.one"]\n}\n')
    opened = Terminal([sys.executable, "-m", "core.cli", "-C", str(bare.root)], environment(bare))
    try:
        opened.wait_for(b"owned")
        opened.press(b"jjb")
        opened.wait_for(b"Trust")
        opened.press(b"n:build ")
        opened.read(1.0)
        for bad in (b"\x1b]0;owned", b"\x1b[2Jx", "\u202e".encode(), "\x9b".encode()):
            assert bad not in opened.said
    finally:
        opened.close()
