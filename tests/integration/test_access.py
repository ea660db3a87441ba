"""The way into a build's machine, found by watching the build: real sshd, real Packer, an EC2 that is not Amazon's."""

import asyncio
import shutil
import subprocess
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import cloud_machine
import pytest
from msgspec.structs import replace
from patience import until
from ssh_machine import SshMachine, fingerprint_of, free_port, missing, ssh_machine
from workshop import Workshop, role

from core import process
from core.adapters import packer, ssh, ssh_pins, ssh_session
from core.adapters.packer import Packer
from core.engine.job import Job
from core.errors import HostKeyError, NoAnswerError
from core.hold import Prompt
from core.living import RUN_MARK
from core.model.machine import KeyProof, Machine
from core.model.role import Build, Role
from core.model.run import Run
from core.secrets import MARK
from core.stages import access
from core.stages.access import Watcher
from core.stages.environment import Preparation

pytestmark = pytest.mark.skipif(bool(missing()), reason=f"{missing()} is not installed")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[SshMachine]:
    with ssh_machine(tmp_path / "server") as started:
        yield started


class Building:
    """One build of one template in a workshop, as its stage would see it."""

    def __init__(self, workshop: Workshop, template: str, build: str, kind: str) -> None:
        workshop.commit({"web/web.pkr.hcl": template})
        self.workshop = workshop
        self.role: Role = role(builds=(Build(build, kind),), declares=())
        self.run: Run = workshop.new_run(self.role)
        self.key = f"build/{build}"
        self.root = workshop.root

    @property
    def directory(self) -> Path:
        return self.root / "web"

    def preparation(self, environment: dict[str, str] | None = None) -> Preparation:
        found = process.find("packer") or Path("packer")
        return Preparation(
            packer=Packer(found, (1, 6, 6)),
            build=self.role.builds[0],
            role=self.role,
            checkout=self.root,
            directory=self.directory,
            template=".",
            chosen=packer.only(self.role.builds[0].name),
            variable_files=(),
            environment={**process.environment(), **packer.QUIET, **(environment or {})},
            output=self.workshop.places.run(self.run.uid) / "output",
        )

    @asynccontextmanager
    async def watched(self, environment: dict[str, str] | None = None) -> AsyncGenerator[tuple[Job, Watcher]]:
        run = self.workshop.again(self.run)
        stage = run.stage(self.key)
        assert stage is not None
        job = Job(self.workshop.around, run, stage)
        try:
            async with Watcher(job, self.preparation(environment)) as watcher:
                yield job, watcher
        finally:
            job.close()

    @property
    def machine(self) -> Machine:
        """As everybody sees it."""
        found = self.workshop.index.machine(self.run.uid, self.key)
        assert found is not None
        return found

    @property
    def log(self) -> str:
        return self.workshop.log(self.run, self.key)


@contextmanager
def left_running(words: list[str], environment: dict[str, str], place: Path) -> Generator[int]:
    with subprocess.Popen(words, env=environment, cwd=place, stdin=subprocess.DEVNULL) as running:
        try:
            yield running.pid
        finally:
            running.kill()


def qemu(server: SshMachine, more: str = "") -> str:
    login = f'  ssh_username = "{server.user}"\n  ssh_private_key_file = "{server.login}"\n'
    return f'source "qemu" "web" {{\n{login}{more}}}\nbuild {{ sources = ["source.qemu.web"] }}\n'


# Packer 1.6.6's own words, from a build's log; and those of 1.13 and newer (its source: every line begins with ==>).
OLD = """\
==> qemu.web: Found port for communicator (SSH, WinRM, etc): {port}.
==> qemu.web: Looking for available port between 5900 and 6000 on 127.0.0.1
==> qemu.web: Starting VM, booting disk image
    qemu.web: view the screen of the VM, connect via VNC without a password to
    qemu.web: vnc://127.0.0.1:5917
==> qemu.web: Waiting 2s for boot...
==> qemu.web: Using ssh communicator to connect: 127.0.0.1
==> qemu.web: Waiting for SSH to become available...
"""
NEW = OLD.replace("    qemu", "==> qemu").replace("Using ssh", "Using SSH").replace("5917", "17")


@pytest.mark.parametrize("said", [OLD, NEW], ids=["1.6.6", "1.13"])
async def test_what_packer_says_becomes_a_machine_and_its_host_key_is_pinned(
    workshop: Workshop, server: SshMachine, said: str
) -> None:
    building = Building(workshop, qemu(server, '  ssh_password = "templates-own"\n'), "qemu.web", "qemu")
    async with building.watched() as (_, watcher):
        for line in said.format(port=server.port).splitlines():
            watcher.feed(line)
        await until(lambda: watcher.machine.host and watcher.machine.login.user, "the way in is known")
        found = building.machine
        assert (found.address, found.vnc) == (f"{server.user}@127.0.0.1:{server.port}", "127.0.0.1:5917")
        assert not found.connected
        assert not Path(found.known_hosts).exists()
        watcher.feed("==> qemu.web: Connected to SSH!")
        await until(Path(found.known_hosts).exists, "its key is pinned")
        assert building.machine == watcher.machine
        assert building.machine.connected
    assert fingerprint_of(server.host) == await ssh.pin(building.machine)
    await (await ssh.connect(building.machine)).close()
    password = Path(building.machine.login.password_file)
    keys = workshop.places.run(building.run.uid) / "keys" / "qemu.web"
    assert password.parent == keys
    assert password.read_text() == "templates-own"
    assert (password.stat().st_mode & 0o777, keys.stat().st_mode & 0o777) == (0o600, 0o700)
    assert "templates-own" not in repr(building.machine)


async def test_the_templates_password_is_a_secret_of_the_log(workshop: Workshop, server: SshMachine) -> None:
    building = Building(workshop, qemu(server, '  ssh_password = "templates-own"\n'), "qemu.web", "qemu")
    async with building.watched() as (job, watcher):
        await watcher.look_now()
        job.say("ssh_password is templates-own")
    assert "templates-own" not in building.log


async def test_what_prints_inside_the_machine_is_not_believed(workshop: Workshop, server: SshMachine) -> None:
    building = Building(workshop, qemu(server), "qemu.web", "qemu")
    async with building.watched() as (_, watcher):
        for line in (*OLD.format(port=server.port).splitlines(), "==> qemu.web: Connected to SSH!"):
            watcher.feed(line)
        await watcher.look_now()
        before = building.machine
        for line in (
            "==> qemu.web: Using ssh communicator to connect: evil.example.org",
            "    qemu.web: Found port for communicator (SSH, WinRM, etc): 1.",
            "    qemu.web: Instance ID: i-123",
            "    qemu.web: Saving key for debug purposes: /etc/passwd",
        ):
            watcher.feed(line)
        await watcher.look_now()
        assert building.machine == before


async def test_a_machine_that_cannot_be_pinned_is_a_line_in_the_log(workshop: Workshop, server: SshMachine) -> None:
    building = Building(workshop, qemu(server), "qemu.web", "qemu")
    async with building.watched() as (_, watcher):
        for line in (*OLD.format(port=free_port()).splitlines(), "==> qemu.web: Connected to SSH!"):
            watcher.feed(line)
        await watcher.look_now()
    assert "refuses the connection" in building.log
    assert not Path(building.machine.known_hosts).exists()


async def test_a_host_key_that_changed_by_the_next_pause_is_told(workshop: Workshop, server: SshMachine) -> None:
    building = Building(workshop, qemu(server), "qemu.web", "qemu")
    lines = (*OLD.format(port=server.port).splitlines(), "==> qemu.web: Connected to SSH!")
    async with building.watched() as (_, watcher):
        for line in lines:
            watcher.feed(line)
        await watcher.look_now()
    server.stop()
    server.new_host_key()
    server.start()
    async with building.watched() as (_, watcher):  # another worker, which reads the log again from its start
        for line in lines:
            watcher.feed(line)
        await watcher.look_now()
    assert "shows another host key than on first contact" in building.log


async def test_a_key_of_the_checkout_outlives_it(workshop: Workshop, server: SshMachine) -> None:
    template = qemu(server).replace(str(server.login), "keys/id.key")
    building = Building(workshop, template, "qemu.web", "qemu")
    (building.directory / "keys").mkdir()
    (building.directory / "keys" / "id.key").write_bytes(server.login.read_bytes())
    async with building.watched() as (_, watcher):
        for line in OLD.format(port=server.port).splitlines():
            watcher.feed(line)
        await watcher.look_now()
    shutil.rmtree(building.directory)
    await (await ssh.connect(building.machine)).close()
    (key,) = building.machine.login.key_files
    assert Path(key).stat().st_mode & 0o777 == 0o600


async def test_agent_and_jump_host_come_from_the_template(workshop: Workshop, server: SshMachine) -> None:
    more = '  ssh_agent_auth = true\n  ssh_bastion_host = "jump.example.org"\n  ssh_bastion_port = 2022\n'
    more += '  ssh_bastion_username = "hop"\n  ssh_bastion_password = "hush-hush"\n'
    building = Building(workshop, qemu(server, more), "qemu.web", "qemu")
    async with building.watched({"SSH_AUTH_SOCK": "/run/agent"}) as (_, watcher):
        await until(lambda: watcher.machine.jump, "the way through is known")
    found = building.machine
    assert found.login.agent == "/run/agent"
    assert found.jump is not None
    assert (found.jump.host, found.jump.port, found.jump.login.user) == ("jump.example.org", 2022, "hop")
    assert found.jump.login.key_files == (str(server.login),)
    assert found.jump.login.agent == ""
    assert Path(found.jump.login.password_file).read_text() == "hush-hush"


async def test_winrm_is_said_and_keeps_no_password(workshop: Workshop, server: SshMachine) -> None:
    more = '  communicator = "winrm"\n  winrm_username = "Administrator"\n  winrm_password = "Passw0rd!"\n'
    building = Building(workshop, qemu(server, more), "qemu.web", "qemu")
    async with building.watched() as (_, watcher):
        watcher.feed("==> qemu.web: Found port for communicator (SSH, WinRM, etc): 4000.")
        watcher.feed("==> qemu.web: Using winrm communicator to connect: 127.0.0.1")
        watcher.feed("==> qemu.web: Connected to WinRM!")
        await watcher.look_now()
    found = building.machine
    assert (found.communicator, found.address) == ("winrm", "Administrator@127.0.0.1:4000")
    assert found.login.password_file == ""
    assert "way into the machine" not in building.log


@pytest.mark.skipif(not shutil.which("qemu-system-x86_64"), reason="QEMU is not installed")
async def test_the_virtual_machines_own_process_says_where_its_console_is(
    workshop: Workshop, server: SshMachine, tmp_path: Path
) -> None:
    building = Building(workshop, qemu(server), "qemu.web", "qemu")
    port = free_port()
    words = ["qemu-system-x86_64", "-S", "-M", "none", "-m", "16", "-smp", "1", "-nodefaults", "-vnc", "none"]
    words += ["-serial", "unix:serial.sock,server=on,wait=off", "-netdev", f"user,id=n,hostfwd=tcp::{port}-:22"]
    marked = {**process.environment(), RUN_MARK: building.run.uid}
    with left_running(words, marked, tmp_path) as pid:
        async with building.watched() as (_, watcher):
            for line in OLD.format(port=port).splitlines():
                watcher.feed(line)
            await until(lambda: watcher.machine.pid, "its process is known")
        assert building.machine.pid == pid
        assert building.machine.console == str(tmp_path / "serial.sock")
        assert (building.machine.memory, building.machine.cpus) == (16 << 20, 1)


@pytest.mark.skipif(not shutil.which("packer"), reason="Packer is not installed")
async def test_packers_null_builder_leads_into_its_machine(workshop: Workshop, server: SshMachine) -> None:
    template = f"""\
source "null" "web" {{
  ssh_host             = "127.0.0.1"
  ssh_port             = {server.port}
  ssh_username         = "{server.user}"
  ssh_private_key_file = "{server.login}"
}}
build {{
  sources = ["source.null.web"]
  provisioner "shell-local" {{
    inline = ["while [ ! -e {workshop.root}/go-on ]; do sleep 0.1; done"]
  }}
}}
"""
    building = Building(workshop, template, "null.web", "null")
    async with building.watched() as (job, watcher):
        preparation = building.preparation()
        build = asyncio.create_task(
            job.tool(
                "packer",
                preparation.arguments("build"),
                cwd=preparation.directory,
                environment=preparation.environment,
                on_line=watcher.feed,
            )
        )
        await until(lambda: watcher.machine.connected and Path(watcher.machine.known_hosts).exists(), "it is pinned")
        connection = await ssh.connect(building.machine)
        (workshop.root / "go-on").touch()
        await connection.close()
        assert (await build).code == 0


@pytest.mark.skipif(bool(cloud_machine.missing()), reason=f"{cloud_machine.missing()} is not installed")
async def test_amazons_debug_key_is_kept_before_packer_takes_it_away(workshop: Workshop, tmp_path: Path) -> None:
    waits = f"""\
  provisioner "shell-local" {{
    inline = ["while [ ! -e {workshop.root}/go-on ]; do sleep 0.1; done"]
  }}
"""
    with cloud_machine.cloud_machine(tmp_path / "cloud") as cloud:
        building = Building(workshop, cloud.template(waits, own_key=False), "amazon-ebs.web", "amazon-ebs")
        async with building.watched(cloud_machine.CREDENTIALS) as (job, watcher):
            preparation = building.preparation(cloud_machine.CREDENTIALS)
            argv = preparation.arguments("build")
            build = asyncio.create_task(
                job.tool(
                    "packer",
                    [*argv[:2], "-debug", *argv[2:]],
                    cwd=preparation.directory,
                    environment=preparation.environment,
                    on_line=watcher.feed,
                    prompts=(Prompt(r"Press enter to continue\. ?", reply="\r"),),
                )
            )
            async with asyncio.timeout(120):
                while not Path(watcher.machine.known_hosts).exists():
                    assert not build.done(), building.log
                    await asyncio.sleep(0.1)
            found = building.machine
            assert found.instance.startswith("i-")
            assert (found.host, found.port, found.region) == ("127.0.0.1", cloud.ssh_port, cloud_machine.REGION)
            await (await ssh.connect(found)).close()
            # What the cloud shows of the machine's host key is what counts.
            assert ssh_pins.shown(Path(found.known_hosts)) == {fingerprint_of(tmp_path / "cloud" / "host")}
            (workshop.root / "go-on").touch()
            assert (await build).code == 0
        (key,) = found.login.key_files
        assert "PRIVATE KEY" in Path(key).read_text()
        assert Path(key).stat().st_mode & 0o777 == 0o600
        assert not list(building.directory.glob("*.pem"))
        assert "PRIVATE KEY" not in building.log


async def test_a_build_without_a_machine_has_none(workshop: Workshop) -> None:
    template = 'source "file" "x" {\n  target = "x"\n}\nbuild { sources = ["source.file.x"] }\n'
    building = Building(workshop, template, "file.x", "file")
    async with building.watched() as (_, watcher):
        await watcher.look_now()
        assert watcher.machine == replace(watcher.machine, communicator="none", host="")
    assert workshop.index.machines(building.run.uid) == []


@pytest.mark.skipif(bool(cloud_machine.missing()), reason=f"{cloud_machine.missing()} is not installed")
@pytest.mark.parametrize("other", [False, True])
async def test_what_the_console_of_a_cloud_shows_late_is_compared_then(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, other: bool
) -> None:
    monkeypatch.setattr(access, "_CONSOLE_EVERY", 0.1)
    texts: Any = import_module("moto.ec2.responses.general")
    with cloud_machine.cloud_machine(tmp_path / "cloud") as cloud:
        shows = str(texts.SAMPLE_CONSOLE_OUTPUT)
        fingerprint = fingerprint_of(tmp_path / "cloud" / "host")
        assert fingerprint in shows
        monkeypatch.setattr(texts, "SAMPLE_CONSOLE_OUTPUT", "Linux boots, with templates-own\r\n")
        (instance,) = cloud.ec2.run_instances(ImageId=cloud.source_ami, MinCount=1, MaxCount=1)["Instances"]
        template = cloud.template('  provisioner "shell-local" {\n    inline = ["true"]\n  }\n')
        template = template.replace("ssh_username ", 'ssh_password = "templates-own"\n  ssh_username ')
        building = Building(workshop, template, "amazon-ebs.web", "amazon-ebs")
        async with building.watched(cloud_machine.CREDENTIALS) as (_, watcher):
            watcher.feed(f"    amazon-ebs.web: Instance ID: {instance['InstanceId']}")
            watcher.feed("==> amazon-ebs.web: Using ssh communicator to connect: 127.0.0.1")
            watcher.feed("==> amazon-ebs.web: Connected to SSH!")
            await until(
                lambda: Path(watcher.machine.known_hosts).exists() and "first contact" in building.log, "pinned"
            )
            pins = Path(watcher.machine.known_hosts)
            assert ssh_pins.proof(pins) is KeyProof.FIRST_CONTACT
            await (await ssh.connect(building.machine)).close()
            said = Path(building.machine.console)
            assert said.read_bytes() == b"Linux boots, with " + MARK + b"\r\n"
            assert said.stat().st_mode & 0o777 == 0o600
            monkeypatch.setattr(
                texts, "SAMPLE_CONSOLE_OUTPUT", shows.replace(fingerprint, "SHA256:" + "A" * 43) if other else shows
            )
            if other:
                await until(lambda: "✗ The way into the machine" in building.log, "it is said")
                assert "the machine's own console shows others" in building.log
                assert ssh_pins.proof(pins) is KeyProof.OTHER
                with pytest.raises(HostKeyError):
                    await ssh.connect(building.machine)
            else:
                await until(lambda: "its console shows the pinned host key" in building.log, "it was compared")
                assert ssh_pins.proof(pins) is KeyProof.CONSOLE
                await (await ssh.connect(building.machine)).close()


@pytest.mark.skipif(bool(cloud_machine.missing()), reason=f"{cloud_machine.missing()} is not installed")
async def test_a_machine_in_a_cloud_that_did_not_answer_at_first_is_pinned_by_what_its_console_shows_later(
    workshop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "_CONSOLE_EVERY", 0.1)
    texts: Any = import_module("moto.ec2.responses.general")

    async def silent(machine: Machine, _: float) -> str:
        raise NoAnswerError(f"{machine.address} does not answer.")

    with cloud_machine.cloud_machine(tmp_path / "cloud") as cloud:
        shows = str(texts.SAMPLE_CONSOLE_OUTPUT)
        monkeypatch.setattr(texts, "SAMPLE_CONSOLE_OUTPUT", "Linux boots\r\n")
        (instance,) = cloud.ec2.run_instances(ImageId=cloud.source_ami, MinCount=1, MaxCount=1)["Instances"]
        template = cloud.template('  provisioner "shell-local" {\n    inline = ["true"]\n  }\n')
        building = Building(workshop, template, "amazon-ebs.web", "amazon-ebs")
        with monkeypatch.context() as patch:
            patch.setattr(ssh_session, "pin", silent)
            async with building.watched(cloud_machine.CREDENTIALS) as (_, watcher):
                watcher.feed(f"    amazon-ebs.web: Instance ID: {instance['InstanceId']}")
                watcher.feed("==> amazon-ebs.web: Using ssh communicator to connect: 127.0.0.1")
                watcher.feed("==> amazon-ebs.web: Connected to SSH!")
                await until(lambda: "does not answer" in building.log, "the first look has failed")
                pins = Path(watcher.machine.known_hosts)
                monkeypatch.setattr(texts, "SAMPLE_CONSOLE_OUTPUT", shows)
                # Whoever gets in now compares with it, and needs not wait for the worker.
                await until(lambda: ssh_pins.shown(pins), "it is noted")
                assert ssh_pins.shown(pins) == {fingerprint_of(tmp_path / "cloud" / "host")}
                assert not pins.exists()
                patch.undo()
                await until(lambda: ssh_pins.proof(pins) is KeyProof.CONSOLE, "it is pinned once it answers")
        assert building.log.count("does not answer") == 1
