"""Whatever others wrote, what is shown is plain, has a width, and does nothing to the terminal."""

import sys
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from core import text

ANYTHING = st.text(st.characters(exclude_categories=()), max_size=60)
"""Lone surrogates, controls and unassigned characters too."""


def harmless(shown: str) -> bool:
    return all(
        unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") and not "\ufe00" <= character <= "\ufe0f"
        for character in shown
    )


def test_every_character_that_controls_hides_or_reorders_becomes_visible() -> None:
    for code in range(sys.maxunicode + 1):
        character = chr(code)
        assert harmless(text.visible(character)), hex(code)
        if unicodedata.category(character)[0] in "LNPS" and code not in (0x115F, 0x1160, 0x2800, 0x3164, 0xFFA0):
            assert text.visible(character) == character, hex(code)


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        ("web-01", "web-01"),
        ("grün 漢字 😀 é", "grün 漢字 😀 é"),
        ("\x1b[2J", "␛[2J"),
        ("a\nb\r\0\x7f", "a␊b␍␀␡"),
        ("\x9b31m", "‹U+009B›31m"),
        ("gnp.\u202etxt", "gnp.‹U+202E›txt"),
        ("\u2066x\u2069", "‹U+2066›x‹U+2069›"),
        ("ad\u200bmin", "ad‹U+200B›min"),
        ("\udcff", "‹0xFF›"),
        ("\ud800", "‹U+D800›"),
        ("⚠\ufe0f", "⚠"),
        ("[/red][@click=app.quit]", "[/red][@click=app.quit]"),
    ],
)
def test_how_it_is_shown(raw: str, shown: str) -> None:
    assert text.visible(raw) == shown


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"==> qemu.web: done\r\n", "==> qemu.web: done"),
        (b"\x1b[1;32m==> web:\x1b[0m ok\n", "==> web: ok"),
        (b"\x1b[38:2::1:2:3mx\x1b[m", "x"),
        (b"10%\r50%\r100%\n", "100%"),
        (b"working\r\x1b[0m\r", "working"),
        (b"10%\r\x1b[2Kdone\n", "done"),
        (b"10%\x1b[1K\x1b[0Kdone\x1b[K\n", "done"),
        (b"progress 10%\r\x1b[K\n", ""),
        (b"progress 10%\x1b[2K\r\n", ""),
        (b"10%\r\x1b[0;1m\x1b[0Kdone\x1b[K\r\x1b[0m\n", "done"),
        (b"\x1b[3Kx\x1b[2J", "␛[3Kx␛[2J"),
        (b"a\tb", "a       b"),
        (b"\x1b]0;owned\x07", "␛]0;owned␇"),
        (b"\x1b]52;c;cm0gLXJm\x1b\\", "␛]52;c;cm0gLXJm␛\\"),
        (b"\x1b[0", "␛[0"),
        (b"caf\xe9 \xff", "caf‹0xE9› ‹0xFF›"),
        (b"\xed\xa0\x80", "‹0xED›‹0xA0›‹0x80›"),
        (b"\r\r\n", ""),
        (b"", ""),
    ],
)
def test_how_a_line_of_a_log_is_shown(raw: bytes, shown: str) -> None:
    assert text.from_bytes(raw) == shown


@given(ANYTHING)
def test_any_text_becomes_harmless_and_stays_so(raw: str) -> None:
    shown = text.visible(raw)
    assert harmless(shown)
    shown.encode()
    assert text.visible(shown) == shown


@given(st.one_of(st.binary(max_size=80), ANYTHING.map(lambda raw: raw.encode(errors="surrogatepass"))))
def test_any_bytes_become_harmless(raw: bytes) -> None:
    shown = text.from_bytes(raw)
    assert harmless(shown)
    shown.encode()


@given(st.text(max_size=40).map(text.visible), st.integers(-1, 30))
def test_what_is_cut_fits(whole: str, width: int) -> None:
    for cut in (text.cut_end(whole, width), text.cut_middle(whole, width)):
        assert cell_len(cut) <= max(width, 0)
        assert (cut == whole) == (cell_len(whole) <= max(width, 0)) or text.ELLIPSIS in whole


def test_what_is_left_after_a_cut() -> None:
    assert text.cut_end("abcdefgh", 5) == "abcd…"
    assert text.cut_middle("abcdefgh", 5) == "ab…gh"
    assert text.cut_middle("abcdefgh", 6) == "abc…gh"
    assert text.cut_end("漢字漢字", 4) == "漢…"
    assert text.cut_middle("漢字漢字", 6) == "漢…字"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-5, "0s"), (42.9, "42s"), (60, "1m"), (3599, "59m"), (3600, "1h"), (172800, "2d"), (6e6, "9w"), (1e8, "3y")],
)
def test_ages(seconds: float, shown: str) -> None:
    assert text.age(seconds) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(-1, "0:00"), (7.9, "0:07"), (192, "3:12"), (3723, "1:02:03")])
def test_durations(seconds: float, shown: str) -> None:
    assert text.duration(seconds) == shown


@pytest.mark.parametrize(
    ("number", "shown"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (1.44e9, "1.4 GB"), (9_960_000, "10 MB"), (999_600, "1.0 MB")],
)
def test_sizes(number: float, shown: str) -> None:
    assert text.size(number) == shown


def test_a_moment_is_told_in_local_time() -> None:
    now = time.time()
    assert time.strptime(text.moment(now), "%Y-%m-%d %H:%M:%S")[:6] == time.localtime(now)[:6]
