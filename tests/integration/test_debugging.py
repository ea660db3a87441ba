"""Into a machine of a build, and what a person can do about it: a real SSH server, real holders, no worker."""

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import patience
import pytest
import ssh_machine as machines
from msgspec.structs import replace
from patience import PATIENCE
from paused_run import PausedRuns
from ssh_machine import SshMachine, ssh_machine

from core.adapters import ssh, ssh_pins
from core.engine.client import Engine
from core.engine.protocol import WorkerStatus
from core.errors import DeniedError, EngineError, HostKeyError, NoAnswerError, NoShellError, RefusedError, StoreError
from core.holding import Hold
from core.model.machine import KeyProof, Login, Machine, MachineState
from core.model.pause import Answer, PauseKind
from core.model.touch import TouchKind
from core.secrets import MARK
from core.services.debugging import Debugging, DebugShell
from core.store.index import Index

pytestmark = pytest.mark.skipif(bool(machines.missing()), reason=f"{machines.missing()} is not installed")

WHO = "Ada <ada@example.org>"


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[PausedRuns]:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    made = PausedRuns(tmp_path / "home", tmp_path / "shop")
    yield made
    made.close()


@pytest.fixture
def debugging(runs: PausedRuns) -> Debugging:
    return Debugging(runs.places, {"PKR_VAR_token": "a-token-of-the-run"}, engine=runs.engine)


@pytest.fixture
async def holds() -> AsyncIterator[list[Hold]]:
    """Ended after the test, whatever it did."""
    started: list[Hold] = []
    yield started
    for hold in started:
        if hold.exit is None:
            await hold.interrupt()
        await hold.wait_gone()


async def until(shell: DebugShell, text: bytes) -> bytes:
    """Read until the machine has said this."""
    said = b""
    async with asyncio.timeout(PATIENCE):
        while text not in said:
            data = await shell.read()
            assert data, f"it ended after {said!r}"
            said += data
    return said


async def rest(shell: DebugShell) -> bytes:
    said = b""
    async with asyncio.timeout(PATIENCE):
        while data := await shell.read():
            said += data
    return said


def transcript(runs: PausedRuns, machine: Machine) -> str:
    run = runs.index.run(machine.run_uid)
    assert run is not None
    (touch,) = runs.touches(run).all()
    lines = runs.touches(run).transcript(touch).read_text().splitlines()
    return "".join(event[2] for line in lines[1:] if (event := json.loads(line))[1] == "o")


# The way in


async def test_a_shell_marks_the_run_before_it_opens_and_keeps_what_it_showed(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    run = runs.run(sensitive=("token",))
    machine = runs.machine(run, sshd)
    seen: list[bytes] = []
    shell = await debugging.shell(machine, 80, 24, seen.append)
    (touch,) = runs.touches(run).all()
    assert (touch.kind, touch.who, touch.build) == (TouchKind.SHELL, WHO, "qemu.web")
    shell.write(b"stty size; echo a-token-of-the-run; echo mo''re\n")
    said = await until(shell, b"more")
    assert b"24 80" in said
    shell.resize(100, 30)
    shell.write(b"stty size; exit 3\n")
    said += await rest(shell)
    assert b"30 100" in said
    assert shell.exit_status == 3
    assert b"".join(seen) == said
    await shell.close()
    kept = transcript(runs, machine)
    assert "30 100" in kept
    assert "a-token-of-the-run" not in kept
    assert MARK.decode() in kept


async def test_what_is_typed_and_not_echoed_is_not_kept(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    machine = runs.machine(runs.run(), sshd)
    shell = await debugging.shell(machine, 80, 24)
    shell.write(b"stty -echo; echo rea''dy\n")
    await until(shell, b"ready")
    shell.write(b"read -r answer; echo th''anks\n")
    shell.write(b"hunter2-hunter2\n")
    await until(shell, b"thanks")
    await shell.close()
    assert "hunter2" not in transcript(runs, machine)


async def test_a_shell_that_cannot_be_written_down_does_not_open(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    run = runs.run()
    machine = runs.machine(run, sshd)
    (runs.places.run(run.uid) / "touches").write_text("in the way")
    with pytest.raises(StoreError):
        await debugging.shell(machine, 80, 24)


async def test_the_mark_is_there_before_the_machine_is_asked_for_a_shell(
    runs: PausedRuns, debugging: Debugging, tmp_path: Path
) -> None:
    run = runs.run()
    with ssh_machine(tmp_path / "closed", "MaxSessions 0") as closed:
        machine = runs.machine(run, closed)
        with pytest.raises(NoAnswerError):
            await debugging.shell(machine, 80, 24)
        with pytest.raises(NoAnswerError):
            await debugging.command(machine, "true")
    assert [touch.kind for touch in runs.touches(run).all()] == [TouchKind.SHELL, TouchKind.COMMAND]


async def test_who_is_not_let_in_has_touched_nothing(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine, tmp_path: Path
) -> None:
    run = runs.run()
    other = machines.make_key(tmp_path / "other")
    machine = runs.machine(run, sshd, login=Login(sshd.user, (str(other),)))
    with pytest.raises(Exception, match="does not let"):
        await debugging.shell(machine, 80, 24)
    assert runs.touches(run).all() == []


async def test_a_command_gives_its_status_and_keeps_output_and_errors_apart(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    run = runs.run(sensitive=("token",))
    machine = runs.machine(run, sshd)
    command = "echo out; echo err >&2; test -t 0 || echo none; : a-token-of-the-run; exit 7"
    assert await debugging.command(machine, command) == (7, b"out\nnone\n", b"err\n")
    (touch,) = runs.touches(run).all()
    assert touch.kind is TouchKind.COMMAND
    assert touch.detail == command.replace("a-token-of-the-run", MARK.decode())
    assert sorted(transcript(runs, machine).split()) == ["err", "none", "out"]


async def test_a_commands_output_comes_while_it_runs_and_is_redacted_stream_by_stream(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine, tmp_path: Path
) -> None:
    machine = runs.machine(runs.run(sensitive=("token",)), sshd)
    said: list[bytes] = []

    def wait_for(name: str) -> str:
        return f"until test -e {tmp_path}/{name}; do sleep 0.05; done"

    async def out(data: bytes) -> None:
        said.append(b"out " + data)
        (tmp_path / f"out{len(said)}").touch()

    async def err(data: bytes) -> None:
        said.append(b"err " + data)
        (tmp_path / f"err{len(said)}").touch()

    command = (
        f"printf a-token-; {wait_for('out1')}; printf of- >&2; {wait_for('err2')}; "
        f"printf of-the-run; {wait_for('out3')}; exit 7"
    )
    async with asyncio.timeout(PATIENCE):
        assert await debugging.stream(machine, command, out, err) == 7
    assert said == [b"out a-token-", b"err of-", b"out of-the-run"]
    kept = transcript(runs, machine)
    assert "of-the-run" not in kept
    assert MARK.decode() in kept


async def test_a_command_whose_output_nobody_takes_any_more_is_left_alone(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    machine = runs.machine(runs.run(), sshd)

    async def gone(_: bytes) -> None:
        raise BrokenPipeError

    async with asyncio.timeout(PATIENCE):
        with pytest.raises(BrokenPipeError):
            await debugging.stream(machine, "yes", gone, gone)
    assert transcript(runs, machine).startswith("y\ny\n")


async def test_the_ssh_command_works_and_marks(runs: PausedRuns, debugging: Debugging, sshd: SshMachine) -> None:
    run = runs.run()
    machine = runs.machine(run, sshd)
    await debugging.pin(machine)
    line = debugging.ssh_command(machine)
    assert [touch.kind for touch in runs.touches(run).all()] == [TouchKind.SSH_COMMAND]
    started = await asyncio.create_subprocess_shell(f"{line} 'echo in'", stdout=asyncio.subprocess.PIPE)
    assert (await started.communicate())[0] == b"in\n"


async def test_the_first_contact_in_a_cloud_is_the_workers_who_looks_at_the_console_before(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = runs.machine(runs.run(), sshd, kind="amazon-ebs")
    asked = asyncio.Event()
    loop = asyncio.get_running_loop()

    def lives(_: Engine) -> WorkerStatus:
        loop.call_soon_threadsafe(asked.set)
        return WorkerStatus(1, "", 0.0, 1, running=0, queued=0, waiting=1)

    monkeypatch.setattr(Engine, "worker_status", lives)
    entering = asyncio.ensure_future(debugging.command(machine, "true"))
    asking = asyncio.ensure_future(asked.wait())
    await asyncio.wait({entering, asking}, return_when=asyncio.FIRST_COMPLETED)
    asking.cancel()
    assert not Path(machine.known_hosts).exists()
    ssh_pins.note_shown(Path(machine.known_hosts), {f"SHA256:{'A' * 43}"})
    with pytest.raises(HostKeyError):
        await entering


async def test_where_no_worker_lives_the_first_contact_is_made_by_who_enters(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    machine = runs.machine(runs.run(), sshd, kind="amazon-ebs")
    assert await debugging.command(machine, "true") == (0, b"", b"")
    assert debugging.key_proof(machine) is KeyProof.FIRST_CONTACT


async def test_facts_do_not_mark(runs: PausedRuns, debugging: Debugging, sshd: SshMachine) -> None:
    run = runs.run()
    facts = await debugging.facts(runs.machine(run, sshd))
    assert facts.hostname
    assert facts.system
    assert facts.uptime
    assert facts.disk_size
    assert facts.disk_used
    assert facts.load.count(" ") == 2
    assert runs.touches(run).all() == []


async def test_a_login_counts_once_it_leads_in_and_reverts_nothing_that_became_of_the_machine(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine, tmp_path: Path
) -> None:
    wrong, wanted = (Login(sshd.user, (str(machines.make_key(tmp_path / name)),)) for name in ("before", "other"))
    machine = runs.machine(runs.run(), sshd, login=wrong)
    kept = replace(machine, state=MachineState.KEPT, until=time.time() + 900, kept_by=WHO)
    runs.index.save_machine(kept)
    # What follows was begun when the machine was only paused.
    with pytest.raises(DeniedError):
        await debugging.log_in(machine, sshd.user, wanted.key_files[0])
    assert runs.index.machine(machine.run_uid, machine.stage_key) == kept
    given = await debugging.log_in(machine, sshd.user, str(sshd.login))
    assert given == replace(kept, login=Login(sshd.user, (str(sshd.login),)))
    assert runs.index.machine(machine.run_uid, machine.stage_key) == given


async def test_a_machine_that_ends_while_somebody_logs_in_stays_ended(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = runs.machine(runs.run(), sshd)
    connect = ssh.connect

    async def meanwhile(given: Machine) -> object:
        runs.gone(machine)
        return await connect(given)

    monkeypatch.setattr(ssh, "connect", meanwhile)
    with pytest.raises(RefusedError, match=r"qemu\.web has ended"):
        await debugging.log_in(machine, sshd.user, str(sshd.login))
    assert runs.index.machines() == []


async def test_a_winrm_machine_says_where_it_is_and_what_can_be_done(runs: PausedRuns, debugging: Debugging) -> None:
    run = runs.run()
    machine = Machine(
        run.uid,
        "build/qemu.web",
        "qemu.web",
        "qemu",
        communicator="winrm",
        host="10.0.0.5",
        port=5986,
        login=Login("Bob"),
    )
    with pytest.raises(NoShellError, match=r"Bob@10\.0\.0\.5:5986") as caught:
        await debugging.shell(machine, 80, 24)
    assert "can be answered" in caught.value.next_step
    assert runs.touches(run).all() == []


# A machine that goes away


async def test_a_shell_comes_back_when_the_machine_does(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    run = runs.run()
    machine = runs.machine(run, sshd)
    shell = await debugging.shell(machine, 80, 24)
    shell.write(b"echo fi''rst\n")
    await until(shell, b"first")
    await asyncio.to_thread(sshd.stop)
    await until(shell, b"is lost; trying again every 2 s]")
    shell.write(b"echo never\n")
    await asyncio.to_thread(sshd.start)
    said = await until(shell, b"is back, in a new shell]")
    shell.write(b"echo sec''ond\n")
    said += await until(shell, b"second")
    assert b"never" not in said
    await shell.close()
    assert "is back" in transcript(runs, machine)


async def test_a_machine_that_is_back_and_lets_nobody_in_yet_is_tried_again(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    shell = await debugging.shell(runs.machine(runs.run(), sshd), 80, 24)
    allowed = sshd.authorized.read_text()
    await asyncio.to_thread(sshd.stop)
    sshd.authorized.write_text("")
    await asyncio.to_thread(sshd.start)
    assert b"does not let" in await until(shell, b"Trying again.")
    sshd.authorized.write_text(allowed)
    await shell.reconnect()
    assert b"does not let" not in await until(shell, b"is back")
    await shell.close()


async def test_a_shell_that_a_signal_ended_in_a_living_machine_has_just_ended(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    shell = await debugging.shell(runs.machine(runs.run(), sshd), 80, 24)
    shell.write(b"exit 143\n")
    assert b"is lost" not in await rest(shell)
    assert shell.exit_status == 143
    await shell.close()


async def test_another_machine_at_its_place_gets_nothing(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    shell = await debugging.shell(runs.machine(runs.run(), sshd), 80, 24)
    await asyncio.to_thread(sshd.stop)
    sshd.new_host_key()
    await asyncio.to_thread(sshd.start)
    said = await rest(shell)
    assert b"shows another host key" in said
    assert shell.exit_status is None
    await shell.close()


async def test_a_machine_that_is_gone_is_not_waited_for(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    machine = runs.machine(runs.run(), sshd)
    shell = await debugging.shell(machine, 80, 24)
    await asyncio.to_thread(sshd.stop)
    await until(shell, b"is lost")
    runs.gone(machine)
    assert b"[Ingot: the machine is gone]" in await rest(shell)
    await shell.close()


async def test_one_can_leave_while_the_machine_is_away(
    runs: PausedRuns, debugging: Debugging, sshd: SshMachine
) -> None:
    shell = await debugging.shell(runs.machine(runs.run(), sshd), 80, 24)
    await asyncio.to_thread(sshd.stop)
    await until(shell, b"is lost")
    waiting = asyncio.ensure_future(rest(shell))
    await asyncio.sleep(0.1)
    await shell.close()
    assert await waiting == b""


# Answers

RETRIED = """
print("answer:", ask(FAILED))
print("answer:", ask(FAILED))
"""


async def test_of_two_who_answer_one_does(runs: PausedRuns, debugging: Debugging, holds: list[Hold]) -> None:
    run = runs.run()
    pause = runs.pause(run)
    holds.append(await runs.hold(run, RETRIED))
    said = await debugging.answer(pause, Answer.RETRY)
    assert "all 4 provisioners again" in said
    with pytest.raises(RefusedError, match=r"Ada <ada@example\.org> answered it at .*: retry"):
        await debugging.answer(pause, Answer.CLEAN_UP)
    assert debugging.pauses() == []  # though nobody has noted it in the index yet
    log = runs.places.run(run.uid) / "tools" / "build.qemu.web" / "log"
    await patience.until(lambda: "answer: r" in log.read_text(), "the tool has its answer")


async def test_a_late_answer_never_hits_a_later_pause(
    runs: PausedRuns, debugging: Debugging, holds: list[Hold]
) -> None:
    run = runs.run()
    first = runs.pause(run)
    holds.append(await runs.hold(run, RETRIED))
    await debugging.answer(first, Answer.RETRY)
    second = await holds[0].wait_held(1)
    assert second is not None
    with pytest.raises(RefusedError, match="retry"):
        await debugging.answer(first, Answer.CLEAN_UP)
    assert await holds[0].held() == second


async def test_only_what_the_pause_allows_is_answered(
    runs: PausedRuns, debugging: Debugging, holds: list[Hold]
) -> None:
    run = runs.run()
    pause = runs.pause(run)
    holds.append(await runs.hold(run, RETRIED))
    with pytest.raises(RefusedError, match="no answer continue"):
        await debugging.answer(pause, Answer.CONTINUE)
    assert await holds[0].held() is not None


AT_BREAKPOINTS = 'ask("Press enter to continue."); ask("Press enter to continue.")'


async def test_cleaning_up_at_a_breakpoint_cancels_the_run_though_no_worker_lives(
    runs: PausedRuns, debugging: Debugging, holds: list[Hold]
) -> None:
    run = runs.run()
    pause = runs.pause(run, kind=PauseKind.BREAKPOINT)
    holds.append(await runs.hold(run, AT_BREAKPOINTS))
    said = await debugging.answer(pause, Answer.CLEAN_UP)
    assert "the run ends as cancelled" in said
    assert "No worker answers" in said
    again = runs.index.run(run.uid)
    assert again is not None
    assert again.cancel_asked_by == WHO
    assert (await holds[0].wait()).ended_by == "cancel"
    with pytest.raises(RefusedError, match=r"Ada <ada@example\.org> answered it at .*: clean-up"):
        await debugging.answer(pause, Answer.CONTINUE)


async def test_who_wants_to_clean_up_where_somebody_went_on_is_told_and_ends_nothing(
    runs: PausedRuns, debugging: Debugging, holds: list[Hold]
) -> None:
    run = runs.run()
    first = runs.pause(run, kind=PauseKind.BREAKPOINT)
    holds.append(await runs.hold(run, AT_BREAKPOINTS))
    told = await asyncio.gather(
        debugging.answer(first, Answer.CONTINUE), debugging.answer(first, Answer.CLEAN_UP), return_exceptions=True
    )
    assert sum(isinstance(one, RefusedError) for one in told) == 1
    if isinstance(told[0], str):
        assert await holds[0].wait_held(1) is not None
    again = runs.index.run(run.uid)
    assert again is not None
    assert bool(again.cancel_asked_by) == isinstance(told[1], str)


async def test_a_paused_machine_can_be_kept_for_longer(
    runs: PausedRuns, debugging: Debugging, holds: list[Hold]
) -> None:
    run = runs.run()
    pause = runs.pause(run)
    holds.append(await runs.hold(run, RETRIED))
    until_when = await debugging.extend(pause, 3600)
    assert pause.until is not None
    assert until_when == pause.until + 3600
    left = (await holds[0].status()).seconds_left
    assert left is not None
    assert left > 3600
    (again,) = debugging.pauses(run.uid)
    assert again.until == until_when


async def test_only_a_kept_machine_is_ended(runs: PausedRuns, debugging: Debugging, sshd: SshMachine) -> None:
    run = runs.run()
    machine = runs.machine(run, sshd)
    with pytest.raises(RefusedError):
        await debugging.end_machine(machine)
    kept = runs.machine(run, sshd, state=MachineState.KEPT, until=time.time() + 900)
    with pytest.raises(EngineError):
        await debugging.end_machine(kept)
    again = runs.index.machine(run.uid, kept.stage_key)
    assert again is not None
    assert again.until is not None
    assert again.until <= time.time()


class BesideTheLoop(Debugging):
    """Fails where the index, which may be locked for many seconds, is touched on the event loop."""

    @contextmanager
    def _index(self) -> Generator[Index]:
        assert threading.current_thread() is not threading.main_thread()
        with super()._index() as index:
            yield index


async def test_no_write_keeps_the_event_loop_waiting(runs: PausedRuns, sshd: SshMachine, holds: list[Hold]) -> None:
    debugging = BesideTheLoop(runs.places, {}, engine=runs.engine)
    run = runs.run()
    pause = runs.pause(run)
    holds.append(await runs.hold(run, RETRIED))
    await debugging.log_in(runs.machine(run, sshd), sshd.user, str(sshd.login))
    await debugging.extend(pause, 60)
    kept = runs.machine(run, sshd, state=MachineState.KEPT, until=time.time() + 900)
    for change in (debugging.extend(kept, 60), debugging.end_machine(kept)):
        with pytest.raises(EngineError, match="No worker answers"):  # there is none to be woken: it was written down
            await change


async def test_a_view_has_all_that_a_screen_shows(runs: PausedRuns, debugging: Debugging, sshd: SshMachine) -> None:
    run = runs.run("qemu.web", "qemu.two")
    machine = runs.machine(run, sshd, "qemu.two")
    pause = runs.pause(run, "qemu.two")
    await debugging.command(machine, "true")
    view = debugging.view(run.uid)
    assert view is not None
    assert view.stage is not None
    assert (view.stage.build, view.pause, view.machine) == ("qemu.two", pause, machine)
    assert [choice.answer for choice in view.choices] == [Answer.RETRY, Answer.KEEP, Answer.CLEAN_UP]
    assert len(view.touches) == 1
    assert view.until == pause.until
    assert debugging.view("nobody") is None
    other = debugging.view(run.uid, "qemu.web")
    assert other is not None
    assert (other.pause, other.choices) == (None, ())
