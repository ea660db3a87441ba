"""Programs are started without a shell, with little, and never hold us up or outlive their caller."""

import asyncio
import os
import signal
import sys
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from patience import PATIENCE, until

from core import living, process
from core.errors import RefusedError, ToolError
from core.process import Finished

Runner = Callable[..., Awaitable[Finished]]


async def in_a_thread(argv: list[str], **options: object) -> Finished:
    """`run_blocking`, so that the same tests hold it."""
    call: Callable[..., Finished] = process.run_blocking
    return await asyncio.to_thread(call, argv, **options)


@pytest.fixture(params=[process.run, in_a_thread], ids=["run", "run_blocking"])
def run(request: pytest.FixtureRequest) -> Runner:
    return request.param


async def until_dead(pid: int) -> None:
    await until(lambda: living.Identity.of(pid) is None, "it has ended")


async def pid_in(path: Path) -> int:
    await until(lambda: path.exists() and path.read_text().endswith("\n"), "its id is known")
    return int(path.read_text())


async def test_output_and_exit_status_are_told(run: Runner) -> None:
    assert await run(["sh", "-c", "echo out; echo err >&2; exit 3"]) == Finished(3, b"out\n", b"err\n")
    assert (await run(["sh", "-c", "kill -9 $$"])).code == -signal.SIGKILL


async def test_input_and_output_of_any_size_pass(run: Runner) -> None:
    much = os.urandom(3_000_000)
    assert await run(["cat"], input=much) == Finished(0, much, b"")


async def test_without_input_there_is_nothing_to_read(run: Runner) -> None:
    assert (await run(["cat"])).out == b""


async def test_no_shell_reads_the_arguments(run: Runner) -> None:
    hostile = ["$(touch owned)", "`id`", "; rm -rf /", "a\nb", "*", "\udcff"]
    finished = await run(["printf", "%s\\0", *hostile])
    assert finished.out == b"".join(os.fsencode(word) + b"\0" for word in hostile)


async def test_a_grandchild_that_keeps_the_pipe_open_holds_nobody_up(run: Runner, tmp_path: Path) -> None:
    async with asyncio.timeout(PATIENCE):
        finished = await run(["sh", "-c", f"setsid sleep 1000 & echo $! > {tmp_path}/pid; echo done"])
    assert finished.out == b"done\n"
    pid = int((tmp_path / "pid").read_text())
    assert living.Identity.of(pid) is not None
    os.kill(pid, signal.SIGKILL)


async def test_a_program_that_takes_too_long_is_ended_with_all_it_started(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "PATIENCE", 0.2)
    mark = {living.RUN_MARK: str(tmp_path)}  # however far it comes in that time
    script = "trap '' TERM; sleep 1000 & wait; wait"
    with pytest.raises(ToolError, match="did not end within"):
        await run(["sh", "-c", script], env=process.environment(extra=mark), timeout=0.5)
    await until(lambda: not living.marked(lambda marks: mark.items() <= marks.items()), "all of it has ended")


async def test_cancelling_ends_the_program_and_all_it_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATIENCE", 0.2)
    task = asyncio.create_task(
        process.run(["sh", "-c", f"trap '' TERM; sleep 1000 & echo $! > {tmp_path}/pid; wait; wait"])
    )
    pid = await pid_in(tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until_dead(pid)


async def test_a_cancelled_program_has_time_to_clean_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "PATIENCE", PATIENCE)
    script = f"trap 'echo clean > {tmp_path}/clean; exit' TERM; echo $$ > {tmp_path}/pid; while :; do sleep 0.02; done"
    task = asyncio.create_task(process.run(["sh", "-c", script]))
    await pid_in(tmp_path / "pid")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert (tmp_path / "clean").read_text() == "clean\n"


async def test_the_program_gets_no_more_than_it_needs(run: Runner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "leaked")
    inherited = os.dup(0)
    os.set_inheritable(inherited, True)
    script = "print(sorted(os.environ), sorted(os.listdir('/proc/self/fd'))[:5], os.getsid(0) == os.getpid())"
    told = (await run([sys.executable, "-c", f"import os; {script}"], check=True)).out.decode()
    os.close(inherited)
    assert "AWS" not in told
    assert "'LANG'" in told
    assert "['0', '1', '2', '3'] True" in told  # 3 is the listing itself


def test_the_environment_is_small_and_explicit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "x")
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/agent")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    made = process.environment(extra={"A": "b", "TERM": "xterm"}, keep=("SSH_AUTH_SOCK", "AWS_PROFILE"))
    assert set(made) <= {"PATH", "HOME", "LANG", "TERM", "TMPDIR", "USER", "LOGNAME", "SSH_AUTH_SOCK", "A"}
    assert (made["SSH_AUTH_SOCK"], made["LANG"], made["A"], made["TERM"]) == ("/run/agent", "C.UTF-8", "b", "xterm")


async def test_what_cannot_be_started_is_named(run: Runner, tmp_path: Path) -> None:
    with pytest.raises(ToolError, match=r"no-such-tool was not found") as missing:
        await run(["no-such-tool"])
    assert "ingot doctor" in missing.value.next_step
    with pytest.raises(ToolError, match="no such directory"):
        await run(["true"], cwd=tmp_path / "gone")
    (tmp_path / "file").write_text("")
    with pytest.raises(ToolError, match="cannot be started"):
        await run([tmp_path / "file"])
    with pytest.raises(ToolError, match="cannot be started"):
        await run(["true", "a\0b"])


async def test_a_checked_failure_says_the_last_line(run: Runner) -> None:
    with pytest.raises(ToolError) as failed:
        await run(["sh", "-c", "echo first >&2; echo it broke >&2; exit 4"], check=True)
    assert failed.value.what == "sh ended with exit status 4: it broke"
    assert failed.value.next_step == "Run it by hand: sh -c 'echo first >&2; echo it broke >&2; exit 4'"
    with pytest.raises(ToolError, match="fatal: no such branch"):
        await run(["sh", "-c", "echo fatal: no such branch; echo hint: look; exit 1"], check=True)


async def test_a_detached_program_outlives_its_starter(tmp_path: Path) -> None:
    script = (
        "from core import process; from pathlib import Path;"
        f"print(process.start_detached(['sh', '-c', 'cat; sleep 1000'], cwd=Path('/'), env=process.environment(),"
        f" stdin=b'told', log=Path({str(tmp_path / 'log')!r})))"
    )
    pid = int((await process.run([sys.executable, "-c", script], check=True)).out)
    there = living.Identity.of(pid)
    assert there is not None
    assert os.getsid(pid) == pid
    await until(lambda: (tmp_path / "log").read_text() == "told", "it was told")
    assert (tmp_path / "log").stat().st_mode & 0o777 == 0o600
    os.killpg(pid, signal.SIGKILL)
    await until_dead(pid)


async def test_a_detached_program_leaves_no_zombie_and_no_thread() -> None:
    pid = process.start_detached(["true"], cwd=Path("/"), env=process.environment())
    await until(lambda: not Path(f"/proc/{pid}").exists(), "it is gone")
    await until(lambda: not any(str(pid) in thread.name for thread in threading.enumerate()), "its thread has ended")


async def test_nothing_stays_open(run: Runner) -> None:
    await run(["true"])
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count will do
    for _ in range(5):
        await run(["cat"], input=b"x")
        with pytest.raises(ToolError):
            await run(["no-such-tool"], input=b"x")
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208 - a count will do


@given(st.text(max_size=20))
def test_names_that_could_be_options_are_refused(name: str) -> None:
    if not name or name.startswith("-") or set(name) & set("\0\r\n"):
        with pytest.raises(RefusedError):
            process.name_argument(name, "The branch")
    else:
        assert process.name_argument(name, "The branch") == name


@pytest.mark.parametrize("name", ["", "-", "--upload-pack=touch owned", "a\0b", "main\n--force", "x\r"])
def test_hostile_names_are_refused(name: str) -> None:
    with pytest.raises(RefusedError, match="The branch"):
        process.name_argument(name, "The branch")


def test_programs_are_found() -> None:
    found = process.find("sh")
    assert found is not None
    assert found.is_absolute()
    assert process.find("no-such-tool") is None
