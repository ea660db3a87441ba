"""Where the machine of a build is and how to get into it: from what Packer says while it builds, what its template says
of the communicator, and what QEMU's process says of itself.

It only ever watches. Whatever it cannot find out or do is a line in the log, and never the end of a build.
"""

import asyncio
import contextlib
import logging
import os
import re
import types
from collections.abc import Coroutine
from importlib import import_module
from pathlib import Path
from typing import cast

from msgspec.structs import replace

from core.adapters import qemu_process, ssh, ssh_pins
from core.adapters.aws import Ec2
from core.adapters.communicator import Account, Communicator, communicator_of
from core.adapters.ssh_pins import shown_fingerprints
from core.errors import ConnectError, HostKeyError, IngotError
from core.hold import write_whole
from core.model.machine import Jump, KeyProof, Login, Machine
from core.secrets import Redactor
from core.stages.environment import Preparation, keys_of, template_variables
from core.stages.stage import StageJob

# Packer 1.6 to 1.16: builder/qemu/step_port_forward.go, builder/virtualbox/common/step_port_forwarding.go,
# communicator/step_connect*.go, builder/amazon/common/step_key_pair.go and step_run_source_instance.go.
_FROM_BUILD = re.compile(r"(?:==>|   ) [^\s:][^:]*: (?P<message>.*)")
_PORT = re.compile(r"(?:Found port for communicator .*: |Creating forwarded port mapping .*host port )(\d+)")
_HOST = re.compile(r"Using \w+ communicator to connect: (\S+)")
_CONNECTED = re.compile(r"Connected to (?:SSH|WinRM)!")
_WAITING = re.compile(r"Waiting for (?:SSH|WinRM) to become available")
_KEY = re.compile(r"Saving (?:communicator private )?key for debug purposes: (.+)")
_INSTANCE = re.compile(r"Instance ID: (\S+)")
_ADDRESS = re.compile(r"(Public DNS|Public IP|Private IP): (\S+)")
_VNC = re.compile(r"(?:.* )?vnc://([^\s:]+):(\d+)")
_ANY = re.compile(r"(?:Found|Creating|Using|Connected|Waiting|Saving|Instance|Public|Private|.*vnc:)")

_INTERFACES = {"public_dns": "Public DNS", "public_ip": "Public IP", "private_ip": "Private IP"}
_KEY_PATIENCE = 5.0
"""Seconds that Packer has to write the key that it announced."""
_CONSOLE_PATIENCE = 10.0
"""Seconds that the cloud has to give a machine's console before the host key is pinned without it."""
_CONSOLE_EVERY = 20.0
"""Seconds between two looks at the console of a machine in a cloud."""

log = logging.getLogger("ingot.access")


class Watcher:
    """Follows one build and keeps its Machine right. Made and used on the event loop, closed when the tool has ended
    (`async with` does it)."""

    def __init__(self, job: StageJob, preparation: Preparation) -> None:
        self._job = job
        self._preparation = preparation
        self._keys = keys_of(job.directory) / preparation.build.name
        self._communicator = Communicator()
        self._addresses: dict[str, str] = {}
        self._debug_key: Path | None = None
        self._begun = False
        self._saved: Machine | None = job.machine()
        self._forwarded = self._saved.port if self._saved else 0
        self._machine = self._saved or Machine(
            run_uid=job.run.uid,
            stage_key=job.stage.key,
            build=preparation.build.name,
            kind=preparation.build.kind,
            known_hosts=str(self._keys / "known_hosts"),
        )
        self._looking = asyncio.Lock()
        self._redactor = Redactor(job.secrets.values())
        self._console_trouble = ""
        self._pin_trouble = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._beginning = self._in_background(self._begin())

    @property
    def machine(self) -> Machine:
        """What is known by now."""
        return self._machine

    async def __aenter__(self) -> "Watcher":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: types.TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stop looking. What was found stays."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    def feed(self, line: str) -> None:
        """Take one line of Packer's output. Costs next to nothing for lines that say nothing of a machine."""
        # What is in the machine prints as well, and could say anything: once Packer is in, nothing of it is believed.
        found = None if self._machine.connected else _FROM_BUILD.match(line)
        if found is None or not _ANY.match(message := found["message"].strip()):
            return
        if (said := _PORT.match(message)) and int(said[1]) < 65536:
            self._forwarded = int(said[1])
            self._know(port=self._forwarded, host=self._machine.host or "127.0.0.1")
        elif said := _HOST.match(message):
            self._know(host=said[1])
        elif said := _INSTANCE.match(message):
            self._know(instance=said[1])
        elif said := _ADDRESS.match(message):
            self._addresses[said[1]] = said[2]
            self._know(host=self._likely_host())
        elif said := _KEY.match(message):
            self._debug_key = self._preparation.directory / said[1]
            self._in_background(self._look())
        elif said := _VNC.match(message):
            number = int(said[2])  # newer ones print the display, older ones the port
            self._know(vnc=f"{said[1]}:{number if number >= 5900 else 5900 + number}")
        elif _CONNECTED.match(message):
            self._know(connected=True)
            self._in_background(self._look(pin=True))
        elif _WAITING.match(message):
            self._in_background(self._look())

    async def look_now(self) -> None:
        """Look again at everything. Ends when the machine has shown its host key, or not."""
        await self._look(pin=True)

    def look_again(self) -> None:
        """`look_now` in the background: at a pause, as somebody will want to get in now."""
        self._in_background(self.look_now())

    def _in_background(self, doing: Coroutine[object, object, None]) -> "asyncio.Task[None]":
        task = asyncio.get_running_loop().create_task(doing)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("run %s, %s", self._job.run.uid, self._machine.build, exc_info=error)

    def _know(self, **found: object) -> None:
        there = self._job.machine() if self._saved is not None else None
        self._machine = replace(self._machine, **found)  # pyright: ignore[reportArgumentType] - the fields of a Machine
        if there is not None and self._saved is not None and there.login != self._saved.login:
            self._machine = replace(self._machine, login=there.login)  # somebody gave it by hand: it counts
        # Half of it would mislead: without the template's settings nobody could get in.
        if self._begun and self._machine != self._saved and self._preparation.build.kind != "file":
            self._saved = self._machine
            self._job.save_machine(self._machine)

    def _likely_host(self) -> str:
        """Until Packer says which address it uses."""
        wanted = self._addresses.get(_INTERFACES.get(self._communicator.interface, ""))
        given = (wanted, *(self._addresses.get(name) for name in _INTERFACES.values()))
        return self._communicator.host or next((address for address in given if address), "")

    async def _begin(self) -> None:
        """Find out what the template says."""
        preparation = self._preparation
        communicator = await asyncio.to_thread(
            communicator_of,
            preparation.role,
            preparation.checkout,
            {**template_variables(preparation.environment), **preparation.variables},
            preparation.build,
        )
        self._communicator = communicator
        passwords = [account.password for account in _accounts(communicator) if account.password]
        self._job.add_secrets(passwords)
        for password in passwords:
            self._redactor.add(password)
        if communicator.type == "ssh":
            # Now: a worker outlives the replacement of its program, and the first pause may be hours away.
            await asyncio.to_thread(import_module, "core.adapters.ssh_session")
            bastion = communicator.bastion
            login = await asyncio.to_thread(self._login, communicator.account, "password")
            if bastion is not None:
                account = await asyncio.to_thread(self._login, bastion.account, "password.jump")
                self._machine = replace(self._machine, jump=Jump(bastion.host, bastion.port, account))
            earlier = [key for key in self._machine.login.key_files if key not in login.key_files]
            login = replace(login, key_files=(*login.key_files, *earlier))  # a debug key that came meanwhile
        else:
            login = Login(communicator.account.user)
        upstream = cast("dict[str, object]", self._job.result("upstream").get("record") or {})
        self._begun = True
        self._know(
            communicator=communicator.type,
            login=login,
            host=self._machine.host or self._likely_host(),
            port=self._forwarded or communicator.port,
            region=communicator.region or self._region(),
            instance_type=communicator.instance_type if self._machine.in_cloud else "",
            image="" if upstream.get("kind") == "template" else str(upstream.get("description") or ""),
        )
        if self._machine.in_cloud and communicator.type == "ssh":
            self._in_background(self._follow_console())

    def _region(self) -> str:
        if not self._machine.in_cloud:
            return ""
        environment = self._preparation.environment
        return environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or ""

    def _login(self, account: Account, name: str) -> Login:
        """Blocking. Passwords go into a file of the run; a key of the checkout is copied, as a machine may be kept for
        longer than that."""
        key = account.key_file
        if key and Path(key).is_relative_to(self._preparation.checkout):
            with contextlib.suppress(OSError):
                key = str(self._private(f"{name}.key", Path(key).read_bytes()))
        return Login(
            user=account.user,
            key_files=(key,) if key else (),
            password_file=str(self._private(name, account.password.encode())) if account.password else "",
            agent=self._preparation.environment.get("SSH_AUTH_SOCK", "") if account.agent else "",
        )

    def _private(self, name: str, content: bytes) -> Path:
        """A 0600 file that goes with the run, made exclusively: whatever was there before is not written into."""
        self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._keys / name
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
        return path

    async def _look(self, *, pin: bool = False) -> None:
        """Find out by ourselves what nobody says. One look at a time."""
        await asyncio.wait({self._beginning})
        if not self._begun:  # the template is beyond us; where the machine is may be known all the same
            self._begun = True
            self._know()
        async with self._looking:
            try:
                await self._take_debug_key()
                if self._machine.kind == "qemu":
                    await self._find_process()
                if pin and self._machine.communicator == "ssh" and self._machine.host:
                    await self._pin()
            except (IngotError, OSError) as error:
                what = error.what if isinstance(error, IngotError) else str(error)
                self._job.say(f"The way into the machine: {what}")

    async def _take_debug_key(self) -> None:
        """Packer takes it away when it cleans up, and it says so before it writes it."""
        if (source := self._debug_key) is None:
            return
        copy = self._keys / "debug.pem"
        deadline = asyncio.get_running_loop().time() + _KEY_PATIENCE
        content = b""
        while not content.rstrip().endswith(b"PRIVATE KEY-----"):
            if asyncio.get_running_loop().time() > deadline:
                self._job.say(f"The way into the machine: Packer's debug key {source} is not there.")
                break
            with contextlib.suppress(FileNotFoundError):
                content = await asyncio.to_thread(source.read_bytes)
            await asyncio.sleep(0.05)
        else:
            self._job.add_secrets([content.decode(errors="replace")])
            await asyncio.to_thread(self._private, copy.name, content)
            login = self._machine.login
            if str(copy) not in login.key_files:
                self._know(login=replace(login, key_files=(*login.key_files, str(copy))))
        self._debug_key = None

    async def _find_process(self) -> None:
        output = self._preparation.output
        found = await asyncio.to_thread(qemu_process.of_build, self._job.run.uid, self._machine.port, output)
        if found is not None:
            self._know(
                pid=found.pid,
                console=found.console,
                vnc=found.vnc or self._machine.vnc,
                memory=found.memory,
                cpus=found.cpus,
                disk=qemu_process.disk_use(found, output),
            )

    async def _pin(self) -> None:
        """The first contact decides, unless the cloud shows the machine's own fingerprints. Later ones compare."""
        await self._pin_with(shown_fingerprints(await self._console()))

    async def _pin_with(self, shown: frozenset[str]) -> None:
        await ssh.pin(self._machine, shown=shown)
        if self._machine.in_cloud and self._proof is KeyProof.FIRST_CONTACT:
            self._job.say(f"The way into the machine: {KeyProof.FIRST_CONTACT}.")

    @property
    def _proof(self) -> KeyProof:
        return ssh_pins.proof(Path(self._machine.known_hosts))

    async def _follow_console(self) -> None:
        """A cloud shows the console late: until it has shown the fingerprints, and as long as there is no shell."""
        while not (self._machine.connected and self._proof in (KeyProof.CONSOLE, KeyProof.OTHER)):
            await asyncio.sleep(_CONSOLE_EVERY)
            shown = shown_fingerprints(await self._console())
            async with self._looking:  # not before: nobody's look at the machine waits for the cloud
                if shown and self._proof is KeyProof.FIRST_CONTACT:
                    await self._compare(shown)
                elif self._machine.connected and self._proof is KeyProof.NONE:
                    await self._pin_late(shown)

    async def _compare(self, shown: frozenset[str]) -> None:
        """The key that was pinned before the console showed anything: from now on only those that it shows count."""
        try:
            fingerprint = await ssh.pin(self._machine, shown=shown)
            self._job.say(f"The way into the machine: its console shows the pinned host key {fingerprint}, too.")
        except HostKeyError as error:
            self._job.say(f"✗ The way into the machine: {error.what} {error.next_step}")
        except ConnectError:
            pass  # it reboots: what is shown counts all the same, and is compared with the pin by whoever looks

    async def _pin_late(self, shown: frozenset[str]) -> None:
        """The machine did not answer when Packer was let in: nobody is to wait for that pin, or make it, in vain."""
        try:
            await self._pin_with(shown)
        except HostKeyError as error:
            if (trouble := f"✗ The way into the machine: {error.what} {error.next_step}") != self._pin_trouble:
                self._pin_trouble = trouble
                self._job.say(trouble)
        except (ConnectError, OSError):
            pass  # as the first look has said; what is shown counts for whoever gets in

    async def _console(self) -> str:
        """What the cloud shows of the machine's console now, kept for whoever looks at it; empty: nothing."""
        machine = self._machine
        if not (machine.in_cloud and machine.instance):
            return ""

        def ask() -> str:
            cloud = Ec2(machine.region, self._preparation.environment, self._communicator.endpoint)
            return cloud.console(machine.instance)

        def keep(said: str) -> Path:
            self._keys.mkdir(mode=0o700, parents=True, exist_ok=True)
            path = self._keys / "console.log"
            write_whole(path, self._redactor.redact(said.encode(errors="replace")))
            return path

        try:
            async with asyncio.timeout(_CONSOLE_PATIENCE):
                if said := await asyncio.to_thread(ask):
                    self._know(console=str(await asyncio.to_thread(keep, said)))
                return said
        except (IngotError, OSError) as error:
            if (trouble := str(error)) != self._console_trouble:
                self._console_trouble = trouble
                self._job.say(f"The console of {machine.instance} cannot be read: {trouble or 'no answer in time'}")
            return ""


def _accounts(communicator: Communicator) -> tuple[Account, ...]:
    bastion = communicator.bastion
    return (communicator.account, bastion.account) if bastion else (communicator.account,)
