"""A repository, a home of Ingot, and runs in it whose stages are carried out by the real parts, one at a time."""

import asyncio
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import patience
from leaving_nothing import living
from msgspec.structs import replace
from repository import commit, git, new

from core.adapters.git import GitRepository
from core.engine.job import Job
from core.engine.slots import Slots
from core.engine.surroundings import Memory, Surroundings
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest, RunState, StageState
from core.model.workspace import Workspace
from core.places import Places
from core.stages import build, checkout, convert, leftovers, prove, register, seal, test, upstream, validate
from core.store.index import Index
from core.store.ledger import Ledger
from tests.support.stages import plain_stages

STAGES = {
    "checkout": checkout.carry_out,
    "upstream": upstream.carry_out,
    "validate": validate.carry_out,
    "build": build.carry_out,
    "seal": seal.carry_out,
    "prove": prove.carry_out,
    "register": register.carry_out,
    "test": test.carry_out,
    "convert": convert.carry_out,
}
WHO = "Ada Example <ada@example.org>"

FILE_TEMPLATE = """\
variable "ingot_version" {
  type    = string
  default = "dev"
}
variable "ingot_output" {
  type    = string
  default = "output"
}
source "file" "hello" {
  content = "version ${var.ingot_version}"
  target  = "${var.ingot_output}/hello.txt"
}
build {
  sources = ["source.file.hello"]
}
"""


def role(name: str = "web", template: str = "web", build: str = "file.hello", **more: object) -> Role:
    """A role with one build of a template in HCL2."""
    plain = Role(
        name=name,
        template=template,
        syntax=Syntax.HCL2,
        builds=(Build(build, build.split(".")[-2] if "." in build else build),),
        declares=("ingot_version", "ingot_output"),
    )
    return replace(plain, **more)  # pyright: ignore[reportArgumentType] - the fields of a Role


class Workshop:
    """Everything below `place`, which a test has for itself."""

    def __init__(self, place: Path) -> None:
        self.root = place / "shop"
        self.places = Places(place / "home")
        self.places.create()
        new(self.root, environment=self._environment)
        self.index = Index(self.places.index)
        self.memory = Memory()
        self.around = Surroundings(
            index=self.index,
            places=self.places,
            slots=Slots(2),
            memory=self.memory,
            ledger=lambda run: Ledger(Path(run.request.workspace.root), run.request.workspace.remote),
            grace=2.0,
        )

    def git(self, *words: str) -> str:
        return git(self.root, *words, environment=self._environment)

    def commit(self, files: Mapping[str, str]) -> str:
        """Write the files and commit all there is; gives the commit."""
        return commit(self.root, files, environment=self._environment)

    @property
    def _environment(self) -> dict[str, str]:
        """Of Git: nobody's settings but the repository's own."""
        return {"PATH": os.environ["PATH"], "HOME": str(self.root), "GIT_CONFIG_NOSYSTEM": "1"}

    @property
    def workspace(self) -> Workspace:
        return Workspace(id="example.org/shop", name="shop", root=str(self.root))

    @property
    def ledger(self) -> Ledger:
        return Ledger(self.root)

    def new_run(
        self,
        of: Role,
        *,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, str] | None = None,
        builds: Sequence[str] = (),
        stages: Sequence[str] = (),
    ) -> Run:
        """A run of the newest commit, being carried out; with the plain stages, if none are named."""
        names = tuple(builds) or tuple(one.name for one in of.builds)
        request = RunRequest(
            workspace=self.workspace,
            role=of,
            commit=GitRepository(self.root).resolve("HEAD"),
            ref="HEAD",
            builds=names,
            asked_by=WHO,
            asked_at=0.0,
            environment=environment or {},
            secret_names=tuple(secrets or ()),
        )
        run = self.index.add_run(request, tuple(stages) or plain_stages(names))
        self.index.set_run_state(run.uid, RunState.RUNNING)
        self.memory.give(run.uid, secrets or {})
        return self.again(run)

    def again(self, run: Run) -> Run:
        """The run as the index has it now."""
        found = self.index.run(run.uid)
        assert found is not None
        return found

    async def stage(self, run: Run, key: str) -> dict[str, object]:
        """Carry out one stage. What it raises comes through."""
        run = self.again(run)
        stage = run.stage(key)
        assert stage is not None
        self.index.update_stage(run.uid, key, state=StageState.RUNNING, attempt=stage.attempt + 1)
        job = Job(self.around, run, stage)
        try:
            result = dict(await STAGES[stage.name](job))
        finally:
            job.close()
        self.index.update_stage(run.uid, key, state=StageState.SUCCEEDED, result=result)
        return result

    async def until(self, run: Run, last: str) -> dict[str, object]:
        """Carry out the stages that have not succeeded, up to this one; gives its result."""
        for stage in self.again(run).stages:
            if stage.state is not StageState.SUCCEEDED:
                await self.stage(run, stage.key)
            if stage.key == last:
                break
        return self.index.stage_result(run.uid, last)

    async def waits(self, run: Run, doing: "asyncio.Future[Any]") -> None:
        """Until the run is shown as waiting. What was begun may not go on without what it waits for."""
        await patience.until(lambda: doing.done() or self.again(run).state is RunState.WAITING, "the run waits")
        assert not doing.done(), doing

    def end(self, run: Run, *, succeeded: bool) -> None:
        leftovers.clean_up(self.places, self.again(run), succeeded=succeeded)

    def log(self, run: Run, key: str) -> str:
        path = self.places.log(run.uid, key)
        return path.read_text() if path.exists() else ""

    def close(self) -> None:
        for left in living(self.places):
            left.signal(signal.SIGKILL)
        self.index.close()
        shutil.rmtree(self.places.runtime, ignore_errors=True)
