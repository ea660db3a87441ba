"""The emulator in use: Ghostty's terminal core, through pyghostty (the fastest and truest of those compared).

What a program asks of it beyond drawing cells gets no answer: no clipboard, title, notification or image is handed on,
because nothing is registered for them; images are switched off.
"""

from typing import Any

from tui.terminal.emulator import (
    Button,
    By,
    Cursor,
    CursorShape,
    Frame,
    Match,
    Modifiers,
    Motion,
    Palette,
    Press,
    Rgb,
    Row,
    View,
)
from tui.terminal.ghostty_input import CELL_HEIGHT, CELL_WIDTH, GhosttyInput
from tui.terminal.ghostty_library import Terminal, check, ffi, filled, lib, scroll_viewport, sized, string_of
from tui.terminal.ghostty_rows import Rows

HISTORY_LINES = 10_000
"""About how many lines that scrolled away are kept; lines of many looks take more room, and fewer of them stay.

They are limited by bytes alone: the library's own limit of lines makes a flood eight times as slow (0.1.3: pages that
go by that limit are given back to the system and asked for again, those that go by bytes are used again).
"""
_HISTORY_MOST = 64 * 2**20
_CELL_BYTES, _LINE_BYTES = 8, 180
"""What a cell takes, and a line beside its cells, as measured at 118 columns."""
_NO_LIMIT = 10**9
LARGEST = 2000
"""Cells in either direction; nobody's screen is larger, and a mistake in a size must not take the memory."""
NEWEST = 5000
"""Matches of a search that are given."""
_MOST_REPLIES = 64 * 1024
"""Bytes of answers that are kept until somebody takes them: a flood of questions is not a reason to fill the memory."""
_APC_BYTES = 64 * 1024

_SYNCHRONIZED = 2026
_WHEEL_AS_ARROWS = 1007

_SHAPES = {
    lib.GHOSTTY_RENDER_STATE_CURSOR_VISUAL_STYLE_BAR: CursorShape.BAR,
    lib.GHOSTTY_RENDER_STATE_CURSOR_VISUAL_STYLE_UNDERLINE: CursorShape.UNDERLINE,
}


class Ghostty:
    """An `emulator.Emulator`."""

    def __init__(self, columns: int, rows: int, palette: Palette) -> None:
        self._terminal = Terminal(_within(columns), _within(rows), _NO_LIMIT)
        self._handle = self._terminal._t[0]
        self._limit_history(_within(columns))
        self._set("KITTY_IMAGE_STORAGE_LIMIT", ffi.new("uint64_t*", 0))
        self._set("GLYPH_PROTOCOL", ffi.new("bool*", False))
        self._set("APC_MAX_BYTES", ffi.new("size_t*", _APC_BYTES))
        self._replies = bytearray()
        self._terminal.on_reply(self._reply)
        self._size = ffi.callback("GhosttyTerminalSizeFn", self._tell_size)
        self._set("SIZE", self._size)
        self.set_palette(palette)
        self._input = GhosttyInput(self._terminal)
        self._rows = Rows()
        self._state = ffi.new("GhosttyRenderState*")
        self._iterator = ffi.new("GhosttyRenderStateRowIterator*")
        check(lib.ghostty_render_state_new(ffi.NULL, self._state), "render_state_new")
        check(lib.ghostty_render_state_row_iterator_new(ffi.NULL, self._iterator), "row_iterator_new")
        self._cursor = sized("GhosttyRenderStateCursor")
        self._colours = sized("GhosttyRenderStateColors")
        self._known_colours = b""
        self._palette: list[Rgb] = []
        self._top: Any = None
        """The view's first line, tracked, while the view is held."""
        self._anchor: Any = None
        self._anchor_by = By.CELLS

    def _set(self, option: str, value: Any) -> None:
        check(lib.ghostty_terminal_set(self._handle, getattr(lib, f"GHOSTTY_TERMINAL_OPT_{option}"), value), option)

    def _limit_history(self, columns: int) -> None:
        most = min(HISTORY_LINES * (columns * _CELL_BYTES + _LINE_BYTES), _HISTORY_MOST)
        self._set("SCROLLBACK_MAX_BYTES", ffi.new("size_t*", most))

    def _reply(self, reply: bytes) -> None:
        if len(self._replies) + len(reply) <= _MOST_REPLIES:
            self._replies += reply

    def _tell_size(self, _terminal: Any, _data: Any, out: Any) -> bool:
        columns, rows = self._terminal.size
        out.rows, out.columns, out.cell_width, out.cell_height = rows, columns, CELL_WIDTH, CELL_HEIGHT
        return True

    def close(self) -> None:
        self._untrack()
        self._let_go(self._anchor)
        self._anchor = None
        self._input.close()
        self._rows.close()
        lib.ghostty_render_state_row_iterator_free(self._iterator[0])
        lib.ghostty_render_state_free(self._state[0])
        self._terminal.on_reply(None)
        self._terminal.close()

    # what the program writes

    def feed(self, data: bytes) -> None:
        self._terminal.feed(data)
        if self._top is not None:
            self._return_to_top()

    def replies(self) -> bytes:
        replies = bytes(self._replies)
        self._replies.clear()
        return replies

    def resize(self, columns: int, rows: int) -> None:
        if columns > 0 and rows > 0:
            self._limit_history(_within(columns))
            self._terminal.resize(_within(columns), _within(rows), CELL_WIDTH, CELL_HEIGHT)

    def set_palette(self, palette: Palette) -> None:
        colours = ffi.new("GhosttyColorRgb[256]")
        lib.ghostty_color_palette_default(colours)
        for number, rgb in enumerate(palette.ansi[:16]):
            colours[number].r, colours[number].g, colours[number].b = rgb
        self._set("COLOR_PALETTE", colours)
        for option, rgb in (
            ("COLOR_FOREGROUND", palette.foreground),
            ("COLOR_BACKGROUND", palette.background),
            ("COLOR_CURSOR", palette.cursor),
        ):
            self._set(option, ffi.new("GhosttyColorRgb*", list(rgb)))

    # what is to be seen

    def frame(self, *, whole: bool = False) -> Frame:
        state = self._state[0]
        check(lib.ghostty_render_state_update(state, self._handle), "render_state_update")
        self._take_colours()
        lib.ghostty_render_state_get(state, lib.GHOSTTY_RENDER_STATE_DATA_ROW_ITERATOR, self._iterator)
        iterator = self._iterator[0]
        changed: list[tuple[int, Row]] = []
        if whole:
            while lib.ghostty_render_state_row_iterator_next(iterator):
                changed.append((len(changed), self._rows.read(iterator, self._palette)))
        else:
            at = ffi.new("uint16_t*")
            while lib.ghostty_render_state_row_iterator_next_dirty(iterator, at):
                changed.append((at[0], self._rows.read(iterator, self._palette)))
        lib.ghostty_render_state_clean(state)
        columns, rows = self._terminal.size
        return Frame(columns, rows, changed, self._read_cursor())

    def _take_colours(self) -> None:
        colours = self._colours
        lib.ghostty_render_state_get(self._state[0], lib.GHOSTTY_RENDER_STATE_DATA_COLORS, colours)
        raw = bytes(ffi.buffer(colours.palette))
        if raw != self._known_colours:
            self._known_colours = raw
            self._palette = [(raw[at], raw[at + 1], raw[at + 2]) for at in range(0, 768, 3)]

    def _read_cursor(self) -> Cursor | None:
        cursor = self._cursor
        lib.ghostty_render_state_get(self._state[0], lib.GHOSTTY_RENDER_STATE_DATA_CURSOR, cursor)
        if not (cursor.visible and cursor.viewport_has_value):
            return None
        x = cursor.viewport_x - (1 if cursor.wide_tail else 0)
        return Cursor(x, cursor.viewport_y, _SHAPES.get(cursor.visual_style, CursorShape.BLOCK), cursor.blinking)

    @property
    def updating(self) -> bool:
        return self._terminal.mode(_SYNCHRONIZED)

    @property
    def on_alternate_screen(self) -> bool:
        active = self._terminal.get("active_screen", "GhosttyTerminalScreen")
        return active == lib.GHOSTTY_TERMINAL_SCREEN_ALTERNATE

    @property
    def wants_mouse(self) -> bool:
        return self._terminal.get("mouse_tracking", "bool")

    @property
    def wheel_is_arrows(self) -> bool:
        return self.on_alternate_screen and self._terminal.mode(_WHEEL_AS_ARROWS)

    # what is typed

    def key(self, press: Press) -> bytes:
        return self._input.key(press)

    def mouse(self, motion: Motion, button: Button, x: int, y: int, modifiers: Modifiers) -> bytes:
        return self._input.mouse(motion, button, x, y, modifiers)

    def paste(self, text: str) -> bytes:
        return self._input.paste(text)

    def focus(self, gained: bool) -> bytes:
        return self._input.focus(gained)

    # the lines above the screen

    @property
    def view(self) -> View:
        bar = self._terminal_bar()
        return View(bar.total, bar.offset, bar.len)

    def _terminal_bar(self) -> Any:
        bar = ffi.new("GhosttyTerminalScrollbar*")
        lib.ghostty_terminal_get(self._handle, lib.GHOSTTY_TERMINAL_DATA_SCROLLBAR, bar)
        return bar

    def scroll(self, lines: int) -> None:
        scroll_viewport(self._handle, lib.GHOSTTY_SCROLL_VIEWPORT_DELTA, lines)
        self._track_again()

    def scroll_to(self, line: int) -> None:
        scroll_viewport(self._handle, lib.GHOSTTY_SCROLL_VIEWPORT_ROW, max(line, 0))
        self._track_again()

    def hold(self, held: bool) -> None:
        self._untrack()
        if held:
            self._top = self._track(0, 0)
        else:
            scroll_viewport(self._handle, lib.GHOSTTY_SCROLL_VIEWPORT_BOTTOM)

    def _track_again(self) -> None:
        if self._top is not None:
            self._untrack()
            self._top = self._track(0, 0)

    def _track(self, x: int, y: int) -> Any:
        """A cell of the view, found again wherever its line has moved; None if there is no such cell."""
        point = ffi.new("GhosttyPointS*")
        point.tag = lib.GHOSTTY_POINT_TAG_VIEWPORT
        point.value.x, point.value.y = x, y
        tracked = ffi.new("GhosttyTrackedGridRef*")
        call = ffi.cast(
            "GhosttyResult(*)(GhosttyTerminal, GhosttyPointS, GhosttyTrackedGridRef*)",
            ffi.addressof(lib, "ghostty_terminal_grid_ref_track"),
        )
        return tracked if call(self._handle, point[0], tracked) == lib.GHOSTTY_SUCCESS else None

    def _let_go(self, tracked: Any) -> None:
        if tracked is not None:
            lib.ghostty_tracked_grid_ref_free(tracked[0])

    def _untrack(self) -> None:
        self._let_go(self._top)
        self._top = None

    def _return_to_top(self) -> None:
        where = ffi.new("GhosttyPointCoordinate*")
        if lib.ghostty_tracked_grid_ref_point(self._top[0], lib.GHOSTTY_POINT_TAG_SCREEN, where):
            return  # on the other screen, or gone with the oldest lines
        if where.y != self._terminal_bar().offset:
            scroll_viewport(self._handle, lib.GHOSTTY_SCROLL_VIEWPORT_ROW, where.y)

    def find(self, text: str) -> list[Match]:
        if not text:
            return []
        search = ffi.new("GhosttySearch*")
        check(lib.ghostty_search_new(ffi.NULL, search, self._handle), "search_new")
        try:
            return self._matches(search[0], text.encode(errors="replace"))
        finally:
            lib.ghostty_search_free(search[0])

    def _matches(self, search: Any, needle: bytes) -> list[Match]:
        string, _kept = string_of(needle)
        lib.ghostty_search_set(search, lib.GHOSTTY_SEARCH_OPT_NEEDLE, string)
        lib.ghostty_search_run(search)
        count = ffi.new("size_t*")
        lib.ghostty_search_get(search, lib.GHOSTTY_SEARCH_DATA_TOTAL_MATCHES, count)
        if not count[0]:
            return []
        room = ffi.new("GhosttySelection[]", count[0])
        ffi.buffer(room)[:] = bytes(ffi.buffer(sized("GhosttySelection"))) * count[0]
        found = ffi.new("GhosttySelectionBuffer*")
        found.ptr, found.cap = room, count[0]
        if lib.ghostty_search_get(search, lib.GHOSTTY_SEARCH_DATA_MATCHES, found):
            return []
        newest = [self._match(room[at]) for at in range(min(found.len, NEWEST))]
        return sorted(match for match in newest if match is not None)

    def _match(self, selection: Any) -> Match | None:
        ends: list[tuple[int, int]] = []
        at = ffi.new("GhosttyPointCoordinate*")
        for end in ("start", "end"):
            reference = ffi.addressof(selection, end)
            if lib.ghostty_terminal_point_from_grid_ref(self._handle, reference, lib.GHOSTTY_POINT_TAG_SCREEN, at):
                return None
            ends.append((at.y, at.x))
        (line, start), (last_line, last) = ends
        return Match(line, start, last_line, last + 1)

    # selecting

    def select(self, x: int, y: int, by: By) -> None:
        self._let_go(self._anchor)
        self._anchor, self._anchor_by = self._track(x, y), by
        self.select_to(x, y)

    def select_to(self, x: int, y: int) -> None:
        if self._anchor is None:
            return
        here = self._track(x, y)
        if here is None:
            return
        selection = sized("GhosttySelection")
        ends = (ffi.addressof(selection, "start"), ffi.addressof(selection, "end"))
        good = not any(
            lib.ghostty_tracked_grid_ref_snapshot(tracked[0], end)
            for tracked, end in zip((self._anchor, here), ends, strict=True)
        )
        self._let_go(here)
        if good:
            self._set("SELECTION", self._grown(selection))

    def _grown(self, selection: Any) -> Any:
        """The selection from and to whole words or lines."""
        if self._anchor_by is By.CELLS:
            return selection
        order = ffi.new("GhosttySelectionOrder*")
        lib.ghostty_terminal_selection_order(self._handle, selection, order)
        backwards = order[0] in (
            lib.GHOSTTY_SELECTION_ORDER_REVERSE,
            lib.GHOSTTY_SELECTION_ORDER_MIRRORED_REVERSE,
        )
        first, last = (selection.end, selection.start) if backwards else (selection.start, selection.end)
        begun, ended = self._unit(first), self._unit(last)
        whole = sized("GhosttySelection")
        whole.start = begun.start if begun is not None else first
        whole.end = ended.end if ended is not None else last
        return whole

    def _unit(self, reference: Any) -> Any:
        """The word or line that a cell is in, None where there is nothing."""
        found = sized("GhosttySelection")
        if self._anchor_by is By.WORDS:
            options = sized("GhosttyTerminalSelectWordOptions")
            options.ref = reference
            result = lib.ghostty_terminal_select_word(self._handle, options, found)
        else:
            options = sized("GhosttyTerminalSelectLineOptions")
            options.ref = reference
            result = lib.ghostty_terminal_select_line(self._handle, options, found)
        return None if result else found

    def unselect(self) -> None:
        self._let_go(self._anchor)
        self._anchor = None
        self._set("SELECTION", ffi.NULL)

    def selected(self) -> str | None:
        selection = sized("GhosttySelection")
        if lib.ghostty_terminal_get(self._handle, lib.GHOSTTY_TERMINAL_DATA_SELECTION, selection):
            return None
        options = sized("GhosttyTerminalSelectionFormatOptions")
        options.emit = lib.GHOSTTY_FORMATTER_FORMAT_PLAIN
        options.unwrap, options.trim, options.selection = True, True, selection
        raw = filled(
            lambda buffer, size, length: lib.ghostty_terminal_selection_format_buf(
                self._handle, options[0], ffi.cast("uint8_t*", buffer), size, length
            ),
            4096,
        )
        return raw.decode(errors="replace")


def _within(cells: int) -> int:
    return max(1, min(cells, LARGEST))
