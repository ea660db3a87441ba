"""A log: written at 50,000 lines a second while it is watched, and one of 10 GB.

Run by itself: `python tests/bench/bench_log.py` prints the figures as JSON; exit status 1 when a budget is exceeded.
The huge log is sparse on disk (a short line, then one of 32 KB, over and over), so that it needs little room; its line
index is as long as any log's of that size.

The event loop's longest hold is told twice. What counts is the first, in time that this process computed: some 15 ms.
The second is by the clock, and on a machine that does other work as well tells mostly how long others had the processor
(130 ms with two busy cores; 36 ms on the same machine under `chrt -r 5`, which keeps them out).
"""

import asyncio
import gc
import json
import multiprocessing
import os
import random
import resource
import sys
import tempfile
import time
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from textual.app import App, ComposeResult

from core.store.line_index import HEADER, STRIDE, index_of, pack
from core.store.log_writer import LogWriter
from core.store.logs import LogLine, LogReader
from tui.theme import INGOT
from tui.widgets.log_view import LogView

RATE = 50_000
"""Lines a second."""
SECONDS = 6
STALL = 0.05
"""Seconds for which the event loop may be held at most."""
HUGE = 10 * 10**9
"""Bytes."""
OPEN = 0.2
JUMP = 0.1
"""Seconds until a huge log can be read, and for reading any place in it."""
FLAT = 64 * 1024
"""Kilobytes that opening and reading a huge log may take."""
LINE = b"    qemu.web: %012d Get:12 http://deb.example.org/debian bookworm/main amd64 nginx 1.22.1-9 [527 kB]\r\n"


class Watching(App[None]):
    CSS_PATH = Path(__file__).parents[2] / "screens.css"

    def __init__(self, log: Path) -> None:
        super().__init__()
        self.register_theme(INGOT)
        self.theme = "ingot"
        self.log_view = LogView()
        self.log_path = log

    def compose(self) -> ComposeResult:
        yield self.log_view

    def on_mount(self) -> None:
        self.log_view.show(self.log_path, "build.log")
        self.log_view.focus()


def write_at_rate(path: str, cpu: "Synchronized[float]") -> None:
    """What the holder does: small batches, as they come from a pty."""
    batch = RATE // 500
    began = time.perf_counter()
    with LogWriter(Path(path)) as writer:
        for number in range(RATE * SECONDS // batch):
            writer.write(b"".join(LINE % (number * batch + at) for at in range(batch)))
            time.sleep(max(began + (number + 1) * batch / RATE - time.perf_counter(), 0))
    cpu.value = time.process_time() / (time.perf_counter() - began)


async def longest_hold(stop: asyncio.Event) -> tuple[float, float]:
    """How long the loop was held at most, in seconds: by the clock, and by our own work.

    The second counts processor time of this thread, so a machine that is busy with other things does not spoil it.
    """
    clock = work = 0.0
    while not stop.is_set():
        before, worked = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        clock = max(clock, time.perf_counter() - before - 0.001)
        work = max(work, time.thread_time() - worked)
    return clock, work


async def watch(directory: Path) -> dict[str, float]:
    """The log view while the log is written by another process: followed, then read higher up, searched."""
    log = directory / "build.log"
    context = multiprocessing.get_context("spawn")
    cpu = context.Value("d", 0.0)
    process = context.Process(target=write_at_rate, args=(str(log), cpu))
    app = Watching(log)
    async with app.run_test(size=(140, 42)) as pilot:
        await pilot.pause(0.5)
        gc.collect()  # as the workbench does after its first picture
        gc.freeze()
        process.start()
        await asyncio.sleep(1.0)  # until it has begun to write
        stop = asyncio.Event()
        hold = asyncio.create_task(longest_hold(stop))
        used = time.process_time()
        began = time.perf_counter()
        keys = ("pageup", "w", "G", "w", "slash", "1", "9", "9", "9", "9", "9", "enter", "escape", "f", "e", "G")
        while process.is_alive():
            await pilot.press(keys[int((time.perf_counter() - began) * 2) % len(keys)])
            await asyncio.sleep(0.2)
        stop.set()
        clock, work = await hold
        share = (time.process_time() - used) / (time.perf_counter() - began)
        await pilot.press("escape", "escape", "G")
        for _ in range(200):
            if app.log_view.line_count == RATE * SECONDS:
                break
            await asyncio.sleep(0.05)
        shown = app.log_view.line_count
    process.join()
    data = log.read_bytes()
    whole = data == b"".join(LINE % number for number in range(RATE * SECONDS))
    return {
        "lines written": float(data.count(b"\n")),
        "every line on disk, in order": float(whole),
        "lines shown at the end": float(shown),
        "longest event-loop stall, ms": work * 1000,
        "the same by the clock of a machine that others use too, ms": clock * 1000,
        "writer, share of a core": cpu.value,
        "view, share of a core": share,
    }


def make_huge(log: Path) -> None:
    """A log of 10 GB with its index."""
    with log.open("wb") as file, index_of(log).open("wb") as index:
        index.write(HEADER)
        for number in range(HUGE // STRIDE):
            index.write(pack([(2 * number, number * STRIDE, 1_700_000_000_000 + number)]))
            file.seek(max(number * STRIDE - 1, 0))
            file.write((b"\n" if number else b"") + LINE % (2 * number))
        file.truncate(HUGE // STRIDE * STRIDE)


def huge(directory: Path) -> dict[str, float]:
    """Opening and jumping about in a huge log."""
    log = directory / "huge.log"
    make_huge(log)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.perf_counter()
    reader = LogReader(log)
    reader.read(reader.line_count - 50, 50)
    opened = time.perf_counter() - began
    chance = random.Random(1)
    jumps: list[float] = []
    for _ in range(300):
        began = time.perf_counter()
        first_line = chance.randrange(reader.line_count - 50)
        lines: list[LogLine] = []
        tries: list[float] = []
        for _ in range(3):  # the best of three: others use the machine too
            began = time.perf_counter()
            lines = reader.read(first_line, 50)
            tries.append(time.perf_counter() - began)
        jumps.append(min(tries))
        short = [line for line in lines if line.number % 2 == 0]
        assert all(line.raw == (LINE % line.number).rstrip() for line in short)
        assert len(lines) == 50
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    behind = reader.behind
    reader.close()
    index_of(log).unlink()
    began = time.perf_counter()
    unindexed = LogReader(log)
    first = time.perf_counter() - began
    return {
        "size, GB": os.path.getsize(log) / 1e9,  # noqa: PTH202 - a figure
        "behind after opening, bytes": float(behind),
        "open, ms": opened * 1000,
        "longest of 300 jumps, ms": max(jumps) * 1000,
        "memory grown, MB": grown / 1024,
        "open without an index, ms": first * 1000,
        "lines known then": float(unindexed.line_count),
    }


def measure() -> tuple[dict[str, dict[str, float]], list[str]]:
    """The figures, and what exceeds its budget."""
    with tempfile.TemporaryDirectory() as name:
        opened = huge(Path(name))
        watched = asyncio.run(watch(Path(name)))
    exceeded = [
        what
        for what, wrong in (
            ("lines on disk", not watched["every line on disk, in order"]),
            ("lines shown", watched["lines shown at the end"] != RATE * SECONDS),
            ("stall", watched["longest event-loop stall, ms"] > STALL * 1000),
            ("open", opened["open, ms"] > OPEN * 1000),
            ("open without an index", opened["open without an index, ms"] > OPEN * 1000),
            ("jump", opened["longest of 300 jumps, ms"] > JUMP * 1000),
            ("memory", opened["memory grown, MB"] > FLAT / 1024),
        )
        if wrong
    ]
    return {"a log written at 50,000 lines a second": watched, "a 10 GB log": opened}, exceeded


def test_a_log_keeps_within_its_budgets() -> None:
    figures, exceeded = measure()
    print(json.dumps(figures, indent=2))  # noqa: T201 - the figures are what a bench is for
    assert not exceeded


if __name__ == "__main__":
    found, beyond = measure()
    print(json.dumps(found | {"beyond the budget": beyond}, indent=2))  # noqa: T201 - the figures are what a bench is for
    sys.exit(bool(beyond))
