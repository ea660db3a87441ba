"""The user's own way out of a machine's terminal: what can be one, and an error that says why another cannot."""

from pathlib import Path

import pytest
from textual import events
from textual._xterm_parser import XTermParser

from core.errors import StoreError
from core.places import Places
from core.services.terminal_settings import leave_key
from tui.actions import key_name, key_of


def chosen(tmp_path: Path, content: str) -> str:
    (tmp_path / "config.toml").write_text(content)
    return leave_key(Places(tmp_path), {"INGOT_HOME": str(tmp_path)})


def test_where_nothing_is_set_it_is_that_of_telnet(tmp_path: Path) -> None:
    assert leave_key(Places(tmp_path), {"INGOT_HOME": str(tmp_path)}) == "ctrl+]"
    assert chosen(tmp_path, "[worker]\nconcurrency = 1\n") == "ctrl+]"


@pytest.mark.parametrize(
    ("key", "sent", "name"),
    [
        ("ctrl+]", "\x1d", "Ctrl+]"),
        ("ctrl+\\", "\x1c", "Ctrl+\\"),
        ("ctrl+^", "\x1e", "Ctrl+^"),
        ("ctrl+_", "\x1f", "Ctrl+_"),
        ("Ctrl+G", "\x07", "Ctrl+G"),
        ("F12", "\x1b[24~", "F12"),
        ("f1", "\x1bOP", "F1"),
    ],
)
def test_what_is_set_is_the_key_that_a_terminal_sends(tmp_path: Path, key: str, sent: str, name: str) -> None:
    found = chosen(tmp_path, f"[terminal]\nleave_key = '{key}'\n")
    pressed = [event.key for event in XTermParser().feed(sent) if isinstance(event, events.Key)]
    assert pressed == [key_of(found)]
    assert key_name(key_of(found)) == name


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("'ctrl+i'", "the same for it as for Tab"),
        ("'ctrl+m'", "the same for it as for Enter"),
        ("'Ctrl+['", "the same for it as for Esc"),
        ("'d'", "no key that can be the way out"),
        ("'f13'", "no key that can be the way out"),
        ("'ctrl+shift+x'", "no key that can be the way out"),
        ("''", "no key that can be the way out"),
        ("27", "no key that can be the way out"),
    ],
)
def test_what_cannot_lead_out_is_refused_with_the_reason_and_the_place(tmp_path: Path, value: str, why: str) -> None:
    with pytest.raises(StoreError, match=why) as caught:
        chosen(tmp_path, f"[terminal]\nleave_key = {value}\n")
    assert str(tmp_path / "config.toml") in caught.value.what
    assert "f1 to f12" in caught.value.next_step
