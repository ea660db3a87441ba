"""Closing the terminal ends the workbench and nothing else: the build goes on, and the next `ingot` shows it all."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.skipif(shutil.which("packer") is None, reason="Packer is not installed"),
    pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed"),
]

TEMPLATE = """
source "null" "web" {
  communicator = "none"
}
build {
  sources = ["source.null.web"]
  provisioner "shell-local" {
    inline = ["for step in 1 2 3 4 5 6 7 8; do echo step $step of 8; while [ ! -e GO ]; do sleep 0.1; done; done"]
  }
}
"""


class Terminal:
    """A terminal window, which can be closed like one."""

    def __init__(self, socket: Path, ingot: Any, where: Path) -> None:
        self._socket = str(socket)
        self._environment = {**ingot.environment, "TERM": "tmux-256color", "PATH": os.environ["PATH"]}
        command = (str(Path(sys.executable).parent / "ingot"),)
        given = [word for name, value in ingot.environment.items() for word in ("-e", f"{name}={value}")]
        size = ("-x", "120", "-y", "40")
        self._tmux("-f", "/dev/null", "new-session", "-d", *size, "-c", str(where), *given, "--", *command)

    def _tmux(self, *words: str) -> str:
        return subprocess.run(
            ("tmux", "-S", self._socket, *words), env=self._environment, capture_output=True, text=True, check=False
        ).stdout

    def press(self, *keys: str) -> None:
        for key in keys:
            self._tmux("send-keys", key)

    def shows(self, text: str) -> None:
        deadline = time.monotonic() + 60
        while text not in (seen := self._tmux("capture-pane", "-p")):
            assert time.monotonic() < deadline, f"{text!r} is not on the screen:\n{seen}"
            time.sleep(0.1)

    def close(self) -> None:
        """As a window is closed: the program gets SIGHUP."""
        self._tmux("kill-server")


@pytest.fixture
def open_terminal(tmp_path: Path) -> Iterator[Callable[[Any, Path], Terminal]]:
    made: list[Terminal] = []

    def open_it(ingot: Any, where: Path) -> Terminal:
        made.append(Terminal(tmp_path / f"tmux-{len(made)}", ingot, where))
        return made[-1]

    yield open_it
    for terminal in made:
        terminal.close()


def test_a_build_goes_on_when_the_terminal_closes_and_is_there_again(
    make_ingot: Callable[[], Any], open_terminal: Callable[[Any, Path], Terminal]
) -> None:
    ingot = make_ingot()
    shop = ingot.home / "shop"
    (shop / "web").mkdir(parents=True)
    go = ingot.home / "go"
    (shop / "web/web.pkr.hcl").write_text(TEMPLATE.replace("GO", str(go)))
    for words in (("init", "-q"), ("add", "."), ("commit", "-q", "-m", "The shop")):
        subprocess.run(("git", *words), cwd=shop, env=ingot.environment, check=True)

    first = open_terminal(ingot, shop)
    first.shows("web")
    first.press("b")
    first.shows("Trust")
    first.press("y")
    first.shows("◐ running")
    (run,) = json.loads(ingot("runs", "--json", cwd=shop).stdout)
    first.close()

    second = open_terminal(ingot, shop)
    second.shows("◐ running")
    second.press("4", "Enter")
    second.shows("step 1 of 8")
    assert json.loads(ingot("runs", "--json", cwd=shop).stdout)[0]["uid"] == run["uid"], "no second run"
    go.touch()
    second.shows("succeeded")
    second.shows("nothing that can be kept")  # the view has followed on, to the last stage
    second.press("1", "Up")
    second.shows("step 8 of 8")
    second.press("q")
