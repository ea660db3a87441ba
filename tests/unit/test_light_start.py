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
    code = (
        f"import sys, core.cli, core.cli.workbench, tui.app\nprint([name for name in {HEAVY!r} if name in sys.modules])"
    )
    finished = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert finished.stdout.strip() == "[]"
