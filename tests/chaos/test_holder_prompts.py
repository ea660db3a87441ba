"""A tool that asks, its holder, and those who answer: real processes on real terminals."""

import asyncio
import os
import re
import resource
import shutil
import signal
import socket
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from holds import SECRET, asker, end, packer, said, sh, shows
from patience import PATIENCE, until

from core.errors import EngineError, RefusedError
from core.hold import HolderRecord, PromptRecord, read_exit
from core.holding import Answered, Held, Hold, Prompt, ToolSpec, VanishedError
from core.living import Identity

ADA = "Ada Example <ada@example.org>"
BOB = "Bob Example <bob@example.org>"
FAILED = Prompt(r"^==> [^:\n]+: \[c\] Clean up and exit, .* retry step \(.*\)\? ", goodbye="c\r")
PAUSED = Prompt(r"^==> [^:\n]+: Pausing .* Press enter to continue\. ", reply="\r")
HELD_PAUSE = replace(PAUSED, reply="")


@pytest.fixture
def spec(spec: ToolSpec) -> ToolSpec:
    return replace(spec, prompts=(FAILED, PAUSED))


async def held(hold: Hold, after: int = 0) -> Held:
    async with asyncio.timeout(PATIENCE):
        prompt = await hold.wait_held(after)
    assert prompt is not None, said_by(hold)
    return prompt


def said_by(hold: Hold) -> str:
    return hold.log.read_text()


# Held and answered


async def test_a_prompt_is_held_and_whoever_comes_later_finds_it(directory: Path, spec: ToolSpec) -> None:
    spec = asker(
        spec,
        """
        print('==> web: Step "StepProvision" failed', end="\\r\\n")
        print("==> web: password correct-horse/battery+staple")
        while (answer := ask(FAILED, colour=True)) == "r":
            print("==> web: again")
        print("answer", answer)
        """,
    )
    hold = await Hold.start(directory, spec)
    first = await held(hold)
    assert (first.number, first.pattern_index) == (1, 0)
    lines = first.text.splitlines()
    assert lines[:2] == ['==> web: Step "StepProvision" failed', "==> web: password «redacted»"]
    assert lines[2].endswith("(build may fail even if retry succeeds)? ")
    assert "\x1b" not in first.text
    assert PromptRecord.read(directory) == PromptRecord(first)
    again = await Hold.adopt(directory)
    assert again is not None
    assert await again.held() == first
    assert await again.last_answer() is None
    answered = await again.answer(1, b"r\r", ADA, "retry")
    assert (answered.number, answered.by, answered.what) == (1, ADA, "retry")
    second = await held(hold, 1)
    assert second.number == 2
    assert second.text.count("retry step") == 2
    assert second.since >= answered.at
    assert (await hold.status()).answered == await hold.last_answer() == answered
    assert PromptRecord.read(directory) == PromptRecord(second, (answered,))
    last = await hold.answer(2, b"x\r", BOB, "something\nelse")
    assert (await end(hold)).code == 0
    assert await hold.held() is None
    assert await hold.last_answer() == last
    log = said(spec).splitlines()
    assert "ingot: Ada Example: retry" in log
    assert "ingot: Bob Example: something else" in log
    assert log[-1] == "answer x"
    assert all(SECRET.encode() not in path.read_bytes() for path in directory.iterdir() if path.is_file())


async def test_of_two_who_answer_at_once_one_does(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, asker(spec, "print('answer', ask(FAILED))"))
    await held(hold)
    clients = [await Hold.adopt(directory) for _ in range(6)]
    told = await asyncio.gather(
        *(
            client.answer(1, f"{place}\r".encode(), f"Number {place} <n@example.org>", f"word {place}")
            for place, client in enumerate(clients)
            if client is not None
        ),
        return_exceptions=True,
    )
    won = [answer for answer in told if isinstance(answer, Answered)]
    refused = [str(error) for error in told if isinstance(error, RefusedError)]
    assert (len(won), len(refused)) == (1, 5)
    who = won[0].by.split()[1]
    assert all(
        re.match(rf"Number {who} <n@example.org> answered it at \d\d:\d\d: word {who}\.", why) for why in refused
    )
    assert (await end(hold)).code == 0
    assert said_by(hold).endswith(f"answer {who}\n")


async def test_a_late_answer_does_not_hit_a_later_prompt(directory: Path, spec: ToolSpec) -> None:
    spec = asker(spec, "print('answers', ask(FAILED), ask(FAILED))")
    hold = await Hold.start(directory, spec)
    await held(hold)
    await hold.answer(1, b"r\r", ADA, "retry")
    await held(hold, 1)
    for number, why in ((1, "Ada Example .* answered it at"), (3, "No prompt 3 is held"), (0, "No prompt 0 is held")):
        with pytest.raises(RefusedError, match=why):
            await hold.answer(number, b"c\r", BOB, "clean up")
    with pytest.raises(RefusedError, match="waits at prompt 2"):
        await hold.send(b"c\r")
    assert await held(hold, 1) == await hold.held()
    await hold.answer(2, b"a\r", BOB, "keep")
    assert (await end(hold)).code == 0
    with pytest.raises(RefusedError, match=r"Bob Example .* keep"):
        await hold.answer(2, b"c\r", ADA, "clean up")
    with pytest.raises(RefusedError, match="has ended"):
        await hold.answer(3, b"c\r", ADA, "clean up")
    assert said(spec).endswith("answers r a\n")


@pytest.mark.parametrize("goodbye", ["", "\r"])
async def test_an_answer_that_ends_the_tool_is_one_of_those_of_which_one_counts(
    directory: Path, spec: ToolSpec, goodbye: str
) -> None:
    spec = asker(replace(spec, prompts=(replace(PAUSED, reply="", goodbye=goodbye),)), "ask(PAUSED); ask(PAUSED)")
    hold = await Hold.start(directory, spec)
    await held(hold)
    await hold.answer(1, b"\r", ADA, "continue")
    await held(hold, 1)
    with pytest.raises(RefusedError, match=r"Ada Example .* answered it at .*: continue"):
        await hold.answer(1, b"", BOB, "clean-up", end=True)
    assert (await hold.status()).ending == ""
    answered = await hold.answer(2, b"", BOB, "clean-up", end=True)
    assert (answered.by, answered.what) == (BOB, "clean-up")
    with pytest.raises(RefusedError, match=r"Bob Example .* answered it at .*: clean-up"):
        await hold.answer(2, b"\r", ADA, "continue")
    ended = await end(hold)
    assert ended.ended_by == "cancel"
    assert (ended.code == 0) == bool(goodbye), "with a goodbye it is typed, without one the tool is interrupted"
    assert "ingot: Bob Example: clean-up" in said(spec)


async def test_dull_prompts_are_answered_at_once_and_never_held(directory: Path, spec: ToolSpec) -> None:
    spec = asker(
        spec,
        """
        for _ in range(5):
            ask(PAUSED, colour=True)
        ask(FAILED)
        """,
    )
    hold = await Hold.start(directory, spec)
    assert (await held(hold)).number == 1
    assert said(spec).count("Press enter to continue") == 5
    await hold.answer(1, b"\r", ADA, "go on")
    assert (await end(hold)).code == 0


async def test_prompts_that_nothing_echoes_are_told_apart(directory: Path, spec: ToolSpec) -> None:
    """Without an echo of the Enter the next prompt is on the same line: it is another one all the same."""
    spec = sh(
        replace(spec, prompts=(HELD_PAUSE,)),
        "for n in 1 2 3; do printf '==> web: Pausing %s. Press enter to continue. ' $n; read answer; done",
    )
    hold = await Hold.start(directory, spec)
    for number in (1, 2, 3):
        prompt = await held(hold, number - 1)
        assert prompt.text.splitlines()[-1] == f"==> web: Pausing {number}. Press enter to continue. "
        await hold.answer(number, b"\r", ADA, "continue")
    assert (await end(hold)).code == 0


async def test_what_is_told_with_a_line_end_or_in_the_middle_is_no_prompt(directory: Path, spec: ToolSpec) -> None:
    spec = sh(
        replace(spec, prompts=(Prompt(r"Press enter to continue\.\s*"),)),
        r"""
        printf 'Press enter to continue.\n'; sleep 0.4
        printf 'Press enter to continue.\r\n'; sleep 0.4
        printf 'Press enter to continue. Or not'; sleep 0.4; echo
        printf 'Press enter to continue. \033[0m\n'; sleep 0.4
        printf '\377\376 Press enter to continue. '; read answer
        """,
    )
    hold = await Hold.start(directory, spec)
    prompt = await held(hold)
    assert prompt.text.splitlines()[-1] == "\ufffd\ufffd Press enter to continue. "
    assert prompt.text.count("Press") == 5
    await hold.answer(1, b"\r", ADA, "continue")
    assert (await end(hold)).code == 0


async def test_a_prompt_that_contains_a_secret_is_found_and_told_without_it(directory: Path, spec: ToolSpec) -> None:
    spec = asker(replace(spec, secrets=("continue", "Pausing before")), "ask(PAUSED); ask(FAILED)")
    hold = await Hold.start(directory, replace(spec, prompts=(HELD_PAUSE, FAILED)))
    prompt = await held(hold)
    assert prompt.text == "==> web: «redacted» cleanup of step 'StepRun'. Press enter to «redacted». "
    await hold.answer(1, b"\r", ADA, "continue")
    await held(hold, 1)
    assert b"continue" not in (directory / "prompt.json").read_bytes()
    await hold.answer(2, b"c\r", ADA, "clean up")
    assert (await end(hold)).code == 0


# Waiting


async def test_waiting_is_told_when_it_is_over(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, asker(spec, "ask(FAILED); ask(FAILED); time.sleep(0.3)"))
    first = await held(hold)
    over = asyncio.create_task(hold.wait_held(1))
    answered = asyncio.create_task(hold.wait_answered(1))
    await asyncio.sleep(0.2)
    assert not over.done()
    assert not answered.done()
    answer = await hold.answer(first.number, b"r\r", ADA, "retry")
    async with asyncio.timeout(PATIENCE):
        assert await over is None
        assert await answered == answer
        assert await hold.wait_answered(1) == answer, "at once, when it is over already"
        assert await hold.wait_answered(7) is None
    await held(hold, 1)
    until_end = asyncio.create_task(hold.wait_held(2))
    await hold.answer(2, b"r\r", ADA, "retry")
    later = asyncio.create_task(hold.wait_held(2))
    async with asyncio.timeout(PATIENCE):
        assert await until_end is None
        assert await later is None
        assert await hold.wait_held(0) is None
        assert await hold.wait_answered(1) == answer
    assert (await end(hold)).code == 0


async def test_the_holder_rests_while_many_wait_and_some_hang_up(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, asker(spec, "ask(FAILED)"))
    await held(hold)
    waiting = [asyncio.create_task(hold.wait_held(1)) for _ in range(20)]
    await asyncio.sleep(0.3)
    for task in waiting[::2]:
        task.cancel()
    await asyncio.sleep(0.2)
    before = _cpu(hold.pid)
    await asyncio.sleep(1.0)
    assert _cpu(hold.pid) - before <= 5, "clock ticks, of a hundred"
    await hold.answer(1, b"r\r", ADA, "retry")
    async with asyncio.timeout(PATIENCE):
        assert await asyncio.gather(*waiting[1::2]) == [None] * 10
    assert (await end(hold)).code == 0


def _cpu(pid: int) -> int:
    """Clock ticks that a process has worked."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def test_who_waits_hears_of_a_holder_that_is_killed(directory: Path, spec: ToolSpec, run_uid: str) -> None:
    hold = await Hold.start(directory, asker(spec, "ask(FAILED)"))
    await held(hold)
    waiting = asyncio.create_task(hold.wait_held(1))
    await asyncio.sleep(0.1)
    os.kill(hold.pid, signal.SIGKILL)
    with pytest.raises(VanishedError):
        await asyncio.wait_for(waiting, PATIENCE)
    with pytest.raises(VanishedError):
        await hold.held()
    assert PromptRecord.read(directory).held is not None
    fresh = await Hold.start(directory, asker(spec, "ask(FAILED)"))
    assert (await held(fresh)).number == 2, "no answer to the first can hit this one"
    with pytest.raises(RefusedError, match="its holder vanished"):
        await fresh.answer(1, b"c\r", BOB, "clean up")
    await fresh.answer(2, b"r\r", ADA, "retry")
    assert (await end(fresh)).code == 0


async def test_without_its_socket_the_prompt_is_still_known(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, asker(spec, "ask(FAILED)"))
    prompt = await held(hold)
    record = HolderRecord.read(directory)
    assert record is not None
    Path(record.socket).unlink()
    assert await hold.held() == prompt
    await until(lambda: Path(record.socket).exists(), "the holder opens another")
    await hold.answer(1, b"c\r", ADA, "clean up")
    assert (await end(hold)).code == 0


async def test_a_full_disk_keeps_nobody_from_answering(directory: Path, spec: ToolSpec, tmp_path: Path) -> None:
    go_on = tmp_path / "go"
    waits = f"while not os.path.exists({str(go_on)!r}): time.sleep(0.02)"
    spec = asker(spec, f"print('ready', flush=True)\n{waits}\nask(FAILED); ask(FAILED)")
    hold = await Hold.start(directory, spec)
    await shows(spec, "ready")
    unlimited = resource.RLIM_INFINITY
    resource.prlimit(hold.pid, resource.RLIMIT_FSIZE, (10, unlimited))
    go_on.touch()
    prompt = await held(hold)
    assert PromptRecord.read(directory) == PromptRecord()
    answer = await hold.answer(1, b"r\r", ADA, "retry")
    second = await held(hold, 1)
    resource.prlimit(hold.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    await until(lambda: PromptRecord.read(directory) == PromptRecord(second, (answer,)), "the record is written")
    await hold.answer(2, b"r\r", ADA, "retry")
    assert (await end(hold)).code == 0
    assert prompt.number == 1


async def test_a_tool_that_dies_at_its_prompt_takes_it_along(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, asker(spec, "ask(FAILED)"))
    await held(hold)
    assert hold.tool_pid is not None
    waiting = asyncio.create_task(hold.wait_held(1))
    os.kill(hold.tool_pid, signal.SIGKILL)
    assert (await end(hold)).signal == signal.SIGKILL
    assert await asyncio.wait_for(waiting, PATIENCE) is None
    with pytest.raises(RefusedError, match="the tool ended"):
        await hold.answer(1, b"r\r", ADA, "retry")


async def test_nonsense_in_an_answer_harms_nobody(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(directory, asker(spec, "print('answer', ask(FAILED))"))
    await held(hold)
    record = HolderRecord.read(directory)
    assert record is not None
    good = {"do": "reply", "number": 1, "data": "Y3I=", "by": "x", "what": "y"}
    for bad in (good | {"data": "%"}, good | {"number": "1"}, good | {"by": None}, {"do": "wait_held"}):
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(record.socket)
            connection.sendall(msgspec.json.encode(bad) + b"\n")
            assert "not understood" in msgspec.json.decode(connection.makefile("rb").readline())["error"]
    assert (await hold.status()).held is not None
    await hold.answer(1, b"r\r", ADA, "retry")
    assert (await end(hold)).code == 0
    assert said_by(hold).endswith("answer r\n")


# The time limit


async def test_a_held_prompt_waits_no_longer_than_its_limit_though_nobody_looks(
    directory: Path, spec: ToolSpec
) -> None:
    spec = asker(replace(spec, prompt_limit=0.5, limit=1000), "print('answer', ask(FAILED)); sys.exit(1)")
    hold = await Hold.start(directory, spec)
    ended = await end(hold)
    assert (ended.code, ended.ended_by) == (1, "limit")
    assert said(spec).endswith("answer c\n")
    assert "the time limit is up" in said(spec)
    assert "SIG" not in said(spec)
    with pytest.raises(RefusedError, match=r"It is over since .*: time limit"):
        await hold.answer(1, b"r\r", ADA, "retry")


async def test_the_limit_of_a_prompt_is_over_with_the_answer_and_the_tools_own_counts_on(
    directory: Path, spec: ToolSpec
) -> None:
    spec = asker(
        replace(spec, prompt_limit=50, limit=1000), "ask(FAILED); ask(FAILED); print('waits'); sys.stdin.readline()"
    )
    hold = await Hold.start(directory, spec)
    await held(hold)
    assert 0 < (await seconds_left(hold)) <= 50
    await hold.set_limit(7000)
    assert 6000 < (await seconds_left(hold)) <= 7000
    assert (await hold.status()).held is not None
    await hold.answer(1, b"r\r", ADA, "retry")
    await held(hold, 1)
    assert 0 < (await seconds_left(hold)) <= 50
    await hold.answer(2, b"r\r", ADA, "retry", keep=False)
    await shows(spec, "waits")
    assert 900 < (await seconds_left(hold)) <= 1000
    await hold.send(b"\r")
    assert (await end(hold)).code == 0


async def seconds_left(hold: Hold) -> float:
    left = (await hold.status()).seconds_left
    assert left is not None
    return left


async def test_without_a_limit_of_its_own_the_tool_goes_on_without_one(directory: Path, spec: ToolSpec) -> None:
    spec = asker(replace(spec, prompt_limit=50), "ask(FAILED); print('on', flush=True); sys.stdin.readline()")
    hold = await Hold.start(directory, spec)
    await held(hold)
    await hold.answer(1, b"r\r", ADA, "retry")
    await shows(spec, "on")
    assert (await hold.status()).seconds_left is None
    await hold.send(b"\r")
    assert (await end(hold)).code == 0


# The end


async def test_a_tool_that_is_ended_at_its_prompt_gets_the_goodbye_and_no_signal(
    directory: Path, spec: ToolSpec
) -> None:
    """And so does what it asks while it cleans up, dull or not."""
    spec = asker(
        spec,
        """
        signal.signal(signal.SIGINT, lambda *_: print("interrupted"))
        print("answers", ask(FAILED), ask(PAUSED), ask(FAILED), ask(PAUSED))
        """,
    )
    hold = await Hold.start(directory, spec)
    await held(hold)
    await hold.interrupt()
    await hold.interrupt()
    ended = await end(hold)
    assert (ended.code, ended.ended_by) == (0, "cancel")
    assert said(spec).endswith("answers c  c \n")
    assert "interrupted" not in said(spec)
    assert "ingot: cancel: answered c" in said(spec)
    last = await hold.last_answer()
    assert last is not None
    assert (last.number, last.by, last.what) == (1, "", "cancel")


async def test_a_prompt_that_comes_up_while_the_tool_is_ended_gets_its_goodbye(directory: Path, spec: ToolSpec) -> None:
    spec = asker(
        spec,
        """
        def asks(*_):
            print("answer", ask(FAILED)); sys.exit(3)
        signal.signal(signal.SIGINT, asks)
        print("ready", flush=True)
        time.sleep(1000)
        """,
    )
    hold = await Hold.start(directory, spec)
    await shows(spec, "ready")
    waiting = asyncio.create_task(hold.wait_held(0))
    await hold.interrupt()
    assert (await end(hold)).code == 3
    assert said(spec).endswith("answer c\n")
    assert await asyncio.wait_for(waiting, PATIENCE) is None, "nobody can answer it any more"


async def test_a_prompt_without_a_goodbye_is_interrupted(directory: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(
        directory,
        asker(replace(spec, prompts=(HELD_PAUSE,)), "signal.signal(signal.SIGINT, signal.SIG_DFL); ask(PAUSED)"),
    )
    await held(hold)
    await hold.interrupt()
    assert (await end(hold)).signal == signal.SIGINT
    with pytest.raises(RefusedError, match="cancel"):
        await hold.answer(1, b"\r", ADA, "continue")


async def test_a_tool_that_does_not_mind_the_goodbye_is_ended_by_force(directory: Path, spec: ToolSpec) -> None:
    spec = asker(spec, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nask(FAILED)\ntime.sleep(1000)")
    hold = await Hold.start(directory, replace(spec, grace=0.5))
    await held(hold)
    await hold.interrupt()
    assert (await end(hold)).signal == signal.SIGKILL
    assert re.findall(r"ingot: (\w+) to", said(spec)) == ["SIGTERM", "SIGKILL"]


# Kept


def leaves(spec: ToolSpec, pid: Path, asks: str = "ask(FAILED)") -> ToolSpec:
    """A tool that leaves something running, as Packer leaves QEMU after `abort`."""
    return asker(
        spec,
        f"""
        if os.fork() == 0:  # in front, as QEMU is: its terminal must not hang up when the tool ends
            open({str(pid)!r}, "w").write(str(os.getpid()))
            time.sleep(1000)
        while not os.path.exists({str(pid)!r}) or not open({str(pid)!r}).read():
            time.sleep(0.02)
        {asks}
        os._exit(1)
        """,
    )


async def kept(hold: Hold, pid: Path) -> Identity:
    ended = await end(hold)
    assert (ended.code, ended.kept, hold.keeps) == (1, True, True)
    machine = Identity.of(int(pid.read_text()))
    assert machine is not None, "it lives"
    return machine


async def test_what_an_answer_asks_to_keep_lives_on_under_the_limit(
    directory: Path, spec: ToolSpec, tmp_path: Path
) -> None:
    spec = leaves(replace(spec, prompt_limit=300), tmp_path / "pid")
    hold = await Hold.start(directory, spec)
    await held(hold)
    await hold.answer(1, b"a\r", ADA, "keep", keep=True)
    machine = await kept(hold, tmp_path / "pid")
    assert read_exit(directory) is not None
    status = await hold.status()
    assert status.keeps
    assert status.tool == 0
    assert status.seconds_left is not None
    assert 0 < status.seconds_left <= 300
    assert await hold.wait_held(0) is None
    again = await Hold.adopt(directory)
    assert again is not None
    await again.set_limit(5000)
    assert 4000 < await seconds_left(again) <= 5000
    with pytest.raises(RefusedError, match=r"Ada Example .* keep"):
        await again.answer(1, b"c\r", BOB, "clean up")
    with pytest.raises(EngineError, match="has ended"):
        await again.send(b"x")
    assert machine.lives
    await again.set_limit(0.2)
    async with asyncio.timeout(PATIENCE):
        await hold.wait_gone()
    assert not machine.lives
    assert "the time limit is up: ending what python" in said(spec)
    assert not hold.keeps


async def test_what_is_kept_is_ended_when_told_and_the_directory_may_go_before(
    directory: Path, spec: ToolSpec, tmp_path: Path
) -> None:
    hold = await Hold.start(directory, leaves(spec, tmp_path / "pid"))
    await held(hold)
    await hold.answer(1, b"a\r", ADA, "keep", keep=True)
    machine = await kept(hold, tmp_path / "pid")
    assert (await hold.status()).seconds_left is None
    (directory / "exit.json").rename(tmp_path / "exit.json")
    await hold.interrupt()
    async with asyncio.timeout(PATIENCE):
        await hold.wait_gone()
    assert not machine.lives
    assert not (directory / "exit.json").exists(), "the exit is written once"
    (tmp_path / "exit.json").rename(directory / "exit.json")


async def test_a_kept_machine_that_ends_by_itself_lets_its_holder_go(
    directory: Path, spec: ToolSpec, tmp_path: Path
) -> None:
    hold = await Hold.start(directory, leaves(replace(spec, prompt_limit=300), tmp_path / "pid"))
    await held(hold)
    await hold.answer(1, b"a\r", ADA, "keep", keep=True)
    machine = await kept(hold, tmp_path / "pid")
    machine.signal(signal.SIGKILL)
    async with asyncio.timeout(PATIENCE):
        await hold.wait_gone()


async def test_the_last_answer_decides_whether_anything_is_kept(
    directory: Path, spec: ToolSpec, tmp_path: Path
) -> None:
    hold = await Hold.start(directory, leaves(spec, tmp_path / "pid", "ask(FAILED); ask(FAILED)"))
    await held(hold)
    await hold.answer(1, b"a\r", ADA, "keep", keep=True)
    await held(hold, 1)
    await hold.answer(2, b"c\r", ADA, "clean up")
    ended = await end(hold)
    assert (ended.code, ended.kept, hold.keeps) == (1, False, False)
    assert Identity.of(int((tmp_path / "pid").read_text())) is None


async def test_nothing_is_kept_of_a_tool_that_was_ended(directory: Path, spec: ToolSpec, tmp_path: Path) -> None:
    hold = await Hold.start(directory, leaves(replace(spec, keep=True), tmp_path / "pid"))
    await held(hold)
    await hold.interrupt()
    assert (await end(hold)).ended_by == "cancel"
    assert Identity.of(int((tmp_path / "pid").read_text())) is None


# Packer


needs_packer = pytest.mark.skipif(shutil.which("packer") is None, reason="packer is not installed")


@needs_packer
async def test_packer_is_stepped_through_asks_and_keeps(directory: Path, spec: ToolSpec, tmp_path: Path) -> None:
    """`-debug` with colours: its dull prompts are answered, its failure is held, `a` leaves what it had started."""
    # In Packer's own session and process group, as QEMU is: the end of Packer must not hang up on it.
    machine_runs = f"sh -c 'echo $$ > {tmp_path}/pid; exec sleep 1000' <&- >&- 2>&- &"
    until_there = f"while [ ! -s {tmp_path}/pid ]; do sleep 0.02; done"
    inline = f"echo try; [ -e {tmp_path}/pid ] || {machine_runs} {until_there}; exit 3"
    spec = packer(spec, tmp_path, "-debug", "-on-error=ask", inline=inline)
    hold = await Hold.start(directory, replace(spec, prompt_limit=300))
    first = await held(hold)
    assert first.pattern_index == 0
    assert 'Step "StepProvision" failed' in first.text
    assert "Pausing after run of step 'StepConnect'. Press enter to continue. " in first.text
    await hold.answer(1, b"r\r", ADA, "retry")
    await held(hold, 1)
    assert said(spec).count("    null.web: try") == 2
    await hold.answer(2, b"a\r", ADA, "keep", keep=True)
    machine = await kept(hold, tmp_path / "pid")
    assert await seconds_left(hold) <= 300
    await hold.interrupt()
    async with asyncio.timeout(PATIENCE):
        await hold.wait_gone()
    assert not machine.lives


@needs_packer
@pytest.mark.parametrize("by", ["cancel", "limit"])
async def test_packer_that_waits_cleans_up_when_it_is_ended(
    directory: Path, spec: ToolSpec, tmp_path: Path, by: str
) -> None:
    spec = packer(spec, tmp_path, "-color=false", "-debug", "-on-error=ask", inline="exit 3")
    hold = await Hold.start(directory, replace(spec, prompt_limit=1000 if by == "limit" else None))
    await held(hold)
    if by == "cancel":
        await hold.interrupt()
    else:
        await hold.set_limit(0.1)
    ended = await end(hold)
    assert (ended.code, ended.ended_by) == (1, by)
    assert "Pausing before cleanup of step 'StepConnect'" in said(spec)
    assert "errored after" in said(spec)
    assert "SIG" not in said(spec)


@needs_packer
async def test_packer_that_is_interrupted_at_a_pause_ends(directory: Path, spec: ToolSpec, tmp_path: Path) -> None:
    spec = packer(spec, tmp_path, "-color=false", "-debug", "-on-error=ask", inline="exit 3")
    hold = await Hold.start(directory, replace(spec, prompts=(FAILED, HELD_PAUSE)))
    assert (await held(hold)).pattern_index == 1
    await hold.interrupt()
    ended = await end(hold)
    assert ended.ended_by == "cancel"
    assert ended.code == 1
