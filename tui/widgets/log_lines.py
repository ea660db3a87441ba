"""How one line of a log looks: its tones, where it breaks, what of it fits, and where a search matches.

Pure: text in, ranges of it out. The text is harmless already (core.text.from_bytes); nothing here is markup.
"""

import re
from functools import lru_cache
from itertools import pairwise

import msgspec
from rich.cells import cell_len, chop_cells

from core.model.failure import is_error
from core.model.log_words import body_of
from core.store.logs import LogLine
from core.text import from_bytes, size
from tui.theme import Tone

_REMEMBERED = 128
"""Lines whose look is kept: those on screen, of 64 KB at most, are asked for again and again."""
_HEADING = re.compile(r"(?:TASK|PLAY|RUNNING HANDLER|PLAYBOOK)\b.*\*{4,}$")
_QUIET = re.compile(r"(?:ok|skipping|included|task path): ")
_STARS = re.compile(r" ?\*{4,}$")


class Shown(msgspec.Struct, frozen=True):
    """A line as it is to be drawn."""

    text: str
    error: bool
    spans: tuple[tuple[int, int, Tone], ...]
    """Ranges of the text and their tones, in order, without gaps."""


@lru_cache(_REMEMBERED)
def shown(line: LogLine, speaker: str = "") -> Shown:
    """The line with its tones: whose line it is stands back, headings stand out, errors are marked.

    `speaker` is the build that the whole log is of: its name, which Packer puts before each line, is left out.
    """
    text = from_bytes(line.raw).rstrip()
    error = is_error(text)
    build, body = body_of(text)
    start = len(text) - len(body) if build else 0
    if build and build == speaker:
        mark = "==> " if text[:start].lstrip().startswith("==>") else ""
        text, start = mark + body, len(mark)
    if _HEADING.match(body):
        text = _STARS.sub("", text)
    spans: list[tuple[int, int, Tone]] = [(0, start, Tone.FAINT)] if start else []
    if error:
        spans.append((start, len(text), Tone.BAD))
    elif _HEADING.match(body):
        spans.append((start, len(text), Tone.STRONG))
    else:
        spans.append((start, len(text), Tone.FAINT if _QUIET.match(body) else Tone.PLAIN))
    if line.length > len(line.raw) + 2:
        cut = f" … {size(line.length - len(line.raw))} of this line are not shown"
        spans.append((len(text), len(text) + len(cut), Tone.STALE))
        text += cut
    return Shown(text, error, tuple(span for span in spans if span[0] < span[1]))


def narrow(text: str) -> bool:
    """Whether each character takes one cell: then cells need not be counted, which is slow in long lines."""
    return text.isascii() or all(cell_len(character) == 1 for character in set(text))


@lru_cache(_REMEMBERED)
def breaks(text: str, width: int) -> list[tuple[int, int]]:
    """Where a text breaks into rows of at most `width` cells: ranges, at least one."""
    if not text or width < 2:
        return [(0, len(text))]
    rows: list[tuple[int, int]] = []
    at = 0
    if narrow(text):
        while at < len(text):
            end = min(at + width, len(text))
            if end < len(text) and text[end] != " ":  # between two words, when there is such a place near the end
                space = text.rfind(" ", max(at + width // 2, end - 24), end)
                end = space + 1 if space > 0 else end
            rows.append((at, end))
            at = end
        return rows
    for part in chop_cells(text, width):
        rows.append((at, at + len(part)))
        at += len(part)
    return rows


def window(text: str, left: int, width: int) -> tuple[int, int, int]:
    """The part of a text in the cells `left` … `left + width`: its range, and blank cells before it.

    (A wide character that the left edge cuts in two is left out.)
    """
    if narrow(text):
        return min(left, len(text)), min(left + width, len(text)), 0
    start, used = 0, 0
    while start < len(text) and used < left:
        used += cell_len(text[start])
        start += 1
    blank = max(used - left, 0)
    end, used = start, blank
    while end < len(text):
        used += cell_len(text[end])
        if used > width:
            break
        end += 1
    return start, end, blank


def matches(text: str, needle: str) -> list[tuple[int, int]]:
    """Where a search's needle is in a text; without capitals in it, whatever the case (as LogReader.search)."""
    if not needle:
        return []
    flags = re.IGNORECASE if needle == needle.lower() else 0
    return [found.span() for found in re.finditer(re.escape(needle), text, flags)]


def pieces(line: Shown, start: int, end: int, hits: list[tuple[int, int]]) -> list[tuple[str, Tone, bool]]:
    """A range of a line as text of one tone each, and whether a search matches there."""
    edges = {start, end}
    for first, last in (*((first, last) for first, last, _ in line.spans), *hits):
        edges.update(edge for edge in (first, last) if start < edge < end)
    cuts = sorted(edges)
    found: list[tuple[str, Tone, bool]] = []
    for first, last in pairwise(cuts):
        tone = next((tone for begin, finish, tone in line.spans if begin <= first < finish), Tone.PLAIN)
        found.append((line.text[first:last], tone, any(begin <= first < finish for begin, finish in hits)))
    return found
