"""The worker is killed, doubled, starved of its files and replaced; runs go on as if nothing had been."""

import asyncio
import fcntl
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from pathlib import Path

import pytest
from engine_workshop import IMPATIENT, PROGRAM, STAGES, Workshop, workshop

from core.engine.client import Engine
from core.engine.holds import holds_of
from core.errors import StoreError
from core.living import Identity
from core.model.run import Run, RunState, StageState


@pytest.fixture
def shop(tmp_path: Path) -> Generator[Workshop]:
    with workshop(tmp_path) as opened:
        yield opened


def tool_of(shop: Workshop, run: Run, stage: str) -> Identity:
    """The living process of a stage's command."""
    (pid,) = [int(note.split()[2]) for note in shop.notes(run) if note.startswith(f"ran {stage} ")]
    found = Identity.of(pid)
    assert found is not None, f"the command of {stage} has ended"
    return found


def kill_holder(shop: Workshop, run: Run) -> None:
    for hold in asyncio.run(holds_of(shop.places, run.uid)):
        os.kill(hold.pid, signal.SIGKILL)


@pytest.mark.parametrize("stage", STAGES)
def test_a_worker_killed_in_a_stage_adopts_its_tool_and_repeats_nothing(shop: Workshop, stage: str) -> None:
    run = shop.submit()
    shop.open(*STAGES[: STAGES.index(stage)])
    shop.until_ran(run, stage)
    tool = tool_of(shop, run, stage)
    shop.kill_worker()
    assert tool.lives
    assert shop.run(run).state is RunState.RUNNING
    shop.engine.wake()
    shop.wait(lambda: shop.run(run).stages[STAGES.index(stage)].attempt == 2, "the stage is carried out again")
    assert tool.lives
    assert tool_of(shop, run, stage) == tool
    shop.open("all")
    (run,) = shop.until_ended(run)
    assert run.state is RunState.SUCCEEDED
    assert shop.ran(run) == list(STAGES)
    # The stage that adopted was told all that the tool said, from its first line.
    key = "build/null.web" if stage == "build" else stage
    assert shop.index.stage_result(run.uid, key)["lines"] == [
        f"hello from {stage}, the word is nothing",
        f"bye from {stage}",
    ]


def test_a_tool_that_ended_while_no_worker_lived_counts(shop: Workshop) -> None:
    run = shop.submit()
    shop.until_ran(run, "checkout")
    tool = tool_of(shop, run, "checkout")
    shop.kill_worker()
    shop.open("all")
    shop.wait(lambda: not tool.lives, "the tool ends")
    shop.engine.wake()
    (run,) = shop.until_ended(run)
    assert run.state is RunState.SUCCEEDED
    assert shop.ran(run) == list(STAGES)


def test_a_worker_killed_again_and_again_at_any_moment_repeats_no_command(shop: Workshop) -> None:
    chance = random.Random(20261120)
    shop.open("all")
    runs = [shop.submit() for _ in range(3)]
    kills = 0
    while kills < 12 and not all(shop.run(run).state.ended for run in runs):
        shop.engine.wake()
        time.sleep(chance.uniform(0.0, 1.6))
        shop.kill_worker()
        kills += 1
    assert kills
    shop.engine.wake()
    for run in shop.until_ended(*runs):
        assert (run.state, shop.ran(run)) == (RunState.SUCCEEDED, list(STAGES))


def test_a_cancel_at_any_moment_leaves_nothing_running(shop: Workshop) -> None:
    for delay in (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3):
        run = shop.submit()
        shop.wait(lambda run=run: shop.run(run).state is RunState.RUNNING, "it runs")
        time.sleep(delay)
        shop.engine.cancel(run.uid, "Bob")
        (run,) = shop.until_ended(run)
        assert run.state is RunState.CANCELLED
        assert shop.processes() == []


def test_a_worker_killed_in_a_cancel_cancels_to_the_end(tmp_path: Path) -> None:
    with workshop(tmp_path, worker=IMPATIENT) as shop:
        run = shop.submit(how={"validate": "stubborn"})
        shop.open("checkout", "upstream")
        shop.until_ran(run, "validate")
        shop.engine.cancel(run.uid, "Bob")
        shop.wait(lambda: shop.run(run).state is RunState.CANCELLING, "the cancel is acted on")
        shop.kill_worker()
        shop.engine.wake()
        (run,) = shop.until_ended(run)
        assert (run.state, run.reason) == (RunState.CANCELLED, "cancelled by Bob")
        assert shop.ran(run) == ["checkout", "upstream", "validate"]


def test_a_cancel_asked_while_no_worker_lived_is_acted_on_by_the_next(shop: Workshop) -> None:
    run = shop.submit()
    shop.until_ran(run, "checkout")
    shop.kill_worker()
    shop.index.ask_cancel(run.uid, "Bob")
    shop.engine.wake()
    (run,) = shop.until_ended(run)
    assert run.state is RunState.CANCELLED
    assert shop.notes(run)[-1] == "cleaned checkout"


def test_a_run_written_down_while_no_worker_lived_is_carried_out_by_the_next(shop: Workshop) -> None:
    shop.open("all")
    run = shop.index.add_run(shop.request({}), ("checkout", "register"))
    shop.engine.wake()
    assert shop.until_ended(run)[0].state is RunState.SUCCEEDED


def test_of_two_workers_started_at_once_one_ends_quietly(shop: Workshop) -> None:
    workers = [
        subprocess.Popen(PROGRAM, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        for _ in range(4)
    ]
    shop.wait(lambda: sum(worker.poll() is None for worker in workers) == 1, "all but one end")
    ended = [worker for worker in workers if worker.poll() is not None]
    assert [(worker.returncode, worker.communicate()[0]) for worker in ended] == [(0, b"")] * 3
    (living,) = [worker for worker in workers if worker.poll() is None]
    assert shop.engine.ensure_worker().pid == living.pid
    assert shop.engine.stop_worker()
    assert living.wait() == 0
    living.communicate()


def test_a_worker_that_is_only_starting_is_stopped_too(shop: Workshop) -> None:
    starting = subprocess.Popen(PROGRAM, stdin=subprocess.DEVNULL)

    def has_the_lock() -> bool:
        if not shop.places.worker_lock.exists():
            return False
        with shop.places.worker_lock.open("rb") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    shop.wait(has_the_lock, "it has the lock; it hears nobody yet")
    assert shop.engine.stop_worker()
    assert starting.wait() == 0


def test_a_client_that_looks_for_long_keeps_no_worker_from_starting(shop: Workshop) -> None:
    shop.places.worker_lock.touch()
    with shop.places.worker_lock.open("rb") as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        worker = subprocess.Popen(PROGRAM, stdin=subprocess.DEVNULL)
        files = Path(f"/proc/{worker.pid}/fd")
        shop.wait(lambda: shop.places.worker_lock in [file.resolve() for file in files.iterdir()], "it wants the lock")
        time.sleep(1.0)  # it does not give up
    assert shop.engine.ensure_worker().pid == worker.pid
    assert shop.engine.stop_worker()
    assert worker.wait() == 0


def test_many_clients_that_start_at_once_share_one_worker_and_lose_no_run(shop: Workshop) -> None:
    shop.open("all")
    code = (
        "import sys; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from core.places import Places;"
        "from engine_workshop import Workshop;"
        "shop = Workshop(Places(Path(sys.argv[1])), Path(sys.argv[2])); shop.submit()"
    )
    argv = [sys.executable, "-c", code, str(shop.places.home), str(shop.gates), str(Path(PROGRAM[-1]).parent)]
    clients = [subprocess.Popen(argv, stderr=subprocess.PIPE) for _ in range(4)]
    for client in clients:
        assert client.communicate()[1] == b""
        assert client.returncode == 0
    runs = shop.index.runs()
    assert len(runs) == 4
    assert {run.state for run in shop.until_ended(*runs)} == {RunState.SUCCEEDED}
    assert shop.places.worker_log.read_text().count("at once") == 1


def test_a_client_whose_terminal_closes_takes_nothing_with_it(shop: Workshop) -> None:
    code = (
        "import sys, time; sys.path.insert(0, sys.argv[3]); from pathlib import Path; from core.places import Places;"
        "from engine_workshop import Workshop;"
        "shop = Workshop(Places(Path(sys.argv[1])), Path(sys.argv[2])); shop.submit(); time.sleep(600)"
    )
    client = subprocess.Popen(
        [sys.executable, "-c", code, str(shop.places.home), str(shop.gates), str(Path(PROGRAM[-1]).parent)],
        start_new_session=True,
    )
    shop.wait(shop.index.runs, "the client submits")
    (run,) = shop.index.runs()
    shop.until_ran(run, "checkout")
    os.killpg(client.pid, signal.SIGHUP)
    client.wait()
    assert tool_of(shop, run, "checkout").lives
    shop.open("all")
    assert shop.until_ended(run)[0].state is RunState.SUCCEEDED


def test_a_stopped_worker_leaves_its_tools_to_the_next(shop: Workshop) -> None:
    run = shop.submit()
    queued = [shop.submit() for _ in range(2)][1]
    shop.until_followed(run, "checkout")
    tool = tool_of(shop, run, "checkout")
    assert shop.engine.stop_worker()
    assert tool.lives
    assert shop.run(run).state is RunState.RUNNING
    assert shop.run(queued).state is RunState.QUEUED
    shop.engine.wake()
    shop.open("all")
    assert {run.state for run in shop.until_ended(*shop.index.runs())} == {RunState.SUCCEEDED}
    assert shop.ran(run) == list(STAGES)


def test_a_newer_client_replaces_an_older_worker_and_the_tool_notices_nothing(shop: Workshop) -> None:
    older = Engine(
        shop.places,
        worker=(
            sys.executable,
            "-c",
            "import core, runpy; core.__version__ = '0.0.1'; "
            f"runpy.run_path({str(PROGRAM[-1])!r}, run_name='__main__')",
        ),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.engine.client.mine", lambda: "0.0.1")
        assert older.ensure_worker().version == "0.0.1"
        run = shop.submit()
    shop.until_ran(run, "checkout")
    tool, before = tool_of(shop, run, "checkout"), shop.worker
    status = shop.engine.ensure_worker()
    assert before is not None
    assert not before.lives
    assert status.pid != before.pid
    assert tool.lives
    shop.open("all")
    assert shop.until_ended(run)[0].state is RunState.SUCCEEDED
    assert shop.ran(run) == list(STAGES)


def test_a_vanished_holder_of_a_build_loses_the_run_and_leaves_nothing(shop: Workshop) -> None:
    run = shop.submit()
    shop.open("checkout", "upstream", "validate")
    shop.until_ran(run, "build")
    kill_holder(shop, run)
    (run,) = shop.until_ended(run)
    assert run.state is RunState.LOST
    assert "vanished" in run.reason
    assert run.stages[3].state is StageState.LOST
    assert shop.processes() == []


def test_a_vanished_holder_of_a_stage_that_costs_nothing_is_replaced(shop: Workshop) -> None:
    run = shop.submit()
    shop.open("checkout", "upstream")
    shop.until_ran(run, "validate")
    kill_holder(shop, run)
    shop.wait(lambda: shop.ran(run).count("validate") == 2, "the tool is started again")
    shop.open("all")
    (run,) = shop.until_ended(run)
    assert run.state is RunState.SUCCEEDED
    assert "shell and its holder vanished" in shop.log(run, "validate")


def test_a_machine_that_was_restarted_loses_its_build_and_says_so(shop: Workshop) -> None:
    run = shop.submit()
    shop.open("checkout", "upstream", "validate")
    shop.until_ran(run, "build")
    shop.kill_worker()
    kill_holder(shop, run)
    for process in shop.processes():
        process.signal(signal.SIGKILL)
    shop.engine.wake()
    (run,) = shop.until_ended(run)
    assert run.state is RunState.LOST
    assert "a restart of the machine" in run.reason


def test_secrets_that_died_with_the_worker_are_asked_for_again(shop: Workshop) -> None:
    word = {"WORD": "correct-horse-battery"}
    run = shop.submit(secrets=word)
    shop.until_ran(run, "checkout")
    shop.kill_worker()
    shop.open("checkout")
    shop.engine.wake()
    # What ran had them in its holder and was not disturbed; what is to begin needs them.
    shop.wait(lambda: shop.run(run).state is RunState.WAITING, "the run waits")
    waiting = shop.run(run)
    assert "forgotten WORD" in waiting.reason
    assert f"ingot resume {run.id}" in waiting.reason
    assert shop.ran(run) == ["checkout"]
    others = [shop.submit() for _ in range(2)]
    for other in others:
        shop.until_ran(other, "upstream")  # a run that waits has no slot
    shop.open("all")
    shop.until_ended(*others)
    shop.engine.give_secrets(run.uid, word)
    (run,) = shop.until_ended(run)
    assert run.state is RunState.SUCCEEDED
    assert shop.ran(run) == list(STAGES)
    assert "the word is «redacted»" in shop.log(run, "upstream")


def test_a_run_that_waits_for_secrets_can_be_cancelled(shop: Workshop) -> None:
    run = shop.submit(secrets={"WORD": "correct-horse-battery"})
    shop.open("checkout")
    shop.until_ran(run, "checkout")
    shop.kill_worker()
    shop.engine.wake()
    shop.wait(lambda: shop.run(run).state in (RunState.WAITING, RunState.RUNNING), "it is there again")
    shop.engine.cancel(run.uid, "Bob")
    assert shop.until_ended(run)[0].state is RunState.CANCELLED


def test_a_lost_engine_database_costs_nothing(shop: Workshop) -> None:
    run = shop.submit()
    shop.open("checkout", "upstream")
    shop.until_ran(run, "validate")
    tool = tool_of(shop, run, "validate")
    shop.kill_worker()
    for path in shop.places.home.glob("engine.sqlite*"):
        path.unlink()
    shop.engine.wake()
    shop.wait(lambda: shop.run(run).stages[2].attempt == 2, "the stage is carried out again")
    assert tool.lives
    shop.open("all")
    (run,) = shop.until_ended(run)
    assert run.state is RunState.SUCCEEDED
    assert shop.ran(run) == list(STAGES)
    assert [stage.attempt for stage in run.stages] == [1, 1, 2, 1, 1]


def test_flows_of_another_version_go_on_too(shop: Workshop) -> None:
    run = shop.submit()
    shop.until_ran(run, "checkout")
    shop.kill_worker()
    newer = (
        sys.executable,
        "-c",
        "import runpy, core.engine.flows as flows; flows.FLOWS_VERSION = '2'; "
        f"runpy.run_path({str(PROGRAM[-1])!r}, run_name='__main__')",
    )
    Engine(shop.places, worker=newer).wake()
    shop.open("all")
    assert shop.until_ended(run)[0].state is RunState.SUCCEEDED
    assert shop.ran(run) == list(STAGES)


def test_a_damaged_index_is_told_to_whoever_asks_and_nothing_is_started(shop: Workshop) -> None:
    shop.index.close()
    for path in shop.places.home.glob("index.sqlite*"):
        path.unlink()
    shop.places.index.write_bytes(b"nonsense" * 1000)
    with pytest.raises(StoreError, match="is damaged"):
        shop.engine.submit(shop.request({}))
    assert shop.engine.worker_status() is None
    shop.places.index.unlink()
    shop.index = type(shop.index)(shop.places.index)


def test_tools_of_a_run_that_nobody_remembers_are_ended(shop: Workshop) -> None:
    run = shop.submit()
    shop.until_ran(run, "checkout")
    shop.kill_worker()
    shop.index.close()
    for path in shop.places.home.glob("index.sqlite*"):
        path.unlink()
    shop.index = type(shop.index)(shop.places.index)
    shop.engine.wake()
    shop.wait(lambda: not shop.processes(), "the tool of the forgotten run ends")
    assert (shop.gates / f"notes-{run.id}").read_text().splitlines()[-1] == "cleaned checkout"


def test_a_removed_socket_is_made_again(shop: Workshop) -> None:
    first = shop.engine.ensure_worker()
    shutil.rmtree(shop.places.runtime)
    shop.wait(shop.engine.worker_status, "the worker listens again")
    status = shop.engine.worker_status()
    assert status is not None
    assert status.pid == first.pid


def test_a_client_without_the_login_sessions_runtime_directory_finds_the_worker(tmp_path: Path) -> None:
    session = Path(tempfile.mkdtemp(prefix="session-"))  # not in tmp_path: paths of sockets must be short
    with workshop(tmp_path, {"XDG_RUNTIME_DIR": str(session)}) as shop:
        status = shop.engine.ensure_worker()
        with pytest.MonkeyPatch.context() as patch:
            patch.delenv("XDG_RUNTIME_DIR")
            other = Engine(shop.places, worker=PROGRAM)
            assert other.ensure_worker().pid == status.pid
            shutil.rmtree(shop.places.runtime, ignore_errors=True)
    shutil.rmtree(session)
