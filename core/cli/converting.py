"""`ingot convert`: other formats of an image version."""

import argparse
import os

from core.cli.following import asked_for
from core.errors import RefusedError
from core.places import Places
from core.services.converting import Converting


def convert(arguments: argparse.Namespace) -> int:
    """`ingot convert ROLE VERSION FORMAT…`."""
    if arguments.readonly:
        raise RefusedError("--readonly is on: nothing is converted.")
    root = arguments.directory.resolve()
    run = Converting(Places.of(os.environ)).convert(root, arguments.role, arguments.version, arguments.formats)
    what = f"{run.role} {run.request.version} as {', '.join(run.request.formats)}"
    return asked_for(run, what, wait=arguments.wait, as_json=arguments.json)
