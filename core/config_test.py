"""`[test]` of ingot.toml, for all roles or one. Its reference is docs/workspace.md."""

from collections.abc import Mapping
from dataclasses import replace

from core.config_debug import Wrong
from core.model.boot_test import BootTest
from core.model.pause import LIMIT_WORDS, seconds_of

KEYS = ("enabled", "suites", "user", "memory", "cpus", "limit", "keep")


def checked(
    table: Mapping[str, object],
    suites: tuple[str, ...] | None,
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
        if seconds := seconds_of(limit):
            found = replace(found, limit=seconds)
        else:
            wrong("limit", f"{limit!r} is no time to wait for a machine", f"Write it as {LIMIT_WORDS}.")
    if user := texts.get("user"):
        found = replace(found, user=user)
    return found if suites is None else replace(found, suites=suites)
