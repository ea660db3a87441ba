"""The engine: runs are written down by a client and carried out by a worker of their own, in order, with real tools."""

import fcntl
import os
import pickle
import shutil
import sqlite3
import stat
import subprocess
import sys
from base64 import b64encode
from collections.abc import Generator
from pathlib import Path

import msgspec
import pytest
from engine_workshop import IMPATIENT, PROGRAM, STAGES, Workshop, workshop

from core.engine import client
from core.engine.client import Engine
from core.engine.protocol import Presence, mine, presence
from core.errors import EngineError, RefusedError
from core.model.run import RunState, StageState
from core.places import Places


@pytest.fixture
def shop(tmp_path: Path) -> Generator[Workshop]:
    with workshop(tmp_path) as opened:
        yield opened


def test_a_run_goes_through_its_stages_and_each_knows_the_earlier_ones(shop: Workshop) -> None:
    shop.open("all")
    (run,) = shop.until_ended(shop.submit())
    assert (run.state, run.reason) == (RunState.SUCCEEDED, "")
    assert shop.ran(run) == list(STAGES)
    assert {stage.state for stage in run.stages} == {StageState.SUCCEEDED}
    assert all(stage.attempt == 1 and stage.started and stage.ended for stage in run.stages)
    lines = ["hello from checkout, the word is nothing", "bye from checkout"]
    assert shop.index.stage_result(run.uid, "checkout")["lines"] == lines
    assert shop.index.stage_result(run.uid, "register")["before"] == lines
    assert shop.log(run, "build").splitlines() == ["hello from build, the word is nothing", "bye from build"]
    assert (shop.places.run(run.uid) / "clean").read_text() == "True"


def test_a_failing_stage_ends_the_run_and_says_what_to_do(shop: Workshop) -> None:
    shop.open("all")
    (run,) = shop.until_ended(shop.submit(how={"validate": "fail"}))
    assert (run.state, run.reason) == (RunState.FAILED, "validate: sh ended with 3.")
    assert run.failed_stage is not None
    assert (run.failed_stage.error, run.failed_stage.next_step) == ("sh ended with 3.", "Look at the log.")
    assert shop.ran(run) == ["checkout", "upstream", "validate"]
    assert run.stages[-1].state is StageState.PENDING
    assert (shop.places.run(run.uid) / "clean").read_text() == "False"


def test_a_defect_of_ours_is_called_so_and_its_traceback_is_in_the_log(shop: Workshop) -> None:
    shop.open("all")
    (run,) = shop.until_ended(shop.submit(how={"upstream": "break"}))
    assert run.state is RunState.FAILED
    assert "KeyError in stage upstream: this is a defect in Ingot" in run.reason
    assert "KeyError: 'an unforeseen thing'" in shop.log(run, "upstream")


def test_ten_runs_begin_in_order_and_never_more_than_two_at_once(shop: Workshop) -> None:
    runs = [shop.submit() for _ in range(10)]
    for first in range(0, 10, 2):
        pair = runs[first : first + 2]
        for run in pair:
            shop.until_ran(run, "checkout")
        working = [run.id for run in shop.index.runs() if run.state is RunState.RUNNING]
        assert sorted(working) == [run.id for run in pair]
        assert all(shop.run(run).state is RunState.QUEUED for run in runs[first + 2 :])
        for run in pair:  # let these two through, and only these
            shop.engine.cancel(run.uid, "Ada")
        shop.until_ended(*pair)
    started = [run.started for run in (shop.run(run) for run in runs) if run.started]
    assert started == sorted(started)
    assert len(started) == 10


def test_a_cancel_lets_the_tool_clean_up_and_ends_the_run(shop: Workshop) -> None:
    run = shop.submit()
    shop.open("checkout")
    shop.until_ran(run, "upstream")
    shop.engine.cancel(run.uid, "Bob <bob@example.org>")
    (run,) = shop.until_ended(run)
    assert (run.state, run.reason) == (RunState.CANCELLED, "cancelled by Bob <bob@example.org>")
    assert shop.notes(run)[-1] == "cleaned upstream"
    assert [stage.state.value for stage in run.stages] == ["succeeded", "cancelled", "pending", "pending", "pending"]
    with pytest.raises(RefusedError, match="ended already"):
        shop.engine.cancel(run.uid, "Bob")


def test_a_tool_that_will_not_end_is_ended_in_the_end(tmp_path: Path) -> None:
    with workshop(tmp_path, worker=IMPATIENT) as shop:
        run = shop.submit(how={"checkout": "stubborn"})
        shop.until_ran(run, "checkout")
        shop.engine.cancel(run.id, "Bob")
        (run,) = shop.until_ended(run)
        assert run.state is RunState.CANCELLED
        assert shop.processes() == []


def test_a_queued_run_is_cancelled_at_once_and_never_begins(shop: Workshop) -> None:
    runs = [shop.submit() for _ in range(3)]
    shop.until_ran(runs[1], "checkout")
    cancelled = shop.engine.cancel(runs[2].uid, "Bob")
    assert cancelled.state is RunState.CANCELLED
    shop.open("all")
    shop.until_ended(*runs)
    assert shop.ran(runs[2]) == []


def test_a_run_waits_for_the_one_that_makes_its_parent_without_a_slot(shop: Workshop) -> None:
    parent = shop.submit()
    child = shop.submit(parent=parent.uid)
    other = shop.submit()
    shop.until_ran(other, "checkout")
    waiting = shop.run(child)
    assert (waiting.state, waiting.started) == (RunState.WAITING, None)
    assert waiting.reason == f"run {parent.id} (web) makes the image that it is built on"
    shop.open("all")
    assert {run.state for run in shop.until_ended(parent, child, other)} == {RunState.SUCCEEDED}
    assert (shop.run(child).started or 0) >= (shop.run(parent).ended or 1)


def test_a_run_whose_parent_fails_fails_and_one_whose_parent_is_cancelled_is_cancelled(shop: Workshop) -> None:
    failing = shop.submit(how={"checkout": "fail"})
    child = shop.submit(parent=failing.uid)
    grandchild = shop.submit(parent=child.uid)
    shop.open("checkout")
    failed = shop.until_ended(failing, child, grandchild)
    assert {run.state for run in failed} == {RunState.FAILED}
    assert f"Run {failing.id} (web) failed" in failed[1].reason
    doomed = shop.submit()
    orphan = shop.submit(parent=doomed.uid)
    shop.until_ran(doomed, "upstream")
    shop.engine.cancel(doomed.uid, "Bob")
    assert [run.state for run in shop.until_ended(doomed, orphan)] == [RunState.CANCELLED] * 2
    assert shop.ran(orphan) == []


def test_a_run_that_waits_for_its_parent_can_be_cancelled(shop: Workshop) -> None:
    parent = shop.submit()
    child = shop.submit(parent=parent.uid)
    shop.until_ran(parent, "checkout")
    shop.wait(lambda: shop.run(child).state is RunState.WAITING, "the child waits")
    shop.engine.cancel(child.uid, "Bob")
    shop.until_ended(child)
    assert shop.run(child).state is RunState.CANCELLED
    shop.open("all")
    assert shop.until_ended(parent)[0].state is RunState.SUCCEEDED


def test_a_secret_reaches_the_tool_and_is_on_no_disk(shop: Workshop, tmp_path: Path) -> None:
    shop.open("all")
    word = "correct-horse-battery"
    (run,) = shop.until_ended(shop.submit(secrets={"WORD": word}))
    assert run.state is RunState.SUCCEEDED
    assert run.request.secret_names == ("WORD",)
    assert "the word is «redacted»" in shop.log(run, "build")
    shop.engine.stop_worker()
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and word.encode() in path.read_bytes()]


def test_the_files_of_the_engine_are_private_and_shared_safely(shop: Workshop) -> None:
    shop.open("all")
    shop.until_ended(shop.submit())
    for path in shop.places.home.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    assert stat.S_IMODE(shop.places.worker_socket.stat().st_mode) == 0o600
    connection = sqlite3.connect(shop.places.engine)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("SELECT DISTINCT serialization FROM workflow_status").fetchall() == [("ingot_json",)]
    connection.close()


def test_a_forged_pickle_in_the_engines_file_executes_nothing(shop: Workshop, tmp_path: Path) -> None:
    run = shop.submit()
    shop.until_ran(run, "checkout")
    shop.kill_worker()
    proof = tmp_path / "executed"

    connection = sqlite3.connect(shop.places.engine)
    # Protocol 0: call os.mkdir with the path.
    forged = b64encode(f"cos\nmkdir\n(V{proof}\ntR.".encode()).decode()
    pickle.loads(f"cos\nmkdir\n(V{tmp_path / 'works'}\ntR.".encode())
    assert (tmp_path / "works").is_dir(), "the forgery is a good one"
    assert connection.execute("UPDATE workflow_status SET inputs = ?, serialization = 'py_pickle'", (forged,)).rowcount
    connection.commit()
    connection.close()
    shop.open("all")
    shop.engine.ensure_worker()
    shop.wait(lambda: "pickled value" in shop.places.worker_log.read_text(), "the pickle is refused")
    assert not proof.exists()
    shop.engine.cancel(run.uid, "Ada")
    shop.kill_worker()
    for path in shop.places.home.glob("engine.sqlite*"):
        path.unlink()
    shop.engine.wake()
    shop.until_ended(run)


def test_the_worker_ends_by_itself_when_there_is_nothing_to_do_and_not_before(tmp_path: Path) -> None:
    with workshop(tmp_path, {"INGOT_WORKER_IDLE": "0.3"}) as shop:
        run = shop.submit(how=dict.fromkeys(STAGES, "quick") | {"build": ""})
        shop.until_ran(run, "build")
        first = shop.worker
        for _ in range(5):  # looks of the worker, all past its idle time
            status = shop.engine.worker_status()
            assert status is not None
            assert status.running == 1
        shop.open("all")
        shop.until_ended(run)
        assert first is not None
        shop.until_worker_ends()
        assert shop.engine.worker_status() is None
        assert not shop.places.worker_socket.exists()


def test_what_the_worker_says_of_itself(shop: Workshop) -> None:
    assert shop.engine.worker_status() is None
    runs = [shop.submit() for _ in range(3)]
    shop.until_ran(runs[1], "checkout")
    status = shop.engine.worker_status()
    assert status is not None
    assert (status.running, status.queued, status.waiting, status.concurrency) == (2, 1, 0, 2)
    assert shop.worker is not None
    assert status.pid == shop.worker.pid
    assert shop.engine.stop_worker()
    assert not shop.engine.stop_worker()
    for run in runs:
        shop.engine.cancel(run.uid, "Ada")
    shop.until_ended(*runs)


def test_the_worker_of_a_home_that_was_copied_is_not_that_of_the_copy(shop: Workshop, tmp_path: Path) -> None:
    shop.engine.wake()
    theirs = shop.engine.worker_status()
    assert theirs is not None
    copy = Places(tmp_path / "copy")
    copy.create()
    shutil.copy2(shop.places.worker_lock, copy.worker_lock)
    engine = Engine(copy, worker=PROGRAM)
    with copy.worker_lock.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a worker of the copy begins, and has not yet said so
        assert engine.worker_status() is None
    assert not engine.stop_worker()
    try:
        ours = engine.ensure_worker()
        assert ours.pid != theirs.pid
        there = presence(copy)
        assert there is not None
        assert (there.pid, there.socket, there.version) == (ours.pid, str(copy.worker_socket), ours.version)
    finally:
        engine.stop_worker()
    still = shop.engine.worker_status()
    assert still is not None
    assert still.pid == theirs.pid


def test_a_worker_that_does_not_answer_is_named_and_not_called_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_START", 0.1)
    places = Places(tmp_path / "home")
    places.create()
    with places.worker_lock.open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(EngineError, match=r"^The worker does not answer"):
            Engine(places).stop_worker()
        hangs = Presence(4711, str(tmp_path / "nobody.sock"), mine(), os.fstat(lock.fileno()).st_ino)
        lock.write(msgspec.json.encode(hangs))
        lock.flush()
        with pytest.raises(EngineError, match=r"worker \(process 4711\) does not answer.* cannot be told") as caught:
            Engine(places).stop_worker()
    assert "told to end and has not" not in str(caught.value)
    assert "kill -9 4711" in caught.value.next_step
    assert str(places.worker_log) in caught.value.next_step


def test_a_worker_from_before_its_lock_file_was_named_is_found(tmp_path: Path) -> None:
    places = Places(tmp_path)
    places.create()
    places.worker_lock.write_text('{"pid":4711,"socket":"/run/user/0/ingot/worker.sock","version":"0.1.0"}')
    there = presence(places)
    assert there is not None
    assert (there.pid, there.socket) == (4711, "/run/user/0/ingot/worker.sock")


def test_a_worker_that_cannot_start_says_where_to_look(tmp_path: Path) -> None:
    with workshop(tmp_path, {"INGOT_CONCURRENCY": "many"}) as shop:
        with pytest.raises(EngineError, match=r"none could be started: \$INGOT_CONCURRENCY is 'many'") as caught:
            shop.submit()
        assert str(shop.places.worker_log) in caught.value.next_step
        (queued,) = shop.index.runs()
        assert "is written down" in caught.value.kept
        shop.engine = type(shop.engine)(shop.places, worker=PROGRAM)
        os.environ["INGOT_CONCURRENCY"] = "1"
        shop.open("all")
        shop.engine.wake()
        assert shop.until_ended(queued)[0].state is RunState.SUCCEEDED


def test_an_engines_database_that_cannot_be_opened_is_told_to_who_submits(tmp_path: Path) -> None:
    with workshop(tmp_path) as shop:
        shop.places.engine.write_bytes(b"nonsense" * 1000)
        with pytest.raises(EngineError, match=r"engine.sqlite cannot be used: file is not a database"):
            shop.submit()
        shop.places.engine.unlink()
        (queued,) = shop.index.runs()
        shop.open("all")
        shop.engine.wake()
        assert shop.until_ended(queued)[0].state is RunState.SUCCEEDED


def test_the_client_loads_neither_the_engine_nor_a_screen() -> None:
    code = (
        "import sys, core.engine.client;"
        "print([name for name in ('dbos', 'sqlalchemy', 'textual', 'asyncio', 'boto3', 'git') if name in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert out.strip() == "[]"


FORGETTING = """
import os, sys, time
from pathlib import Path
from core.engine.flows import Flows
from dbos import DBOS

class Work:
    def carry_out(self, uid, key):
        while uid == "lives":
            time.sleep(1)
        return "succeeded"
    def finish(self, uid):
        pass

home = Path(sys.argv[1])
flows = Flows.open(f"sqlite:///{home}/engine.sqlite", home, Work())
for uid in ("one", "two", "lives"):
    flows.start(uid, ("a", "b"))
until = time.time() + 60
while len(DBOS.list_workflows(status="SUCCESS")) < 2 and time.time() < until:
    time.sleep(0.1)
print(flows.forget_ended(3600), flows.forget_ended(0), [flow.workflow_id for flow in DBOS.list_workflows()], flush=True)
os._exit(0)
"""


def test_old_flows_of_ended_runs_are_taken_away_and_no_others(tmp_path: Path) -> None:
    out = subprocess.run(
        [sys.executable, "-c", FORGETTING, str(tmp_path)], capture_output=True, text=True, check=True
    ).stdout
    assert out.splitlines()[-1] == "0 2 ['lives']"
