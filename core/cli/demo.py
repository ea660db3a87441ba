"""`ingot demo`: a whole workspace of its own, its first image being built, and the workbench open on it."""

import argparse
import os
from pathlib import Path

from core.cli.output import ExitStatus, say
from core.errors import RefusedError
from core.places import Places
from core.services import demonstrating
from core.services.building import Building

FIRST_ROLE = "base"


def demo(arguments: argparse.Namespace) -> int:
    """Make the demo workspace where there is none yet, build its first image unless there is one, and open it."""
    if arguments.readonly:
        raise RefusedError("--readonly is on: no demo is made.")
    where: Path = (arguments.where or Path.home() / "ingot-shop").absolute()
    places = Places.of(os.environ)
    made = demonstrating.make(where)
    say(f"The demo workspace is {'made in' if made else 'already there:'} {where}")
    run_uid = ""
    if demonstrating.needs_first_image(places, where, FIRST_ROLE):
        # The templates are the ones that came with Ingot, so nobody has to be asked whether they are trusted.
        run = Building(places, os.environ).build(where, FIRST_ROLE, trust=made)
        run_uid = run.uid
        say(f"run {run.id}: build {FIRST_ROLE}")
    if arguments.no_open:
        say(f"To open it: cd {where} && ingot")
        return ExitStatus.DONE
    from core.cli.workbench import open_at

    arguments.directory = where
    return open_at(arguments, run_uid)
