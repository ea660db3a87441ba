"""The product's own worker, killed while real Packer builds: Packer notices nothing, and the run ends as it would."""

import shutil
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
from leaving_nothing import living
from worked_site import WorkedSite

from core.living import Identity
from core.model.run import Run, RunState

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="needs packer")

KEY = "build/null.web"
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


class Site(WorkedSite):
    """A workspace whose build goes on until the gate is opened."""

    def __init__(self, place: Path) -> None:
        super().__init__(place)
        self.gate = place / "gate"
        self.shop.commit({"web/web.pkr.hcl": TEMPLATE.format(gate=self.gate)})

    def until_building(self, run: Run) -> None:
        self.wait(self.gate.with_name("gate.ran").exists, "Packer's provisioner runs")

    def packers(self, run: Run) -> set[Identity]:
        return self.processes(run, "packer")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    with closing(Site(tmp_path)) as made:
        yield made


def test_a_build_by_packer_goes_on_while_its_worker_is_killed_twice(site: Site) -> None:
    run = site.building.build(site.shop.root, "web", trust=True)
    site.until_building(run)
    packers = site.packers(run)
    assert packers
    for attempt in (2, 3):
        site.kill_worker()
        site.engine.wake()
        site.adopted(run, KEY, attempt)
    assert site.packers(run) == packers
    site.gate.touch()
    ended = site.ended(run)
    assert (ended.state, ended.reason) == (RunState.SUCCEEDED, "")
    assert len(site.gate.with_name("gate.ran").read_text().split()) == 1
    log = site.shop.log(run, KEY)
    assert log.count("begun") == log.count("null.web: ended") == 1


def test_a_cancelled_build_lets_packer_clean_up_and_leaves_nothing(site: Site) -> None:
    run = site.building.build(site.shop.root, "web", trust=True)
    site.until_building(run)
    site.building.cancel(run.uid)
    assert site.ended(run).state is RunState.CANCELLED
    assert not site.processes(run)
    assert "Cleanly cancelled builds after being interrupted." in site.shop.log(run, KEY)
    site.wait(lambda: not living(site.shop.places), "the holder has ended too")
    assert site.engine.stop_worker()
    assert not site.shop.places.runtime.exists(), "the last worker takes the directory of its socket away"


def test_the_program_may_be_stopped_and_started_again_under_a_build(site: Site) -> None:
    run = site.building.build(site.shop.root, "web", trust=True)
    site.until_building(run)
    packers = site.packers(run)
    assert site.engine.stop_worker()
    assert site.packers(run) == packers
    site.gate.touch()
    site.wait(lambda: not site.packers(run), "Packer ends by itself")
    site.engine.wake()
    assert site.ended(run).state is RunState.SUCCEEDED
