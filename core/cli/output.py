"""How the headless commands print: aligned columns for people, JSON for programs, errors with their next step."""

import sys
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from enum import IntEnum

from rich.cells import cell_len

from core import text
from core.errors import IngotError


class OutputError(IngotError):
    """What a command prints cannot be written."""


class ExitStatus(IntEnum):
    """What the exit status of a command tells a script."""

    DONE = 0
    FAILED = 1
    """The thing was tried and failed: a run that failed or was lost, a doctor that found something in the way."""
    REFUSED = 2
    """It was not tried: wrong words, a rule, a missing thing. Nothing was changed."""
    CANCELLED = 3
    INTERRUPTED = 130
    """Ctrl+C while waiting: the run goes on."""


def say(line: str = "") -> None:
    """Print one line, made harmless for the terminal."""
    put(text.visible(line))


def put(harmless: str, end: str = "\n") -> None:
    """Print what is harmless for the terminal already. Raises OutputError, as all that prints; BrokenPipeError where
    the reader has gone."""
    with _written():
        print(harmless, end=end)


def flush() -> None:
    """Hand on what was printed and is kept back still. Raises as `put`."""
    with _written():
        sys.stdout.flush()


@contextmanager
def _written() -> Generator[None]:
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(
            f"What is printed cannot be written: {error.strerror}.",
            "Send it elsewhere.",
            kept="What the command did before is done.",
        ) from error


def table(headings: Sequence[str], rows: Iterable[Sequence[str]], *, right: Sequence[int] = ()) -> None:
    """Print rows in aligned columns; the columns whose numbers are in `right` are aligned to the right."""
    aligned((headings, *rows), right=right)


def aligned(rows: Iterable[Sequence[str]], *, right: Sequence[int] = (), indent: str = "") -> None:
    """The same without headings. All rows have as many cells."""
    lines = [[text.visible(cell) for cell in row] for row in rows]
    if not lines:
        return
    widths = [max(cell_len(line[column]) for line in lines) for column in range(len(lines[0]))]
    for line in lines:
        cells: list[str] = []
        for column, cell in enumerate(line):
            room = " " * (widths[column] - cell_len(cell))
            cells.append(room + cell if column in right else cell + room)
        put(indent + "  ".join(cells).rstrip())


def print_json(value: object) -> None:
    """Print a value for programs; escapes in it are JSON's, so the terminal sees ASCII alone."""
    import json  # here: the workbench prints none, and its first picture does not wait for it

    put(json.dumps(value, indent=2, ensure_ascii=True, sort_keys=False))


def complain(error: IngotError) -> None:
    """Say an error on standard error: what happened, what is safe, what to do."""
    print(f"ingot: {text.visible(error.what)}", file=sys.stderr)
    for more in (error.kept, error.next_step):
        for line in more.splitlines():
            print(f"       {text.visible(line)}", file=sys.stderr)
