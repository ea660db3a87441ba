"""The end of the tests that have workers: it does not stand on who is quicker."""

from collections.abc import Collection
from pathlib import Path

from leaving_nothing import leave_nothing

from core.engine.client import Engine
from core.model.run import Run, RunState
from core.places import Places
from core.store.index import Index
from tests.unit.test_index import REQUEST, STAGES


class Late(Engine):
    """Somebody else's word comes between our look at a run and ours."""

    def cancel(self, which: int | str, by: str, told: Collection[str] | None = None) -> Run:
        super().cancel(which, "somebody else")
        return super().cancel(which, by, told)


def test_a_run_that_ends_between_the_look_and_the_cancel_has_ended(tmp_path: Path) -> None:
    places = Places(tmp_path / "home")
    places.create()
    index = Index(places.index)
    uid = index.add_run(REQUEST, STAGES).uid
    leave_nothing(places, Late(places))
    run = index.run(uid)
    index.close()
    assert run is not None
    assert (run.state, run.reason) == (RunState.CANCELLED, "cancelled by somebody else before it began")
