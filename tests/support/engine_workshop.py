"""What the tests of the engine share: a home of their own, requests, and looking at what really runs."""

import os
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import patience
from leaving_nothing import leave_nothing, processes, worker_log
from msgspec.structs import replace
from worked_site import kill_worker, living_worker

from core.engine.client import Engine
from core.living import Identity
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest
from core.model.workspace import Workspace
from core.places import Places
from core.store.index import Index

STAGES = ("checkout", "upstream", "validate", "build", "register")
PROGRAM = (sys.executable, str(Path(__file__).with_name("engine_worker.py")))
IMPATIENT = (*PROGRAM, "impatient")
"""Where a stage is stubborn."""


class Workshop:
    """One home with an engine in it, whose stages wait for gates."""

    def __init__(self, places: Places, gates: Path, worker: Sequence[str] = PROGRAM) -> None:
        self.places = places
        self.gates = gates
        self.engine = Engine(places, worker=worker)
        self.index = Index(places.index)

    def submit(
        self, *, secrets: Mapping[str, str] | None = None, parent: str = "", how: Mapping[str, str] | None = None
    ) -> Run:
        given = dict(secrets or {})
        return self.engine.submit(replace(self.request(how or {}), secret_names=tuple(given), parent_run=parent), given)

    def request(self, how: Mapping[str, str]) -> RunRequest:
        role = Role("web", "web", Syntax.HCL2, builds=(Build("null.web", "null"),), variables=how)
        return RunRequest(
            workspace=Workspace("test", "test", str(self.gates)),
            role=role,
            commit="c" * 40,
            ref="HEAD",
            builds=("null.web",),
            asked_by="Ada <ada@example.org>",
            asked_at=time.time(),
            environment={"GATES": str(self.gates)},
        )

    def open(self, *gates: str) -> None:
        for gate in gates:
            (self.gates / gate).touch()

    def run(self, run: Run) -> Run:
        found = self.index.run(run.uid)
        assert found is not None
        return found

    def notes(self, run: Run) -> list[str]:
        path = self.gates / f"notes-{run.id}"
        return path.read_text().splitlines() if path.exists() else []

    def ran(self, run: Run) -> list[str]:
        """Names of the stages whose command ran, once for each time."""
        return [note.split()[1] for note in self.notes(run) if note.startswith("ran ")]

    def log(self, run: Run, stage: str) -> str:
        path = self.places.log(run.uid, "build/null.web" if stage == "build" else stage)
        return path.read_text() if path.exists() else ""

    def wait(self, condition: Callable[[], object], what: str) -> None:
        patience.wait(condition, what, lambda: (self.index.runs(), worker_log(self.places)))

    def until_ran(self, run: Run, stage: str) -> None:
        self.wait(lambda: stage in self.ran(run), f"{stage} of run {run.id} runs")

    def until_followed(self, run: Run, stage: str) -> None:
        """Until the worker has heard what the stage's command says, and so is following it."""

        def heard() -> bool:
            current = self.run(run).current
            return current is not None and current.progress.startswith(f"hello from {stage}")

        self.wait(heard, f"{stage} of run {run.id} is followed")

    def until_ended(self, *runs: Run) -> list[Run]:
        self.wait(lambda: all(self.run(run).state.ended for run in runs), "the runs have ended")
        return [self.run(run) for run in runs]

    @property
    def worker(self) -> Identity | None:
        return living_worker(self.places)

    def until_worker_ends(self) -> None:
        self.wait(lambda: self.worker is None, "the worker ends")

    def kill_worker(self) -> None:
        kill_worker(self.places)

    def processes(self) -> list[Identity]:
        """All that the runs of this home started and that lives, but for the holders."""
        return processes(self.places)


@contextmanager
def workshop(
    tmp_path: Path, settings: Mapping[str, str] | None = None, worker: Sequence[str] = PROGRAM
) -> Generator[Workshop]:
    """A workshop that ends its runs and its worker, and leaves nothing."""
    variables = {"INGOT_HOME": str(tmp_path / "home"), "INGOT_CONCURRENCY": "2", **(settings or {})}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        places = Places.of(os.environ)
        places.create()
        gates = tmp_path / "gates"
        gates.mkdir()
        shop = Workshop(places, gates, worker)
        try:
            yield shop
        finally:
            shop.open("all")
            leave_nothing(places, shop.engine)
            shop.index.close()
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
