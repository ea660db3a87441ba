"""What a holder makes of a tool's output on its way to the disk."""

import os
import time
from pathlib import Path

import pytest
from full_disk import full_disk
from hypothesis import given
from hypothesis import strategies as st

from core import holder_log
from core.hold import ToolSpec
from core.holder_log import ToolLog

NEVER = 1e12
"""A time by which everything is due."""


@pytest.mark.parametrize("cut", range(1, 9))
def test_line_ends_become_plain_however_they_are_cut(tmp_path: Path, cut: int) -> None:
    log = ToolLog(tmp_path / "log", ())
    for piece in (b"a\r\nb\r\r\nc"[:cut], b"a\r\nb\r\r\nc"[cut:]):
        log.take(piece)
    log.close()
    assert (tmp_path / "log").read_bytes() == b"a\nb\nc"


def test_what_may_be_the_start_of_a_secret_waits_a_moment_and_no_longer(tmp_path: Path) -> None:
    log = ToolLog(tmp_path / "log", ["correct horse"])
    log.take(b"Press c")
    log.write()
    assert (tmp_path / "log").read_bytes() == b"Press "
    due = log.next_due
    assert due is not None
    assert due - time.monotonic() <= 0.1
    log.due(due)
    assert (tmp_path / "log").read_bytes() == b"Press c"
    assert log.next_due is None
    log.close()


def test_our_own_lines_are_redacted_and_begin_a_line(tmp_path: Path) -> None:
    log = ToolLog(tmp_path / "log", ["correct horse"])
    log.take(b"prompt? ")
    log.say("ending correct horse")
    log.say("ended")
    log.close()
    assert (tmp_path / "log").read_text() == "prompt? \ningot: ending «redacted»\ningot: ended\n"


def test_a_disk_that_is_full_for_too_long_costs_output_and_the_log_says_how_much(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(holder_log, "WAITING_LIMIT", 100)
    log = ToolLog(tmp_path / "log", ())
    log.take(b"before\n")
    log.write()
    with full_disk(10):
        for number in range(20):
            log.take(b"line %04d\n" % number)
            log.write()
            if number == 5:
                log.take(b"x" * 60 + b"\n")
        assert log.unwritten
        log.due(NEVER)
        assert log.unwritten
    log.due(NEVER)
    assert not log.unwritten
    log.take(b"after\n")
    log.close()
    lines = (tmp_path / "log").read_text().splitlines()
    kept = [line for line in lines if line.startswith("line")]
    assert kept == [f"line {number:04}" for number in range(len(kept))], "what is kept is in order and without gaps"
    assert lines[0] == "before"
    lost = 261 - 10 * len(kept)
    assert lines[-2:] == [f"ingot: the disk was full; {lost} bytes of output are missing here", "after"]
    assert log.dropped == lost
    assert 0 < len(kept) < 10


names = st.binary(max_size=10).map(os.fsdecode)


@given(st.lists(names, min_size=1).map(tuple), st.dictionaries(names, names), st.lists(names).map(tuple))
def test_a_spec_arrives_as_it_was_sent(
    argv: tuple[str, ...], environment: dict[str, str], secrets: tuple[str, ...]
) -> None:
    """Bytes that are not UTF-8 in names and variables too (os.fsdecode keeps them as lone surrogates)."""
    spec = ToolSpec(argv, Path("/x"), environment, Path("/y"), secrets)
    assert ToolSpec.from_json(spec.to_json()) == spec


def test_a_spec_that_is_printed_tells_no_secret() -> None:
    assert "hunter22" not in repr(ToolSpec(("x",), Path(), {"A": "hunter22"}, Path(), ("hunter22",)))
