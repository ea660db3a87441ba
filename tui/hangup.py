"""Ends the workbench when its terminal is gone, even where nobody says so.

The kernel sends SIGHUP to the session's leader alone. Where that is a program that waits for us first (`make demo` in a
window of its own, `ssh -t host make demo`), we would never hear of it, and draw for nobody, at full speed, for ever.
"""

import os
import select
import signal
import threading


def end_with(terminal: int) -> None:
    """From now on, the hang-up of this terminal ends the process as SIGHUP does. Call it from the main thread."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # a leader that ignores it has made us ignore it too
    threading.Thread(target=_watch, args=(terminal,), name="hang-up", daemon=True).start()


def _watch(terminal: int) -> None:
    waiting = select.poll()
    waiting.register(terminal, 0)  # what is asked for is nothing; POLLHUP and POLLERR are told all the same (poll(2))
    for _, events in waiting.poll():
        if events & (select.POLLHUP | select.POLLERR):
            os.kill(os.getpid(), signal.SIGHUP)
