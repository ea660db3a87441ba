"""What the workbench shows, and how it stays fresh: the index, the worker, the ledger's decisions, and the repository.

All of it is read in threads or in a process of its own. What goes wrong is said once, and shown as long as it lasts.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as NotYet
from functools import partial
from typing import TYPE_CHECKING, Any

from core.errors import IngotError
from core.model.machine import MachineState
from core.model.standing import Standing
from core.services.overview import Overview, WorkerView
from tui.ports import Decides
from tui.timers import VISIBLE_WAIT, once

if TYPE_CHECKING:
    from tui.app import Ingot

POLL = 0.25
"""Seconds between two looks at whether the index changed: a few microseconds each."""
LOOK = 3.0
"""Seconds between two looks at whether the repository moved: a few stat calls each."""
ASK_WORKER = 10.0
"""Seconds between two questions to the worker, when nothing changed meanwhile."""
RETRY = 30.0
"""Seconds until discovery is tried again by itself after it failed."""
READ_AGAIN = 2.0
"""Seconds until the index is read again after that failed."""
FIRST_PICTURE = 0.2
"""Seconds that the first picture waits for its data; a larger index is shown when it has been read."""


class Freshness:
    """For one workbench. Reading begins at once, before there is a screen."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house
        self.overview = Overview(str(house.overviews.directory))
        self.standing = Standing()
        self.worker: WorkerView | None = None
        self.worker_asked = False
        """Whether there is one is known."""
        self.loaded = False
        self.discovering = False
        self._troubles: dict[str, str] = {}
        """What does not work in the background now, by what it is: reading, discovery, the worker, the ledger."""
        self._readers = ThreadPoolExecutor(1, "reads")
        self._first: Future[Overview] = self._readers.submit(house.overviews.read)
        self._reading = False
        self._read_again_at = 0.0
        self._discovered_at = 0.0
        self._asked_worker_at = 0.0

    @property
    def trouble(self) -> str:
        """Why what is shown may be old; empty where nothing is wrong."""
        return next(iter(self._troubles.values()), "")

    def begin(self) -> None:
        """There are screens now: show what was read, and look from now on."""
        try:
            self._take(self._first.result(FIRST_PICTURE))
        except NotYet:
            self._keep(self._wait_for_first)
        except IngotError as error:
            self._failed("reading", error)
            self.loaded = True
        self._house.set_interval(POLL, self._poll)
        self._house.set_interval(LOOK, self._look)

    def end(self) -> None:
        self._readers.shutdown(wait=False, cancel_futures=True)

    # the index

    async def _wait_for_first(self) -> None:
        await self._read(asyncio.wrap_future(self._first))

    def _poll(self) -> None:
        if self._reading or not self.loaded:
            return
        overviews = self._house.overviews
        try:
            changed = overviews.changed()
        except IngotError as error:
            self._failed("reading", error)
            return
        if changed or ("reading" in self._troubles and time.monotonic() > self._read_again_at):
            self._keep(partial(self._read, asyncio.get_running_loop().run_in_executor(self._readers, overviews.read)))
        elif time.monotonic() - self._asked_worker_at > ASK_WORKER:
            self._keep(self._ask_worker)

    async def _read(self, reading: "asyncio.Future[Overview]") -> None:
        self._reading = True
        try:
            self._take(await reading)
            self._troubles.pop("reading", None)
        except IngotError as error:
            self._read_again_at = time.monotonic() + READ_AGAIN
            self.loaded = True
            self._failed("reading", error)
        finally:
            self._reading = False
        await self._ask_worker()

    def _take(self, overview: Overview) -> None:
        before, first = self.overview, not self.loaded
        self.overview = overview
        self.loaded = True
        self._house.telling.overview(before, first=first)

    # the worker

    async def _ask_worker(self) -> None:
        self._asked_worker_at = time.monotonic()
        overviews = self._house.overviews
        try:
            self.worker = await asyncio.to_thread(overviews.worker)
            if self.worker is None and self._somebody_must_work():
                await asyncio.to_thread(self._house.changes.wake)
                self.worker = await asyncio.to_thread(overviews.worker)
            self.worker_asked = True
            self._troubles.pop("worker", None)
        except IngotError as error:
            self._failed("worker", error)
        self._house.show_header()

    def _somebody_must_work(self) -> bool:
        """Whether runs, or machines that were kept, are left to a worker that is gone: killed, or the machine was
        started again."""
        if self._house.readonly or not self.loaded:
            return False
        kept = any(machine.state is MachineState.KEPT for machine in self.overview.machines)
        return kept or any(not run.state.ended for run in self.overview.runs)

    # what was decided

    def read_standing(self) -> None:
        """Read it anew, in the background."""
        if self._house.deciding is not None and self._house.overviews.root is not None:
            self._keep(partial(self._read_standing, self._house.deciding))

    async def _read_standing(self, deciding: Decides) -> None:
        try:
            self.standing = await asyncio.to_thread(deciding.standing)
            self._troubles.pop("ledger", None)
        except IngotError as error:
            self._failed("ledger", error)
            return
        self._house.telling.standing()

    # discovery, in a process of its own

    def _look(self) -> None:
        failed = "discovery" in self._troubles and time.monotonic() - self._discovered_at > RETRY
        if not self.discovering and (failed or self._house.overviews.repository_moved()):
            self.discover()

    def discover(self) -> None:
        """Find roles, images and staleness anew, in the background."""
        if not self.discovering and self._house.overviews.root is not None:
            self._keep(self._discover)

    async def _discover(self) -> None:
        house, words = self._house, "looking through the repository…"
        self.discovering = True
        late = once(house, VISIBLE_WAIT, partial(house.now_busy, words))
        try:
            await house.overviews.discover()
        except IngotError as error:
            self._failed("discovery", error)
        else:
            self._troubles.pop("discovery", None)
        finally:
            late.stop()
            self.discovering = False
            self._discovered_at = time.monotonic()
            house.no_longer_busy(words)
            house.workbench.discovered()

    def _failed(self, what: str, error: IngotError) -> None:
        if self._troubles.get(what) != error.what:
            self._troubles[what] = error.what
            self._house.complain(error)
        self._house.show_header()

    def _keep(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._house.run_worker(work, exit_on_error=False, group="background")
