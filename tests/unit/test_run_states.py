"""Which state of a run may follow which."""

from itertools import product

import pytest

from core.model.run import RunState, StageState

ENDED = {RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED, RunState.LOST}


def test_nothing_follows_an_end() -> None:
    assert {state for state in RunState if state.ended} == ENDED
    for ended, other in product(ENDED, RunState):
        assert not ended.may_become(other)


def test_every_state_that_is_no_end_can_reach_one() -> None:
    for state in set(RunState) - ENDED:
        reached, edge = {state}, {state}
        while edge:
            edge = {other for one in edge for other in RunState if one.may_become(other)} - reached
            reached |= edge
        assert reached >= {RunState.CANCELLED, RunState.LOST}, state


@pytest.mark.parametrize(
    ("state", "other"),
    [
        (RunState.QUEUED, RunState.SUCCEEDED),
        (RunState.RUNNING, RunState.CANCELLED),
        (RunState.WAITING, RunState.CANCELLED),
        (RunState.PAUSED, RunState.SUCCEEDED),
        (RunState.CANCELLING, RunState.RUNNING),
        (RunState.CANCELLING, RunState.SUCCEEDED),
    ],
)
def test_a_run_that_has_begun_is_cancelled_only_after_its_clean_up(state: RunState, other: RunState) -> None:
    assert not state.may_become(other)


def test_a_queued_run_may_wait_for_another_without_having_begun() -> None:
    assert RunState.QUEUED.may_become(RunState.WAITING)


def test_a_stage_that_has_not_ended_is_pending_running_or_waiting() -> None:
    assert {state for state in StageState if not state.ended} == {
        StageState.PENDING,
        StageState.RUNNING,
        StageState.WAITING,
    }
