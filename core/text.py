"""The only way out to a terminal: text that others wrote becomes visible and harmless here.

Values and logs keep what the tool said; this is applied when they are shown. What comes out holds no control character,
no escape sequence, nothing that reorders, hides or takes no room, and no lone surrogate. It is plain text, never
markup: show it as `Content`, `Text` or with `markup=False`.

Notation: control characters as their pictures (␛ ␊ ␀ ␡), everything else by its number: ‹U+202E›; bytes that are not
UTF-8: ‹0xFF›.
"""

import re
import time

from rich.cells import cell_len

ELLIPSIS = "…"

# Unicode's categories Cc, Cf, Cs, Zl, Zp and its default-ignorable characters (DerivedCoreProperties.txt), and blanks
# that are taken for letters. Written out, as asking `unicodedata` about a million characters takes longer than the
# first picture may; a test compares.
_DANGEROUS = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"
    "\xad"  # soft hyphen
    "\u034f\u17b4\u17b5\u180b-\u180f"  # joiners and selectors without a shape
    "\u0600-\u0605\u061c\u06dd\u070f\u0890\u0891\u08e2"  # Arabic marks that span what follows; ALM
    "\u115f\u1160\u2800\u3164\uffa0"  # letters and a pattern that show nothing
    "\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # zero width, bidirectional, line ends, invisible operators
    "\ufe00-\ufe0f\U000e0000-\U000e0fff"  # variation selectors, tags
    "\ufff0-\ufffb\ufffe\uffff"  # interlinear annotation, non-characters
    "\ud800-\udfff"
    "\U000110bd\U000110cd\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "]"
)
_SGR = re.compile(rb"\x1b\[[0-9;:]*m")
_ERASED = re.compile(rb"\x1b\[[12]K|\r\x1b\[0?K")
"""After it nothing is left of what was before: erased whole, left of the cursor, or right of it at the beginning."""
_ERASE_RIGHT = re.compile(rb"\x1b\[0?K")
"""Where something was written there is nothing right of the cursor."""
_TAB = 8


def visible(text: str) -> str:
    """One line of text, made harmless for any terminal. Plain text comes back as it is. Never raises."""
    if text.isascii() and text.isprintable():
        return text
    return _DANGEROUS.sub(_shown, text)


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "␡"
    if code in (0xFE0E, 0xFE0F):
        return ""  # asks for the black or the coloured picture of a sign, and terminals disagree on the width of that
    if 0xDC80 <= code <= 0xDCFF:
        return f"‹0x{code - 0xDC00:02X}›"  # a byte that is not UTF-8, as os.fsdecode keeps it
    return f"‹U+{code:04X}›"


def from_bytes(raw: bytes) -> str:
    """One line of a log, with or without its end, as it is to be shown.

    Well-formed colour sequences are dropped; of a line that its writer overwrote or erased (a progress bar: lone CR,
    EL) the last state is shown; tabs are expanded; all else is `visible`.
    """
    if b"\x1b" in raw:
        raw = _ERASE_RIGHT.sub(b"", _ERASED.split(_SGR.sub(b"", raw))[-1])
    raw = raw.rstrip(b"\r\n").rpartition(b"\r")[2]
    text = raw.decode(errors="surrogateescape")
    if "\t" in text:
        text = text.expandtabs(_TAB)
    return visible(text)


def cut_end(text: str, width: int) -> str:
    """The text in at most `width` terminal cells; where it is longer, its beginning and …"""
    if cell_len(text) <= width:
        return text
    return _beginning(text, width - 1) + ELLIPSIS if width > 0 else ""


def cut_middle(text: str, width: int) -> str:
    """The text in at most `width` terminal cells; where it is longer, its beginning, … and its end."""
    if cell_len(text) <= width:
        return text
    if width <= 0:
        return ""
    end = _beginning(text[::-1], (width - 1) // 2)[::-1]
    return _beginning(text, width - 1 - cell_len(end)) + ELLIPSIS + end


def _beginning(text: str, width: int) -> str:
    """As many characters as fit."""
    used = 0
    for at, character in enumerate(text):
        used += cell_len(character)
        if used > width:
            return text[:at]
    return text


def age(seconds: float) -> str:
    """How long ago, in one unit: `42s`, `12m`, `5h`, `3d`, `7w`, `2y`. A clock that was set back gives `0s`."""
    for unit, length, until in (("s", 1, 60), ("m", 60, 60), ("h", 3600, 48), ("d", 86400, 60), ("w", 604800, 104)):
        if seconds < length * until:
            return f"{max(int(seconds // length), 0)}{unit}"
    return f"{int(seconds // 31557600)}y"


def duration(seconds: float) -> str:
    """How long it took: `0:07`, `3:12`, `1:02:03`, `49:00:00`."""
    minutes, left = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{left:02}" if hours else f"{minutes}:{left:02}"


def size(number: float) -> str:
    """Bytes, in powers of ten as disks are sold: `0 B`, `999 B`, `1.4 GB`, `23 MB`."""
    if number < 1000:
        return f"{int(number)} B"
    for unit in ("kB", "MB", "GB", "TB", "PB", "EB"):
        number /= 1000
        if number < 9.95:
            return f"{number:.1f} {unit}"
        if number < 999.5:
            return f"{number:.0f} {unit}"
    return f"{number:.0f} EB"


def moment(epoch: float) -> str:
    """Local time, `2026-11-14 09:05:00`; a number that is no time, which others may have written, stays one."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(epoch))
    except (OverflowError, ValueError, OSError):
        return f"{epoch:g}"
