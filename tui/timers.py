"""Timers that do what they were set for."""

from collections.abc import Callable

from textual.message_pump import MessagePump
from textual.timer import Timer

VISIBLE_WAIT = 0.2
"""Seconds after which waiting is shown."""
SHORTEST = 0.002
"""Seconds. Set for next to nothing, Textual's timer never comes to its wait: by the time it has worked out the next
tick that one is past as well, and it looks for the next, for ever and without letting anything else run
(textual/timer.py, Timer._run, 8.2.8). Set for 0 it divides by it, and for less it counts backwards."""


def once(node: MessagePump, seconds: float, callback: Callable[[], None]) -> Timer:
    """Call back once, after so many seconds, and SHORTEST at least. Stopping the timer before takes that back.

    Textual's own `set_timer` forgets its callback when the process is held for longer than `seconds` between setting it
    and its first look at the clock: it takes that for a tick that was missed (textual/timer.py, Timer._run, 8.2.8).
    What waits for the call then waits for ever. A repeated timer goes on to the next tick; this ends with its first.
    """

    called = False

    def tick() -> None:
        nonlocal called
        timer.stop()
        if not called:  # a node that was held finds several ticks in its queue
            called = True
            callback()

    timer = node.set_interval(max(seconds, SHORTEST), tick)
    return timer
