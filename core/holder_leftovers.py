"""What a tool left running, and its end.

All that it started and did not wait for has become the holder's child (PR_SET_CHILD_SUBREAPER), whatever session it
made for itself.
"""

import os
import signal
import time
from collections.abc import Callable

from core.living import Identity, command, descendants

_GRACE = 10.0
"""Seconds at most between SIGTERM and SIGKILL."""
_PATIENCE = 30.0
"""Seconds after which what even SIGKILL does not end (uninterruptible sleep) is let be."""


def leftovers() -> list[Identity]:
    """What lives of the tool."""
    return descendants((os.getpid(),))


def end_leftovers(grace: float, after_a_moment: Callable[[], None]) -> list[str]:
    """SIGTERM, and after `grace` seconds SIGKILL. Gives the names of what cannot be ended.

    `after_a_moment` waits a little, does what is due, and collects who has ended.
    """
    began = time.monotonic()
    force_at = began + min(grace, _GRACE)
    asked: set[Identity] = set()
    forced: set[Identity] = set()
    while left := leftovers():
        now = time.monotonic()
        if now > began + _PATIENCE:
            return [f"{command(one.pid)} ({one.pid})" for one in left]
        for one in left:
            if now >= force_at and one not in forced:
                forced.add(one)
                one.signal(signal.SIGKILL)
            elif one not in asked:
                asked.add(one)
                one.signal(signal.SIGTERM)
                one.signal(signal.SIGCONT)  # a stopped process would not hear it
        after_a_moment()
    return []
