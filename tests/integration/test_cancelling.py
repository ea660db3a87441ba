"""The end of a run that is paused: asked about one pause, it never hits another. Real holders, no worker."""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from paused_run import PausedRuns

from core.errors import EngineError, RefusedError
from core.holding import Hold
from core.model.machine import Machine, MachineState
from core.model.pause import Pause
from core.model.run import Run, RunState
from core.services.building import Building

BOB = "Bob <bob@example.org>"
RETRIED = "ask(FAILED); ask(FAILED)"


@pytest.fixture
def runs(tmp_path: Path) -> Iterator[PausedRuns]:
    made = PausedRuns(tmp_path / "home", tmp_path / "shop")
    yield made
    made.close()


@pytest.fixture
def building(runs: PausedRuns) -> Building:
    return Building(runs.places, os.environ, engine=runs.engine)


@pytest.fixture
async def held(runs: PausedRuns) -> AsyncIterator[tuple[Run, Pause, Hold]]:
    run = runs.run()
    pause = runs.pause(run)
    hold = await runs.hold(run, RETRIED)
    yield run, pause, hold
    with contextlib.suppress(EngineError):
        await hold.interrupt()
    await hold.wait()


Held = tuple[Run, Pause, Hold]


async def cancel(building: Building, run: Run, told: frozenset[str] | None) -> Run:
    with contextlib.suppress(EngineError):  # there is no worker, and none can be started
        await asyncio.to_thread(building.cancel, run.uid, told)
    again = building.at_stake(run.uid).run
    assert again.uid == run.uid
    return again


async def test_what_is_at_stake_is_every_machine_that_goes(runs: PausedRuns, building: Building) -> None:
    run, other = runs.run("qemu.web", "qemu.db"), runs.run()
    pause = runs.pause(run, "qemu.web")
    machine = Machine(run.uid, "build/qemu.web", "qemu.web", "qemu", MachineState.PAUSED, host="192.0.2.7")
    for one in (
        machine,
        replace(machine, stage_key="build/qemu.db", build="qemu.db", state=MachineState.BUILDING, host="192.0.2.8"),
        replace(machine, stage_key="test/qemu.db", build="qemu.db", state=MachineState.KEPT, host="192.0.2.9"),
        replace(machine, run_uid=other.uid, host="192.0.2.10"),
    ):
        runs.index.save_machine(one)
    found = building.at_stake(run.uid)
    assert found.lines == ("qemu.db at 192.0.2.8:22", "qemu.web at 192.0.2.7:22, paused: Task x failed.")
    assert found.told == {pause.id}
    assert found.paused


async def test_a_cancel_answers_the_pause_that_it_was_asked_about(
    building: Building, runs: PausedRuns, held: Held
) -> None:
    run, pause, hold = held
    again = await cancel(building, run, frozenset({pause.id}))
    assert again.cancel_asked_by == "Ada <ada@example.org>"
    assert (await hold.wait()).ended_by == "cancel"
    over = await hold.last_answer()
    assert over is not None
    assert (over.by, over.what) == ("Ada <ada@example.org>", "cancel")


async def test_a_cancel_that_comes_after_an_answer_ends_nothing(
    building: Building, runs: PausedRuns, held: Held
) -> None:
    """Nobody has written the answer down yet: the holder alone knows it."""
    run, pause, hold = held
    await hold.answer(pause.number, b"r\r", BOB, "retry")
    second = await hold.wait_held(pause.number)
    assert second is not None
    with pytest.raises(RefusedError, match=r"Bob <bob@example\.org> answered it at .*: retry"):
        await cancel(building, run, frozenset({pause.id}))
    assert building.at_stake(run.uid).run.cancel_asked_by == ""
    assert await hold.held() == second
    # And where it was written down.
    runs.index.answered(pause.id, "retry", BOB, 1.0)
    with pytest.raises(RefusedError, match=r"Bob <bob@example\.org> answered it at .*: retry"):
        await cancel(building, run, frozenset({pause.id}))
    assert await hold.held() == second


async def test_of_a_cancel_and_an_answer_at_once_one_counts(building: Building, held: Held) -> None:
    run, pause, hold = held
    told = await asyncio.gather(
        cancel(building, run, frozenset({pause.id})),
        hold.answer(pause.number, b"r\r", BOB, "retry"),
        return_exceptions=True,
    )
    assert sum(isinstance(one, RefusedError) for one in told) == 1
    if isinstance(told[0], RefusedError):
        assert await hold.wait_held(pause.number) is not None
    assert bool(building.at_stake(run.uid).run.cancel_asked_by) == (not isinstance(told[0], RefusedError))


async def test_who_cancelled_a_run_that_works_does_not_end_one_that_waits(building: Building, held: Held) -> None:
    run, _, hold = held
    with pytest.raises(RefusedError, match="has paused meanwhile: Task x failed"):
        await cancel(building, run, frozenset())
    assert building.at_stake(run.uid).run.cancel_asked_by == ""
    assert await hold.held() is not None


@pytest.mark.parametrize("killed", [False, True])
async def test_where_nothing_holds_the_machine_any_more_the_run_is_cancelled_all_the_same(
    building: Building, runs: PausedRuns, killed: bool
) -> None:
    run = runs.run()
    pause = runs.pause(run)
    if killed:
        hold = await runs.hold(run, RETRIED)
        tool = hold.tool_pid
        assert tool is not None
        os.kill(hold.pid, signal.SIGKILL)
        await hold.wait_gone()
        with contextlib.suppress(ProcessLookupError):  # its terminal is gone
            os.kill(tool, signal.SIGKILL)
    again = await cancel(building, run, frozenset({pause.id}))
    assert again.cancel_asked_by == "Ada <ada@example.org>"
    assert again.state is RunState.PAUSED, "the next worker cleans up"
