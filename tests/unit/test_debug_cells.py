"""How a machine that waits is told: why there will be no shell in it."""

import pytest
from msgspec.structs import replace

from core.model.machine import Machine, MachineState
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState
from core.model.workspace import Workspace
from tui.debug_cells import why_no_shell

WEB = Role("web", "web", Syntax.HCL2, builds=(Build("qemu.web", "qemu"),))
REQUEST = RunRequest(Workspace("w", "w", "/w"), WEB, "c" * 40, "HEAD", ("qemu.web",), "Ada", 0.0)
RUN = Run(1, "u", "w", "web", RunState.RUNNING, REQUEST)
MACHINE = Machine("u", "build/qemu.web", "qemu.web", "qemu", MachineState.PAUSED)


@pytest.mark.parametrize(
    ("run", "machine", "readonly", "said"),
    [
        (RunState.RUNNING, None, False, ""),
        (RunState.RUNNING, MACHINE, False, ""),
        (RunState.FAILED, replace(MACHINE, state=MachineState.KEPT), False, ""),
        (RunState.FAILED, MACHINE, False, "The run has ended"),
        (RunState.FAILED, None, True, "The run has ended"),
        (RunState.FAILED, replace(MACHINE, state=MachineState.GONE), True, "The machine is gone"),
        (RunState.RUNNING, MACHINE, True, "Ingot was started with --readonly"),
        (RunState.RUNNING, replace(MACHINE, communicator="winrm"), False, "qemu.web is reached over WinRM"),
    ],
)
def test_no_shell_where_there_is_no_machine_or_nobody_may_change_it(
    run: RunState, machine: Machine | None, readonly: bool, said: str
) -> None:
    told = why_no_shell(replace(RUN, state=run), machine, readonly=readonly)
    assert told.startswith(said)
    assert bool(told) == bool(said)
