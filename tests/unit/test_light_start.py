"""The first picture waits for no library that it does not need."""

import subprocess
import sys

HEAVY = (
    "dbos",
    "sqlalchemy",
    "git",
    "hcl2",
    "lark",
    "boto3",
    "botocore",
    "asyncssh",
    "tomlkit",
    "ansible",
    "cyclonedx",
)


def test_the_workbench_loads_nothing_heavy_before_its_first_picture() -> None:
    modules = "sys, core.cli, core.cli.workbench, tui.start"
    code = f"import {modules}\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    finished = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert finished.stdout.strip() == "[]"


def test_a_first_connection_loads_its_library_beside_the_event_loop() -> None:
    code = """
import asyncio, sys, threading
from core.adapters import ssh
from core.errors import NoAnswerError
from core.model.machine import Machine

class Where:
    def find_spec(self, name, path=None, target=None):
        if name == "asyncssh":
            print(threading.current_thread() is threading.main_thread())

sys.meta_path.insert(0, Where())
machine = Machine("u", "build/x", "x", "qemu", host="127.0.0.1", port=9, known_hosts="/nowhere/known_hosts")
try:
    asyncio.run(getattr(ssh, sys.argv[1])(machine))
except NoAnswerError:
    print("nobody there")
"""
    for way in ("connect", "pin", "methods"):
        finished = subprocess.run([sys.executable, "-c", code, way], check=True, capture_output=True, text=True)
        assert finished.stdout.split("\n")[:2] == ["False", "nobody there"], way
