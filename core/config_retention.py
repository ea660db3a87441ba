"""`[retention]` of ingot.toml, for all roles or one: whose files `ingot prune` leaves. Reference: docs/workspace.md."""

from collections.abc import Mapping

from core.config_debug import Wrong
from core.model.retention import AGE_WORDS, Retention, seconds_of

KEYS = ("keep", "younger")


def checked(table: Mapping[str, object], younger: str | None, before: Retention, wrong: Wrong) -> Retention:
    """The table on top of what held `before` it; what is wrong in it is said to `wrong`."""
    keep, seconds = table.get("keep", before.keep), before.younger
    if not (keep is None or (isinstance(keep, int) and not isinstance(keep, bool) and 1 <= keep <= 10_000)):
        wrong("keep", "must be a whole number, 1 to 10000", "Write: keep = 5")
        keep = None
    if younger is not None:
        seconds = seconds_of(younger)
        if seconds is None:
            wrong("younger", f"{younger!r} is no age", f"Write it in {AGE_WORDS}.")
    return Retention(keep, seconds)
