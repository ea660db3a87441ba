"""The list of runs: what a run is, and how long it took, are always to be read; what it does never moves a column."""

from collections.abc import Sequence

import pytest
from msgspec.structs import replace

from core.model.pipeline import Purpose
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState
from core.model.workspace import Workspace
from core.services.overview import Overview, RoleView
from tui.cells import role_columns, run_columns
from tui.theme import plain
from tui.widgets.columns import Column, fit

WEB = Role("web", "web", Syntax.HCL2, builds=(Build("qemu.web", "qemu"),))
REQUEST = RunRequest(Workspace("w", "w", "/w"), WEB, "c" * 40, "HEAD", ("qemu.web",), "Ada", 0.0)
RUN = Run(1, "u", "w", "web", RunState.SUCCEEDED, REQUEST, created=0.0, started=0.0, ended=23 * 60 + 4.0)


@pytest.mark.parametrize(("is_sorted", "indent"), [(False, "  "), (True, "")])
def test_roles_stand_below_what_they_are_built_on_in_that_order_alone(is_sorted: bool, indent: str) -> None:
    name = role_columns(lambda: is_sorted)[0]
    assert plain(name.value(RoleView(WEB, depth=1))) == f"{indent}· web"


def columns() -> Sequence[Column[Run]]:
    return run_columns(lambda: 2000.0, lambda: Overview(root="/w"))


@pytest.mark.parametrize("purpose", Purpose)
def test_a_run_says_what_it_is_for(purpose: Purpose) -> None:
    run = replace(RUN, request=replace(REQUEST, purpose=purpose))
    assert purpose.value in [plain(column.value(run)) for column in columns()]


@pytest.mark.parametrize("doing", [5, 20, 60, 200])
def test_the_time_is_whole_and_the_stages_do_not_come_and_go(doing: int) -> None:
    wanted = {"run": 3, "role": 8, "purpose": 7, "state": 11, "stages": 60, "doing": doing, "took": 7, "begun": 5}
    shown = {
        column.id: width
        for column, width in zip(
            columns(), fit(columns(), [wanted[column.id] for column in columns()], 75), strict=True
        )
    }
    assert shown["took"] == 7
    assert not shown["stages"]
