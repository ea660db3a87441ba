"""What is typed, pointed and pasted, as the bytes that the program in a Ghostty terminal asked for."""

import re
from typing import Any

from tui.terminal.emulator import Button, Modifiers, Motion, Press
from tui.terminal.ghostty_library import ffi, filled, lib, sized

CELL_WIDTH, CELL_HEIGHT = 8, 16
"""Pixels that a cell is said to have: programs that ask for pixels get cells by them."""
_BRACKETED_PASTE = 2004
_FOCUS_EVENTS = 1004

_NAMES = {
    "enter": "ENTER",
    "tab": "TAB",
    "backspace": "BACKSPACE",
    "escape": "ESCAPE",
    "space": "SPACE",
    "up": "ARROW_UP",
    "down": "ARROW_DOWN",
    "left": "ARROW_LEFT",
    "right": "ARROW_RIGHT",
    "home": "HOME",
    "end": "END",
    "pageup": "PAGE_UP",
    "pagedown": "PAGE_DOWN",
    "insert": "INSERT",
    "delete": "DELETE",
} | {f"f{number}": f"F{number}" for number in range(1, 25)}

_PUNCTUATION = {
    "`": "BACKQUOTE",
    "\\": "BACKSLASH",
    "[": "BRACKET_LEFT",
    "]": "BRACKET_RIGHT",
    ",": "COMMA",
    "=": "EQUAL",
    "-": "MINUS",
    ".": "PERIOD",
    "'": "QUOTE",
    ";": "SEMICOLON",
    "/": "SLASH",
    " ": "SPACE",
}
_SHIFTED = dict(zip('~|{}<+_>":?)!@#$%^&*(', "`\\[],=-.';/0123456789", strict=True))
"""The sign on the same key without Shift, on a US keyboard: only programs that ask for keys, not text, see it."""

_BUTTONS = {
    Button.LEFT: lib.GHOSTTY_MOUSE_BUTTON_LEFT,
    Button.MIDDLE: lib.GHOSTTY_MOUSE_BUTTON_MIDDLE,
    Button.RIGHT: lib.GHOSTTY_MOUSE_BUTTON_RIGHT,
    Button.WHEEL_UP: lib.GHOSTTY_MOUSE_BUTTON_FOUR,
    Button.WHEEL_DOWN: lib.GHOSTTY_MOUSE_BUTTON_FIVE,
    Button.WHEEL_LEFT: lib.GHOSTTY_MOUSE_BUTTON_SIX,
    Button.WHEEL_RIGHT: lib.GHOSTTY_MOUSE_BUTTON_SEVEN,
}
_MOTIONS = {
    Motion.PRESS: lib.GHOSTTY_MOUSE_ACTION_PRESS,
    Motion.RELEASE: lib.GHOSTTY_MOUSE_ACTION_RELEASE,
    Motion.MOVE: lib.GHOSTTY_MOUSE_ACTION_MOTION,
}


def _bits(modifiers: Modifiers) -> int:
    """GHOSTTY_MODS_* of the library's key/event.h."""
    return modifiers.shift | modifiers.ctrl << 1 | modifiers.alt << 2 | modifiers.super << 3


_EXTENDED = re.compile(rb"\x1b\[(27;\d+;\d+~|\d+(;\d+)?u)\Z")
"""A key as modifyOtherKeys or the Kitty protocol write it."""
_WRITES = {"enter": "\r", "tab": "\t", "escape": "\x1b", "backspace": "\x7f", "space": " "}
_CONTROLS = {
    " ": "\0",
    "2": "\0",
    "3": "\x1b",
    "4": "\x1c",
    "5": "\x1d",
    "6": "\x1e",
    "7": "\x1f",
    "8": "\x7f",
    "-": "\x1f",
}
"""What Ctrl makes of signs without a control character of their own (xterm, as the VT220 had it)."""


def _plain(press: Press) -> bytes:
    """The key as terminals always wrote it."""
    text = _WRITES.get(press.name) or press.text
    if press.modifiers.ctrl and len(text) == 1:
        upper = text.upper()
        text = chr(ord(upper) & 0x1F) if "@" <= upper <= "_" else _CONTROLS.get(text, text)
    return (b"\x1b" if press.modifiers.alt else b"") + text.encode(errors="replace")


class GhosttyInput:
    """Encodes for one terminal."""

    def __init__(self, terminal: Any) -> None:
        """`terminal` is pyghostty's."""
        self._terminal = terminal
        self._keys = ffi.new("GhosttyKeyEncoder*")
        self._key = ffi.new("GhosttyKeyEvent*")
        self._mice = ffi.new("GhosttyMouseEncoder*")
        self._mouse = ffi.new("GhosttyMouseEvent*")
        lib.ghostty_key_encoder_new(ffi.NULL, self._keys)
        lib.ghostty_key_event_new(ffi.NULL, self._key)
        lib.ghostty_mouse_encoder_new(ffi.NULL, self._mice)
        lib.ghostty_mouse_event_new(ffi.NULL, self._mouse)
        self._held: set[Button] = set()

    def close(self) -> None:
        lib.ghostty_key_event_free(self._key[0])
        lib.ghostty_key_encoder_free(self._keys[0])
        lib.ghostty_mouse_event_free(self._mouse[0])
        lib.ghostty_mouse_encoder_free(self._mice[0])

    def key(self, press: Press) -> bytes:
        encoded = self._encode(press)
        if _EXTENDED.match(encoded) and not self._wants_extended():
            return _plain(press)
        return encoded

    def _wants_extended(self) -> bool:
        """Whether the program asked for keys that the terminals of old had no bytes for.

        The library writes Ctrl+I, Shift+Enter and their like in extended form to everybody; a shell that never asked
        for it would take that for text. Which extended form Ctrl+I gets tells whether xterm's modifyOtherKeys is on.
        """
        if self._terminal.get("kitty_keyboard_flags", "uint8_t"):
            return True
        return self._encode(Press("", "i", Modifiers(ctrl=True))).endswith(b"~")

    def _encode(self, press: Press) -> bytes:
        base = press.text.lower() if len(press.text.lower()) == 1 else press.text
        base = _SHIFTED.get(base, base)
        name = _NAMES.get(press.name, "")
        if not name and len(base) == 1:
            if base.isascii() and base.isalpha():
                name = base.upper()
            elif base.isascii() and base.isdigit():
                name = f"DIGIT_{base}"
            else:
                name = _PUNCTUATION.get(base, "")
        event, encoder = self._key[0], self._keys[0]
        lib.ghostty_key_encoder_setopt_from_terminal(encoder, self._terminal._t[0])
        lib.ghostty_key_event_set_action(event, lib.GHOSTTY_KEY_ACTION_PRESS)
        lib.ghostty_key_event_set_key(event, getattr(lib, f"GHOSTTY_KEY_{name or 'UNIDENTIFIED'}"))
        shifted = bool(press.text) and press.text != base
        modifiers = press.modifiers._replace(shift=press.modifiers.shift or shifted)
        lib.ghostty_key_event_set_mods(event, _bits(modifiers))
        lib.ghostty_key_event_set_consumed_mods(event, 1 if shifted else 0)
        lib.ghostty_key_event_set_unshifted_codepoint(event, ord(base) if len(base) == 1 else 0)
        raw = press.text.encode(errors="replace")
        kept = ffi.new("char[]", raw or b"\0")
        lib.ghostty_key_event_set_utf8(event, kept if raw else ffi.NULL, len(raw))
        return filled(lambda buffer, size, length: lib.ghostty_key_encoder_encode(encoder, event, buffer, size, length))

    def mouse(self, motion: Motion, button: Button, x: int, y: int, modifiers: Modifiers) -> bytes:
        event, encoder = self._mouse[0], self._mice[0]
        if motion is Motion.PRESS and button < Button.WHEEL_UP:
            self._held.add(button)
        elif motion is Motion.RELEASE:
            self._held.discard(button)
        columns, rows = self._terminal.size
        size = sized("GhosttyMouseEncoderSize")
        size.screen_width, size.screen_height = columns * CELL_WIDTH, rows * CELL_HEIGHT
        size.cell_width, size.cell_height = CELL_WIDTH, CELL_HEIGHT
        lib.ghostty_mouse_encoder_setopt_from_terminal(encoder, self._terminal._t[0])
        lib.ghostty_mouse_encoder_setopt(encoder, lib.GHOSTTY_MOUSE_ENCODER_OPT_SIZE, size)
        held = ffi.new("bool*", bool(self._held))
        lib.ghostty_mouse_encoder_setopt(encoder, lib.GHOSTTY_MOUSE_ENCODER_OPT_ANY_BUTTON_PRESSED, held)
        lib.ghostty_mouse_event_set_action(event, _MOTIONS[motion])
        if button is Button.NONE:
            lib.ghostty_mouse_event_clear_button(event)
        else:
            lib.ghostty_mouse_event_set_button(event, _BUTTONS[button])
        lib.ghostty_mouse_event_set_mods(event, _bits(modifiers))
        at = ffi.new("GhosttyMousePosition*")
        at.x, at.y = (x + 0.5) * CELL_WIDTH, (y + 0.5) * CELL_HEIGHT
        lib.ghostty_mouse_event_set_position(event, at[0])
        return filled(
            lambda buffer, room, length: lib.ghostty_mouse_encoder_encode(encoder, event, buffer, room, length)
        )

    def paste(self, text: str) -> bytes:
        raw = text.replace("\r\n", "\n").replace("\r", "\n").encode(errors="replace")
        if not raw:
            return b""
        bracketed = self._terminal.mode(_BRACKETED_PASTE)
        data = ffi.new("char[]", raw)
        return filled(
            lambda buffer, size, length: lib.ghostty_paste_encode(data, len(raw), bracketed, buffer, size, length),
            len(raw) + 16,
        )

    def focus(self, gained: bool) -> bytes:
        if not self._terminal.mode(_FOCUS_EVENTS):
            return b""
        return b"\x1b[I" if gained else b"\x1b[O"
