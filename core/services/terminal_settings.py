"""How the terminal in a machine works for this user, from config.toml.

[terminal]
leave_key = "ctrl+]"    # the way out of it: Ctrl with a letter or one of ] \\ ^ _, or F1 to F12
"""

import re
from collections.abc import Mapping

from core.engine.settings import config_file, read_config, value_in
from core.errors import StoreError
from core.places import Places

LEAVE_KEY = "ctrl+]"
"""The way out of the terminal where nothing else is set; telnet's, and free in nearly all programs."""
_KEY = re.compile(r"ctrl\+[a-z\]\\^_]|f([1-9]|1[0-2])")
_SAME = {"ctrl+i": "Tab", "ctrl+m": "Enter", "ctrl+j": "the end of a line", "ctrl+h": "Backspace", "ctrl+[": "Esc"}
"""Keys for which terminals send what they send for another one (ECMA-48: the control characters)."""


def leave_key(places: Places, environment: Mapping[str, str]) -> str:
    """The key that leaves the terminal, written as `ctrl+]`.

    Raises StoreError for one that cannot be told from another, or that no program could get along without.
    """
    file = config_file(places, environment)
    given = value_in(read_config(file), "terminal", "leave_key")
    if given is None:
        return LEAVE_KEY
    key = given.lower() if isinstance(given, str) else ""
    if key in _SAME:
        why = f"terminals send the same for it as for {_SAME[key]}"
    elif not _KEY.fullmatch(key):
        why = "that is no key that can be the way out of a terminal"
    else:
        return key
    raise StoreError(
        f"leave_key in [terminal] of {file} is {given!r}: {why}.",
        f"Give ctrl+ and a letter or one of ] \\ ^ _, or f1 to f12. Without the line it is {LEAVE_KEY}.",
    )
