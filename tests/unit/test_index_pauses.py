"""Pauses and machines in the index: who was first counts, and what is written is read again."""

from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from core.errors import EngineError, RefusedError
from core.model.machine import Jump, Login, Machine, MachineState
from core.model.pause import NEVER, Pause, PauseKind, PauseMode, Pausing
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState
from core.model.workspace import Workspace
from core.store.index import Index

REQUEST = RunRequest(
    workspace=Workspace(id="example.org/shop", name="shop", root="/srv/shop"),
    role=Role(name="web", template="web", syntax=Syntax.HCL2, builds=(Build("qemu.web", "qemu"),)),
    commit="c" * 40,
    ref="HEAD",
    builds=("qemu.web",),
    asked_by="Ada <ada@example.org>",
    asked_at=1000.0,
    pausing=Pausing(PauseMode.STEP, ("clean-up", "StepProvision"), 600.0),
)
KEY = "build/qemu.web"


@pytest.fixture
def index(tmp_path: Path):
    made = Index(tmp_path / "index.sqlite")
    yield made
    made.close()


@pytest.fixture
def run(index: Index) -> Run:
    return index.add_run(REQUEST, (KEY,))


def pause_of(run: Run, number: int = 1) -> Pause:
    return Pause(run.uid, KEY, number, PauseKind.FAILURE, "StepProvision", "It failed.", 5.0 + number, 7205.0, 3)


def test_how_a_build_may_pause_is_kept_with_its_request(index: Index, run: Run, tmp_path: Path) -> None:
    other = Index(tmp_path / "index.sqlite")
    assert getattr(other.run(run.uid), "request", None) == REQUEST
    other.close()


def test_a_request_from_before_there_were_pauses_never_pauses() -> None:
    old = msgspec.json.decode(msgspec.json.encode(REQUEST))
    del old["pausing"]
    assert msgspec.json.decode(msgspec.json.encode(old), type=RunRequest) == replace(REQUEST, pausing=NEVER)


def test_a_pause_is_recorded_once_and_stays_as_it_was(index: Index, run: Run) -> None:
    pause = pause_of(run)
    assert index.add_pause(pause) == pause
    again = replace(pause, since=99.0, why="Something else.")
    assert index.add_pause(again) == pause
    assert index.pauses(run.uid) == index.pauses() == index.pauses(open_only=True) == [pause]
    assert index.pauses("another") == []


def test_of_two_answers_the_first_counts(index: Index, run: Run) -> None:
    first, second = pause_of(run), pause_of(run, 2)
    index.add_pause(first)
    index.add_pause(second)
    assert index.answered(first.id, "retry", "Ada <ada@example.org>", 50.0)
    assert not index.answered(first.id, "clean-up", "Bob <bob@example.org>", 51.0)
    assert index.pauses(run.uid) == [
        replace(first, answer="retry", answered_by="Ada <ada@example.org>", answered_at=50.0),
        second,
    ]
    assert index.pauses(open_only=True) == [second]
    with pytest.raises(EngineError, match="no pause"):
        index.answered(pause_of(run, 3).id, "retry", "Ada", 1.0)
    with pytest.raises(EngineError, match="no pause"):
        index.answered("nonsense", "retry", "Ada", 1.0)


def test_a_pause_can_be_made_longer(index: Index, run: Run) -> None:
    pause = index.add_pause(pause_of(run))
    before = index.data_version()
    index.set_pause_until(pause.id, pause.until)
    assert index.data_version() == before, "nothing changed: nobody is told"
    index.set_pause_until(pause.id, 9000.0)
    assert index.pauses(run.uid)[0].until == 9000.0
    index.set_pause_until(pause.id, None)
    assert index.pauses(run.uid)[0].until is None


def test_a_machine_is_kept_whole_until_it_is_gone(index: Index, run: Run) -> None:
    machine = Machine(
        run.uid,
        KEY,
        "qemu.web",
        "qemu",
        host="127.0.0.1",
        port=3059,
        login=Login("root", ("/keys/id",)),
        jump=Jump("bastion", 2222, Login("ada", agent="/run/agent")),
        until=7205.0,
    )
    assert index.machine(run.uid, KEY) is None
    index.save_machine(machine)
    assert index.machine(run.uid, KEY) == machine
    assert index.machines() == index.machines(run.uid) == [machine]
    gone = replace(machine, state=MachineState.GONE)
    index.save_machine(gone)
    assert index.machines() == []
    assert index.machines(living_only=False) == [gone]


def test_another_login_changes_nothing_else_of_a_machine(index: Index, run: Run) -> None:
    login = Login("ada", ("/keys/id",))
    with pytest.raises(RefusedError, match=r"qemu\.web is not known"):
        index.set_machine_login(run.uid, KEY, login)
    kept = Machine(run.uid, KEY, "qemu.web", "qemu", MachineState.KEPT, host="10.0.0.5", until=7205.0, kept_by="Bob")
    index.save_machine(kept)
    assert index.set_machine_login(run.uid, KEY, login) == replace(kept, login=login)
    assert index.machine(run.uid, KEY) == replace(kept, login=login)
    index.save_machine(replace(kept, state=MachineState.GONE))
    with pytest.raises(RefusedError, match=r"qemu\.web has ended"):
        index.set_machine_login(run.uid, KEY, login)
    assert index.machines() == []


def test_a_cancel_hits_no_pause_that_whoever_asked_was_not_told_of(index: Index, run: Run) -> None:
    first, second = pause_of(run), pause_of(run, 2)
    index.add_pause(first)
    index.answered(first.id, "retry", "Bob", 50.0)
    index.add_pause(second)
    for told in (frozenset[str](), frozenset({first.id})):
        with pytest.raises(RefusedError, match="Run 1 has paused meanwhile: It failed"):
            index.ask_cancel(run.uid, "Ada", told)
    assert getattr(index.run(run.uid), "cancel_asked_by", None) == ""
    index.set_run_state(run.uid, RunState.RUNNING)
    index.ask_cancel(run.uid, "Ada", frozenset({second.id}))
    assert getattr(index.run(run.uid), "cancel_asked_by", None) == "Ada"
