"""What a worker writes of pauses and machines, when it is killed in the middle of it or others write too."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from workshop import FILE_TEMPLATE, Workshop, role

from core.engine.execution import Execution, Pipeline
from core.engine.holds import build_directory
from core.engine.pausing import Noted
from core.hold import Answered, PromptRecord
from core.model.machine import Machine, MachineState
from core.model.pause import Pause, PauseKind
from core.model.run import Run, RunState
from core.store.index import Index

BOB = "Bob <bob@example.org>"
KEY = "build/file.hello"


class KilledError(BaseException):
    """The worker is killed here."""


class Killing(Index):
    """Dies in the first write of this name."""

    dies_in = ""

    def answered(self, pause_id: str, answer: str, by: str, at: float) -> bool:
        if self.dies_in == "answered":
            raise KilledError
        return super().answered(pause_id, answer, by, at)

    def set_run_state(self, uid: str, state: RunState, reason: str = "") -> None:
        if self.dies_in == "set_run_state":
            raise KilledError
        super().set_run_state(uid, state, reason)


@pytest.fixture
def run(workshop: Workshop) -> Run:
    workshop.commit({"web/web.pkr.hcl": FILE_TEMPLATE})
    run = workshop.new_run(role())
    workshop.index.save_machine(Machine(run.uid, KEY, "file.hello", "file", host="192.0.2.7"))
    return run


@pytest.fixture
def killing(workshop: Workshop) -> Iterator[Killing]:
    made = Killing(workshop.places.index)
    yield made
    made.close()


def noted(workshop: Workshop, run: Run, index: Index) -> Noted:
    stage = run.stage(KEY)
    assert stage is not None
    return Noted(replace(workshop.around, index=index), run, stage)


def pause_of(run: Run) -> Pause:
    return Pause(run.uid, KEY, 1, PauseKind.FAILURE, "StepProvision", "It failed.", 5.0, 7205.0)


def answered(workshop: Workshop, run: Run, what: str) -> Path:
    directory = build_directory(workshop.places, run.uid, KEY)
    directory.mkdir(parents=True)
    PromptRecord(None, (Answered(1, BOB, what, 9.0),)).write(directory)
    return directory


def state(workshop: Workshop, run: Run) -> tuple[MachineState, bool, RunState]:
    """Of the machine, whether its pause is open, and of the run."""
    machine = workshop.index.machine(run.uid, KEY)
    assert machine is not None
    return machine.state, bool(workshop.index.pauses(run.uid, open_only=True)), workshop.again(run).state


def test_a_machine_is_kept_and_its_pause_over_or_neither(workshop: Workshop, run: Run, killing: Killing) -> None:
    noted(workshop, run, workshop.index).begin(pause_of(run))
    directory = answered(workshop, run, "keep")
    killing.dies_in = "answered"
    with pytest.raises(KilledError):
        noted(workshop, run, killing).settle(directory)
    assert state(workshop, run) == (MachineState.PAUSED, True, RunState.PAUSED)
    noted(workshop, run, workshop.index).settle(directory)
    assert state(workshop, run) == (MachineState.KEPT, False, RunState.PAUSED)


def test_a_run_and_its_machine_are_paused_together_and_go_on_together(
    workshop: Workshop, run: Run, killing: Killing
) -> None:
    killing.dies_in = "set_run_state"
    with pytest.raises(KilledError):
        noted(workshop, run, killing).begin(pause_of(run))
    assert state(workshop, run) == (MachineState.BUILDING, False, RunState.RUNNING)
    noted(workshop, run, workshop.index).begin(pause_of(run))
    with pytest.raises(KilledError):
        noted(workshop, run, killing).go_on()
    assert state(workshop, run) == (MachineState.PAUSED, True, RunState.PAUSED)
    noted(workshop, run, workshop.index).go_on()
    assert state(workshop, run) == (MachineState.BUILDING, True, RunState.RUNNING)


async def test_a_machine_that_was_kept_while_no_worker_lived_is_kept_though_its_run_is_cancelled(
    workshop: Workshop, run: Run
) -> None:
    noted(workshop, run, workshop.index).begin(pause_of(run))
    answered(workshop, run, "keep")
    workshop.index.ask_cancel(run.uid, "Ada <ada@example.org>")
    execution = Execution(workshop.around, Pipeline({}, lambda _run, _succeeded: None), lambda: None)
    await execution.finish(run.uid)
    assert state(workshop, run) == (MachineState.KEPT, False, RunState.CANCELLED)
    (pause,) = workshop.index.pauses(run.uid)
    assert (pause.answer, pause.answered_by) == ("keep", BOB)
