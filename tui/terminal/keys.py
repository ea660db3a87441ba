"""Keys as Textual tells them, as the presses that a terminal encodes."""

from textual import events
from textual.keys import REPLACED_KEYS, key_to_character

from tui.terminal.emulator import Modifiers, Press

_WORDS = "enter tab backspace escape space up down left right home end pageup pagedown insert delete"
NAMED = frozenset(_WORDS.split()) | {f"f{number}" for number in range(1, 25)}
"""The keys that have a name and write nothing that is seen."""

_MODIFIERS = frozenset({"shift", "alt", "ctrl", "super", "hyper", "meta"})


def press_of(event: events.Key) -> Press | None:
    """The press that a key event tells of; None for a key that means nothing to a terminal, such as Shift alone."""
    *prefixes, last = event.key.split("+")
    if not set(prefixes) <= _MODIFIERS:
        return None
    modifiers = Modifiers("shift" in prefixes, "alt" in prefixes, "ctrl" in prefixes, "super" in prefixes)
    character = event.character or ""
    if last in NAMED:
        if last == "backspace" and character == "\x08":  # Ctrl+H and Ctrl+Backspace come under the same name
            modifiers = modifiers._replace(ctrl=True)
        return Press(last, " " if last == "space" else "", modifiers)
    if modifiers.ctrl or modifiers.alt or modifiers.super or not character.isprintable():
        return _letter(last, modifiers)
    return Press("", character, modifiers._replace(shift=False)) if character else _letter(last, modifiers)


def _letter(name: str, modifiers: Modifiers) -> Press | None:
    """A key that Textual gives by the name of its sign: `ctrl+right_square_bracket`."""
    sign = key_to_character(REPLACED_KEYS.get(name, name))
    if sign is None or not sign.isprintable():
        return None
    if modifiers.shift and len(sign) == 1 and sign.islower():
        sign = sign.upper()
    if modifiers.ctrl and sign in "@`":  # NUL: what Ctrl+Space writes comes as Ctrl+@
        return Press("space", " ", modifiers)
    return Press("", sign, modifiers)
