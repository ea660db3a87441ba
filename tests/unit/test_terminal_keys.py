"""Keys, the mouse and pastes, as the bytes that programs expect (xterm's ctlseqs, and the Kitty keyboard protocol)."""

from collections.abc import Iterator

import pytest
from textual import events

from tui.actions import key_of
from tui.terminal.emulator import NO_MODIFIERS, Button, Modifiers, Motion, Palette
from tui.terminal.ghostty import Ghostty
from tui.terminal.keys import press_of

PALETTE = Palette((211, 215, 222), (15, 18, 22), (122, 169, 247), ())


@pytest.fixture
def terminal() -> Iterator[Ghostty]:
    emulator = Ghostty(80, 24, PALETTE)
    yield emulator
    emulator.close()


def typed(terminal: Ghostty, key: str, character: str | None = None) -> bytes:
    press = press_of(events.Key(key, character))
    return terminal.key(press) if press is not None else b""


PLAIN = [
    ("a", "a", b"a"),
    ("A", "A", b"A"),
    ("é", "é", "é".encode()),
    ("question_mark", "?", b"?"),
    ("colon", ":", b":"),
    ("space", " ", b" "),
    ("enter", "\r", b"\r"),
    ("tab", "\t", b"\t"),
    ("shift+tab", None, b"\x1b[Z"),
    ("backspace", "\x7f", b"\x7f"),
    ("backspace", "\x08", b"\x08"),
    ("escape", "\x1b", b"\x1b"),
    ("delete", None, b"\x1b[3~"),
    ("up", None, b"\x1b[A"),
    ("home", None, b"\x1b[H"),
    ("pagedown", None, b"\x1b[6~"),
    ("ctrl+left", None, b"\x1b[1;5D"),
    ("f1", None, b"\x1bOP"),
    ("f10", None, b"\x1b[21~"),
    ("ctrl+a", "\x01", b"\x01"),
    ("ctrl+c", "\x03", b"\x03"),
    ("ctrl+q", "\x11", b"\x11"),
    ("ctrl+z", "\x1a", b"\x1a"),
    ("ctrl+j", "\n", b"\n"),
    ("ctrl+at", "\x00", b"\x00"),
    ("ctrl+space", None, b"\x00"),
    ("ctrl+backslash", "\x1c", b"\x1c"),
    ("ctrl+right_square_bracket", "\x1d", b"\x1d"),
    ("ctrl+circumflex_accent", "\x1e", b"\x1e"),
    ("ctrl+underscore", "\x1f", b"\x1f"),
    ("ctrl+i", None, b"\t"),
    ("ctrl+m", None, b"\r"),
    ("ctrl+left_square_bracket", None, b"\x1b"),
    ("ctrl+minus", None, b"\x1f"),
    ("shift+enter", None, b"\r"),
    ("alt+x", "x", b"\x1bx"),
    ("alt+shift+x", "X", b"\x1bX"),
    ("alt+enter", None, b"\x1b\r"),
    ("alt+full_stop", ".", b"\x1b."),
    ("left_shift", None, b""),
    ("media_play", None, b""),
]


@pytest.mark.parametrize(("key", "character", "expected"), PLAIN, ids=[f"{key}-{char!r}" for key, char, _ in PLAIN])
def test_a_key_is_what_terminals_always_sent_for_it(
    terminal: Ghostty, key: str, character: str | None, expected: bytes
) -> None:
    assert typed(terminal, key, character) == expected


def test_every_letter_with_ctrl_is_its_control_character(terminal: Ghostty) -> None:
    for letter in "abcdefghijklmnopqrstuvwxyz":
        assert typed(terminal, f"ctrl+{letter}") == bytes([ord(letter) - 96])


def test_cursor_keys_follow_the_mode_of_the_program(terminal: Ghostty) -> None:
    terminal.feed(b"\x1b[?1h")
    assert typed(terminal, "up") == b"\x1bOA"
    terminal.feed(b"\x1b[?1l")
    assert typed(terminal, "up") == b"\x1b[A"


def test_a_program_that_asks_for_more_of_a_key_gets_it(terminal: Ghostty) -> None:
    terminal.feed(b"\x1b[>1u")
    assert typed(terminal, "ctrl+i") == b"\x1b[105;5u"
    assert typed(terminal, "shift+enter") == b"\x1b[13;2u"
    terminal.feed(b"\x1b[<u\x1b[>4;2m")
    assert typed(terminal, "ctrl+i") == b"\x1b[27;5;105~"


def test_a_paste_cannot_end_its_bracket(terminal: Ghostty) -> None:
    assert terminal.paste("one\ntwo\r\nthree") == b"one\rtwo\rthree"
    terminal.feed(b"\x1b[?2004h")
    pasted = terminal.paste("a\x1b[201~; rm -rf /\n")
    assert pasted.startswith(b"\x1b[200~")
    assert pasted.endswith(b"\x1b[201~")
    assert pasted.count(b"\x1b") == 2
    assert terminal.paste("") == b""


def test_the_mouse_is_told_to_programs_that_ask_for_it(terminal: Ghostty) -> None:
    assert terminal.mouse(Motion.PRESS, Button.LEFT, 3, 4, NO_MODIFIERS) == b""
    terminal.feed(b"\x1b[?1002h\x1b[?1006h")
    assert terminal.wants_mouse
    assert terminal.mouse(Motion.PRESS, Button.LEFT, 3, 4, NO_MODIFIERS) == b"\x1b[<0;4;5M"
    assert terminal.mouse(Motion.MOVE, Button.LEFT, 5, 4, NO_MODIFIERS) == b"\x1b[<32;6;5M"
    assert terminal.mouse(Motion.RELEASE, Button.LEFT, 5, 4, NO_MODIFIERS) == b"\x1b[<0;6;5m"
    assert terminal.mouse(Motion.MOVE, Button.NONE, 6, 4, NO_MODIFIERS) == b""
    assert terminal.mouse(Motion.PRESS, Button.WHEEL_UP, 0, 0, Modifiers(ctrl=True)) == b"\x1b[<80;1;1M"


def test_focus_is_told_only_when_asked_for(terminal: Ghostty) -> None:
    assert terminal.focus(True) == b""
    terminal.feed(b"\x1b[?1004h")
    assert terminal.focus(True) == b"\x1b[I"
    assert terminal.focus(False) == b"\x1b[O"


@pytest.mark.parametrize(
    ("written", "named"),
    [("ctrl+]", "ctrl+right_square_bracket"), ("ctrl+\\", "ctrl+backslash"), ("f12", "f12"), ("ctrl+g", "ctrl+g")],
)
def test_a_key_may_be_written_with_its_sign(written: str, named: str) -> None:
    assert key_of(written) == named
