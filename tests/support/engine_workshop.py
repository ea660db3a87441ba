"""What the tests of the engine share: a home of their own, requests, and looking at what really runs."""

import contextlib
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path

from msgspec.structs import replace

from core.engine.client import Engine
from core.engine.protocol import presence
from core.living import RUN_MARK, Identity, marked
from core.model.role import Build, Role, Syntax
from core.model.run import Run, RunRequest
from core.model.workspace import Workspace
from core.places import Places
from core.store.index import Index

STAGES = ("checkout", "upstream", "validate", "build", "register")
PROGRAM = (sys.executable, str(Path(__file__).with_name("engine_worker.py")))
PATIENCE = 60.0
"""Seconds before something that never happens is called so; nothing here takes that long."""


class Workshop:
    """One home with an engine in it, whose stages wait for gates."""

    def __init__(self, places: Places, gates: Path) -> None:
        self.places = places
        self.gates = gates
        self.engine = Engine(places, worker=PROGRAM)
        self.index = Index(places.index)
        self.uids: list[str] = []

    def submit(
        self, *, secrets: Mapping[str, str] | None = None, parent: str = "", how: Mapping[str, str] | None = None
    ) -> Run:
        given = dict(secrets or {})
        run = self.engine.submit(replace(self.request(how or {}), secret_names=tuple(given), parent_run=parent), given)
        self.uids.append(run.uid)
        return run

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

    def wait(self, until: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + PATIENCE
        while not until():
            if time.monotonic() > deadline:
                log = self.places.worker_log
                raise AssertionError(f"never: {what}\n{log.read_text() if log.exists() else 'no worker log'}")
            time.sleep(0.02)

    def until_ran(self, run: Run, stage: str) -> None:
        self.wait(lambda: stage in self.ran(run), f"{stage} of run {run.id} runs; {self.run(run)}")

    def until_followed(self, run: Run, stage: str) -> None:
        """Until the worker has heard what the stage's command says, and so is following it."""

        def heard() -> bool:
            current = self.run(run).current
            return current is not None and current.progress.startswith(f"hello from {stage}")

        self.wait(heard, f"{stage} of run {run.id} is followed; {self.run(run)}")

    def until_ended(self, *runs: Run) -> list[Run]:
        self.wait(lambda: all(self.run(run).state.ended for run in runs), f"{[self.run(run) for run in runs]} end")
        return [self.run(run) for run in runs]

    @property
    def worker(self) -> Identity | None:
        there = presence(self.places)
        return Identity.of(there.pid) if there else None

    def until_worker_ends(self) -> None:
        self.wait(lambda: self.worker is None, "the worker ends")

    def kill_worker(self) -> None:
        worker = self.worker
        assert worker is not None
        worker.signal(signal.SIGKILL)
        self.wait(lambda: not worker.lives, "the worker ends")

    def processes(self) -> list[Identity]:
        """All that live and carry the mark of one of these runs."""
        return marked(lambda marks: marks.get(RUN_MARK) in self.uids)


@contextmanager
def workshop(tmp_path: Path, settings: Mapping[str, str] | None = None) -> Generator[Workshop]:
    """A workshop that ends its worker, and asserts that nothing of its runs is left running."""
    variables = {"INGOT_HOME": str(tmp_path / "home"), "INGOT_CONCURRENCY": "2", **(settings or {})}
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        places = Places.of(os.environ)
        places.create()
        gates = tmp_path / "gates"
        gates.mkdir()
        shop = Workshop(places, gates)
        try:
            yield shop
            left_open = [run for run in shop.index.runs() if not run.state.ended]
            assert not left_open, "a test ends all its runs"
            shop.wait(lambda: not shop.processes(), f"{shop.processes()} of the runs end")
        finally:
            shop.open("all")
            with contextlib.suppress(Exception):
                shop.engine.stop_worker()
            for left in shop.processes():
                left.signal(signal.SIGKILL)
            shop.index.close()
            shutil.rmtree(places.runtime, ignore_errors=True)  # of those that were killed
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
