"""A hundred thousand rows in the list: on screen within 0.5 s, any key answered within 50 ms.

Run by itself: `python tests/bench/bench_list.py` prints the figures as JSON; exit status 1 when a budget is exceeded.
"""

import asyncio
import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from textual.app import App, ComposeResult

from tui.theme import INGOT, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.table import Table

ROWS = 100_000
ON_SCREEN = 0.5
"""Seconds from handing over the rows to the painted frame."""
ROUNDS = 4
KEY = 0.05
"""Seconds from a key to the frame that shows it, and the longest time that the event loop may be held."""


@dataclass(frozen=True, slots=True)
class Row:
    number: int


def commit(row: Row) -> str:
    return f"{row.number * 2654435761 % 2**28:07x}"


COLUMNS: tuple[Column[Row], ...] = (
    Column("version", "VERSION", lambda row: f"0.{row.number}", lambda row: row.number, grow=True),
    Column("state", "STATE", lambda row: Piece("✓ good", Tone.GOOD), lambda row: row.number % 7, priority=2),
    Column("age", "AGE", lambda row: f"{row.number % 60}m", lambda row: row.number % 60, align="right", priority=3),
    Column("commit", "COMMIT", commit, commit),
    Column("parent", "PARENT", lambda row: f"base 0.{row.number % 9}.0", lambda row: row.number % 9, priority=4),
    Column("artifacts", "ARTIFACTS", lambda row: "qcow2 vhd", priority=5),
)


class Listing(App[None]):
    CSS_PATH = Path(__file__).parents[2] / "screens.css"

    def __init__(self) -> None:
        super().__init__()
        self.register_theme(INGOT)
        self.theme = "ingot"
        self.table: Table[Row] = Table(COLUMNS, title="2 Images")

    def compose(self) -> ComposeResult:
        yield self.table


async def longest_hold(stop: asyncio.Event, held: list[float]) -> None:
    """Notes how much later than asked for the loop comes round."""
    while not stop.is_set():
        before = time.perf_counter()
        await asyncio.sleep(0.002)
        held.append(time.perf_counter() - before - 0.002)


KEYS = (
    *("j",) * 30,
    *("G", "k", "g", "pagedown", "pagedown", "space", "end", "home", "escape"),
    *("s",) * 11,
    *("slash", *"base", "space", "0", "full_stop", "8", "backspace", "enter", "escape"),
)


async def one_round(keys: list[float]) -> tuple[float, float]:
    """Seconds until the rows are on screen, and the longest hold; the seconds of each key go to `keys`."""
    app = Listing()
    rows = [(str(number), Row(number)) for number in range(ROWS)]
    async with app.run_test(size=(140, 42)) as pilot:
        app.table.focus()
        await pilot.pause()

        async def painted() -> None:
            done = asyncio.Event()
            app.table.call_after_refresh(done.set)
            await done.wait()

        before = time.perf_counter()
        app.table.set_rows(rows)
        await painted()
        app.screen._compositor.render_strips()  # pyright: ignore[reportPrivateUsage] - what a terminal would get
        on_screen = time.perf_counter() - before
        stop, held = asyncio.Event(), [0.0]
        watch = asyncio.create_task(longest_hold(stop, held))
        for key in KEYS:
            before = time.perf_counter()
            app.simulate_key(key)
            await asyncio.sleep(0)
            await painted()
            keys.append(time.perf_counter() - before)
        for number in range(0, ROWS, 1000):
            app.table.update_row(str(number), Row(number + 1))
            await asyncio.sleep(0)
        stop.set()
        await watch
    return on_screen, max(held)


async def measure() -> dict[str, float]:
    """The best of some rounds, for each key by itself: what a busy neighbour adds is no fault of the list."""
    rounds: list[list[float]] = []
    wholes: list[tuple[float, float]] = []
    for _ in range(ROUNDS):
        keys: list[float] = []
        wholes.append(await one_round(keys))
        rounds.append(keys)
    best = [min(times) for times in zip(*rounds, strict=True)]
    slowest = max(range(len(best)), key=best.__getitem__)
    print(f"the slowest key is {KEYS[slowest]}", file=sys.stderr)  # noqa: T201 - a program
    return {
        "on_screen": min(on_screen for on_screen, _ in wholes),
        "slowest_key": best[slowest],
        "longest_hold": min(held for _, held in wholes),
    }


def main() -> int:
    figures = asyncio.run(measure())
    print(json.dumps({name: round(seconds, 4) for name, seconds in figures.items()}, indent=1))  # noqa: T201 - a program
    good = figures["on_screen"] <= ON_SCREEN and figures["slowest_key"] <= KEY and figures["longest_hold"] <= KEY
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
