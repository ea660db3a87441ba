"""`[retention]` of ingot.toml, for all roles or one: whose files `ingot prune` leaves. Reference: docs/workspace.md."""

from core.config.table import Table
from core.model.retention import AGE_WORDS, Retention, seconds_of

KEYS = ("keep", "younger")


def read(parent: Table, before: Retention) -> Retention:
    """The table on top of what held `before` it."""
    if "retention" not in parent:
        return before
    problems = len(parent.reading.problems)
    table = parent.table("retention", KEYS)
    younger, seconds = table.text("younger"), before.younger
    keep = table.number("keep", before.keep, 1, 10_000, "a whole number, 1 to 10000", such_as=5)
    if younger is not None:
        seconds = seconds_of(younger)
        if seconds is None:
            table.wrong("younger", f"{younger!r} is no age", f"Write it in {AGE_WORDS}.")
    # A slip in it must not let more go than was meant: then no rule holds, and nothing goes.
    return Retention(keep, seconds) if len(parent.reading.problems) == problems else Retention()
