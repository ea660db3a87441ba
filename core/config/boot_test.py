"""`[test]` of ingot.toml, for all roles or one. Its reference is docs/workspace.md."""

import re
from dataclasses import replace
from difflib import get_close_matches

from core.config.table import Table
from core.model.boot_checks import ALL
from core.model.boot_test import BootTest
from core.model.pause import seconds_of

KEYS = ("enabled", "suites", "skip", "user", "memory", "cpus", "limit", "keep")


def read(parent: Table, before: BootTest) -> BootTest:
    """The table on top of what held `before` it."""
    if "test" not in parent:
        return before
    table = parent.table("test", KEYS)
    suites, skip, user, limit = table.paths("suites"), table.texts("skip"), table.text("user"), table.text("limit")
    found = replace(
        before,
        enabled=table.flag("enabled", before.enabled),
        keep=table.flag("keep", before.keep),
        memory=table.number("memory", before.memory, 64, 1 << 20, "a whole number (MiB), 64 to 1048576"),
        cpus=table.number("cpus", before.cpus, 1, 64, "a whole number, 1 to 64"),
    )
    if limit is not None:
        if seconds := _seconds(limit):
            found = replace(found, limit=seconds)
        else:
            table.wrong(
                "limit",
                f"{limit!r} is no time to wait for a machine",
                "Write it as seconds or minutes, such as 90s or 5m.",
            )
    if user:
        found = replace(found, user=user)
    if suites is not None:
        found = replace(found, suites=suites)
    if skip is not None:
        skip = table.those("skip", skip, ALL.__contains__, "is nothing that a boot test looks at", _nearest)
        found = replace(found, skip=skip)
    return found


def _nearest(name: str) -> str:
    near = get_close_matches(name, ALL, n=1)
    return f"Did you mean {near[0]!r}?" if near else f"One of: {', '.join(ALL)}."


def _seconds(limit: str) -> float | None:
    """Seconds, as a machine that boots with hardware virtualisation needs them, or what `seconds_of` takes."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})s", limit)
    return float(found[1]) if found else seconds_of(limit)
