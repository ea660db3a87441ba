"""A wheel made from the tree, installed where nothing else is, is the same program."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("wheel")]


def run(*words: str, environment: dict[str, str], cwd: Path) -> str:
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of an environment that has the wheel and what it depends on."""
    directory = tmp_path_factory.mktemp("wheel")
    environment = dict(os.environ)
    pip = (sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check")
    run(*pip, "wheel", "--no-deps", "--wheel-dir", str(directory), str(ROOT), environment=environment, cwd=directory)
    (wheel,) = directory.glob("ingot-*.whl")
    run(sys.executable, "-m", "venv", str(directory / "empty"), environment=environment, cwd=directory)
    binaries = directory / "empty/bin"
    constraints = str(ROOT / "constraints.txt")
    run(
        str(binaries / "pip"),
        "install",
        "--quiet",
        "-c",
        constraints,
        str(wheel),
        environment=environment,
        cwd=directory,
    )
    return binaries


@pytest.fixture
def environment(tmp_path: Path, installed: Path) -> dict[str, str]:
    path = f"{installed}:{os.environ['PATH']}"
    return {
        "PATH": path,
        "HOME": str(tmp_path),
        "INGOT_HOME": str(tmp_path / "state"),
        "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
        "LANG": "C.UTF-8",
        "TERM": "xterm-256color",
    }


def test_it_says_its_version(installed: Path, environment: dict[str, str], tmp_path: Path) -> None:
    assert run(str(installed / "ingot"), "--version", environment=environment, cwd=tmp_path).startswith("ingot 0.")


def test_the_screens_style_and_the_demo_workspace_came_along(
    installed: Path, environment: dict[str, str], tmp_path: Path
) -> None:
    look = (
        "import tui.app, core.services.demonstrating as d; from pathlib import Path;"
        "assert 'site-packages' in tui.app.__file__; assert tui.app.stylesheet().stat().st_size > 500;"
        f"assert d.make(Path({str(tmp_path / 'shop')!r})); print('whole')"
    )
    assert run(str(installed / "python"), "-c", look, environment=environment, cwd=tmp_path) == "whole\n"
    listed = run(str(installed / "ingot"), "-C", str(tmp_path / "shop"), "roles", environment=environment, cwd=tmp_path)
    assert "frontend" in listed
