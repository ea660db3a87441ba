"""`[test]` of ingot.toml, for all roles or one. Its reference is docs/workspace.md."""

import re
from collections.abc import Mapping
from dataclasses import replace
from difflib import get_close_matches

from core.config_debug import Wrong
from core.model.boot_checks import ALL
from core.model.boot_test import BootTest
from core.model.pause import seconds_of

KEYS = ("enabled", "suites", "skip", "user", "memory", "cpus", "limit", "keep")


def checked(
    table: Mapping[str, object],
    lists: Mapping[str, tuple[str, ...] | None],
    texts: Mapping[str, str | None],
    before: BootTest,
    wrong: Wrong,
) -> BootTest:
    """The table on top of what held `before` it; what is wrong in it is left out and said to `wrong`."""
    found = before
    for key in ("enabled", "keep"):
        value = table.get(key)
        if isinstance(value, bool):
            found = replace(found, enabled=value) if key == "enabled" else replace(found, keep=value)
        elif value is not None:
            wrong(key, "must be true or false", f"Write: {key} = true")
    for key, least, most in (("memory", 64, 1 << 20), ("cpus", 1, 64)):
        value = table.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            found = replace(found, memory=value) if key == "memory" else replace(found, cpus=value)
        elif value is not None:
            unit = " (MiB)" if key == "memory" else ""
            wrong(key, f"must be a whole number{unit}, {least} to {most}", f"Write: {key} = {getattr(before, key)}")
    if (limit := texts.get("limit")) is not None:
        if seconds := _seconds(limit):
            found = replace(found, limit=seconds)
        else:
            wrong(
                "limit",
                f"{limit!r} is no time to wait for a machine",
                "Write it as seconds or minutes, such as 90s or 5m.",
            )
    if user := texts.get("user"):
        found = replace(found, user=user)
    if (suites := lists.get("suites")) is not None:
        found = replace(found, suites=suites)
    if (skip := lists.get("skip")) is not None:
        for name in skip:
            if name not in ALL:
                near = get_close_matches(name, ALL, n=1)
                fix = f"Did you mean {near[0]!r}?" if near else f"One of: {', '.join(ALL)}."
                wrong("skip", f"{name!r} is nothing that a boot test looks at", fix)
        found = replace(found, skip=tuple(name for name in skip if name in ALL))
    return found


def _seconds(limit: str) -> float | None:
    """Seconds, as a machine that boots with hardware virtualisation needs them, or what `seconds_of` takes."""
    found = re.fullmatch(r"([1-9][0-9]{0,4})s", limit)
    return float(found[1]) if found else seconds_of(limit)
