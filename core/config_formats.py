"""`formats` of a role in ingot.toml: what its good image versions are handed out as. Reference: docs/workspace.md."""

from core.config_debug import Wrong
from core.model.formats import FORMATS, hint


def checked(named: tuple[str, ...], wrong: Wrong) -> tuple[str, ...]:
    """Those that there are, once each; what is none is said to `wrong`."""
    for name in named:
        if name not in FORMATS:
            wrong("formats", f"{name!r} is no format", hint(name))
    return tuple(name for name in dict.fromkeys(named) if name in FORMATS)
