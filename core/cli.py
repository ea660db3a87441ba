"""The `ingot` command: headless verbs, and the door to the workbench."""

import sys

from core import __version__


def main() -> int:
    if sys.argv[1:] == ["--version"]:
        print(f"ingot {__version__}")
    return 0
