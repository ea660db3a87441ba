"""Timers on a machine that is busy."""

import asyncio
import time

import pytest
from textual import _time
from textual.app import App

from tui.timers import once


async def test_a_call_that_was_asked_for_comes_once_though_the_process_was_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    app: App[None] = App()
    calls: list[float] = []
    async with app.run_test() as pilot:
        looks = 0
        before = time.monotonic()

        def clock() -> float:
            """From its second look on half a second later: as when the process was held in between."""
            nonlocal looks
            looks += 1
            return before if looks == 1 else time.monotonic() + 0.5

        monkeypatch.setattr(_time, "get_time", clock)
        once(app, 0.01, lambda: calls.append(1.0))
        for _ in range(6000):
            await asyncio.sleep(0.01)
            if calls:
                break
        await asyncio.sleep(0.05)
        monkeypatch.undo()
        await pilot.pause()
    assert len(calls) == 1


@pytest.mark.parametrize("seconds", [1e-9, 0.0, -1.0])
async def test_a_call_after_next_to_nothing_comes_and_holds_nothing_up(
    seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    app: App[None] = App()
    calls: list[float] = []
    async with app.run_test() as pilot:
        await pilot.pause()
        looks = 0

        def clock() -> float:
            """Gives out at the thousandth look: a timer that spins would never let this test fail."""
            nonlocal looks
            looks += 1
            if looks > 1000:
                raise TimeoutError("it looks at the clock for ever")
            return time.monotonic()

        monkeypatch.setattr(_time, "get_time", clock)
        once(app, seconds, lambda: calls.append(1.0))
        for _ in range(6000):
            await asyncio.sleep(0.01)
            if calls:
                break
        monkeypatch.undo()
        await pilot.pause()
    assert len(calls) == 1


async def test_a_call_that_was_taken_back_does_not_come() -> None:
    app: App[None] = App()
    calls: list[float] = []
    async with app.run_test():
        once(app, 0.01, lambda: calls.append(1.0)).stop()
        await asyncio.sleep(0.05)
    assert calls == []
