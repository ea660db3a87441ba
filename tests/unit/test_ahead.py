"""What leads into a machine is there before somebody presses the key, and the event loop did not load it, nor does it
look through it for garbage."""

import subprocess
import sys
from pathlib import Path


def test_all_that_leads_into_a_machine_is_loaded_in_a_thread(tmp_path: Path) -> None:
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
        for _ in range(600):
            await pilot.pause(0.05)
            if "core.services.debugging" in sys.modules:
                break
        await pilot.pause(1.0)
        sys.meta_path.insert(0, Where())
        from core.services.debugging import Debugging
        from tui.screens.debug import DebugScreen
        from tui.screens.machines import Machines
        from tui.screens.questions import Question
        from tui.screens.run import RunScreen
        DebugScreen("uid"), RunScreen("uid"), Debugging(places, {})
        print(on_the_loop)
        print([one for one in gc.get_objects() if one is DebugScreen or one is Debugging])
    overviews.close()

asyncio.run(main())
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, capture_output=True, text=True)
    assert done.stdout.split("\n")[-3:-1] == ["[]", "[]"]
