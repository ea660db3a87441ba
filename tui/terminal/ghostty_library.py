"""Ghostty's library as Ghostty's wrapper loads it, and the one call of it that the wrapper's cffi cannot make.

pyghostty 0.1.3 has no types and says so to nobody: what is taken from it is `Any`, here and nowhere else.
"""

from collections.abc import Callable
from importlib import import_module
from typing import Any

_native: Any = import_module("pyghostty._ffi")
_core: Any = import_module("pyghostty.core")

ffi: Any = _native.ffi
lib: Any = _native.lib
check: Any = _native.check
"""Raises GhosttyError for a result that is not success."""
sized: Any = _core.init_sized
"""A new structure that says its own size, as the library wants it."""
Terminal: Any = _core.Terminal

# A union cannot be passed by value (cffi in ABI mode); a structure of the same layout can.
ffi.cdef(
    """
    typedef struct { int64_t lines; uint64_t unused; } IngotScrollValue;
    typedef struct { GhosttyTerminalScrollViewportTag tag; IngotScrollValue value; } IngotScroll;
    """
)
if ffi.sizeof("IngotScroll") != ffi.sizeof("GhosttyTerminalScrollViewport"):
    raise ImportError("pyghostty lays its scroll call out in another way than 0.1.3 does")
_scroll: Any = ffi.cast("void(*)(GhosttyTerminal, IngotScroll)", ffi.addressof(lib, "ghostty_terminal_scroll_viewport"))


def scroll_viewport(terminal: Any, tag: int, lines: int = 0) -> None:
    """Move the view: by `lines`, to a line, or to an end, as the tag says."""
    where = ffi.new("IngotScroll*")
    where.tag = tag
    where.value.lines = lines
    _scroll(terminal, where[0])


def string_of(raw: bytes) -> tuple[Any, Any]:
    """A GhosttyString, and what must be kept for as long as it is used."""
    kept = ffi.new("uint8_t[]", raw or b"\0")
    text = ffi.new("GhosttyString*")
    text.ptr, text.len = kept, len(raw)
    return text, kept


def filled(call: Callable[[Any, int, Any], int], expected: int = 128) -> bytes:
    """What a call writes that takes a buffer, its size, and where to put the length; empty if it has nothing to say."""
    length = ffi.new("size_t*")
    buffer = ffi.new("char[]", expected)
    result = call(buffer, expected, length)
    if result == lib.GHOSTTY_OUT_OF_SPACE and length[0] > expected:
        return filled(call, length[0])
    return bytes(ffi.buffer(buffer, length[0])) if result == lib.GHOSTTY_SUCCESS else b""
