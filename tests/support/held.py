"""A machine that waits for a person, as the index knows it, and a way into it that a test writes the lines of."""

import asyncio
from collections.abc import Callable
from pathlib import Path

from msgspec.structs import replace
from shop import NOW, Shop

from core.errors import ConnectError, IngotError, NoAnswerError
from core.model.machine import Login, Machine, MachineState
from core.model.pause import Answer, Pause, PauseKind
from core.model.run import Run, RunState, StageState
from core.services.debugging import Debugging
from core.services.entering import MachineFacts
from core.store.log_writer import LogWriter
from tui.app import Ingot

SAMPLES = Path(__file__).parents[1] / "data" / "failures"
PROMPT = b"\x1b[1;32mroot@database\x1b[0m:\x1b[1;34m~\x1b[0m# "
SCREEN = (
    b"Linux database 6.1.0-26-cloud-amd64 #1 SMP Debian x86_64\r\n\r\n"
    + PROMPT
    + b"df -h /\r\nFilesystem      Size  Used Avail Use% Mounted on\r\n/dev/vda1       2.0G  1.9G     0 100% /\r\n"
    + PROMPT
)


class Scripted:
    """A shell that says what the test wants, and notes what is typed."""

    def __init__(self, *said: bytes) -> None:
        self.typed = b""
        self.size = (0, 0)
        self.closed = False
        self.exit_status: int | None = None
        self._said: asyncio.Queue[bytes] = asyncio.Queue()
        for one in said:
            self.say(one)

    def say(self, data: bytes) -> None:
        """b"" ends it."""
        self._said.put_nowait(data)

    async def read(self) -> bytes:
        return await self._said.get()

    def write(self, data: bytes) -> None:
        self.typed += data

    def resize(self, columns: int, rows: int) -> None:
        self.size = (columns, rows)

    async def close(self) -> None:
        self.closed = True


class Door(Debugging):
    """The real service, but for what needs a machine and a holder: the shells, the questions to it, the answers."""

    def __init__(self, shop: Shop) -> None:
        super().__init__(shop.places, {})
        self.shop = shop
        self.shells: list[Scripted] = []
        self.refuse: ConnectError | None = None
        """What comes back instead of a shell."""
        self.first: IngotError | None = None
        """Somebody who answered before."""
        self.heard: list[str] = []
        self.opens = asyncio.Event()
        """Until then a shell is on its way."""
        self.opens.set()
        self.lines: bytes | IngotError = b"[    4.2] systemd[1]: Started ssh.service\r\ndatabase login: \r\n"

    async def shell(  # pyright: ignore[reportIncompatibleMethodOverride] - what the screen uses of it
        self, machine: Machine, columns: int, rows: int, on_output: Callable[[bytes], None] | None = None
    ) -> Scripted:
        self.heard.append(f"shell {machine.address}")
        await self.opens.wait()
        if self.refuse is not None:
            raise self.refuse
        self.shells.append(Scripted(SCREEN))
        return self.shells[-1]

    async def facts(self, machine: Machine) -> MachineFacts:
        return MachineFacts("database", "Debian GNU/Linux 12", 250.0, "0.31 0.20 0.10", 1_940_000_000, 2_000_000_000)

    async def console(self, machine: Machine, last: int = 64 * 1024) -> bytes:
        if isinstance(self.lines, IngotError):
            raise self.lines
        return self.lines

    async def answer(self, pause: Pause, answer: Answer) -> str:
        if self.first is not None:
            raise self.first
        self.heard.append(f"{answer.value} {pause.number}")
        self.shop.index.answered(pause.id, answer.value, "Ada Ops <ada@example.org>", NOW)
        return "It goes on."

    async def extend(self, held: Pause | Machine, seconds: float) -> float:
        self.heard.append(f"extend {seconds:.0f}")
        until = (held.until or NOW) + seconds
        if isinstance(held, Pause):
            self.shop.index.set_pause_until(held.id, until)
        return until

    async def end_machine(self, machine: Machine) -> None:
        self.heard.append(f"end {machine.build}")
        self.shop.index.save_machine(replace(machine, state=MachineState.GONE))


def with_real_shells(shop: Shop, machine: Machine) -> Ingot:
    """The app, with this machine paused: whoever enters it gets a real shell."""
    shop.index.save_machine(replace(machine, state=MachineState.PAUSED, connected=True))
    return shop.app(debugging=Debugging(shop.places, {"USER": "ada"}))


NOBODY = NoAnswerError("127.0.0.1:3059 refuses the connection.", "It is tried again every few seconds.")


def hold(
    shop: Shop,
    kind: PauseKind = PauseKind.FAILURE,
    *,
    role: str = "database",
    why: str = "provisioner ansible failed with exit status 1",
    step: str = "StepProvision",
    provisioners: int = 4,
    log: str = "ansible-verbose",
    **machine: object,
) -> Run:
    """A run that is paused in its build, for two hours from four minutes ago."""
    run = shop.run(role, RunState.PAUSED, 3, 260)
    pause_in(shop, run, kind, why=why, step=step, provisioners=provisioners)
    put_machine(shop, run, **machine)
    if log:
        text = (SAMPLES / f"{log}.log").read_text().replace("null.web", f"qemu.{role}")
        # The samples come from builds of no machine: in one, a script is run like this.
        text = text.replace("Running local shell script", "Provisioning with shell script")
        text = text.replace("/srv/shop", f"{shop.places.run(run.uid)}/checkout")
        with LogWriter(shop.places.log(run.uid, key_of(run)), clock=lambda: NOW) as writer:
            writer.write(text.encode())
    return run


def key_of(run: Run) -> str:
    return f"build/{run.request.builds[0]}"


def pause_in(
    shop: Shop,
    run: Run,
    kind: PauseKind = PauseKind.FAILURE,
    number: int = 1,
    *,
    why: str = "provisioner ansible failed with exit status 1",
    step: str = "StepProvision",
    provisioners: int = 4,
) -> Pause:
    pause = Pause(run.uid, key_of(run), number, kind, step, why, NOW - 240, NOW + 7200 - 240, provisioners)
    return shop.index.add_pause(pause)


def put_machine(shop: Shop, run: Run, **more: object) -> Machine:
    machine = Machine(
        run.uid,
        key_of(run),
        run.request.builds[0],
        "qemu",
        MachineState.PAUSED,
        host="127.0.0.1",
        port=3059,
        login=Login("root"),
        connected=True,
        vnc="127.0.0.1:5901",
        image="base 0.1.0",
    )
    machine = replace(machine, **more)  # pyright: ignore[reportArgumentType] - fields of Machine
    shop.index.save_machine(machine)
    return machine


def keep(shop: Shop, run: Run) -> Machine:
    """The pause is answered with `keep`: the run has failed, and the machine lives."""
    for pause in shop.index.pauses(run.uid, open_only=True):
        shop.index.answered(pause.id, Answer.KEEP.value, "Ada Ops <ada@example.org>", NOW - 60)
    shop.index.update_stage(run.uid, key_of(run), state=StageState.FAILED, ended=NOW)
    shop.index.set_run_state(run.uid, RunState.FAILED, "The machine was kept.")
    return put_machine(shop, run, state=MachineState.KEPT, until=NOW + 3600, kept_by="Ada Ops <ada@example.org>")
