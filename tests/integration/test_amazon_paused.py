"""A build in the cloud that fails for real, under the product's own worker: in it, mended, tried again; or kept."""

import asyncio
import os
import re
from collections.abc import Callable, Generator
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from cloud_machine import CREDENTIALS, REGION, CloudMachine, cloud_machine, missing
from patience import PATIENCE
from worked_site import WorkedSite

from core.adapters import ssh_pins
from core.errors import HostKeyError, RefusedError
from core.model.machine import Machine, MachineState
from core.model.pause import Answer, PauseKind, PauseMode, Pausing
from core.model.run import Run, RunState
from core.services.debugging import Debugging, DebugView

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")

KEY = "build/amazon-ebs.web"


class Site(WorkedSite):
    """A workspace whose build fails until somebody mends the machine."""

    def __init__(self, place: Path, machine: CloudMachine) -> None:
        environ = {**os.environ, **CREDENTIALS, "AWS_REGION": REGION}
        super().__init__(place, environ)
        self.cloud = machine
        self.debugging = Debugging(self.shop.places, environ, engine=self.engine)

    @property
    def mended(self) -> Path:
        return self.place / "mended"

    def build(self, *, own_key: bool) -> Run:
        provisioner = self.cloud.shell(f"echo once >>{self.place}/tried", f"[ -e {self.mended} ]")
        files = {"web/web.pkr.hcl": self.cloud.template(provisioner, own_key=own_key)}
        # No machine boots from what is made here: the one that there is was there before.
        self.shop.commit({**files, "ingot.toml": "[test]\nenabled = false\n"})
        pausing = Pausing(PauseMode.FAILURE, limit=600.0)
        return self.building.build(self.shop.root, "web", trust=True, pausing=pausing)

    def paused(self, run: Run) -> tuple[DebugView, Machine]:
        def there() -> bool:
            again = self.shop.again(run)
            assert not again.state.ended, (again, self.shop.log(run, KEY))
            view = self.debugging.view(run.uid)
            return again.state is RunState.PAUSED and view is not None and view.pause is not None

        self.wait(there, f"run {run.id} is paused")
        view = self.debugging.view(run.uid)
        assert view is not None
        assert view.machine is not None
        return view, view.machine

    def tried(self) -> int:
        return len((self.place / "tried").read_text().split())


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    with cloud_machine(tmp_path / "machine") as machine, closing(Site(tmp_path, machine)) as made:
        yield made


async def typed(site: Site, machine: Machine, command: str, until: Callable[[], bool]) -> None:
    """In a shell, on a terminal, as a person does."""
    shell = await site.debugging.shell(machine, 80, 24)
    try:
        shell.write(f"{command}\n".encode())
        async with asyncio.timeout(PATIENCE):
            while not until():
                await shell.read()
    finally:
        await shell.close()


def test_packer_s_own_key_lets_us_in_to_mend_it_and_the_image_is_made_and_marked(site: Site) -> None:
    run = site.build(own_key=False)
    view, machine = site.paused(run)
    assert view.pause is not None
    assert (view.pause.kind, view.pause.step) == (PauseKind.FAILURE, "StepProvision")
    (instance,) = site.cloud.states()
    assert (machine.instance, machine.kind, machine.connected) == (instance, "amazon-ebs", True)
    assert (machine.instance_type, machine.region) == ("t3.micro", "eu-central-1")
    key = next(Path(file) for file in machine.login.key_files if Path(file).name == "debug.pem")
    assert "PRIVATE KEY" in key.read_text()
    assert key.stat().st_mode & 0o077 == 0
    assert key.is_relative_to(site.shop.places.run(run.uid) / "keys")
    site.wait(Path(machine.known_hosts).exists, "its host key is pinned")
    host_key = (site.place / "machine/host.pub").read_text().split()[1]
    assert host_key in Path(machine.known_hosts).read_text()
    assert key.read_text().splitlines()[1] not in site.shop.log(run, KEY)

    asyncio.run(typed(site, machine, f"touch {site.mended}", site.mended.exists))
    asyncio.run(site.debugging.answer(view.pause, Answer.RETRY))
    ended = site.ended(run)
    assert ended.state is RunState.SUCCEEDED, (ended.reason, site.shop.log(run, KEY))
    assert site.tried() == 2

    (image,) = site.shop.ledger.images()
    assert "touched by hand" in image.marks
    (artifact,) = image.artifacts
    (found,) = site.cloud.ec2.describe_images(ImageIds=[artifact.location.partition(":")[2]])["Images"]
    assert {"Key": "ImageVersion", "Value": image.version} in found["Tags"]
    assert set(site.cloud.states().values()) == {"terminated"}
    assert site.cloud.made_by_packer() == []
    assert not key.exists()


def test_a_machine_that_somebody_shows_instead_of_ours_is_not_let_near_the_key(site: Site) -> None:
    """The console is the cloud's word; what answers on the network may be anybody."""
    texts: Any = import_module("moto.ec2.responses.general")  # what it shows is put back with the machine
    texts.SAMPLE_CONSOLE_OUTPUT = re.sub(r"SHA256:[^ ]+", "SHA256:" + "A" * 43, texts.SAMPLE_CONSOLE_OUTPUT)
    run = site.build(own_key=True)
    view, machine = site.paused(run)
    assert view.pause is not None
    # A cloud that takes its time shows it after the first contact.
    site.wait(lambda: ssh_pins.shown(Path(machine.known_hosts)), "the console is looked at")
    with pytest.raises(HostKeyError):
        asyncio.run(site.debugging.command(machine, f"touch {site.mended}"))
    assert not site.mended.exists()
    asyncio.run(site.debugging.answer(view.pause, Answer.CLEAN_UP))
    assert site.ended(run).state is RunState.FAILED


def test_a_kept_instance_is_listed_entered_and_ended_when_asked(site: Site) -> None:
    run = site.build(own_key=False)
    view, _ = site.paused(run)
    assert view.pause is not None
    asyncio.run(site.debugging.answer(view.pause, Answer.KEEP))
    ended = site.ended(run)
    assert ended.state is RunState.FAILED
    (machine,) = site.debugging.machines(run.uid)
    assert (machine.state, machine.until is not None) == (MachineState.KEPT, True)
    assert site.cloud.states() == {machine.instance: "running"}
    status, out, _ = asyncio.run(site.debugging.command(machine, "echo still $((40 + 2))"))
    assert (status, out) == (0, b"still 42\n")
    # A worker that was restarted has forgotten what the shell had given: it says so, and gets it again.
    site.engine.stop_worker()
    asyncio.run(site.debugging.end_machine(machine))
    site.wait(lambda: "ingot resume" in site.shop.log(run, KEY), "it says what it lacks")
    site.building.give_secrets(run.uid)
    site.wait(lambda: not site.debugging.machines(run.uid), "the machine is gone")
    assert set(site.cloud.states().values()) == {"terminated"}
    assert site.cloud.made_by_packer() == []
    site.wait(lambda: not (site.shop.places.run(run.uid) / "keys").exists(), "its keys are gone")
    with pytest.raises(RefusedError):
        asyncio.run(site.debugging.end_machine(machine))
