"""The end of a test whose home had a worker: nothing of it goes on, however the test ended."""

import shutil
import signal

from patience import wait

from core.engine.client import Engine
from core.errors import RefusedError
from core.hold import HolderRecord
from core.living import RUN_MARK, Identity, command, marked
from core.places import Places
from core.store.index import Index


def leave_nothing(places: Places, engine: Engine) -> None:
    """End every open run of a home, wait until nothing that its runs started lives, and stop the worker.

    What does not end is killed, and the test fails with it.
    """
    try:
        _end_runs(places, engine)
        wait(lambda: not living(places), "nothing of the runs lives", lambda: _told(places))
    finally:
        try:
            engine.stop_worker()
        finally:
            for left in living(places):
                left.signal(signal.SIGKILL)
            shutil.rmtree(places.runtime, ignore_errors=True)  # where no worker was, or one was killed


def living(places: Places) -> list[Identity]:
    """All that the runs of a home started and that lives: tools, what these started, and the holders of all that."""
    records = [HolderRecord.read(path.parent) for path in places.home.glob("runs/*/tools/*/*/holder.json")]
    return [*processes(places), *(record.holder for record in records if record and record.holder.lives)]


def processes(places: Places) -> list[Identity]:
    """All that carries the mark of one of the runs of a home: no holder, which may outlive its tool for a moment."""
    uids = {path.name for path in places.home.glob("runs/*")}
    return marked(lambda marks: marks.get(RUN_MARK) in uids)


def worker_log(places: Places) -> str:
    return places.worker_log.read_text() if places.worker_log.exists() else "no worker was there"


def _end_runs(places: Places, engine: Engine) -> None:
    index = Index(places.index)
    try:
        for run in index.runs(active_only=True):
            try:
                engine.cancel(run.uid, "the end of the test")
            except RefusedError:
                # Between the look and the word it may have ended by itself: that is what was wanted.
                again = index.run(run.uid)
                if again is None or not again.state.ended:
                    raise
        wait(
            lambda: not index.runs(active_only=True),
            "all runs have ended",
            lambda: (index.runs(active_only=True), worker_log(places)),
        )
    finally:
        index.close()


def _told(places: Places) -> str:
    return f"{[command(one.pid) for one in living(places)]}\n{worker_log(places)}"
