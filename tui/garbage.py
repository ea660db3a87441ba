"""All there is in memory is searched for garbage while nothing else is to be done.

Python does so by itself as soon as enough has come into being. That is whenever a screen opens, and it holds the event
loop for twenty to forty milliseconds more just then. What is young it searches at any time, as that takes next to none.
"""

import gc
import time
from collections.abc import Callable

REST = 1.0
"""Seconds between two looks."""
_LITTLE = 0.01
"""Of that time: who did less did nothing that anybody waits for. A workbench that only shows its clocks does so; who
has just pressed a key to open something makes it do more within a few milliseconds."""
ENOUGH = 10
"""Searches of what is younger after which it is worth it; Python's own."""
_MOST = 100
"""So many after which Python does it all the same: somebody never rests."""


class Garbage:
    """For one event loop."""

    def __init__(self, worked: Callable[[], float] = time.thread_time) -> None:
        """`worked` says for how many seconds the loop was at work, from whenever on."""
        self._worked = worked
        self._before = worked()

    def begin(self) -> None:
        """From now on `look` has to be called every REST seconds."""
        gc.set_threshold(*gc.get_threshold()[:2], _MOST)

    def look(self) -> None:
        """Search, if nothing else was to be done since the last look."""
        worked, self._before = self._worked() - self._before, self._worked()
        if worked < REST * _LITTLE and gc.get_count()[2] >= ENOUGH:
            gc.collect()
            self._before = self._worked()
