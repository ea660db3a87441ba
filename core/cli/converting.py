"""`ingot convert`: other formats of an image version."""

import argparse
import os

from core.cli.building import follow
from core.cli.listing import run_as_json
from core.cli.output import ExitStatus, print_json, say
from core.errors import RefusedError
from core.places import Places
from core.services.converting import Converting
from core.store.index import Index


def convert(arguments: argparse.Namespace) -> int:
    """`ingot convert ROLE VERSION FORMAT…`."""
    if arguments.readonly:
        raise RefusedError("--readonly is on: nothing is converted.")
    places = Places.of(os.environ)
    root = arguments.directory.resolve()
    run = Converting(places).convert(root, arguments.role, arguments.version, arguments.formats)
    if not arguments.json:
        say(f"run {run.id}: {run.role} {run.request.version} as {', '.join(run.request.formats)}")
        if not arguments.wait:
            say(f"  ingot logs -f {run.id} follows it")
    result = follow(run.uid, say_lines=not arguments.json) if arguments.wait else ExitStatus.DONE
    if arguments.json:
        index = Index(places.index)
        try:
            print_json(run_as_json(index.run(run.uid) or run))
        finally:
            index.close()
    return result
