"""The linters are tests: what they find fails the run."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent


@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "."),
        ("ruff", "format", "--check", "."),
        ("pyright",),
        ("lint-imports",),
    ],
    ids=lambda command: " ".join(command),
)
def test_the_linters_find_nothing(command: tuple[str, ...]) -> None:
    found = subprocess.run((str(BIN / command[0]), *command[1:]), cwd=ROOT, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
