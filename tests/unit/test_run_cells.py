"""How a run is told on its own screen: the title of the log, and what stands in its place as long as it is empty."""

import pytest
from msgspec.structs import replace

from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState, Stage, StageState
from core.model.workspace import Workspace
from core.services.following import RunView
from tui.run_cells import log_title, why_no_lines

WEB = Role("web", "web", Syntax.HCL2, builds=(Build("qemu.web", "qemu"),))
REQUEST = RunRequest(Workspace("w", "w", "/w"), WEB, "c" * 40, "HEAD", ("qemu.web",), "Ada", 0.0)
RUN = Run(1, "u", "w", "web", RunState.RUNNING, REQUEST)


@pytest.mark.parametrize(
    ("stage", "title"),
    [
        (Stage("checkout"), "checkout"),
        (Stage("build/qemu.web", StageState.RUNNING), "build/qemu.web"),
        (Stage("build/qemu.web", StageState.RUNNING, progress="booting"), "build/qemu.web · booting"),
        (Stage("convert", StageState.RUNNING, progress="vhd", fraction=0.4), "convert · vhd 40%"),
        (Stage("convert", StageState.FAILED, progress="vhd", fraction=0.4), "convert"),
    ],
)
def test_the_title_says_what_the_stage_does_as_long_as_it_does(stage: Stage, title: str) -> None:
    assert log_title(stage) == title


@pytest.mark.parametrize(
    ("run", "stage", "said"),
    [
        (RunState.QUEUED, StageState.PENDING, "Queued.\n2 runs are taken before it; 1 goes on now."),
        (RunState.RUNNING, StageState.PENDING, "checkout has not begun."),
        (RunState.FAILED, StageState.PENDING, "checkout was not begun."),
        (RunState.RUNNING, StageState.RUNNING, "Nothing was printed yet."),
        (RunState.RUNNING, StageState.WAITING, "Nothing was printed yet."),
        (RunState.SUCCEEDED, StageState.SUCCEEDED, "This stage printed nothing."),
    ],
)
def test_an_empty_log_says_why(run: RunState, stage: StageState, said: str) -> None:
    view = RunView(replace(RUN, state=run), ahead=2, at_work=1)
    assert why_no_lines(view, Stage("checkout", stage)).startswith(said)
