"""Runs that are paused, as the index has them, and a tool under a holder that waits as Packer does."""

import os
import signal
import time
from pathlib import Path

import repository
from holds import asker
from leaving_nothing import living
from msgspec.structs import replace
from patience import PATIENCE
from ssh_machine import SshMachine

from core.adapters import packer_prompts
from core.engine.client import Engine
from core.engine.holds import tool_directory
from core.holding import Hold, ToolSpec
from core.model.machine import Machine, MachineState
from core.model.pause import Pause, PauseKind, PauseMode, Pausing
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState, StageState
from core.model.workspace import Workspace
from core.places import Places
from core.store.index import Index
from core.store.touches import Touches
from tests.support.stages import plain_stages

NO_WORKER = ("/bin/true",)
"""A worker that ends at once: answers must count without one."""


class PausedRuns:
    """A home with runs in it that wait for somebody."""

    def __init__(self, home: Path, root: Path) -> None:
        self.places = Places(home)
        self.places.create()
        self.root = root
        repository.new(root, "Ada")
        self.index = Index(self.places.index)
        self.engine = Engine(self.places, worker=NO_WORKER)

    def run(self, *builds: str, sensitive: tuple[str, ...] = ()) -> Run:
        names = builds or ("qemu.web",)
        role = Role("web", "web", Syntax.HCL2, builds=tuple(Build(name, "qemu") for name in names), sensitive=sensitive)
        request = RunRequest(
            workspace=Workspace("shop", "shop", str(self.root)),
            role=role,
            commit="c" * 40,
            ref="HEAD",
            builds=names,
            asked_by="Ada <ada@example.org>",
            asked_at=time.time(),
            pausing=Pausing(PauseMode.FAILURE),
        )
        run = self.index.add_run(request, plain_stages(names))
        self.places.run(run.uid).mkdir(parents=True, mode=0o700)
        self.index.set_run_state(run.uid, RunState.RUNNING)
        self.index.set_run_state(run.uid, RunState.PAUSED, "provisioner failed")
        for name in names:
            self.index.update_stage(run.uid, f"build/{name}", state=StageState.WAITING)
        found = self.index.run(run.uid)
        assert found is not None
        return found

    def pause(self, run: Run, build: str = "qemu.web", kind: PauseKind = PauseKind.FAILURE, number: int = 1) -> Pause:
        pause = Pause(
            run.uid,
            f"build/{build}",
            number,
            kind,
            "StepProvision",
            "Task x failed.",
            time.time(),
            time.time() + 600,
            provisioners=4,
        )
        return self.index.add_pause(pause)

    def waiting(self, at: SshMachine) -> Run:
        """One that is paused, whose machine this is."""
        run = self.run()
        self.machine(run, at)
        self.pause(run)
        return run

    def machine(self, run: Run, at: SshMachine, build: str = "qemu.web", **more: object) -> Machine:
        state: dict[str, object] = {"state": MachineState.PAUSED, "connected": True, **more}
        machine = at.machine(run_uid=run.uid, stage_key=f"build/{build}", build=build, **state)
        self.index.save_machine(machine)
        return machine

    def gone(self, machine: Machine) -> None:
        self.index.save_machine(replace(machine, state=MachineState.GONE))

    def touches(self, run: Run) -> Touches:
        return Touches(self.places.run(run.uid))

    async def hold(self, run: Run, script: str, *, build: str = "qemu.web", limit: float = 600.0) -> Hold:
        """A tool that asks what Packer asks, held as Packer is, and waiting at its first prompt."""
        directory = tool_directory(self.places, run.uid, f"build/{build}", "packer")
        directory.parent.mkdir(parents=True, mode=0o700, exist_ok=True)
        spec = ToolSpec(
            argv=(),
            cwd=self.places.home,
            environment={"PATH": os.environ["PATH"]},
            log=directory.parent / "log",
            run_uid=run.uid,
            grace=PATIENCE,
            prompts=packer_prompts.rules(Pausing(PauseMode.FAILURE)),
            prompt_limit=limit,
        )
        hold = await Hold.start(directory, asker(spec, script))
        assert await hold.wait_held(0) is not None
        return hold

    def close(self) -> None:
        """What was held is no longer, and no worker is there that a command started."""
        self.engine.stop_worker()
        for left in living(self.places):
            left.signal(signal.SIGKILL)
        self.index.close()
