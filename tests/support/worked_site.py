"""A workspace under the product's own worker: what is asked of it, waited for, killed."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path

import patience
from leaving_nothing import leave_nothing, worker_log
from workshop import Workshop

from core.engine.client import Engine
from core.engine.protocol import presence
from core.living import RUN_MARK, Identity, command, marked
from core.model.run import Run
from core.places import Places
from core.services.building import Building


class WorkedSite:
    """A workspace below `place` and somebody who builds in it. INGOT_HOME must be `place / "home"`."""

    def __init__(self, place: Path, environ: Mapping[str, str] = os.environ) -> None:
        self.place = place
        self.shop = Workshop(place)
        self.engine = Engine(self.shop.places)
        self.building = Building(self.shop.places, environ, engine=self.engine)

    def wait(self, condition: Callable[[], object], what: str) -> None:
        patience.wait(condition, what, lambda: (self.shop.index.runs(), worker_log(self.shop.places)))

    def ended(self, run: Run) -> Run:
        """The run as it is once it has ended."""
        self.wait(lambda: self.shop.again(run).state.ended, f"run {run.id} has ended")
        return self.shop.again(run)

    def adopted(self, run: Run, stage: str, attempt: int) -> None:
        """Wait until a worker carries out a stage for at least so many times."""

        def there() -> bool:
            found = self.shop.again(run).stage(stage)
            return found is not None and found.attempt >= attempt

        self.wait(there, f"{stage} is carried out for the {attempt}. time")

    def processes(self, run: Run, program: str = "") -> set[Identity]:
        """What lives of a run; only the processes of one program where it is named."""
        found = marked(lambda marks: marks.get(RUN_MARK) == run.uid)
        return {one for one in found if not program or command(one.pid) == program}

    def kill_worker(self) -> None:
        kill_worker(self.shop.places)

    def close(self) -> None:
        leave_nothing(self.shop.places, self.engine)
        self.shop.close()


def living_worker(places: Places) -> Identity | None:
    there = presence(places)
    return Identity.of(there.pid) if there else None


def kill_worker(places: Places) -> None:
    """As a power cut does, but for what the worker started: that goes on."""
    worker = living_worker(places)
    assert worker is not None
    worker.signal(signal.SIGKILL)
    patience.wait(lambda: not worker.lives, "the worker has ended")
