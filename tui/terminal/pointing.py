"""The mouse in a terminal: for the program where it asks for it (Shift keeps it here), else to select and to scroll."""

import time
from collections.abc import Callable
from typing import NamedTuple

from textual import events

from tui.terminal.emulator import Button, By, Emulator, Modifiers, Motion, Press
from tui.terminal.reading import Reading

WHEEL_LINES = 3
_CLICKS_WITHIN = 0.5
"""Seconds between the clicks of a double click."""
_BUTTONS = {1: Button.LEFT, 2: Button.MIDDLE, 3: Button.RIGHT}
_BY = (By.CELLS, By.WORDS, By.LINES)


class Place(NamedTuple):
    """A cell of the view; it may be outside while a button is held."""

    x: int
    y: int


def _modifiers(event: events.MouseEvent) -> Modifiers:
    return Modifiers(event.shift, event.meta, event.ctrl)


class Pointing:
    """What the mouse does in one terminal."""

    def __init__(
        self,
        emulator: Emulator,
        reading: Reading,
        size: Callable[[], tuple[int, int]],
        write: Callable[[bytes], None],
        copied: Callable[[str], None],
    ) -> None:
        """`write` sends to the program, `copied` is given what was selected."""
        self._emulator = emulator
        self._reading = reading
        self._size = size
        self._write = write
        self._copied = copied
        self._told: set[Button] = set()
        """Buttons whose press the program was told of; it is told of their release, too."""
        self._told_at: Place | None = None
        self._pressed: Place | None = None
        """Where a selection may begin: once the mouse moves."""
        self._selecting = False
        self._clicked = (Place(-1, -1), 0.0, 0)
        self.outside = 0
        """How many lines above (negative) or below the view the mouse pulls a selection to."""

    @property
    def busy(self) -> bool:
        """A button is held."""
        return bool(self._told) or self._pressed is not None

    def _for_program(self, event: events.MouseEvent) -> bool:
        return self._emulator.wants_mouse and not event.shift and not self._reading.active

    def _inside(self, place: Place) -> Place:
        columns, rows = self._size()
        return Place(max(0, min(place.x, columns - 1)), max(0, min(place.y, rows - 1)))

    def _tell(self, motion: Motion, button: Button, place: Place, event: events.MouseEvent) -> None:
        self._told_at = place
        self._write(self._emulator.mouse(motion, button, place.x, place.y, _modifiers(event)))

    def down(self, event: events.MouseDown, place: Place) -> None:
        button = _BUTTONS.get(event.button, Button.NONE)
        if self._for_program(event):
            self._told.add(button)
            self._tell(Motion.PRESS, button, self._inside(place), event)
        elif button is Button.LEFT:
            where, when, count = self._clicked
            now = time.monotonic()
            count = count % 3 + 1 if where == place and now - when < _CLICKS_WITHIN else 1
            self._clicked = (place, now, count)
            self._emulator.unselect()
            self._pressed = self._inside(place)
            self._selecting = count > 1
            if self._selecting:
                self._emulator.select(*self._pressed, _BY[count - 1])

    def move(self, event: events.MouseMove, place: Place) -> None:
        if self._pressed is not None:
            self._pull(place)
        elif self._told or self._for_program(event):
            place = self._inside(place)
            if place != self._told_at:
                button = next(iter(self._told), Button.NONE)
                self._tell(Motion.MOVE, button, place, event)

    def _pull(self, place: Place) -> None:
        if self._pressed is not None and not self._selecting and place != self._pressed:
            self._selecting = True
            self._emulator.select(*self._pressed, By.CELLS)
        if self._selecting:
            rows = self._size()[1]
            self.outside = min(place.y, 0) + max(place.y - rows + 1, 0)
            self._emulator.select_to(*self._inside(place))

    def pull_on(self, place: Place) -> None:
        """Scroll towards where the mouse is held, outside of the view, and select on."""
        if self._selecting and self.outside:
            if not self._reading.active:
                self._reading.begin(0, 0, by_scrolling=True)
            self._emulator.scroll(self.outside)
            self._emulator.select_to(*self._inside(place))

    def up(self, event: events.MouseUp, place: Place) -> None:
        button = _BUTTONS.get(event.button, Button.NONE)
        if button in self._told:
            self._told.discard(button)
            self._tell(Motion.RELEASE, button, self._inside(place), event)
        elif self._pressed is not None:
            self._pressed, self.outside = None, 0
            if self._selecting and (text := self._emulator.selected()):
                self._copied(text)
            self._selecting = False

    def wheel(self, event: events.MouseEvent, place: Place, *, up: bool) -> None:
        if self._for_program(event):
            button = Button.WHEEL_UP if up else Button.WHEEL_DOWN
            self._tell(Motion.PRESS, button, self._inside(place), event)
        elif self._emulator.wheel_is_arrows and not self._reading.active:
            self._write(self._emulator.key(Press("up" if up else "down")) * WHEEL_LINES)
        else:
            view = self._emulator.view
            if up and not self._reading.active and view.total > view.rows:
                self._reading.begin(0, view.rows - 1, by_scrolling=True)
            if self._reading.active:
                self._reading.scroll(-WHEEL_LINES if up else WHEEL_LINES)
