"""The door to the workbench: the only module of core that loads the screens, and only when they are asked for."""

import argparse
import gc
import os
import sys

from core.cli.output import ExitStatus
from core.errors import RefusedError
from core.places import Places


def open_workbench(arguments: argparse.Namespace) -> int:
    """`ingot`: the workbench on the repository of the current directory."""
    return open_at(arguments)


def open_at(arguments: argparse.Namespace, run_uid: str = "") -> int:
    """Open the workbench, on the screen of one run if named.

    Raises RefusedError where there is no terminal to draw on.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise RefusedError(
            "The workbench needs a terminal, and this is none.", "For scripts there are verbs: ingot --help lists them."
        )
    if os.environ.get("TERM", "dumb") == "dumb":
        raise RefusedError(
            "This terminal (TERM=dumb) cannot show the workbench.", "Set TERM, for example: TERM=xterm-256color ingot"
        )
    directory = arguments.directory.resolve()
    if not directory.is_dir():
        raise RefusedError(f"{directory} is not a directory.", "Name one that is: ingot -C DIR")
    # Collecting garbage while modules load finds none and takes a fifth of the time to the first picture; the workbench
    # switches it on again when that is drawn.
    gc.disable()
    from tui.start import run

    return run(directory, Places.of(os.environ), readonly=arguments.readonly, run_uid=run_uid) or ExitStatus.DONE
