"""The stages of a run in one line of a list: the one at work, or that failed, is named however many there are."""

import pytest
from msgspec.structs import replace

from core.model.pipeline import stages_of
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState, Stage, StageState
from core.model.workspace import Workspace
from tui.cells import stages

WEB = Role("web", "web", Syntax.HCL2, builds=(Build("qemu.web", "qemu"),), formats=("vhd",))
KEYS = stages_of(WEB, ("qemu.web",))


def line(state: RunState, *done: StageState, keys: tuple[str, ...] = KEYS) -> str:
    request = RunRequest(Workspace("w", "w", "/w"), WEB, "c" * 40, "HEAD", ("qemu.web",), "Ada", 0.0)
    states = (*done, *[StageState.PENDING] * (len(keys) - len(done)))
    told = tuple(
        Stage(key, at, started=0.0 if at is not StageState.PENDING else None, ended=None)
        for key, at in zip(keys, states, strict=True)
    )
    run = replace(Run(1, "u", "w", "web", state, request), stages=told)
    return "".join(piece.text for piece in stages(run, 72.0))


OK = StageState.SUCCEEDED


def test_few_stages_are_all_named() -> None:
    assert line(RunState.RUNNING, OK, StageState.RUNNING, keys=("checkout", "build/qemu.web", "register")) == (
        "✓ checkout  ◐ build 1:12  · register"
    )


@pytest.mark.parametrize(
    ("state", "done", "shown"),
    [
        (RunState.QUEUED, (), "· checkout  ·········"),
        (RunState.RUNNING, (OK, OK, OK, OK, StageState.RUNNING), "✓✓✓✓  ◐ seal 1:12  · prove  ····"),
        (RunState.RUNNING, (*[OK] * 9, StageState.RUNNING), "✓✓✓✓✓✓✓✓✓  ◐ convert 1:12"),
        (RunState.RUNNING, (OK,) * 4, "✓✓✓  ✓ build  · seal  ·····"),
        (RunState.FAILED, (*[OK] * 5, StageState.FAILED), "✓✓✓✓✓  ✗ prove 1:12  ····"),
        (RunState.SUCCEEDED, (OK,) * 10, "✓✓✓✓✓✓✓✓✓  ✓ convert"),
    ],
)
def test_of_many_stages_the_one_at_work_and_the_next_are_named(
    state: RunState, done: tuple[StageState, ...], shown: str
) -> None:
    assert line(state, *done) == shown
