"""Borders that import-linter cannot see: what a fresh process really loads, and who starts programs."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

STARTERS = {
    "subprocess",
    "multiprocessing",
    "pty",
    "pexpect",
}
"""Modules that start programs."""
OS_STARTERS = ("exec", "spawn", "posix_spawn", "fork", "popen", "system", "startfile")
"""Functions of `os` that do, by how they begin."""
ASYNC_STARTERS = ("create_subprocess_exec", "create_subprocess_shell", "subprocess_exec", "subprocess_shell")


def modules(package: str) -> list[str]:
    paths = sorted(path for path in (ROOT / package).rglob("*.py") if path.parent.name != "ansible_plugin")
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]
    return [name.removesuffix(".__init__") for name in names if not name.endswith("__main__")]


def loaded_by(imported: list[str]) -> set[str]:
    """The top-level packages that a fresh process has loaded after importing these."""
    script = f"import importlib, sys\nfor name in {imported!r}: importlib.import_module(name)\n"
    script += "print('\\n'.join(sorted({name.partition('.')[0] for name in sys.modules})))"
    told = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False, cwd="/")
    assert told.returncode == 0, told.stderr
    return set(told.stdout.split())


def test_core_works_without_textual() -> None:
    loaded = loaded_by(modules("core"))
    assert not loaded & {"textual", "tui"}


def test_only_the_engine_loads_dbos() -> None:
    assert "dbos" not in loaded_by([name for name in modules("core") if not name.startswith("core.engine")])


@pytest.mark.skipif(not (ROOT / "core/engine/client.py").exists(), reason="the engine's client is not there")
def test_asking_the_engine_loads_no_dbos() -> None:
    assert "dbos" not in loaded_by(["core.engine.client"])


def test_the_holder_loads_next_to_nothing() -> None:
    """It lives as long as the longest build, and starting it is part of every build's time."""
    loaded = loaded_by(["core.holder"])
    assert not loaded & {"asyncio", "rich", "sqlite3", "git", "boto3", "hcl2", "dbos", "ssl"}


def starts_programs(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, name.name) for name in node.names if name.name.split(".")[0] in STARTERS)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module.split(".")[0] in STARTERS:
                yield node.lineno, node.module
            elif node.module in ("os", "asyncio"):
                yield from ((node.lineno, name.name) for name in node.names if is_starter(name.name))
        elif isinstance(node, ast.Attribute) and is_starter(node.attr):
            owner = node.value
            if node.attr in ASYNC_STARTERS or (isinstance(owner, ast.Name) and owner.id == "os"):
                yield node.lineno, ast.unparse(node)


def is_starter(name: str) -> bool:
    return name in ASYNC_STARTERS or name.startswith(OS_STARTERS)


def test_only_one_module_starts_programs() -> None:
    """GitPython starts git inside its adapter; that is an import of `git`, and no other module may have it."""
    found: list[str] = []
    for path in sorted((*(ROOT / "core").rglob("*.py"), *(ROOT / "tui").rglob("*.py"))):
        where = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text(), str(path))
        if where != "core/process.py":
            found += [f"{where}:{line} {what}" for line, what in starts_programs(tree)]
        if not where.startswith("core/adapters/"):
            found += [
                f"{where}:{node.lineno} GitPython"
                for node in ast.walk(tree)
                if (isinstance(node, ast.Import) and any(name.name.split(".")[0] == "git" for name in node.names))
                or (isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "git" and not node.level)
            ]
    assert not found


@pytest.mark.parametrize(
    "code",
    [
        "import subprocess",
        "from subprocess import run",
        "import os\nos.system('x')",
        "import os\nos.execvp('x', [])",
        "from os import fork",
        "import pty",
        "import asyncio\nasyncio.create_subprocess_exec('x')",
        "loop.subprocess_exec(P, 'x')",
        "import multiprocessing.pool",
    ],
)
def test_the_search_for_starters_finds(code: str) -> None:
    assert list(starts_programs(ast.parse(code)))


@pytest.mark.parametrize("code", ["import os\nos.kill(1, 2)", "system = 1", "a.system.b", "import signal"])
def test_the_search_for_starters_leaves_alone(code: str) -> None:
    assert not list(starts_programs(ast.parse(code)))
