"""Reading what an app shows, as the terminal would, and what it said."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from patience import PATIENCE
from textual.app import App
from textual.pilot import Pilot

if TYPE_CHECKING:
    from tui.app import Ingot


def lines(app: App[None]) -> list[str]:
    """What the terminal shows, line by line."""
    strips = app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage] - Textual has no public way
    return ["".join(segment.text for segment in strip) for strip in strips]


def shown(app: App[None]) -> str:
    """The same as one text."""
    return "\n".join(lines(app))


def line_with(app: App[None], *words: str) -> str:
    """The first line that has all these words."""
    found = next((line for line in lines(app) if all(word in line for word in words)), None)
    assert found is not None, f"no line with {words} in:\n{shown(app)}"
    return found


def said(app: "Ingot") -> str:
    """All notices so far."""
    return "\n".join(f"{notice.title}\n{notice.text}" for notice in app.notices)


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Wait until a condition holds."""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        if condition():
            return
        await pilot.pause(0.02)
    raise AssertionError(f"it did not come:\n{shown(pilot.app)}")
