"""The same engine on PostgreSQL, where a team shares one: a server of the test's own."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest
from engine_workshop import PROGRAM, STAGES, workshop

from core.engine.client import Engine
from core.model.run import RunState

PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
NEEDS = "needs PostgreSQL (apt install postgresql)"


def as_server(*argv: object) -> None:
    """PostgreSQL refuses to run as root."""
    before = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
    subprocess.run([*before, *map(str, argv)], check=True, capture_output=True, cwd="/", timeout=60)


@pytest.fixture
def server() -> Generator[str]:
    """The URL of a fresh database, reached by a socket only."""
    if not PROGRAMS:
        pytest.skip(NEEDS)
    pytest.importorskip("psycopg", reason="needs psycopg (the extra `postgres`)")
    # Not in tmp_path: the server is another user and cannot go there.
    place = Path(tempfile.mkdtemp(prefix="ingot-pg-"))
    try:
        if os.getuid() == 0:
            shutil.chown(place, "postgres", "postgres")
        bin_directory = PROGRAMS[-1].parent
        as_server(bin_directory / "initdb", "-D", place / "data", "--auth=trust", "--username=ingot", "--no-sync")
        options = f"-c listen_addresses='' -c unix_socket_directories={place} -c fsync=off"
        as_server(PROGRAMS[-1], "-D", place / "data", "-o", options, "-l", place / "log", "-w", "start")
        try:
            yield f"postgresql://ingot@/engine?host={place}"
        finally:
            as_server(PROGRAMS[-1], "-D", place / "data", "-m", "immediate", "-w", "stop")
    finally:
        shutil.rmtree(place, ignore_errors=True)


def test_runs_go_on_after_a_kill_with_their_flows_in_postgresql(tmp_path: Path, server: str) -> None:
    with workshop(tmp_path, {"INGOT_ENGINE_URL": server}) as shop:
        runs = [shop.submit() for _ in range(3)]
        shop.until_ran(runs[1], "checkout")
        shop.kill_worker()
        shop.engine.wake()
        shop.open("all")
        assert {run.state for run in shop.until_ended(*runs)} == {RunState.SUCCEEDED}
        assert all(shop.ran(run) == list(STAGES) for run in runs)
        assert not shop.places.engine.exists()


def test_two_machines_that_share_a_database_keep_to_their_own_runs(tmp_path: Path, server: str) -> None:
    """Two homes stand for two machines: each has its own index, executor and worker."""
    (tmp_path / "b").mkdir()
    with workshop(tmp_path, {"INGOT_ENGINE_URL": server}) as here:
        run = here.submit()
        here.until_ran(run, "checkout")
        here.kill_worker()
        with workshop(tmp_path / "b", {"INGOT_ENGINE_URL": server}) as there:
            there.open("all")
            there.until_ended(there.submit())
            assert there.engine.stop_worker()
            assert "no record" not in there.places.worker_log.read_text()
        assert here.run(run).state is RunState.RUNNING
        here.open("all")
        Engine(here.places, worker=PROGRAM).wake()
        assert here.until_ended(run)[0].state is RunState.SUCCEEDED
        assert here.ran(run) == list(STAGES)
