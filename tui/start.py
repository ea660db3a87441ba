"""Opens the workbench: gives it the services that it asks, and its terminal."""

import os
import sys
from functools import partial
from pathlib import Path

from core.places import Places
from core.services import terminal_settings
from core.services.changing import Changing
from core.services.deciding import Deciding
from core.services.overview import Overviews
from tui.app import Ingot
from tui.hangup import end_with
from tui.ports import Debugs
from tui.theme import has_unicode
from tui.typed_bytes import take_any


def run(root: Path | None, places: Places, readonly: bool = False, run_uid: str = "") -> int:
    """Open the workbench on the repository that `root` (a directory, the current one if None) is in.

    Gives the exit status when it is closed. Raises StoreError when the index cannot be opened, and for a setting that
    makes no sense.
    """
    end_with(sys.__stdin__.fileno() if sys.__stdin__ else 0)
    take_any()
    directory = (root or Path()).resolve()
    overviews = Overviews(places, directory)
    try:
        app = Ingot(
            overviews,
            Changing(places, directory),
            partial(_to_debug, places),
            Deciding(places, directory),
            readonly=readonly,
            ascii_only=not has_unicode(os.environ),
            run_uid=run_uid,
            leave_key=terminal_settings.leave_key(places, os.environ),
        )
        app.run()
        if count := sum(not run.state.ended for run in app.overview.runs):
            runs = "1 run goes" if count == 1 else f"{count} runs go"
            sys.stdout.write(f"{runs} on. ingot comes back to them; ingot runs lists them.\n")
        return app.return_code or 0
    finally:
        overviews.close()


def _to_debug(places: Places) -> Debugs:
    from core.services.debugging import Debugging  # here: the first picture does not wait for it

    return Debugging(places, os.environ)
