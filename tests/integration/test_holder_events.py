"""What a tool tells beside what it prints: kept whole and redacted by its holder, whoever else lives."""

import os
from pathlib import Path

import pytest
from holds import SECRET, end, python
from patience import until

from core.holding import Hold, ToolSpec

LATER = "later-known-4711-0815"
TELLS = """
    import os, sys
    pipe = os.open(os.environ["INGOT_EVENTS"], os.O_WRONLY | os.O_NONBLOCK)
    for line in ["first correct-horse/battery+staple", "a" * 30000]:
        os.set_blocking(pipe, True)
        os.write(pipe, line.encode() + b"\\n")
    print("told", flush=True)
    sys.stdin.readline()
    os.write(pipe, b"then later-known-4711-0815\\nlast")
"""


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToolSpec:
    monkeypatch.setenv("INGOT_HOME", str(tmp_path / "home"))
    return ToolSpec(
        argv=(),
        cwd=tmp_path,
        environment={"PATH": os.environ["PATH"]},
        log=tmp_path / "log",
        secrets=(SECRET,),
        events=tmp_path / "tasks" / "build.jsonl",
    )


async def test_what_a_tool_tells_is_kept_to_its_last_word_and_redacted(tmp_path: Path, spec: ToolSpec) -> None:
    hold = await Hold.start(tmp_path / "hold", python(spec, TELLS))
    kept = spec.events
    assert kept is not None
    await until(lambda: kept.exists() and kept.read_bytes().count(b"\n") == 2, "two events are kept")
    assert kept.read_text().splitlines() == ["first «redacted»", "a" * 30000]
    await hold.add_secrets((LATER,))
    await hold.send(b"go on\n")
    assert (await end(hold)).code == 0
    assert kept.read_text().splitlines()[2:] == ["then «redacted»", "last"]
    assert kept.stat().st_mode & 0o077 == 0
    await until(lambda: not (tmp_path / "hold" / "events.pipe").exists(), "the holder has put its pipe away")
    assert "first" not in spec.log.read_text()


async def test_a_tool_that_is_asked_for_no_events_finds_no_pipe(tmp_path: Path, spec: ToolSpec) -> None:
    plain = ToolSpec(argv=(), cwd=tmp_path, environment=spec.environment, log=spec.log)
    script = "import os, sys; sys.exit('INGOT_EVENTS' in os.environ)"
    assert (await end(await Hold.start(tmp_path / "hold", python(plain, script)))).code == 0
