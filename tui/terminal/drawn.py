"""The drawing half of the terminal: an emulator's screen as lines of a widget, its cursor, selection and frame.

Rows are read from the emulator when they changed, at most thirty times a second while much comes, and made into text
when they are drawn. What a program draws beyond the widget's edge (some ask for 132 columns) is cut.
"""

import time
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual.content import Content
from textual.geometry import Region
from textual.strip import Strip
from textual.timer import Timer
from textual.widget import Widget

from core.errors import IngotError
from core.text import visible
from tui.actions import app_of, key_name, key_of
from tui.terminal.cells import Painter, over, text_of, width_at
from tui.terminal.colours import palette_of
from tui.terminal.emulator import Cursor, CursorShape, Emulator, Palette, Row
from tui.terminal.frame import Styled, above
from tui.terminal.reading import Reading
from tui.theme import ASCII, UNICODE
from tui.timers import once

PAINT = 1 / 30
"""Seconds between two paintings at least, of a program that writes much."""
ECHO = 1 / 120
"""The same of one that writes little, as when somebody types: what Textual itself draws at most."""
LITTLE = 1024
"""Bytes since the last painting."""
_UPDATE = 0.15
"""Seconds for which a program may say that it is in the middle of drawing."""
_BLINK = 0.5
_UNSIZED = (80, 24)
_BAR = "▏"


class Drawn(Widget):
    """Draws an emulator."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "terminal--cursor",
        "terminal--cursor-away",
        "terminal--selected",
        "terminal--match",
        "terminal--match-here",
        "terminal--title",
        "terminal--hint",
        "terminal--key",
        "terminal--edge",
    }

    def __init__(
        self,
        title: str,
        leave_key: str,
        read_key: str,
        *,
        blink: bool,
        ascii_only: bool,
        id: str | None,  # noqa: A002
    ) -> None:
        super().__init__(id=id)
        self.leave_key = key_of(leave_key)
        self.read_key = key_of(read_key)
        self._title = title
        self._blinks = blink
        self._signs = ASCII if ascii_only else UNICODE
        self._emulator: Emulator | None = None
        self._reading: Reading | None = None
        self._painter: Painter | None = None
        self._rows: list[Row] = []
        self._cursor: Cursor | None = None
        self._cursor_on = True
        self._whole = True
        """The next painting is of every row."""
        self._painted_at = 0.0
        self._fed = 0
        """Bytes that came since the last painting."""
        self._typed = False
        """Something was typed since, and what comes may be its echo."""
        self._held_since = 0.0
        self._painting: Timer | None = None
        self._blinking: Timer | None = None

    # the emulator

    @property
    def columns_and_rows(self) -> tuple[int, int]:
        """The size of the screen, in cells; that of a common terminal before the widget has one."""
        size = self.size
        return (size.width, size.height) if size.width > 0 and size.height > 0 else _UNSIZED

    def _palette(self) -> Palette:
        return palette_of(app_of(self).theme_variables)

    def new_emulator(self) -> Emulator:
        """The emulator that this terminal is drawn from. Raises IngotError where there is none for this machine."""
        try:
            # Here: it is a megabytes of library that only those wait for who open a terminal.
            from tui.terminal.ghostty import Ghostty
        except (ImportError, OSError) as error:
            raise IngotError(
                f"No terminal can be drawn on this machine: {error}",
                "ingot debug RUN --ssh-command prints what to run in another terminal.",
            ) from error
        return Ghostty(*self.columns_and_rows, self._palette())

    def screen_lines(self) -> list[str]:
        """What the terminal shows, line by line, harmless."""
        return [text_of(row) for row in self._rows]

    # painting

    def changed(self, *, whole: bool = False) -> None:
        """Something is to be drawn: at once, or when the last painting is long enough ago."""
        self._whole = self._whole or whole
        if self._painting is None and self.is_attached:
            wait = self._painted_at + (ECHO if self._fed <= LITTLE else PAINT) - time.monotonic()
            if wait <= 0:
                self._paint()
            else:
                self._painting = once(self, wait, self._paint_late)

    def _paint_late(self) -> None:
        self._painting = None
        self._paint()

    def _paint(self) -> None:
        emulator = self._emulator
        if emulator is None:
            return
        now = time.monotonic()
        if emulator.updating and not self._whole:
            self._held_since = self._held_since or now
            if now - self._held_since < _UPDATE:
                self._painting = once(self, PAINT, self._paint_late)
                return
        self._held_since = 0.0
        self._painted_at = now
        echo = self._typed and self._fed <= LITTLE
        self._typed = False
        self._fed = 0
        whole = self._whole
        self._whole = False
        frame = emulator.frame(whole=whole)
        before = self._cursor
        self._cursor = frame.cursor
        if whole or len(self._rows) != frame.rows:
            self._rows = (self._rows + [Row(())] * frame.rows)[: frame.rows]
        for y, row in frame.changed:
            if y < len(self._rows):
                self._rows[y] = row
        if whole or len(frame.changed) == frame.rows:
            self.refresh()
        else:
            lines = {y for y, _ in frame.changed}
            lines.update(cursor.y for cursor in (before, frame.cursor) if cursor is not None and before != frame.cursor)
            if lines:
                width = self.size.width
                self.refresh(*(Region(0, y, width, 1) for y in sorted(lines)))
        self._keep_blinking()
        if self._reading is not None and self._reading.active:
            self.show_frame()
        if echo:
            self._draw_now()

    def _draw_now(self) -> None:
        """Have the screen drawn at once, once for a key: an echo is what a person waits for.

        Textual draws when its timer for it ticks (textual/screen.py, Screen._on_timer_update, 8.2.8). After a screen
        that was drawn the next tick is one to two of its periods away, up to 33 ms; only when nothing was drawn for
        longer than that it draws at once. This does what the tick would.
        """
        screen = self.screen
        screen._dirty_widgets.add(self)  # pyright: ignore[reportPrivateUsage] - there is no other way to ask for it
        screen._on_timer_update()  # pyright: ignore[reportPrivateUsage]

    def _keep_blinking(self) -> None:
        blinking = self._blinks and self.has_focus and self._cursor is not None and self._cursor.blinking
        self._cursor_on = True
        if blinking and self._blinking is None:
            self._blinking = self.set_interval(_BLINK, self._blink)
        elif not blinking and self._blinking is not None:
            self._blinking.stop()
            self._blinking = None

    def _blink(self) -> None:
        self._cursor_on = not self._cursor_on
        if self._cursor is not None:
            self.refresh(Region(0, self._cursor.y, self.size.width, 1))

    def notify_style_update(self) -> None:
        super().notify_style_update()
        if self.is_attached and self._emulator is not None:
            palette = self._palette()
            if self._painter is None or palette != self._painter.palette:
                self._emulator.set_palette(palette)
                self._painter = Painter(palette)
                self.changed(whole=True)
        if self.is_attached:
            self.call_after_refresh(self.show_frame)

    # lines

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        painter = self._painter
        if painter is None:
            return Strip.blank(width, self.rich_style)
        if y >= len(self._rows):
            return Strip.blank(width, painter.base)
        row = self._rows[y]
        strip = painter.strip(row, width)
        if row.selected is not None:
            strip = over(strip, *row.selected, self._part("terminal--selected"))
        reading = self._reading
        if reading is None or not reading.active:
            return self._with_cursor(strip, row, y)
        for start, end, chosen in reading.matches_on(y):
            strip = over(strip, start, end, self._part("terminal--match-here" if chosen else "terminal--match"))
        if y == reading.y:
            strip = over(strip, reading.x, reading.x + width_at(row, reading.x), self._part("terminal--cursor"))
        return strip

    def _with_cursor(self, strip: Strip, row: Row, y: int) -> Strip:
        cursor = self._cursor
        if cursor is None or cursor.y != y or not self._cursor_on:
            return strip
        end = cursor.x + width_at(row, cursor.x)
        if not self.has_focus:
            return over(strip, cursor.x, end, self._part("terminal--cursor-away"))
        style = self._part("terminal--cursor")
        if cursor.shape is CursorShape.BLOCK:
            return over(strip, cursor.x, end, style)
        thin = Style(color=style.bgcolor)
        under = strip.crop(cursor.x, end)
        if cursor.shape is CursorShape.BAR and self._signs is UNICODE and not under.text.strip():
            bar = Strip([Segment(_BAR, next(iter(under), Segment("", self.rich_style)).style)], 1)
            strip = Strip.join([strip.crop(0, cursor.x), bar, strip.crop(cursor.x + 1, strip.cell_length)])
            return over(strip, cursor.x, cursor.x + 1, thin)
        return over(strip, cursor.x, end, thin + Style(underline=True, bold=True))

    def _part(self, name: str) -> Style:
        style = self.get_component_rich_style(name, partial=True)
        return Style(color=style.color, bgcolor=style.bgcolor, bold=style.bold or None)

    # the frame

    def set_title(self, title: str) -> None:
        """Say in the frame what terminal this is."""
        self._title = title
        self.show_frame()

    def hints(self) -> list[Styled]:
        """What the upper edge says about keys, the most important first."""
        dot = f" {self._signs.dot} "
        reading = self._reading
        if reading is not None and reading.active and self._emulator is not None:
            up = self._emulator.view.above
            where = "at the end" if not up else "1 line up" if up == 1 else f"{up:,} lines up"
            return [("reading back", "terminal--key"), (f"{dot}{where}", "terminal--hint")]
        return [
            (key_name(self.leave_key), "terminal--key"),
            (" leaves", "terminal--hint"),
            (dot, "terminal--hint"),
            (key_name(self.read_key), "terminal--key"),
            (" reads back, copies", "terminal--hint"),
        ]

    def below(self) -> list[Styled]:
        """What the lower edge says."""
        reading = self._reading
        if reading is None or not reading.active:
            return []
        if reading.typing or reading.needle:
            caret = self._signs.caret if reading.typing else ""
            said = f"  {reading.said}" if reading.said else ""
            found = [(f"/{visible(reading.needle)}{caret}", "terminal--match"), (said, "terminal--hint")]
            return (
                found if reading.typing else [*found, ("  ", "terminal--hint"), *_keys(("n", "above"), ("N", "below"))]
            )
        return _keys(("/", "search"), ("v", "more" if reading.selecting else "select"), ("y", "copy"), ("Esc", "back"))

    def show_frame(self) -> None:
        """Draw the frame's edges anew."""
        if not self.is_attached or not self.outer_size.width:
            return
        self.border_title = self._content(above(self._title, self.hints(), self.outer_size.width, self._signs.line))
        self.border_subtitle = self._content(self.below())

    def _content(self, parts: list[Styled]) -> Content:
        return Content.assemble(*((text, self.get_visual_style(name)) for text, name in parts if text))

    def on_focus(self) -> None:
        self._refocused()

    def on_blur(self) -> None:
        self._refocused()

    def _refocused(self) -> None:
        self._keep_blinking()
        self.refresh()
        self.call_after_refresh(self.show_frame)  # the colours of the focus come with the next drawing


def _keys(*keys: tuple[str, str]) -> list[Styled]:
    """Keys with what each does."""
    parts: list[Styled] = []
    for key, word in keys:
        parts += [(f"  {key}" if parts else key, "terminal--key"), (f" {word}", "terminal--hint")]
    return parts
