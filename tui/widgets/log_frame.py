"""The words in the frame of a log: how long it is, where one is in it, what goes on. Text only."""

from rich.cells import cell_len

from tui.theme import Signs
from tui.widgets.log_finding import ErrorLines
from tui.widgets.log_page import Page

_TELL_PROGRESS = 100_000
"""Lines from which it is said how far the errors were looked for."""


def status(page: Page, errors: ErrorLines | None, signs: Signs, *, growing: bool) -> list[str]:
    """What stands in the upper right corner, the count of lines and errors first."""
    reader = page.reader
    if reader is None or errors is None or not reader.line_count:
        return []
    total = reader.line_count
    said: list[str] = []
    if reader.behind:
        said.append(f"reading {1 - reader.behind / max(reader.size, 1):.0%}")
    if page.mark is not None:
        said.append(f"{len(page.marked):,} marked")
    count = "1 line" if total == 1 else f"{total:,} lines"
    said.append(count if page.follow else f"line {page.cursor + 1:,} of {total:,}")
    number = len(errors)
    place = None if page.follow else errors.place(page.cursor)
    if place is not None:
        said.append(f"error {place:,} of {number:,}")
    elif number:
        said.append("1 error" if number == 1 else f"{number:,} errors")
    if errors.fraction < 0.99 and total > _TELL_PROGRESS:
        said.append(f"errors looked for in {errors.fraction:.0%}")
    if page.follow and growing:
        said.append(f"{signs.down} following")
    elif growing and total > page.seen:
        said.append(f"{signs.down} {total - page.seen:,} new")
    return said


def joined(said: list[str], signs: Signs, room: int, *, follow: bool) -> str:
    """As much of the status as fits into the room: while following the length of the log, else what is new, is kept."""
    said = list(said)
    while len(said) > 1 and cell_len(f" {signs.dot} ".join(said)) > room:
        del said[-1 if follow else 0]
    return f" {signs.dot} ".join(said)
