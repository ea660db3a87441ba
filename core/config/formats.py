"""`formats` of a role in ingot.toml: what its good image versions are handed out as. Reference: docs/workspace.md."""

from core.config.table import Table
from core.model.formats import FORMATS, hint


def read(role: Table) -> tuple[str, ...]:
    """Those that there are, once each."""
    named = role.texts("formats") or ()
    for name in named:
        if name not in FORMATS:
            role.wrong("formats", f"{name!r} is no format", hint(name))
    return tuple(name for name in dict.fromkeys(named) if name in FORMATS)
