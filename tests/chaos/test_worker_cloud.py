"""The product's own worker, killed while it tests an AMI: what it had launched is ended by the next one, which tests it
anew."""

import os
from collections.abc import Generator
from contextlib import closing
from pathlib import Path

import pytest
from booting_cloud import BootingCloud, booting_cloud
from cloud_machine import CREDENTIALS, REGION
from ssh_machine import missing
from worked_site import WorkedSite
from workshop import WHO

from core.model.image import Artifact, ImageState, ImageVersion, UpstreamRecord
from core.model.run import RunState
from core.services.testing import Testing

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")
IMAGE = ("web", "0.1.0")


class Site(WorkedSite):
    """A workspace whose image version is an AMI."""

    def __init__(self, place: Path, cloud: BootingCloud) -> None:
        environ = {**os.environ, **CREDENTIALS, "AWS_REGION": REGION}
        super().__init__(place, environ)
        self.cloud = cloud
        self.testing = Testing(self.shop.places, environ, engine=self.engine)
        commit = self.shop.commit({"web/web.pkr.hcl": cloud.template()})
        artifact = Artifact("amazon-ebs.web", "ami", f"{REGION}:{cloud.source_ami}")
        image = ImageVersion(*IMAGE, commit, 1.0, "run1", WHO, UpstreamRecord("none", ""), (artifact,), "web")
        self.shop.ledger.register(image, WHO, "made")


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    with booting_cloud(tmp_path / "cloud") as cloud, closing(Site(tmp_path, cloud)) as made:
        yield made


def test_a_test_whose_worker_is_killed_is_made_anew_and_leaves_no_machine_key_or_group(site: Site) -> None:
    site.cloud.guests.is_silent()
    run = site.testing.test(site.shop.root, *IMAGE, trust=True)
    states = site.cloud.states
    site.wait(lambda: list(states().values()) == ["running"] * 2, "both machines run")
    site.kill_worker()
    (site.cloud.guests.here / "silent").unlink()
    site.building.give_secrets(run.uid)  # which it has forgotten
    assert site.ended(run).state is RunState.SUCCEEDED
    assert site.shop.ledger.read().decided.life(IMAGE).stored is ImageState.GOOD
    assert "left by an earlier attempt" in site.shop.log(run, "test/amazon-ebs.web")
    assert list(states().values()) == ["terminated"] * 4
    assert site.cloud.leftovers() == []
