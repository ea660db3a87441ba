"""What all jobs of a worker share; the secrets of its runs among it, in memory only."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from core.engine.slots import Slots
from core.model.run import Run
from core.places import Places
from core.stages.stage import LedgerOfRun
from core.store.index import Index


class Memory:
    """The secrets of the runs, and nothing but this process's memory has them."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, str]] = {}

    def give(self, uid: str, secrets: Mapping[str, str]) -> None:
        self._of.setdefault(uid, {}).update(secrets)

    def of(self, uid: str) -> Mapping[str, str]:
        return dict(self._of.get(uid, {}))

    def forget(self, uid: str) -> None:
        self._of.pop(uid, None)

    def keep_only(self, uids: Collection[str]) -> None:
        """Forget those of all other runs: a queued run that is cancelled never comes by here to end."""
        for uid in self._of.keys() - set(uids):
            del self._of[uid]

    def missing(self, run: Run) -> tuple[str, ...]:
        """Names of the secrets that the run needs and that are not here: a worker that ended has forgotten them."""
        return tuple(name for name in run.request.secret_names if name not in self._of.get(run.uid, {}))


@dataclass(slots=True)
class Surroundings:
    """What all jobs of a worker share."""

    index: Index
    places: Places
    slots: Slots
    memory: Memory
    ledger: Callable[[Run], LedgerOfRun]
    grace: float
    """Seconds that a tool has for cleaning up before it is ended less politely."""
    leaving: bool = False
    """The worker is ending: what is cancelled now is only let go of, and goes on under its holder."""
