"""Transcripts hold what a machine printed, without secrets, and never more than they may."""

import gzip
import json
from pathlib import Path

import pytest

from core.errors import StoreError
from core.secrets import MARK, Redactor
from core.store.transcripts import TranscriptWriter, compressed, redacted

SECRET = "correct-horse-battery"


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def writer(path: Path, *secrets: str, clock: Clock | None = None, largest: int = 100_000) -> TranscriptWriter:
    return TranscriptWriter(path, 80, 24, Redactor(secrets), clock=clock or Clock(), largest=largest)


def events(raw: bytes) -> list[list[object]]:
    return [json.loads(line) for line in raw.splitlines()[1:]]


def text(raw: bytes) -> str:
    return "".join(str(event[2]) for event in events(raw) if event[1] == "o")


def test_it_is_what_asciinema_reads(tmp_path: Path) -> None:
    path, clock = tmp_path / "a.cast", Clock()
    kept = writer(path, clock=clock)
    clock.now += 1.5
    kept.output(b"\x1b[31mred\x1b[0m\r\n")
    kept.resized(100, 30)
    kept.close()
    raw = path.read_bytes()
    header = json.loads(raw.splitlines()[0])
    assert (header["version"], header["width"], header["height"], header["timestamp"]) == (2, 80, 24, 1000)
    assert events(raw) == [[1.5, "o", "\x1b[31mred\x1b[0m\r\n"], [1.5, "r", "100x30"]]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_character_that_comes_in_pieces_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    kept = writer(path)
    for byte in "grün€".encode():
        kept.output(bytes([byte]))
    kept.output(b"\xff")
    kept.close()
    assert text(path.read_bytes()) == "grün€\N{REPLACEMENT CHARACTER}"


def test_a_secret_that_comes_in_pieces_is_not_in_it(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    kept = writer(path, SECRET)
    for character in f"is {SECRET}!":
        kept.output(character.encode())
    kept.close()
    assert text(path.read_bytes()) == f"is {MARK.decode()}!"


def test_the_last_words_are_kept_though_they_might_have_begun_a_secret(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    kept = writer(path, SECRET)
    kept.output(b"correct-")
    kept.close()
    kept.close()
    assert text(path.read_bytes()) == "correct-"


def test_it_ends_where_it_is_full_and_says_how_much_is_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    kept = writer(path, largest=2000)
    for _ in range(100):
        kept.output(b"x" * 100)
    kept.close()
    raw = path.read_bytes()
    assert len(raw) <= 2000
    whole = text(raw).count("x")
    assert f"{10_000 - whole:,} bytes of output are not kept" in text(raw)


def test_a_transcript_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    path.write_text("another's")
    with pytest.raises(StoreError):
        writer(path)
    assert path.read_text() == "another's"


def test_secrets_that_become_known_later_are_taken_out_across_events(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    kept = writer(path)
    for character in f"is {SECRET}!":
        kept.output(character.encode())
    kept.resized(10, 10)
    kept.close()
    with path.open("ab") as file:
        file.write(b'[1.0, "o", "torn')
    again = redacted(path.read_bytes(), [SECRET])
    assert text(again) == f"is {MARK.decode()}!"
    assert [event[1] for event in events(again)].count("r") == 1


def test_what_is_too_large_to_share_is_cut_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.cast"
    kept = writer(path, largest=1_000_000)
    for number in range(5000):
        kept.output(f"{number * 7919 % 104729} ".encode() * 3)
    kept.close()
    raw = path.read_bytes()
    assert gzip.decompress(compressed(raw)) == raw
    assert compressed(raw) == compressed(raw)
    small = compressed(raw, 8000)
    assert len(small) <= 8000
    shown = gzip.decompress(small)
    assert "bytes of this are not kept" in text(shown)
    assert shown.splitlines()[:100] == raw.splitlines()[:100]
    assert compressed(raw, 500) == b""
