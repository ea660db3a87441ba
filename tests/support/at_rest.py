"""When an app has done all that it was given, however busy the machine is.

Textual's pilot takes an app for idle when its process used next to no CPU for 20 ms (textual/_wait.py, 8.2.8). On a
busy machine that is also one that was given none, and what a test looks at then is what was there before. `rest` asks
the event loop instead, which knows; where nothing goes on it is quicker, too.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor
from typing import Any

import pytest

SOON = 0.06
"""Seconds. What a timer brings within them belongs to what goes on: Textual draws 17 ms after something changed, a
terminal paints after 33, and tells its size after 50."""
PATIENCE = 10.0
"""Seconds after which an app that never rests is looked at as it is."""


async def rest(_min_sleep: float = 0.0, _max_sleep: float = 0.0) -> None:
    """Wait until nothing is ready to run in this event loop, no timer of it is due soon, and no thread works for it.

    What comes from elsewhere, from another process or over a socket, is waited for by what it shows.
    """
    loop: Any = asyncio.get_running_loop()  # what it has to do has no public name
    give_up = loop.time() + PATIENCE
    threads: set[asyncio.Future[Any]] = set()
    while (now := loop.time()) < give_up:
        await asyncio.sleep(0)
        if loop._ready:
            continue
        threads = {work for work in _IN_THREADS if work.get_loop() is loop and not work.done()}
        if threads:
            await asyncio.wait(threads, timeout=SOON)
            continue
        due = [timer.when() for timer in loop._scheduled if not timer.cancelled() and timer.when() <= now + SOON]
        if not due:
            return
        await asyncio.sleep(max(min(due) - loop.time(), 0.0) + 0.001)
    _IN_THREADS.difference_update(threads)  # they wait for the test itself: nobody waits for them again


_IN_THREADS: set["asyncio.Future[Any]"] = set()
_run_in_executor = asyncio.BaseEventLoop.run_in_executor


def _noted(
    loop: asyncio.BaseEventLoop, executor: Executor | None, work: Callable[..., Any], *arguments: Any
) -> "asyncio.Future[Any]":
    """As the event loop does it, and known to `rest` as long as it takes."""
    future = _run_in_executor(loop, executor, work, *arguments)
    _IN_THREADS.add(future)
    future.add_done_callback(_IN_THREADS.discard)
    return future


def wait_for_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the pilot wait in this way: after each key, and where it pauses without saying for how long."""
    monkeypatch.setattr(asyncio.BaseEventLoop, "run_in_executor", _noted)
    monkeypatch.setattr("textual.app.wait_for_idle", rest)
    monkeypatch.setattr("textual.pilot.wait_for_idle", rest)
