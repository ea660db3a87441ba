"""Logs: what is read is what was written, whatever was written, by whom, and whatever became of the index."""

import errno
import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import StoreError
from core.store.line_index import RECORD_SIZE, STRIDE, index_of
from core.store.log_writer import LogWriter
from core.store.logs import LINE_LIMIT, LogReader

# Runs of one byte make long lines and empty ones cheap to draw; STRIDE and LINE_LIMIT are among the lengths.
runs = st.tuples(
    st.sampled_from([b"\n", b"x", b"\r", b"\0", b"\xff", "é".encode(), b"\r\n", b"word "]),
    st.one_of(
        st.integers(1, 5), st.sampled_from([200, STRIDE - 1, STRIDE, LINE_LIMIT - 1, LINE_LIMIT, LINE_LIMIT + 1])
    ),
)
chunks = st.lists(st.lists(runs, max_size=4), max_size=12)
Runs = list[tuple[bytes, int]]
relaxed = settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def spelled(chunk: Runs) -> bytes:
    return b"".join(byte * count for byte, count in chunk)


def lines_of(data: bytes) -> list[bytes]:
    """The lines of a log, the slow and obvious way."""
    parts = data.split(b"\n")
    return parts[:-1] if parts[-1] == b"" else parts


def assert_reads_as(reader: LogReader, data: bytes) -> None:
    while reader.behind:
        reader.refresh()
    expected = lines_of(data)
    assert reader.line_count == len(expected)
    seen = reader.read(0, len(expected) + 10)
    assert [line.number for line in seen] == list(range(len(expected)))
    assert [line.length for line in seen] == [len(line) for line in expected]
    for line, whole in zip(seen, expected, strict=True):
        if len(whole) <= LINE_LIMIT:
            assert line.raw == whole.rstrip(b"\r")
        else:
            assert len(line.raw) <= LINE_LIMIT
            assert line.raw in whole


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "build.log"


def fresh(log: Path) -> Path:
    for path in (log, index_of(log)):
        path.unlink(missing_ok=True)
    return log


@relaxed
@given(chunks, st.integers(0, 2**32))
def test_what_is_read_is_what_was_written_in_any_pieces(log: Path, drawn: list[Runs], seed: int) -> None:
    pieces = [spelled(chunk) for chunk in drawn]
    chance = random.Random(seed)
    fresh(log)
    moment = 1000.0

    def clock() -> float:
        return moment

    data = b""
    writer = LogWriter(log, clock=clock)
    reader = LogReader(log)
    for piece in pieces:
        moment += chance.choice([0.0, 0.4, 1.0])
        writer.write(piece)
        data += piece
        match chance.randrange(6):
            case 0:  # another writer takes over
                writer.close()
                writer = LogWriter(log, clock=clock)
            case 1:
                index_of(log).unlink(missing_ok=True)
            case 2:
                assert_reads_as(LogReader(log), data)
            case 3:  # a second writer beside the first
                with LogWriter(log, clock=clock) as other:
                    other.write(b"other\nlines")
                data += b"other\nlines"
            case _:
                pass
        reader.refresh()
        assert_reads_as(reader, data)
    writer.close()
    assert log.read_bytes() == data
    assert_reads_as(LogReader(log), data)


@relaxed
@given(chunks, st.integers(0, 2**32))
def test_a_damaged_index_is_made_good(log: Path, drawn: list[Runs], seed: int) -> None:
    pieces = [spelled(chunk) for chunk in drawn]
    chance = random.Random(seed)
    fresh(log)
    with LogWriter(log) as writer:
        for piece in pieces:
            writer.write(piece)
    index = index_of(log)
    damaged = bytearray(index.read_bytes())
    match chance.randrange(3):
        case 0:
            damaged = damaged[: chance.randrange(len(damaged) + 1)]
        case 1:
            damaged += chance.randbytes(chance.randrange(1, 3 * RECORD_SIZE))
        case _:
            for _ in range(3):
                if damaged:
                    damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
    index.write_bytes(damaged)
    assert_reads_as(LogReader(log), b"".join(pieces))
    with LogWriter(log) as writer:  # and it can be gone on with
        writer.write(b"more\n")
    assert_reads_as(LogReader(log), b"".join([*pieces, b"more\n"]))


@relaxed
@given(chunks, st.sampled_from(["x", "word", "Word", "é", "\0", "x" * 40]), st.integers(0, 30))
def test_search_finds_every_line_that_holds_the_pattern(log: Path, drawn: list[Runs], pattern: str, start: int) -> None:
    data = b"".join(spelled(chunk) for chunk in drawn)
    fresh(log).write_bytes(data)
    reader = LogReader(log)
    needle = pattern.encode()
    expected = [n for n, line in enumerate(lines_of(data)) if needle in (line if pattern == "Word" else line.lower())]
    forwards = [step.line for step in reader.search(pattern, start) if step.line is not None]
    assert forwards == [line for line in expected if line >= start]
    back = [step.line for step in reader.search(pattern, start, backwards=True) if step.line is not None]
    assert back == [line for line in reversed(expected) if line <= start]
    small = [step.line for step in reader.search_any([needle], start, exact=True, step=1000) if step.line is not None]
    assert small == [n for n, line in enumerate(lines_of(data)) if needle in line and n >= start]


def test_a_search_goes_on_over_a_log_that_grows_and_is_indexed_meanwhile(log: Path) -> None:
    moment = 1000.0
    log.write_bytes(b"one needle\nnothing\n" * 20_000)
    reader = LogReader(log)
    found: list[int] = []
    with LogWriter(log, clock=lambda: moment) as writer:
        for step in reader.search_any([b"needle"], 0, step=STRIDE):
            if step.line is not None:
                found.append(step.line)
            else:
                moment += 1
                writer.write(b"new needle\n")
                index_of(log).unlink(missing_ok=True)
                reader.refresh()
    assert found == list(range(0, 40_000, 2))


def test_an_index_that_was_made_anew_is_not_mixed_with_the_old_one(log: Path) -> None:
    """Two records of each agree in number, not in the lines that they record."""
    moment = 1000.0
    with LogWriter(log, clock=lambda: moment) as first:
        first.write(b"\n\n")
        moment += 1
        first.write(b"\n\n")
        reader = LogReader(log)
        index_of(log).unlink()
        first.write(b"x" * (4 * STRIDE) + b"\n" * (3 * STRIDE))
        reader.refresh()
        assert_reads_as(reader, log.read_bytes())
        index_of(log).write_bytes(b"")  # as after a crash of the file system
        LogReader(log).close()
        first.write(b"y" * (4 * STRIDE) + b"\nend\n")
        reader.refresh()
        assert_reads_as(reader, log.read_bytes())
        assert_reads_as(LogReader(log), log.read_bytes())


def test_each_damaged_byte_of_a_record_in_the_middle_is_noticed(log: Path) -> None:
    data = b"".join(b"line %d\n" % number for number in range(60_000))
    with LogWriter(log) as writer:
        writer.write(data)
    sound = index_of(log).read_bytes()
    middle = len(sound) // RECORD_SIZE // 2 * RECORD_SIZE
    for at in range(middle, middle + RECORD_SIZE):
        damaged = bytearray(sound)
        damaged[at] ^= 4
        index_of(log).write_bytes(damaged)
        with LogReader(log) as reader:
            for number in (0, 20_000, 29_000, 30_000, 31_000, 59_999):
                assert [line.raw for line in reader.read(number, 1)] == [b"line %d" % number]


def test_an_index_whose_end_was_lost_while_a_writer_lives_gets_no_gap(log: Path) -> None:
    with LogWriter(log) as writer:
        writer.write(b"a line of it\n" * 50_000)
        os.truncate(index_of(log), 2 * RECORD_SIZE)
        writer.write(b"x" * STRIDE + b"\nlast\n")
        assert_reads_as(LogReader(log), log.read_bytes())


def test_a_needle_cut_by_two_slices_of_a_giant_line_is_found(log: Path) -> None:
    for place in range(990, 1010):
        log.write_bytes(b"first\n" + b"." * place + b"needle" + b"." * 5000 + b"\nneedle again\n")
        found = [step.line for step in LogReader(log).search_any([b"needle"], step=1000) if step.line is not None]
        assert found == [1, 2]


def test_each_line_knows_the_second_in_which_it_was_begun(log: Path) -> None:
    moment = 5000.25
    with LogWriter(log, clock=lambda: moment) as writer:
        writer.write(b"one\ntwo\nbegun ")
        moment = 5003.5
        writer.write(b"and ended\nlater\n")
        moment = 5003.9
        writer.write(b"same second\n")
    assert [int(line.time or 0) for line in LogReader(log).read(0, 9)] == [5000, 5000, 5000, 5003, 5003]


def test_times_that_were_lost_with_the_index_are_not_invented(log: Path) -> None:
    with LogWriter(log) as writer:
        writer.write(b"one\n")
    index_of(log).unlink()
    assert [line.time for line in LogReader(log).read(0, 1)] == [None]


def test_a_prompt_without_newline_is_a_line(log: Path) -> None:
    with LogWriter(log) as writer:
        writer.write(b"==> web: Press enter to continue. ")
        reader = LogReader(log)
        assert [line.raw for line in reader.read(0, 5)] == [b"==> web: Press enter to continue. "]
        writer.write(b"\r\nnext")
        assert reader.refresh()
        assert [line.raw for line in reader.read(0, 5)] == [b"==> web: Press enter to continue. ", b"next"]


def test_a_log_that_does_not_exist_yet_is_empty_and_appears(log: Path) -> None:
    reader = LogReader(log)
    assert (reader.line_count, reader.read(0, 5), reader.refresh()) == (0, [], False)
    with LogWriter(log) as writer:
        writer.write(b"here\n")
    assert reader.refresh()
    assert reader.line_count == 1


def test_a_log_that_was_cut_is_read_anew(log: Path) -> None:
    with LogWriter(log) as writer:
        writer.write(b"line\n" * 50_000)
        reader = LogReader(log)
        os.truncate(log, 12)
        assert reader.refresh()
        assert [line.raw for line in reader.read(0, 9)] == [b"line", b"line", b"li"]
        writer.write(b"ne\nmore\n")
        reader.refresh()
        assert [line.raw for line in reader.read(0, 9)] == [b"line", b"line", b"line", b"more"]


def test_of_a_giant_progress_bar_the_end_is_shown(log: Path) -> None:
    log.write_bytes(b"".join(b"%d %%\r" % step for step in range(100_000)) + b"done\nnext\n")
    bar, after = LogReader(log).read(0, 2)
    assert bar.raw.endswith(b"\r99999 %\rdone")
    assert len(bar.raw) <= LINE_LIMIT < bar.length
    assert after.raw == b"next"


def test_an_index_that_was_missing_is_left_behind_complete(log: Path) -> None:
    log.write_bytes(b"some line of it\n" * 50_000)
    with LogReader(log) as reader:
        reader.refresh()
    assert index_of(log).stat().st_size > 10 * RECORD_SIZE
    assert index_of(log).stat().st_mode & 0o777 == 0o600
    again = LogReader(log)
    assert (again.line_count, again.behind) == (50_000, 0)


def test_a_huge_log_without_index_is_scanned_in_slices(log: Path) -> None:
    reader = LogReader(log)
    log.write_bytes(b"some line of it\n" * 100_000)
    assert reader.refresh(at_most=160_000)
    assert reader.line_count == 10_000
    assert reader.behind == 1_440_000
    assert reader.read(9_999, 5)[0].raw == b"some line of it"


def test_a_log_that_cannot_be_indexed_is_read_all_the_same(log: Path) -> None:
    log.write_bytes(b"line\n" * 100_000)
    index_of(log).mkdir()  # works for root too, unlike modes
    reader = LogReader(log)
    assert reader.line_count == 100_000
    with LogWriter(log) as writer:
        writer.write(b"more\n")
    reader.refresh()
    assert reader.read(100_000, 1)[0].raw == b"more"


FULL_DISK = """
import resource, signal, sys
from pathlib import Path
from core.errors import StoreError
from core.store.log_writer import LogWriter

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
writer = LogWriter(Path(sys.argv[1]))
writer.write(b"before\\n")
resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
for data in (b"0123456789\\n" * 30, b"more\\n"):
    try:
        writer.write(data)
    except StoreError as error:
        print(error.what)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
writer.write(b"last\\n")
"""


def test_what_a_full_disk_refused_is_written_when_there_is_room(log: Path) -> None:
    """The limit on a file's size (setrlimit(2)) stands for the full disk."""
    done = subprocess.run([sys.executable, "-c", FULL_DISK, str(log)], capture_output=True, text=True, check=True)
    assert done.stdout.count(os.strerror(errno.EFBIG)) == 2
    expected = b"before\n" + b"0123456789\n" * 30 + b"more\nlast\n"
    assert log.read_bytes() == expected
    assert_reads_as(LogReader(log), expected)


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "build.log").mkdir()
    with pytest.raises(StoreError, match="Cannot write the log"):
        LogWriter(tmp_path / "build.log")


def test_a_reader_beside_a_racing_writer_never_sees_a_wrong_line(log: Path) -> None:
    total = 60_000
    stop = threading.Event()

    def write() -> None:
        with LogWriter(log) as writer:
            for first in range(0, total, 60):
                writer.write(b"".join(b"line %d %s\n" % (n, b"." * (n % 97)) for n in range(first, first + 60)))
        stop.set()

    thread = threading.Thread(target=write)
    thread.start()
    reader = LogReader(log)
    looks = 0
    while not stop.is_set() or looks == 0:
        reader.refresh()
        looks += 1
        for first in (reader.line_count - 5, reader.line_count // 2):
            for line in reader.read(first, 3):
                if line.number < reader.line_count - 1:
                    assert line.raw == b"line %d %s" % (line.number, b"." * (line.number % 97))
    thread.join()
    reader.refresh()
    assert reader.line_count == total


def test_two_processes_append_without_losing_a_line(log: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from core.store.log_writer import LogWriter\n"
        "writer = LogWriter(Path(sys.argv[1]))\n"
        "for n in range(3000): writer.write(b'%s %d\\n' % (sys.argv[2].encode(), n))\n"
    )
    others = [subprocess.Popen([sys.executable, "-c", code, str(log), name]) for name in ("one", "two")]
    assert [other.wait() for other in others] == [0, 0]
    data = log.read_bytes()
    assert data.count(b"one ") == data.count(b"two ") == 3000
    assert_reads_as(LogReader(log), data)


def test_memory_stays_flat_over_a_line_of_many_megabytes(log: Path) -> None:
    code = (
        "import resource, sys; from pathlib import Path; from core.store.logs import LogReader\n"
        "reader = LogReader(Path(sys.argv[1]))\n"
        "while reader.behind: reader.refresh()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "assert [len(line.raw) for line in reader.read(0, 3)] == [5, 65536, 4]\n"
        "assert [s.line for s in reader.search('last') if s.line is not None] == [2]\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    with log.open("wb") as file:
        file.write(b"first\n")
        for _ in range(100):
            file.write(b"x" * 1_000_000)
        file.write(b"\nlast\n")
    done = subprocess.run([sys.executable, "-c", code, str(log)], capture_output=True, text=True, check=True)
    assert int(done.stdout) < 40_000, "kilobytes grown"
