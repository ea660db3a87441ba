"""What a key opens is there before somebody presses it, and the event loop did not load it, nor does it look through it
for garbage."""

import subprocess
import sys
from pathlib import Path

from patience import PATIENCE


def test_all_that_a_key_opens_is_loaded_in_a_thread(tmp_path: Path) -> None:
    code = """
import asyncio, gc, sys, threading
from pathlib import Path
import tui.start
from core.places import Places
from core.services.changing import Changing
from core.services.overview import Overviews
from tui import ahead
from tui.app import Ingot

ahead.SETTLED = 0.05
on_the_loop = []

class Where:
    def find_spec(self, name, path=None, target=None):
        if threading.current_thread() is threading.main_thread():
            on_the_loop.append(name)

async def main():
    place = Path(sys.argv[1])
    places = Places(place / "home")
    overviews = Overviews(places, place)
    app = Ingot(overviews, Changing(places, place), lambda: None)
    async with app.run_test() as pilot:
        def at_work():
            return any(worker.group == "ahead" and not worker.is_finished for worker in app.workers)
        while "core.services.debugging" not in sys.modules or at_work():
            await pilot.pause(0.05)
        sys.meta_path.insert(0, Where())
        from core.services.debugging import Debugging
        from tui.screens.command import Command
        from tui.screens.debug import DebugScreen
        from tui.screens.difference import DifferenceScreen
        from tui.screens.help import Help
        from tui.screens.image import ImageScreen
        from tui.screens.machines import Machines
        from tui.screens.notices import Notices
        from tui.screens.promote import PromoteScreen
        from tui.screens.questions import Question
        from tui.screens.reasons import Reasons
        from tui.screens.run import RunScreen
        DebugScreen("uid"), RunScreen("uid"), Debugging(places, {})
        print(on_the_loop)
        print([one for one in gc.get_objects() if one is DebugScreen or one is Debugging])
    overviews.close()

asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    assert done.stdout.split("\n")[-3:-1] == ["[]", "[]"]
