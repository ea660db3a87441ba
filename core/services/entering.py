"""The way into the machine of a build, for a person: shells, commands, and what the machine says of itself.

What is done by hand is written down before it begins (core/store/touches.py); what comes back is kept, redacted.
"""

import asyncio
import contextlib
import shlex
import time
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec.structs import replace

from core.adapters import console, ssh, ssh_pins
from core.adapters.git import GitRepository
from core.engine.client import Engine
from core.errors import HostKeyError, NoShellError, RefusedError, WorkspaceError
from core.model.machine import KeyProof, Machine, MachineState
from core.model.run import Run
from core.model.touch import Touch, TouchKind
from core.places import Places
from core.secrets import Redactor
from core.services.machine_facts import ASKING, MachineFacts, read_facts
from core.services.shells import DebugShell
from core.store.index import Index
from core.store.touches import Touches
from core.store.transcripts import TranscriptWriter

if TYPE_CHECKING:
    from core.adapters.ssh import Connection, Taker

_FACTS_WITHIN = 10.0
"""Seconds in which a machine says how it is."""
_FIRST_CONTACT_WITHIN = 20.0
"""Seconds in which the worker has looked at a cloud's console, and made the first contact (core/stages/access.py)."""
_LOOKED_EVERY = 0.1


class _Known(msgspec.Struct, frozen=True):
    """What has to be known before anything is done by hand."""

    who: str
    redactor: Redactor


class _Recorded:
    """One of a command's two streams, on its way to whoever takes it and into the transcript.

    Redacted on its own before the two are mixed there: a piece of the other in the middle of a secret would hide it.
    """

    def __init__(self, transcript: TranscriptWriter, redactor: Redactor, take: "Taker") -> None:
        self._transcript = transcript
        self._redactor = redactor
        self._take = take

    async def __call__(self, data: bytes) -> None:
        self._transcript.output(self._redactor.feed(data))
        await self._take(data)

    def close(self) -> None:
        """Nothing more comes."""
        self._transcript.output(self._redactor.flush())


class Entering:
    """The machines of one user on one machine, as the person whose shell `environ` is enters them."""

    def __init__(self, places: Places, environ: Mapping[str, str]) -> None:
        self._places = places
        self._environ = environ
        self._shells: dict[tuple[str, str], DebugShell] = {}
        """The last shell that was opened in each machine: facts come over its connection."""

    def run(self, which: int | str) -> Run | None:
        """By its number or uid. Raises StoreError."""
        with self._index() as index:
            return index.run(which)

    async def shell(
        self,
        machine: Machine,
        columns: int,
        rows: int,
        on_output: Callable[[bytes], None] | None = None,
        *,
        term: str = "xterm-256color",
    ) -> DebugShell:
        """A shell in the machine, in a terminal of this size. The run is marked as touched before it opens.

        `on_output` gets what `read` gives. Raises ConnectError when there is no way in, StoreError when it cannot be
        written down.
        """
        async with self._entered(machine) as (connection, known):
            transcript = await self._marked(machine, known, TouchKind.SHELL, "", (columns, rows), term)
            try:
                opened = await connection.shell(columns, rows, term)
            except BaseException:
                transcript.close()
                raise
        shell = DebugShell(
            machine.address,
            connection,
            opened,
            (columns, rows),
            connect=lambda: self._connect_again(machine),
            gone=lambda: asyncio.to_thread(self._gone, machine),
            transcript=transcript,
            term=term,
            on_output=on_output,
        )
        self._shells[machine.run_uid, machine.stage_key] = shell
        return shell

    async def command(self, machine: Machine, command: str) -> tuple[int, bytes, bytes]:
        """Run a command in the machine, without a terminal: exit status, output, errors. Marks as `shell` does."""
        out, err = bytearray(), bytearray()

        async def printed(data: bytes) -> None:
            out.extend(data)

        async def complained(data: bytes) -> None:
            err.extend(data)

        return await self.stream(machine, command, printed, complained), bytes(out), bytes(err)

    async def stream(self, machine: Machine, command: str, out: "Taker", err: "Taker") -> int:
        """The same, giving its output to `out` and its errors to `err` as they come; gives its exit status.

        Raises what `out` and `err` raise: the command is told to end then, but may go on.
        """
        async with self._entered(machine) as (connection, known):
            told = known.redactor.redact(command.encode(errors="surrogateescape")).decode(errors="replace")
            transcript = await self._marked(machine, known, TouchKind.COMMAND, told, (80, 24), "dumb")
            recorded = [_Recorded(transcript, known.redactor.another(), take) for take in (out, err)]
            try:
                status = await connection.stream(command, *recorded)
            finally:
                for one in recorded:
                    one.close()
                transcript.close()
            await connection.close()
        return status

    def ssh_command(self, machine: Machine) -> str:
        """A command line that opens a shell from any terminal on this machine. Marks as `shell` does: what will be done
        with it nobody knows."""
        self._check(machine)
        words = ssh.ssh_command(machine)
        run = self._known(machine.run_uid)
        Touches(self._places.run(run.uid)).add(Touch(TouchKind.SSH_COMMAND, self._who(run), time.time(), machine.build))
        return shlex.join(words)

    async def pin(self, machine: Machine) -> str:
        """The fingerprint of the machine's host key, pinned now where nobody has yet. Raises ConnectError."""
        self._check(machine)
        await self._first_contact(machine)
        return await ssh.pin(machine)

    def key_proof(self, machine: Machine) -> KeyProof:
        """What the pinned host key of a machine in a cloud was compared with. Reads files."""
        if not (machine.in_cloud and machine.known_hosts and machine.communicator == "ssh"):
            return KeyProof.NONE
        with contextlib.suppress(HostKeyError):  # whoever wants to get in is told
            return ssh_pins.proof(Path(machine.known_hosts))
        return KeyProof.NONE

    async def facts(self, machine: Machine) -> MachineFacts:
        """What the machine says of itself. Does not mark. Raises ConnectError."""
        self._check(machine)
        shell = self._shells.get((machine.run_uid, machine.stage_key))
        if shell is not None and shell.connected and not shell.connection.lost.is_set():
            return read_facts((await shell.connection.run(ASKING, timeout=_FACTS_WITHIN))[1])
        await self._first_contact(machine)
        connection = await ssh.connect(machine)
        try:
            return read_facts((await connection.run(ASKING, timeout=_FACTS_WITHIN))[1])
        finally:
            await connection.close()

    async def console(self, machine: Machine, last: int = console.LAST) -> bytes:
        """The last bytes of its serial console, as the machine printed them.

        Raises NoAnswerError when it cannot be read, RefusedError when it has none that Ingot knows of.
        """
        if not machine.console and machine.in_cloud:
            raise RefusedError(
                f"The cloud has shown nothing yet of the console of {machine.instance or machine.build}.",
                "It may take minutes.",
            )
        if not machine.console:
            raise RefusedError(
                f"Ingot knows of no serial console of {machine.build}.",
                f"Its screen is at {machine.vnc} (VNC)." if machine.vnc else "",
            )
        return await console.tail(machine.console, last=last)

    def _check(self, machine: Machine) -> None:
        """Raises NoShellError where no shell can be opened."""
        if machine.state is MachineState.GONE:
            raise NoShellError(f"The machine of {machine.build} is gone.", "Build again.")
        ssh.check(machine)

    @contextlib.asynccontextmanager
    async def _entered(self, machine: Machine) -> "AsyncGenerator[tuple[Connection, _Known]]":
        """A connection, which stays open unless something is raised inside."""
        self._check(machine)
        knowing = asyncio.ensure_future(asyncio.to_thread(self._all_known, machine.run_uid))
        try:
            await self._first_contact(machine)
            connection = await ssh.connect(machine)
        except BaseException:
            knowing.cancel()
            raise
        try:
            yield connection, await knowing
        except BaseException:
            await connection.close()
            raise

    async def _first_contact(self, machine: Machine) -> None:
        """Leave the first contact with a machine in a cloud to the worker, which looks at the console before it pins a
        host key. Nobody waits where no worker lives, or where Packer itself was not let in yet."""
        if not (machine.in_cloud and machine.connected):
            return
        pins = Path(machine.known_hosts)

        def awaited() -> bool:
            return not (pins.exists() or ssh_pins.shown(pins)) and Engine(self._places).worker_status() is not None

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_CONTACT_WITHIN):
                while await asyncio.to_thread(awaited):  # noqa: ASYNC110 - another process does it
                    await asyncio.sleep(_LOOKED_EVERY)

    def _all_known(self, uid: str) -> "_Known":
        from core.services.known_secrets import known_secrets  # here: it parses templates, and takes long to load

        run = self._known(uid)
        return _Known(self._who(run), Redactor(known_secrets(self._places, run, self._environ)))

    async def _marked(
        self, machine: Machine, known: "_Known", kind: TouchKind, detail: str, size: tuple[int, int], term: str
    ) -> TranscriptWriter:
        """The touch is on the disk when this returns, and its transcript has begun."""

        def mark() -> TranscriptWriter:
            touches = Touches(self._places.run(machine.run_uid))
            touch = Touch(kind, known.who, time.time(), machine.build, detail)
            record = touches.add(touch, recorded=True)
            return TranscriptWriter(touches.transcript(record), *size, known.redactor, term=term)

        return await asyncio.to_thread(mark)

    async def _connect_again(self, machine: Machine) -> "Connection":
        """To where it is now; its pin stays the one that it had."""

        def now() -> Machine:
            with self._index() as index:
                return index.machine(machine.run_uid, machine.stage_key) or machine

        return await ssh.connect(replace(await asyncio.to_thread(now), known_hosts=machine.known_hosts))

    def _gone(self, machine: Machine) -> str:
        """Why a machine that does not answer is not waited for any more; empty where it is."""
        with self._index() as index:
            run = index.run(machine.run_uid)
            there = index.machine(machine.run_uid, machine.stage_key)
        if run is None or there is None or there.state is MachineState.GONE:
            return "the machine is gone"
        if run.state.ended and there.state is not MachineState.KEPT:
            return f"the run has ended ({run.state.value}), and its machine with it"
        return ""

    # Who, and where

    def _who(self, run: Run) -> str:
        """The person, as a commit in the run's workspace would name them."""
        try:
            repository = GitRepository.find(Path(run.request.workspace.root))
        except WorkspaceError:
            repository = None
        return repository.identity() if repository else self._environ.get("USER") or "somebody on this machine"

    def _known(self, uid: str) -> Run:
        run = self.run(uid)
        if run is None:
            raise RefusedError("The record of this run is gone.", "ingot runs --all lists what is there.")
        return run

    @contextlib.contextmanager
    def _index(self) -> Generator[Index]:
        self._places.create()
        index = Index(self._places.index)
        try:
            yield index
        finally:
            index.close()
