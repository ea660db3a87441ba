"""Rows of Ghostty's screen as runs of cells.

Cells are read a row at a time as 64-bit numbers, whose bits the library itself describes (`ghostty_type_json`): a call
for each cell would take ten times as long, and what is painted while a program floods the screen would be felt.
"""

import json
from typing import Any

from tui.terminal.emulator import PLAIN, Look, Rgb, Row, Run
from tui.terminal.ghostty_library import ffi, lib, sized


def _bits() -> dict[str, tuple[int, int]]:
    """Where each part of a cell is: how far to shift, and the mask after that."""
    described = json.loads(ffi.string(lib.ghostty_type_json()))["types"]["GhosttyCell"]["bits"]
    return {name: (part["lsb"], (1 << part["width"]) - 1) for name, part in described.items()}


_BITS = _bits()
_TAG, _TAG_MASK = _BITS["content_tag"]
_CONTENT, _CONTENT_MASK = _BITS["content"]
_STYLE, _STYLE_MASK = _BITS["style_id"]
_WIDE, _WIDE_MASK = _BITS["wide"]
_CHARACTER_MASK = 0x1FFFFF
_CHARACTER = lib.GHOSTTY_CELL_CONTENT_CODEPOINT
_CLUSTER = lib.GHOSTTY_CELL_CONTENT_CODEPOINT_GRAPHEME
_OF_PALETTE = lib.GHOSTTY_CELL_CONTENT_BG_COLOR_PALETTE
_WIDE_TAIL = lib.GHOSTTY_CELL_WIDE_SPACER_TAIL
_IS_WIDE = lib.GHOSTTY_CELL_WIDE_WIDE
_LONGEST_CLUSTER = 256
"""Bytes of a cell's text that are taken: a letter may carry any number of marks, and nobody can read them."""


class Rows:
    """Reads rows through a render state's row iterator."""

    def __init__(self) -> None:
        self._cells = ffi.new("GhosttyRenderStateRowCells*")
        lib.ghostty_render_state_row_cells_new(ffi.NULL, self._cells)
        self._view = ffi.new("GhosttyCellsView*")
        self._style = sized("GhosttyStyle")
        self._selection = sized("GhosttyRenderStateRowSelection")
        self._text = ffi.new("uint8_t[]", _LONGEST_CLUSTER)
        self._buffer = ffi.new("GhosttyBuffer*")

    def close(self) -> None:
        lib.ghostty_render_state_row_cells_free(self._cells[0])

    def read(self, iterator: Any, palette: list[Rgb]) -> Row:
        """The row that the iterator is at; `palette` has the 256 colours."""
        if lib.ghostty_render_state_row_get(iterator, lib.GHOSTTY_RENDER_STATE_ROW_DATA_CELLS_RAW, self._view):
            return Row(())
        lib.ghostty_render_state_row_get(iterator, lib.GHOSTTY_RENDER_STATE_ROW_DATA_CELLS, self._cells)
        view = self._view
        numbers = memoryview(ffi.buffer(view.ptr, view.len * 8)).cast("Q")
        runs: list[Run] = []
        looks: dict[int, Look] = {0: PLAIN}
        letters: list[str] = []
        run_look = PLAIN
        for x, number in enumerate(numbers):
            tag = (number >> _TAG) & _TAG_MASK
            wide = (number >> _WIDE) & _WIDE_MASK
            if wide == _WIDE_TAIL:
                continue
            style = (number >> _STYLE) & _STYLE_MASK
            look = looks.get(style)
            if look is None:
                look = looks[style] = self._look(x, palette)
            content = (number >> _CONTENT) & _CONTENT_MASK
            if tag > _CLUSTER:  # nothing but a background
                colour = (
                    palette[content & 0xFF]
                    if tag == _OF_PALETTE
                    else (content & 0xFF, content >> 8 & 0xFF, content >> 16 & 0xFF)
                )
                look = look._replace(background=colour)
                content = 0x20
            else:
                content = content & _CHARACTER_MASK or 0x20
            if look is not run_look and look != run_look:
                if letters:
                    runs.append(Run("".join(letters), len(letters), run_look))
                    letters = []
                run_look = look
            if content < 0x7F and tag != _CLUSTER and wide != _IS_WIDE:
                letters.append(chr(content))
                continue
            if letters:
                runs.append(Run("".join(letters), len(letters), run_look))
                letters = []
            text = self._cluster(x) if tag == _CLUSTER else chr(content)
            runs.append(Run(text, 2 if wide == _IS_WIDE else 1, look))
        if letters:
            runs.append(Run("".join(letters), len(letters), run_look))
        return Row(tuple(runs), self._selected(iterator))

    def _selected(self, iterator: Any) -> tuple[int, int] | None:
        chosen = self._selection
        if lib.ghostty_render_state_row_get(iterator, lib.GHOSTTY_RENDER_STATE_ROW_DATA_SELECTION, chosen):
            return None
        return int(chosen.start_x), int(chosen.end_x) + 1

    def _cluster(self, x: int) -> str:
        """The characters of a cell that has several."""
        lib.ghostty_render_state_row_cells_select(self._cells[0], x)
        self._buffer.ptr, self._buffer.cap, self._buffer.len = self._text, _LONGEST_CLUSTER, 0
        key = lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_GRAPHEMES_UTF8
        if lib.ghostty_render_state_row_cells_get(self._cells[0], key, self._buffer) or not self._buffer.len:
            raw = ffi.new("GhosttyCell*")
            lib.ghostty_render_state_row_cells_get(self._cells[0], lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_RAW, raw)
            return chr((raw[0] >> _CONTENT) & _CHARACTER_MASK)
        return bytes(ffi.buffer(self._text, self._buffer.len)).decode(errors="replace")

    def _look(self, x: int, palette: list[Rgb]) -> Look:
        lib.ghostty_render_state_row_cells_select(self._cells[0], x)
        style = self._style
        if lib.ghostty_render_state_row_cells_get(self._cells[0], lib.GHOSTTY_RENDER_STATE_ROW_CELLS_DATA_STYLE, style):
            return PLAIN
        return Look(
            self._colour(style.fg_color, palette),
            self._colour(style.bg_color, palette),
            style.bold,
            style.faint,
            style.italic,
            style.underline,
            style.blink,
            style.inverse,
            style.invisible,
            style.strikethrough,
            style.overline,
        )

    @staticmethod
    def _colour(colour: Any, palette: list[Rgb]) -> Rgb | None:
        if colour.tag == lib.GHOSTTY_STYLE_COLOR_PALETTE:
            return palette[int(colour.value.palette)]
        if colour.tag == lib.GHOSTTY_STYLE_COLOR_RGB:
            rgb = colour.value.rgb
            return int(rgb.r), int(rgb.g), int(rgb.b)
        return None
