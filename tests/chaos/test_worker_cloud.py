"""The product's own worker, killed while it tests an AMI: what it had launched is ended by the next one, which tests it
anew."""

import os
import signal
import time
from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from booting_cloud import BootingCloud, booting_cloud
from cloud_machine import CREDENTIALS, REGION
from ssh_machine import missing
from workshop import WHO, Workshop

from core.engine.client import Engine
from core.engine.protocol import presence
from core.living import Identity
from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.run import RunState
from core.services.building import Building
from core.services.testing import Testing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")
IMAGE = ("web", "0.1.0")


class Site:
    """A workspace whose image version is an AMI."""

    def __init__(self, place: Path, cloud: BootingCloud) -> None:
        self.cloud = cloud
        self.shop = Workshop(place)
        self.engine = Engine(self.shop.places)
        environ = {**os.environ, **CREDENTIALS, "AWS_REGION": REGION}
        self.building = Building(self.shop.places, environ, engine=self.engine)
        self.testing = Testing(self.shop.places, environ, engine=self.engine)
        commit = self.shop.commit({"web/web.pkr.hcl": cloud.template()})
        artifact = Artifact("amazon-ebs.web", "ami", f"{REGION}:{cloud.source_ami}")
        image = ImageVersion(*IMAGE, commit, 1.0, "run1", WHO, UpstreamRecord("none", ""), (artifact,), "web")
        self.shop.ledger.register(image, WHO, "made")

    def wait(self, until: Callable[[], object], what: str) -> None:
        deadline = time.monotonic() + 120
        while not until():
            assert time.monotonic() < deadline, f"never: {what}; {self.shop.places.worker_log.read_text()}"
            time.sleep(0.05)

    def kill_worker(self) -> None:
        there = presence(self.shop.places)
        worker = Identity.of(there.pid) if there else None
        assert worker is not None
        worker.signal(signal.SIGKILL)
        self.wait(lambda: not worker.lives, "the worker ends")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    with booting_cloud(tmp_path / "cloud") as cloud:
        made = Site(tmp_path, cloud)
        yield made
        made.engine.stop_worker()
        made.shop.close()


def test_a_test_whose_worker_is_killed_is_made_anew_and_leaves_no_machine_key_or_group(site: Site) -> None:
    site.cloud.guests.is_silent()
    run = site.testing.test(site.shop.root, *IMAGE, trust=True)
    states = site.cloud.states
    site.wait(lambda: list(states().values()) == ["running"] * 2, "both machines run")
    site.kill_worker()
    (site.cloud.guests.here / "silent").unlink()
    site.building.give_secrets(run.uid)  # which it has forgotten
    site.wait(lambda: site.shop.again(run).state.ended, "the run ends")
    assert site.shop.again(run).state is RunState.SUCCEEDED
    assert site.shop.ledger.read().decided.life(IMAGE).stored is ImageState.GOOD
    assert "left by an earlier attempt" in site.shop.log(run, "test/amazon-ebs.web")
    assert list(states().values()) == ["terminated"] * 4
    assert site.cloud.leftovers() == []
