"""The program as a user has it, and the demo workspace in it, for tests with real tools."""

import contextlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from repository import commit

BIN = Path(sys.executable).parent
_SHOP_NEEDS = ("packer", "qemu-system-x86_64", "mmdebstrap", "guestfish", "ansible-playbook")


def in_the_shop(*more: str) -> list[pytest.MarkDecorator]:
    """Marks of tests that stand on the one real build of `Shop`; `more` are programs that they need besides."""
    return [
        pytest.mark.vm,
        pytest.mark.xdist_group("shop"),
        *(
            pytest.mark.skipif(shutil.which(tool) is None, reason=f"{tool} is not installed")
            for tool in (*_SHOP_NEEDS, *more)
        ),
    ]


@dataclass(frozen=True)
class Ingot:
    """The program as a user has it: its own home, its own state, its own Git name."""

    home: Path

    @property
    def environment(self) -> dict[str, str]:
        return {
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "HOME": str(self.home),
            "INGOT_HOME": str(self.home / "state"),
            "LANG": "C.UTF-8",
            "TERM": "xterm-256color",
            "GIT_CONFIG_GLOBAL": str(self.home / "gitconfig"),
            "XDG_RUNTIME_DIR": os.environ["XDG_RUNTIME_DIR"],
        }

    def start(self, *words: str, cwd: Path | None = None) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            (str(BIN / "ingot"), *words), cwd=cwd or self.home, env=self.environment, stdout=subprocess.PIPE, text=True
        )

    def __call__(
        self, *words: str, cwd: Path | None = None, timeout: float = 900
    ) -> "subprocess.CompletedProcess[str]":
        """Run a command; nothing is checked."""
        return subprocess.run(
            (str(BIN / "ingot"), *words),
            cwd=cwd or self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
            stdin=subprocess.DEVNULL,
        )

    def left_behind(self) -> list[str]:
        """Command lines of the processes that belong to this home and still run, the worker excepted."""
        mark = f"INGOT_HOME={self.home / 'state'}".encode()
        found: list[str] = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                environment = (process / "environ").read_bytes().split(b"\0")
                words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                owned = mark in environment or any(part.startswith(b"INGOT_RUN=") for part in environment)
                if owned and str(self.home) in words + str(environment) and "core.engine.worker" not in words:
                    found.append(words)
        return found


@dataclass(frozen=True)
class Shop:
    """The demo workspace, with base built."""

    ingot: Ingot
    root: Path

    def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return self.ingot("-C", str(self.root), *words)

    def json(self, *words: str) -> Any:
        done = self(*words, "--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def commit(self, message: str) -> None:
        """All that was changed in it."""
        commit(self.root, {}, message, self.ingot.environment)

    def image(self, role: str) -> Any:
        return self.json("images", role)[0]
