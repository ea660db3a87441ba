"""Closing the terminal ends the workbench and nothing else: the build goes on, and the next `ingot` shows it all."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from patience import wait
from tmux_terminal import Terminal

from core.places import Places

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


def test_a_build_goes_on_when_the_terminal_closes_and_is_there_again(
    make_ingot: Callable[[], Any],
    open_terminal: Callable[[Any, Path], Terminal],
    monkeypatch: pytest.MonkeyPatch,
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
    places = Places.of(ingot.environment)
    monkeypatch.delenv("XDG_RUNTIME_DIR")
    assert not places.runtime.exists(), "all that the workbench started has its sockets in the same place"


def in_a_bare_repository(ingot: Any, open_terminal: Callable[[Any, Path], Terminal]) -> Terminal:
    """The workbench where there is nothing yet."""
    shop = ingot.home / "shop"
    shop.mkdir()
    subprocess.run(("git", "init", "-q"), cwd=shop, env=ingot.environment, check=True)
    return open_terminal(ingot, shop)


def test_a_paste_that_is_no_text_does_not_end_the_workbench(
    make_ingot: Callable[[], Any], open_terminal: Callable[[Any, Path], Terminal]
) -> None:
    terminal = in_a_bare_repository(make_ingot(), open_terminal)
    terminal.shows("Quit")
    terminal.paste(b"na\xefve \xa0\xff\xc3(")
    terminal.press("?")
    terminal.shows("Keys that work here")


LEAVES_THE_SCREEN = b"\x1b[?1049l"


def all_panes(terminal: Terminal) -> list[str]:
    """The screen but for its header and footer, where what goes on in the background is told, once all is drawn."""
    seen = ""
    for words in ("No Packer templates", "Image versions of", "No fleets yet", "No runs yet", "Quit"):
        seen = terminal.shows(words)
    return [line[:60] for line in seen.splitlines()[1:-1]]


def test_after_the_shell_and_fg_the_whole_screen_is_there_again(
    make_ingot: Callable[[], Any], open_terminal: Callable[[Any, Path], Terminal], tmp_path: Path
) -> None:
    terminal = in_a_bare_repository(make_ingot(), open_terminal)
    before = all_panes(terminal)
    said = tmp_path / "said"
    terminal.record(said)
    terminal.press("C-z")  # tmux has what stops go on at once, as `fg` does
    wait(lambda: said.exists() and LEAVES_THE_SCREEN in said.read_bytes(), "the shell has the terminal")
    assert all_panes(terminal) == before
