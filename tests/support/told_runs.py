"""Runs that a test tells, as the worker and the holder would record them, and the screen that shows one."""

import asyncio
import subprocess
import time
from pathlib import Path
from typing import cast

from patience import PATIENCE
from screen import shown
from stages import plain_stages

from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState, StageState
from core.model.workspace import Catalogue, GitFacts, Workspace
from core.places import Places
from core.services.changing import Changing
from core.services.debugging import Debugging
from core.services.overview import Overviews
from core.store.index import Index
from core.store.log_writer import LogWriter
from tui.app import Ingot
from tui.screens.run import RunScreen

SAMPLES = Path(__file__).parents[1] / "data" / "failures"
COMMIT = "3f9c2a1b77e01d4a11b0c2f3f9c2a1b77e01d4a1"
BEGAN = 1_763_636_400.0


class House:
    """A workspace with runs whose stages a test carries out, as the worker and the holder would record them."""

    def __init__(self, tmp_path: Path) -> None:
        self.root = tmp_path / "shop"
        self.root.mkdir()
        subprocess.run(["git", "init", "-q", str(self.root)], check=True)
        self.places = Places(tmp_path / "home")
        self.places.create()
        self.now = BEGAN
        self.index = Index(self.places.index, clock=lambda: self.now)
        self._opened: list[Overviews] = []
        self.workspace = Workspace("shop", "shop", str(self.root))
        self.index.remember_workspace(self.workspace)
        self.index.trust(self.workspace, "Anna")
        role = self.role("web", "qemu.web")
        self.index.save_catalogue(Catalogue(self.workspace, GitFacts(COMMIT, "main"), (role,), read_at=BEGAN))

    def role(self, name: str, *builds: str) -> Role:
        return Role(name, name, Syntax.HCL2, builds=tuple(Build(build, build.partition(".")[0]) for build in builds))

    def run(self, *builds: str) -> Run:
        builds = builds or ("qemu.web",)
        request = RunRequest(
            self.workspace, self.role("web", *builds), COMMIT, "HEAD", builds, "Anna <anna@example.org>", self.now
        )
        return self.index.add_run(request, plain_stages(builds))

    def begin(self, run: Run) -> None:
        self.index.set_run_state(run.uid, RunState.RUNNING)
        self.index.set_version(run.uid, "0.1.0-4-g3f9c2a1")
        for key in ("checkout", "upstream", "validate"):
            self.stage(run, key, f"{key}: done\n")
            self.end(run, key)

    def building(self, log: str = "building\n") -> Run:
        """A run that is at its build, and what that has said."""
        run = self.run()
        self.begin(run)
        self.stage(run, "build/qemu.web", log)
        return run

    def stage(self, run: Run, key: str, log: str = "", progress: str = "") -> None:
        self.index.update_stage(run.uid, key, state=StageState.RUNNING, started=self.now, attempt=1, progress=progress)
        self.say(run, key, log)

    def say(self, run: Run, key: str, log: str) -> None:
        with LogWriter(self.places.log(run.uid, key), clock=lambda: self.now) as writer:
            writer.write(log.encode())

    def end(self, run: Run, key: str, state: StageState = StageState.SUCCEEDED, error: str = "") -> None:
        self.now += 2
        self.index.update_stage(run.uid, key, state=state, ended=self.now, error=error)

    def fail(self, run: Run, sample: str = "ansible-verbose", *, checkout: str = "") -> None:
        text = (SAMPLES / f"{sample}.log").read_text().replace("null.web", "qemu.web")
        text = text.replace("/srv/shop", checkout or f"{self.places.run(run.uid)}/checkout")
        self.say(run, "build/qemu.web", text)
        self.end(run, "build/qemu.web", StageState.FAILED)
        self.index.set_run_state(run.uid, RunState.FAILED)

    def app(self, run: Run, *, readonly: bool = False) -> Ingot:
        overviews = Overviews(self.places, self.root)
        self._opened.append(overviews)
        return Ingot(
            overviews,
            NoWorker(self.places, self.root),
            lambda: Debugging(self.places, {}),
            readonly=readonly,
            run_uid=run.uid,
            clock=lambda: self.now,
        )

    def close(self) -> None:
        """The program closes these when it ends; a test run keeps nothing open either."""
        for overviews in self._opened:
            overviews.close()
        self.index.close()


class NoWorker(Changing):
    """Starts none: the runs here are told, not carried out."""

    def wake(self) -> None:
        pass


async def seen(app: Ingot, *words: str) -> str:
    """Wait until all of this is on the run screen."""
    told = ""
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up:
        told = shown(app)
        if isinstance(app.screen, RunScreen) and all(word in told for word in words):
            return told
        await asyncio.sleep(0.02)
    raise AssertionError(f"{[word for word in words if word not in told]} never came:\n{told}")


def screen(app: Ingot) -> RunScreen:
    return cast(RunScreen, app.screen)
