"""The product's own worker, killed while real Packer builds: Packer notices nothing, and the run ends as it would."""

import os
import shutil
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from workshop import Workshop

from core.engine.client import Engine
from core.engine.protocol import presence
from core.living import RUN_MARK, Identity, command, marked
from core.model.run import Run, RunState
from core.services.building import Building

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="needs packer")

TEMPLATE = """\
source "null" "web" {{
  communicator = "none"
}}
build {{
  sources = ["source.null.web"]
  provisioner "shell-local" {{
    inline = ["echo begun", "echo $$ >>{gate}.ran", "until [ -e {gate} ]; do sleep 0.1; done", "echo ended"]
  }}
}}
"""


class Site:
    """A workspace whose build goes on until the gate is opened."""

    def __init__(self, place: Path) -> None:
        self.shop = Workshop(place)
        self.gate = place / "gate"
        self.shop.commit({"web/web.pkr.hcl": TEMPLATE.format(gate=self.gate)})
        self.engine = Engine(self.shop.places)
        self.building = Building(self.shop.places, os.environ, engine=self.engine)

    def wait(self, until: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 120
        while not until():
            assert time.monotonic() < deadline, f"never: {what}; {self.shop.places.worker_log.read_text()}"
            time.sleep(0.05)

    def until_building(self, run: Run) -> None:
        ran = self.gate.with_name("gate.ran")
        self.wait(ran.exists, f"Packer's provisioner runs; {self.shop.again(run)}")

    def packers(self, run: Run) -> list[Identity]:
        return [one for one in self.processes(run) if command(one.pid) == "packer"]

    def processes(self, run: Run) -> list[Identity]:
        return marked(lambda marks: marks.get(RUN_MARK) == run.uid)

    def kill_worker(self) -> None:
        there = presence(self.shop.places)
        worker = Identity.of(there.pid) if there else None
        assert worker is not None
        worker.signal(signal.SIGKILL)
        self.wait(lambda: not worker.lives, "the worker ends")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    made = Site(tmp_path)
    yield made
    made.gate.touch()
    runs = made.building.runs()
    if any(not run.state.ended for run in runs):
        made.engine.wake()
        made.wait(lambda: all(run.state.ended for run in made.building.runs()), "the runs end")
    for run in runs:
        made.wait(lambda run=run: not made.processes(run), "nothing of the run is left")
    made.engine.stop_worker()
    made.shop.index.close()
    assert not made.shop.places.runtime.exists(), "the last worker takes the directory of its socket away"


def test_a_build_by_packer_goes_on_while_its_worker_is_killed_twice(site: Site) -> None:
    run = site.building.build(site.shop.root, "web", trust=True)
    site.until_building(run)
    packers = site.packers(run)
    assert packers
    for _ in range(2):
        site.kill_worker()
        site.engine.wake()
        time.sleep(0.5)
    site.wait(lambda: (site.shop.again(run).stage("build/null.web") or run.stages[3]).attempt >= 2, "it is adopted")
    assert site.packers(run) == packers
    site.gate.touch()
    site.wait(lambda: site.shop.again(run).state.ended, "the run ends")
    ended = site.shop.again(run)
    assert (ended.state, ended.reason) == (RunState.SUCCEEDED, "")
    assert len(site.gate.with_name("gate.ran").read_text().split()) == 1
    log = site.shop.places.log(run.uid, "build/null.web").read_text()
    assert log.count("begun") == log.count("null.web: ended") == 1


def test_a_cancelled_build_lets_packer_clean_up_and_leaves_nothing(site: Site) -> None:
    run = site.building.build(site.shop.root, "web", trust=True)
    site.until_building(run)
    site.building.cancel(run.uid)
    site.wait(lambda: site.shop.again(run).state.ended, "the run ends")
    assert site.shop.again(run).state is RunState.CANCELLED
    assert site.processes(run) == []
    assert (
        "Cleanly cancelled builds after being interrupted."
        in site.shop.places.log(run.uid, "build/null.web").read_text()
    )


def test_the_program_may_be_stopped_and_started_again_under_a_build(site: Site) -> None:
    run = site.building.build(site.shop.root, "web", trust=True)
    site.until_building(run)
    packers = site.packers(run)
    assert site.engine.stop_worker()
    assert site.packers(run) == packers
    site.gate.touch()
    site.wait(lambda: not site.packers(run), "Packer ends by itself")
    site.engine.wake()
    site.wait(lambda: site.shop.again(run).state.ended, "the run ends")
    assert site.shop.again(run).state is RunState.SUCCEEDED
