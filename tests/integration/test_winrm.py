"""A machine that is reached over WinRM and does not answer, by the real Packer; and what Ingot says of it."""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import Generator
from pathlib import Path

import pytest
from installed import BIN
from pausing_site import Site, pausing, pausing_site
from screen import shown, until

from core.errors import NoShellError
from core.model.machine import Machine
from core.model.pause import Answer
from core.model.run import Run, RunState
from core.services.changing import Changing
from core.services.debugging import Debugging
from core.services.overview import Overviews
from tui.app import Ingot
from tui.screens.run import RunScreen

pytestmark = pytest.mark.skipif(shutil.which("packer") is None, reason="needs packer")

COMMUNICATOR = """\
  communicator   = "winrm"
  winrm_username = "Administrator"
  winrm_password = "not-a-real-0ne"
  winrm_timeout  = "3s"
"""
NULL = """\
source "null" "web" {{
{communicator}  winrm_host     = "127.0.0.1"
  winrm_port     = {port}
}}
build {{
  sources = ["source.null.web"]
}}
"""
QEMU = """\
source "qemu" "web" {{
{communicator}  iso_url          = "{disk}"
  iso_checksum     = "none"
  disk_image       = true
  format           = "qcow2"
  accelerator      = "{accelerator}"
  memory           = 128
  headless         = true
  boot_wait        = "1s"
  output_directory = "{output}"
}}
build {{
  sources = ["source.qemu.web"]
}}
"""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Site]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    with pausing_site(tmp_path) as opened:
        yield opened


def paused(site: Site, template: str) -> tuple[Run, Debugging, Machine]:
    site.shop.commit({"web/web.pkr.hcl": template})
    run = site.building.build(site.shop.root, "web", trust=True, pausing=pausing())
    pause = site.paused(run)
    assert pause.step == "StepConnect"
    debugging = Debugging(site.shop.places, os.environ, engine=site.engine)
    view = debugging.view(run.uid)
    assert view is not None
    assert view.machine is not None
    assert view.machine.communicator == "winrm"
    return run, debugging, view.machine


def commanded(*words: str) -> str:
    done = subprocess.run([str(BIN / "ingot"), *words], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


async def on_screen(site: Site, debugging: Debugging, run: Run, size: tuple[int, int], *told: str) -> None:
    overviews = Overviews(site.shop.places, site.shop.root)
    app = Ingot(overviews, Changing(site.shop.places, site.shop.root), lambda: debugging, run_uid=run.uid)
    async with app.run_test(size=size) as pilot:
        await until(pilot, lambda: isinstance(app.screen, RunScreen) and "paused" in shown(app))
        await pilot.press("d")
        await until(pilot, lambda: all(words in shown(app) for words in told))
    overviews.close()


def ends(site: Site, debugging: Debugging, run: Run) -> None:
    (pause,) = site.open(run)
    asyncio.run(debugging.answer(pause, Answer.CLEAN_UP))
    assert site.ended(run).state is RunState.FAILED


def test_without_ssh_it_is_said_how_somebody_gets_in(site: Site) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen: whoever comes is refused
        port = nobody.getsockname()[1]
        run, debugging, machine = paused(site, NULL.format(communicator=COMMUNICATOR, port=port))
        assert machine.address == f"Administrator@127.0.0.1:{port}"
        with pytest.raises(NoShellError, match="there is no SSH in it"):
            asyncio.run(debugging.shell(machine, 80, 24))
        entered = commanded("debug", str(run.id), "--", "whoami")
        told = (
            "null.web is reached over WinRM",
            "As Administrator, with the template's winrm_password:",
            f"WinRM: 127.0.0.1 port {port}",
            "Remote Desktop: 127.0.0.1 port 3389",
        )
        for words in told:
            assert words in entered
        assert f"Administrator@127.0.0.1:{port}" in commanded("debug")
        assert "not-a-real-0ne" not in entered + site.log(run)
        for size in ((140, 42), (80, 24)):
            asyncio.run(on_screen(site, debugging, run, size, *told))
        ends(site, debugging, run)


@pytest.mark.vm
@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="needs QEMU")
def test_of_a_virtual_machine_the_screen_is_named(site: Site, tmp_path: Path) -> None:
    disk = tmp_path / "empty.qcow2"
    subprocess.run(("qemu-img", "create", "-q", "-f", "qcow2", str(disk), "64M"), check=True)
    accelerator = "kvm" if os.access("/dev/kvm", os.W_OK) else "tcg"
    run, debugging, machine = paused(
        site,
        QEMU.format(communicator=COMMUNICATOR, disk=disk, accelerator=accelerator, output=tmp_path / "output"),
    )
    assert machine.vnc
    entered = commanded("debug", str(run.id), "--", "whoami")
    told = ("qemu.web is reached over WinRM", f"WinRM: 127.0.0.1 port {machine.port}", f"Its screen: {machine.vnc}")
    for words in told:
        assert words in entered
    assert "Remote Desktop" not in entered, "no port of it leads there"
    asyncio.run(on_screen(site, debugging, run, (80, 24), *told))
    ends(site, debugging, run)
