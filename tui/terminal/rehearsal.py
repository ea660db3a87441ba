"""A terminal is loaded and used once before somebody sits at one, in a thread.

The library takes up to a second to load. What it is asked by way of cffi costs some ten milliseconds more, each thing
once: the first time that a type is named, the whole declaration of it is parsed.
"""

import contextlib

from tui.terminal.colours import palette_of
from tui.terminal.emulator import NO_MODIFIERS, Button, By, Emulator, Motion, Press

_SIZE = (80, 24)
_SHOWN = b"\x1b[1;31mweb\x1b[0m:~# \x1b[6n\r\n" * (_SIZE[1] + 1)
"""Colours, a question to the terminal, and more lines than it shows."""


def load() -> None:
    """Load what terminals are drawn with, and use one: for a thread.

    Where that goes wrong it goes wrong again, and is said, when a terminal is opened.
    """
    with contextlib.suppress(Exception):
        from tui.terminal.ghostty import Ghostty  # here: it is megabytes, for those who open a terminal

        emulator = Ghostty(*_SIZE, palette_of({}))
        try:
            rehearse(emulator)
        finally:
            emulator.close()


def rehearse(emulator: Emulator) -> None:
    """Do with it what a person and a program do."""
    emulator.feed(_SHOWN)
    emulator.replies()
    emulator.resize(_SIZE[0] + 1, _SIZE[1])
    emulator.frame(whole=True)
    emulator.feed(b"\x1b[?1000hweb \xcc\x81")
    emulator.frame()
    _ = emulator.updating, emulator.on_alternate_screen, emulator.wants_mouse, emulator.wheel_is_arrows, emulator.view
    emulator.key(Press("", "w"))
    emulator.key(Press("enter"))
    emulator.paste("web")
    emulator.focus(True)
    emulator.mouse(Motion.PRESS, Button.LEFT, 1, 1, NO_MODIFIERS)
    emulator.hold(True)
    emulator.scroll(-1)
    emulator.scroll_to(0)
    emulator.feed(_SHOWN)
    emulator.find("web")
    for by in By:
        emulator.select(0, 0, by)
        emulator.select_to(2, 1)
        emulator.frame(whole=True)
        emulator.selected()
    emulator.unselect()
    emulator.hold(False)
