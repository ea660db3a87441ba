"""What a holder takes for a prompt, how it remembers those it holds, and the time that they may take."""

import os
import re
import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from full_disk import full_disk
from hypothesis import given
from hypothesis import strategies as st

from core.hold import Answered, Prompt, PromptRecord, ToolSpec, write_whole
from core.holder_limit import TimeLimit
from core.holder_log import TAIL_LIMIT, Tail, ToolLog
from core.holder_prompts import QUIET, PromptBook, PromptWatch

ENTER = Prompt(r"^==> [^:\n]+: .*Press enter to continue\. ", reply="\r")
FAILED = Prompt(r'Step "(\w+)" failed\n==> [^:\n]+: \[c\] Clean up .*\? ')
RED, PLAIN = b"\x1b[1;31m", b"\x1b[0m"


# The end of the output


def test_a_tail_is_plain_text() -> None:
    tail = Tail()
    for chunk in (RED + b"red" + PLAIN + b"\r", b"\n\x1b]0;title\x07t\x1b]8;;x\x1b\\u\x1b(B\x1b=\xff\xc3", b"\xa4 ?"):
        tail.add(chunk)
    assert tail.text() == "red\ntu\ufffdä ?"


def test_a_tail_begins_with_a_whole_line_however_long_the_output() -> None:
    tail = Tail()
    for number in range(20_000):
        tail.add(b"line %05d\n" % number)
    tail.add(b"prompt? ")
    lines = tail.text().splitlines()
    assert lines[-1] == "prompt? "
    assert all(re.fullmatch(r"line \d{5}", line) for line in lines[:-1])
    assert TAIL_LIMIT - 20 < len(tail.text()) <= TAIL_LIMIT


def test_a_tail_of_one_line_that_never_ends_is_cut() -> None:
    tail = Tail()
    tail.add(b"x" * 100_000 + b"? ")
    assert tail.text() == "x" * (TAIL_LIMIT - 2) + "? "


@given(st.lists(st.binary(max_size=3000), max_size=30))
def test_a_tail_is_the_end_whatever_comes(chunks: list[bytes]) -> None:
    tail, whole = Tail(), Tail()
    for chunk in chunks:
        tail.add(chunk)
    whole.add(b"".join(chunks)[-8192:])
    assert len(tail.text()) <= TAIL_LIMIT
    assert tail.text()[-100:] == whole.text()[-100:] or b"\x1b" in b"".join(chunks)


def test_the_log_keeps_a_tail_without_secrets_and_without_its_own_lines(tmp_path: Path) -> None:
    log = ToolLog(tmp_path / "log", ["correct horse"])
    log.take(b"one correct ")
    log.take(b"horse two\r\n")
    log.say("ours")
    log.take(b"prompt c")
    log.flush()
    assert log.tail.text() == "one «redacted» two\nprompt c"
    log.close()


# What is a prompt


@pytest.mark.parametrize(
    ("text", "asks"),
    [
        ("==> web: Press enter to continue. ", True),
        ("one\n==> web: Pausing at x. Press enter to continue. ", True),
        ("==> a: Press enter to continue. x\n==> web: Press enter to continue. ", True),
        ("==> web: Press enter to continue. \n", False),
        ("==> web: Press enter to continue. \nmore", False),
        ("==> web: Press enter to continue. more", False),
        ("==> web: Press enter to continue.", False),
        ("    web: ==> web: Press enter to continue. ", False),
        ("", False),
    ],
)
def test_a_prompt_is_the_unfinished_end_of_the_output(text: str, asks: bool) -> None:
    assert ENTER.asks(text) is asks


def test_a_pattern_may_see_the_lines_before() -> None:
    assert FAILED.asks('x\n==> web: Step "StepProvision" failed\n==> web: [c] Clean up and exit, or [r] retry? ')
    assert not FAILED.asks("==> web: [c] Clean up and exit, or [r] retry? ")


def test_a_pattern_that_cannot_be_is_refused_before_any_tool_starts() -> None:
    with pytest.raises(re.error):
        Prompt("(")


@given(st.text(alphabet="aß? \n", max_size=20), st.sampled_from([r"\s*", r".*", r"[^a]*", r"\?\s*$", r"(?s:.*)"]))
def test_no_pattern_takes_a_finished_line_for_a_prompt(text: str, pattern: str) -> None:
    assert not Prompt(pattern).asks(text + "\n")


def test_a_spec_with_prompts_arrives_as_it_was_sent() -> None:
    spec = ToolSpec(("x",), Path("/x"), {}, Path("/y"), prompts=(ENTER, FAILED), prompt_limit=7200.0)
    assert ToolSpec.from_json(spec.to_json()) == spec


# When it is one


def test_a_prompt_is_taken_for_one_when_it_has_been_quiet_for_a_moment() -> None:
    watch = PromptWatch((FAILED, ENTER))
    watch.printed(RED + b"==> web: Press enter to ", 10.0)
    watch.printed(b"continue." + PLAIN + b" ", 10.05)
    assert watch.next_due == 10.05 + QUIET
    assert watch.asked(10.1) is None
    assert watch.asked(10.2) == 1
    assert watch.next_due is None
    assert watch.asked(10.3) is None, "told once"


def test_what_goes_on_is_no_prompt() -> None:
    watch = PromptWatch((ENTER,))
    watch.printed(b"==> web: Press enter to continue. ", 10.0)
    watch.printed(b"\r\n", 10.09)
    assert watch.asked(11.0) is None


def test_more_on_the_same_line_is_the_same_prompt() -> None:
    watch = PromptWatch((Prompt(r"continue\.\s*"),))
    watch.printed(b"continue.", 10.0)
    assert watch.asked(11.0) == 0
    watch.printed(b" ", 12.0)
    assert watch.asked(13.0) is None
    watch.printed(b"\ncontinue. ", 14.0)
    assert watch.asked(15.0) == 0


def test_what_is_asked_after_an_answer_is_asked_anew_though_no_line_has_ended() -> None:
    watch = PromptWatch((ENTER,))
    watch.printed(b"==> web: Press enter to continue. ", 10.0)
    assert watch.asked(11.0) == 0
    watch.interrupted()
    watch.printed(b"\x1b[0m", 12.0)
    assert watch.asked(13.0) is None, "the old prompt is not asked again by what has no text"
    watch.printed(b"==> web: Press enter to continue. ", 14.0)
    assert watch.asked(15.0) == 0


def test_without_prompts_nothing_is_looked_at() -> None:
    watch = PromptWatch(())
    watch.printed(b"? ", 10.0)
    assert watch.next_due is None


# What is held


def test_the_book_is_on_disk_and_goes_on_after_a_holder_that_vanished(tmp_path: Path) -> None:
    book = PromptBook(tmp_path)
    book.hold(1, "one? ")
    book.write()
    assert PromptRecord.read(tmp_path).held == book.held
    first = book.over("Ada <a@x>", "retry")
    book.hold(0, "two? ")
    book.write()
    assert stat.S_IMODE((tmp_path / "prompt.json").stat().st_mode) == 0o600
    after = PromptBook(tmp_path)
    assert after.held is None
    assert after.answered(1) == first
    second = after.answered(2)
    assert second is not None
    assert (second.by, second.what) == ("", "its holder vanished")
    assert after.write_at is not None
    after.hold(0, "three? ")
    assert after.held is not None
    assert after.held.number == 3
    assert after.last == second


def test_a_prompt_that_follows_another_without_an_answer_takes_its_place(tmp_path: Path) -> None:
    book = PromptBook(tmp_path)
    book.hold(0, "one? ")
    book.hold(0, "two? ")
    assert book.held is not None
    assert book.held.number == 2
    assert book.last is not None
    assert (book.last.number, book.last.by, book.last.what) == (1, "", "the tool went on")


def test_how_it_was_over_is_a_sentence() -> None:
    assert re.fullmatch(r"Ada <a@x> answered it at \d\d:\d\d: retry\.", str(Answered(1, "Ada <a@x>", "retry", 0.0)))
    assert re.fullmatch(r"It is over since \d\d:\d\d: time limit\.", str(Answered(1, "", "time limit", 0.0)))


def test_a_disk_that_takes_a_part_of_a_file_gets_none(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"before")
    with full_disk(10), pytest.raises(OSError, match=os.strerror(27)):
        write_whole(tmp_path / "file", b"x" * 20)
    assert (tmp_path / "file").read_bytes() == b"before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_two_who_write_a_file_at_once_both_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They meet when each has written, and neither has given it its name."""
    both, fsync = threading.Barrier(2, timeout=10.0), os.fsync

    def met(descriptor: int) -> None:
        fsync(descriptor)
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            both.wait()

    monkeypatch.setattr(os, "fsync", met)
    contents = (b"one" * 1000, b"other" * 10)
    with ThreadPoolExecutor(2) as threads:
        for written in [threads.submit(write_whole, tmp_path / "file", content) for content in contents]:
            written.result()
    (file,) = tmp_path.iterdir()
    assert file.name == "file"
    assert file.read_bytes() in contents
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_book_is_written_when_there_is_room(tmp_path: Path) -> None:
    book = PromptBook(tmp_path)
    with full_disk(10):
        book.hold(0, "one? ")
        book.write()
        assert book.write_at is not None
        assert PromptRecord.read(tmp_path) == PromptRecord()
    book.write()
    assert book.write_at is None
    assert PromptRecord.read(tmp_path).held == book.held


# How long


def test_a_limit_waits_while_the_tool_does() -> None:
    limit = TimeLimit(100.0, 1000.0)
    limit.wait(7200.0, 1040.0)
    assert limit.left(1040.0) == 7200.0
    limit.set(9000.0, 2000.0)
    limit.wait(7200.0, 3000.0)
    limit.go_on(5000.0)
    assert limit.left(5000.0) == 60.0
    limit.go_on(5010.0)
    assert limit.left(5010.0) == 50.0


def test_without_a_limit_there_is_none_again_after_the_answer() -> None:
    limit = TimeLimit(None, 1000.0)
    assert limit.left(1000.0) is None
    limit.wait(10.0, 1000.0)
    assert limit.left(1020.0) == 0.0
    limit.go_on(1005.0)
    assert limit.left(1005.0) is None
