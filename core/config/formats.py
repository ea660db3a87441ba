"""`formats` of a role in ingot.toml: what its good image versions are handed out as. Reference: docs/workspace.md."""

from core.config.table import Table
from core.model.formats import FORMATS, hint


def read(role: Table) -> tuple[str, ...]:
    """Those that there are, once each."""
    known = role.those("formats", role.texts("formats") or (), FORMATS.__contains__, "is no format", hint)
    return tuple(dict.fromkeys(known))
