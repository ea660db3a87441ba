"""What happens to a tool when everything around it dies: real processes, real signals."""

import asyncio
import base64
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from holds import SECRET, end, packer, python, said, sh, shows
from msgspec import structs
from patience import PATIENCE, until

from core import living, process
from core.errors import EngineError
from core.hold import HolderRecord
from core.holding import Hold, ToolSpec, VanishedError, sweep
from core.living import Identity

CLIENT = """
import asyncio, signal, sys
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup, and some CI, start the tests with it ignored
from pathlib import Path
from core.hold import ToolSpec
from core.holding import Hold
async def main():
    hold = await Hold.start(Path(sys.argv[1]), ToolSpec.from_json(sys.stdin.buffer.read()))
    print(hold.pid, flush=True)
    await hold.wait()
asyncio.run(main())
"""


def client(directory: Path, spec: ToolSpec) -> "subprocess.Popen[bytes]":
    """Another process that starts the tool, as a worker does."""
    started = subprocess.Popen(
        [sys.executable, "-c", CLIENT, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert started.stdin is not None
    started.stdin.write(spec.to_json())
    started.stdin.close()
    return started


def reap(started: "subprocess.Popen[bytes]") -> int:
    assert started.stdout is not None
    started.stdout.close()
    return started.wait(PATIENCE)


# Whoever asked dies


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP])
async def test_a_tool_outlives_the_worker_and_is_adopted(directory: Path, spec: ToolSpec, number: int) -> None:
    spec = sh(spec, "echo ready; read answer < /dev/tty; echo answered; exit 3")
    worker = client(directory, spec)
    await shows(spec, "ready")
    os.killpg(worker.pid, number)
    assert reap(worker) == -number
    hold = await Hold.adopt(directory)
    assert hold is not None
    assert hold.exit is None
    await hold.send(b"\r")
    ended = await end(hold)
    assert (ended.code, ended.signal, ended.ended_by) == (3, None, "")
    assert said(spec).endswith("answered\n")
    again = await Hold.adopt(directory)
    assert again is not None
    assert await end(again) == ended


async def test_two_starts_at_once_start_one_tool(directory: Path, spec: ToolSpec, tmp_path: Path) -> None:
    spec = sh(spec, f"echo started >> {tmp_path}/starts; echo ready; read answer < /dev/tty")
    clients = [client(directory, spec) for _ in range(3)]
    here = await asyncio.gather(*(Hold.start(directory, spec) for _ in range(3)))
    await shows(spec, "ready")
    pids = {hold.pid for hold in here}
    for started in clients:
        assert started.stdout is not None
        pids.add(int(await asyncio.to_thread(started.stdout.readline)))
    assert len(pids) == 1
    await here[0].send(b"\r")
    for hold in here:
        assert (await end(hold)).code == 0
    assert [reap(started) for started in clients] == [0, 0, 0]
    assert (tmp_path / "starts").read_text() == "started\n"
    assert (await end(await Hold.start(directory, spec))).code == 0, "an ended tool is not started again"
    assert (tmp_path / "starts").read_text() == "started\n"


async def test_nothing_was_ever_started(directory: Path) -> None:
    assert await Hold.adopt(directory) is None
    assert not Hold.vanished(directory)


# The holder dies


async def test_a_killed_holder_is_noticed_and_a_sweep_ends_what_it_left(
    directory: Path, spec: ToolSpec, run_uid: str
) -> None:
    spec = sh(
        spec,
        """
        trap '' HUP INT TERM
        setsid sh -c 'trap "" HUP TERM; echo daemon; sleep 1000' &
        echo ready
        while :; do sleep 1; done
        """,
    )
    hold = await Hold.start(directory, spec)
    await shows(spec, "daemon")
    await shows(spec, "ready")
    assert await sweep(run_uid) == [], "what has a living holder is nobody else's"
    waiting = asyncio.create_task(hold.wait())
    await asyncio.sleep(0)
    os.kill(hold.pid, signal.SIGKILL)
    with pytest.raises(VanishedError):
        await asyncio.wait_for(waiting, PATIENCE)
    assert await Hold.adopt(directory) is None
    assert Hold.vanished(directory)
    assert await sweep("another run") == []
    ended = await sweep(run_uid, grace=0.2)
    assert len(ended) >= 2
    assert not living.marked(lambda marks: marks.get(living.RUN_MARK) == run_uid)
    fresh = await Hold.start(directory, sh(spec, "echo again"))
    assert (await end(fresh)).code == 0
    assert said(spec).endswith("again\n")


async def test_a_process_id_used_again_is_not_taken_for_the_holder(directory: Path) -> None:
    directory.mkdir()
    me = Identity.of(os.getpid())
    assert me is not None
    for other in (structs.replace(me, started=me.started - 1), structs.replace(me, boot="the boot before")):
        assert not other.lives
        assert not other.signal(signal.SIGKILL)
        HolderRecord(other, None, "nowhere", "log", "run").write(directory)
        assert await Hold.adopt(directory) is None
        assert Hold.vanished(directory)


async def test_terminating_the_holder_interrupts_the_tool_politely(directory: Path, spec: ToolSpec) -> None:
    spec = sh(spec, "trap 'echo cleaning up; exit 7' INT; echo ready; while :; do sleep 0.05; done")
    hold = await Hold.start(directory, spec)
    await shows(spec, "ready")
    os.kill(hold.pid, signal.SIGHUP)
    os.kill(hold.pid, signal.SIGTERM)
    ended = await end(hold)
    assert (ended.code, ended.ended_by) == (7, "cancel")
    assert "cleaning up" in said(spec)


async def test_without_its_socket_a_tool_can_still_be_interrupted_and_waited_for(
    directory: Path, spec: ToolSpec
) -> None:
    spec = sh(spec, "trap 'exit 7' INT; echo ready; while :; do sleep 0.05; done")
    hold = await Hold.start(directory, spec)
    await shows(spec, "ready")
    record = HolderRecord.read(directory)
    assert record is not None
    Path(record.socket).unlink()
    await hold.interrupt()
    assert (await end(hold)).ended_by == "cancel"


# The tool misbehaves


async def test_what_a_tool_leaves_behind_is_ended(directory: Path, spec: ToolSpec, tmp_path: Path) -> None:
    spec = sh(
        replace(spec, grace=0.5),
        f"""
        setsid sh -c 'trap "" HUP TERM; echo $$ > {tmp_path}/pid; sleep 1000' &
        while [ ! -s {tmp_path}/pid ]; do sleep 0.02; done
        echo done
        """,
    )
    hold = await Hold.start(directory, spec)
    assert (await end(hold)).code == 0
    daemon = Identity.of(int((tmp_path / "pid").read_text()))
    assert daemon is None
    assert said(spec) == "done\n"


async def test_what_is_to_be_kept_lives_until_it_is_interrupted(
    directory: Path, spec: ToolSpec, tmp_path: Path
) -> None:
    spec = sh(
        replace(spec, keep=True),
        f"setsid sh -c 'echo $$ > {tmp_path}/pid; exec sleep 1000' & until [ -s {tmp_path}/pid ]; do sleep 0.02; done",
    )
    hold = await Hold.start(directory, spec)
    assert (await end(hold)).code == 0
    daemon = Identity.of(int((tmp_path / "pid").read_text()))
    assert daemon is not None
    await hold.interrupt()
    await until(lambda: not daemon.lives, "the kept process has ended")
    holder = HolderRecord.read(directory)
    assert holder is not None
    await until(lambda: not holder.holder.lives, "the holder has ended")


async def test_a_tool_that_will_not_end_is_killed(directory: Path, spec: ToolSpec) -> None:
    spec = sh(replace(spec, grace=0.5), "trap '' INT TERM; echo ready; while :; do sleep 0.05; done")
    hold = await Hold.start(directory, spec)
    await shows(spec, "ready")
    await hold.interrupt()
    await hold.interrupt()
    ended = await end(hold)
    assert (ended.code, ended.signal, ended.ended_by) == (None, signal.SIGKILL, "cancel")
    assert re.findall(r"ingot: (\w+) to sh", said(spec)) == ["SIGINT", "SIGTERM", "SIGKILL"]


async def test_the_holder_keeps_the_time_limit(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, sh(replace(spec, limit=0.3), "echo ready; sleep 1000"))
    ended = await end(hold)
    assert (ended.signal, ended.ended_by) == (signal.SIGINT, "limit")
    assert "time limit" in said(spec)


async def test_a_time_limit_can_be_set_later(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, sh(replace(spec, limit=1000), "echo ready; sleep 1000"))
    await hold.set_limit(None)
    assert (await hold.status()).seconds_left is None
    await hold.set_limit(0)
    assert (await end(hold)).ended_by == "limit"


async def test_a_tool_that_cannot_be_started(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, replace(spec, argv=("no-such-tool",)))
    assert (await end(hold)).code == 127
    assert "no-such-tool was not found" in said(spec)
    with pytest.raises(EngineError, match="has ended"):
        await hold.send(b"x")


async def test_a_log_that_cannot_be_opened_starts_nothing(directory: Path, spec: ToolSpec, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(EngineError, match="did not start"):
        await Hold.start(directory, sh(replace(spec, log=tmp_path / "file" / "log"), f"touch {tmp_path}/started"))
    assert not (tmp_path / "started").exists()


# What it says and what it is told


async def test_a_prompt_without_a_line_end_reaches_the_log(directory: Path, spec: ToolSpec) -> None:
    spec = sh(spec, "printf '==> web: Press enter to continue. '; read answer; echo; echo went on")
    hold = await Hold.start(directory, spec)
    await shows(spec, "Press enter to continue. ")
    await hold.send(b"\r")
    assert (await end(hold)).code == 0
    assert said(spec).endswith("went on\n")


async def test_a_tool_that_reads_its_terminal_raw_gets_the_bytes(directory: Path, spec: ToolSpec) -> None:
    spec = python(
        spec,
        """
        import os, tty
        terminal = os.open("/dev/tty", os.O_RDWR)
        tty.setraw(terminal)
        print(os.get_terminal_size(terminal), "ready")
        print(repr(os.read(terminal, 10)))
        """,
    )
    hold = await Hold.start(directory, spec)
    await shows(spec, "columns=200, lines=50) ready")
    await hold.send(b"\r")
    assert (await end(hold)).code == 0
    assert said(spec).endswith("b'\\r'\n")


async def test_a_tool_may_close_its_terminal_and_come_back(directory: Path, spec: ToolSpec) -> None:
    spec = sh(spec, "echo before; exec <&- >&- 2>&-; sleep 0.3; echo after > /dev/tty")
    hold = await Hold.start(directory, spec)
    assert (await end(hold)).code == 0
    assert said(spec) == "before\nafter\n"


async def test_the_terminal_is_the_tools_own(directory: Path, spec: ToolSpec) -> None:
    spec = sh(spec, "ps -o sid=,pgid=,tpgid= -p $$; echo $$")
    hold = await Hold.start(directory, spec)
    assert (await end(hold)).code == 0
    session, group, foreground, tool = said(spec).split()
    assert group == foreground == tool
    assert int(session) == hold.pid, "its end hangs up on nobody"


async def test_a_burst_is_whole_and_in_order_on_disk(directory: Path, spec: ToolSpec) -> None:
    count = 200_000
    hold = await Hold.start(directory, sh(spec, f"seq 1 {count}"))
    assert (await end(hold)).code == 0
    assert spec.log.read_bytes() == b"".join(b"%d\n" % number for number in range(1, count + 1))


async def test_files_of_the_tool_get_the_modes_they_would_have_without_us(
    directory: Path, spec: ToolSpec, tmp_path: Path
) -> None:
    (tmp_path / "ours").touch()
    hold = await Hold.start(directory, sh(spec, "touch theirs"))
    assert (await end(hold)).code == 0
    assert (tmp_path / "theirs").stat().st_mode == (tmp_path / "ours").stat().st_mode


async def test_line_ends_are_plain(directory: Path, spec: ToolSpec) -> None:
    spec = sh(spec, r"printf 'a\r\nb\r'; sleep 0.3; printf 'c\r'; printf '\nd\r\r\n'")
    hold = await Hold.start(directory, spec)
    assert (await end(hold)).code == 0
    assert spec.log.read_bytes() == b"a\nb\rc\nd\n"


async def test_no_secret_is_on_disk_or_in_an_argument_list(
    directory: Path, spec: ToolSpec, tmp_path: Path, run_uid: str
) -> None:
    spec = python(
        replace(spec, environment=spec.environment | {"PASSWORD": SECRET}),
        """
        import base64, json, os, shlex, sys, time, urllib.parse
        secret = os.environ["PASSWORD"]
        for form in (secret, urllib.parse.quote_plus(secret), json.dumps(secret), shlex.quote(secret)):
            print("form", form)
        print(base64.b64encode(b"user:" + secret.encode()).decode())
        for character in secret:
            sys.stdout.write(character); sys.stdout.flush(); time.sleep(0.005)
        sys.stdout.write(secret[:10]); sys.stdout.flush(); time.sleep(0.3); print(secret[10:])
        print("later", "secret number two")
        print("ready"); input()
        """,
    )
    hold = await Hold.start(directory, replace(spec, secrets=(SECRET, "secret number two")))
    await shows(spec, "ready")
    assert hold.tool_pid is not None
    for pid in (hold.pid, hold.tool_pid):
        assert SECRET.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
    await hold.send(b"\r")
    assert (await end(hold)).code == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert spec.log in files
    in_base64 = base64.b64encode(b"user:" + SECRET.encode()).decode()[8:32]
    for path in files:
        content = path.read_bytes()
        for canary in (SECRET, "correct-horse%2Fbattery", "battery+staple", in_base64, "secret number two"):
            assert canary.encode() not in content, (path, canary)
    assert said(spec).count("«redacted»") >= 8
    assert directory.stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in files)


async def test_a_secret_can_be_made_known_later(directory: Path, spec: ToolSpec) -> None:
    spec = sh(spec, "echo ready; read answer; echo vault-value-1234")
    hold = await Hold.start(directory, spec)
    await shows(spec, "ready")
    await hold.add_secrets(("vault-value-1234",))
    await hold.send(b"\r")
    await end(hold)
    assert said(spec) == "ready\n«redacted»\n"


async def test_a_full_disk_ends_no_tool_and_is_told_in_the_log(directory: Path, spec: ToolSpec) -> None:
    spec = sh(spec, "echo ready; for n in 1 2 3; do read answer; seq 1 2000; echo said $n; done")
    hold = await Hold.start(directory, spec)
    await shows(spec, "ready")
    full = spec.log.stat().st_size + 10
    resource.prlimit(hold.pid, resource.RLIMIT_FSIZE, (full, resource.RLIM_INFINITY))
    await hold.send(b"\r")
    async with asyncio.timeout(PATIENCE):
        while not (answer := await hold.status()).unwritten:  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.05)
    assert answer.tool == hold.tool_pid
    assert spec.log.stat().st_size <= full
    await hold.send(b"\r")
    resource.prlimit(hold.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    await shows(spec, "the disk was full; nothing is missing here")
    await hold.send(b"\r")
    assert (await end(hold)).code == 0
    told = said(spec).splitlines()
    numbers = [line for line in told if line.isdecimal()]
    assert numbers == [str(number) for number in range(1, 2001)] * 3
    assert "said 3" in told


@pytest.mark.skipif(os.getuid() != 0, reason="only root can ask as somebody else")
async def test_nobody_else_is_answered(directory: Path, spec: ToolSpec) -> None:
    spec = sh(spec, "echo ready; read answer")
    hold = await Hold.start(directory, spec)
    record = HolderRecord.read(directory)
    assert record is not None
    path = Path(record.socket)
    assert path.stat().st_mode & 0o777 == 0o600
    for opened in (path, *path.parents[:2]):
        opened.chmod(0o777)
    script = f"""
import os, socket
os.setuid(65534)
with socket.socket(socket.AF_UNIX) as s:
    s.connect({record.socket!r})
    s.settimeout(60)
    try:
        s.send(b'{{"do": "interrupt"}}\\n'); print(s.recv(100))
    except OSError: print(b"")
"""
    told = await process.run([sys.executable, "-c", script], timeout=PATIENCE, check=True)
    assert told.out == b"b''\n"
    assert hold.exit is None
    await hold.send(b"\r")
    assert (await end(hold)).ended_by == ""


async def test_nonsense_on_the_socket_harms_nobody(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, sh(spec, "echo ready; read answer"))
    record = HolderRecord.read(directory)
    assert record is not None
    for nonsense in (b"\n", b"{}\n", b'{"do": "send", "data": "%"}\n', b"\xff" * 100, b"x" * 1_100_000):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(record.socket)
            try:
                connection.sendall(nonsense)
            except BrokenPipeError:
                assert len(nonsense) > 1_000_000
    await hold.send(b"\r")
    assert (await end(hold)).code == 0


@pytest.mark.skipif(shutil.which("packer") is None, reason="packer is not installed")
async def test_packer_asks_is_answered_and_cleans_up_when_interrupted(
    directory: Path, spec: ToolSpec, tmp_path: Path
) -> None:
    """As Packer's prompts are: no line end, `\\r` answers; Ctrl-C for the group, SIGTERM for the outer process."""
    tried = f"echo try >> {tmp_path}/tries; [ $(wc -l < {tmp_path}/tries) = 1 ] && exit 1; sleep 1000"
    spec = packer(spec, tmp_path, "-color=false", "-on-error=ask", inline=tried)
    # When it is interrupted it asks once more, which nobody answers here: SIGTERM ends it then.
    hold = await Hold.start(directory, replace(spec, grace=10.0))
    await shows(spec, "retry step (build may fail even if retry succeeds)? ")
    await hold.send(b"r\r")
    await until(lambda: (tmp_path / "tries").read_text() == "try\ntry\n", "the step is tried again")
    await hold.interrupt()
    ended = await end(hold)
    assert (ended.code, ended.ended_by) == (1, "cancel")
    assert "Cleanly cancelled builds after being interrupted." in said(spec)
