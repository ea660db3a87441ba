"""`[debug]` of ingot.toml: how builds may pause where nobody says it. Its reference is docs/workspace.md."""

from core.config.table import Table
from core.model.debug import Debug
from core.model.pause import LIMIT_WORDS, STOPS, PauseMode, is_stop, seconds_of

KEYS = ("pause", "stops", "limit", "headless")


def read(top: Table) -> Debug:
    """The table; what is wrong in it is left out."""
    table = top.table("debug", KEYS)
    pause, stops, limit = table.text("pause"), table.texts("stops"), table.text("limit")
    if pause is not None and pause not in tuple(PauseMode):
        table.wrong("pause", f"{pause!r} is no way to pause", f"Use one of: {', '.join(PauseMode)}.")
        pause = None
    fix = f"Use {', '.join(STOPS)}, or a step of Packer's by its name."
    stops = table.those("stops", stops or (), is_stop, "is nowhere to stop", fix)
    seconds = seconds_of(limit) if limit is not None else None
    if limit is not None and seconds is None:
        table.wrong("limit", f"{limit!r} is no time that a machine can be kept", f"Write it as {LIMIT_WORDS}.")
    return Debug(
        PauseMode(pause) if pause is not None else None,
        stops,
        seconds,
        table.flag("headless", False),
    )
