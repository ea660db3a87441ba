"""How the worker of this user and machine works: from the environment, else from config.toml, else as it comes.

[worker]
concurrency = 2                       # builds at once; default: one for each core
idle = 600                            # seconds of nothing to do after which it ends

[engine]
url = "postgresql://ingot@db/ingot"   # default: a SQLite file of its own

The screens' own settings are in the same file (core/services/terminal_settings.py).
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

import msgspec

from core.errors import StoreError
from core.model.passed_on import FOR_TOOLS
from core.places import Places

_IDLE = 600.0
PASSED_ON = (
    *FOR_TOOLS,
    "INGOT_HOME",
    "INGOT_CONCURRENCY",
    "INGOT_WORKER_IDLE",
    "INGOT_ENGINE_URL",
    "XDG_CONFIG_HOME",
    "XDG_STATE_HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
)
"""Variables of the person's shell that a worker is started with, beyond the small common environment; the last three
for a `[notify] command` that shows something on the screen. `INGOT_WEBHOOK…` come with them (core/model/notify.py)."""


class Settings(msgspec.Struct, frozen=True):
    """What can be set."""

    concurrency: int
    """Runs that work at once; those that wait for something do not count."""
    idle: float
    """Seconds of nothing to do after which the worker ends."""
    engine_url: str
    """Where the engine keeps its state: `sqlite:///…` or `postgresql://…`."""

    @classmethod
    def of(cls, places: Places, environment: Mapping[str, str]) -> "Settings":
        """Raises StoreError for a value that makes no sense, naming where it was set."""
        file = config_file(places, environment)
        read = read_config(file)
        return cls(
            concurrency=int(
                _number(read, file, environment, "INGOT_CONCURRENCY", "worker", "concurrency", os.cpu_count() or 1, 1)
            ),
            idle=_number(read, file, environment, "INGOT_WORKER_IDLE", "worker", "idle", _IDLE, 0),
            engine_url=_engine_url(read, file, environment, places),
        )


def config_file(places: Places, environment: Mapping[str, str]) -> Path:
    """Where the settings are read from: beside everything else when INGOT_HOME is set, else in the XDG place."""
    if environment.get("INGOT_HOME"):
        return places.home / "config.toml"
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "ingot" / "config.toml"


def read_config(file: Path) -> dict[str, object]:
    """What is set in a config.toml; nothing where there is none. Raises StoreError."""
    try:
        written = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(file, error) from error
    import tomllib  # here: most have no such file, and the first picture does not wait for it

    try:
        return tomllib.loads(written)
    except tomllib.TOMLDecodeError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: Exception) -> StoreError:
    return StoreError(f"Cannot read {file}: {error}.", "Mend it, or move it away.")


def value_in(read: Mapping[str, object], table: str, key: str) -> object:
    """What a table sets; None where it does not."""
    found = read.get(table)
    return cast(dict[str, object], found).get(key) if isinstance(found, dict) else None


def _number(
    read: Mapping[str, object],
    file: Path,
    environment: Mapping[str, str],
    variable: str,
    table: str,
    key: str,
    default: float,
    least: float,
) -> float:
    given: object = environment.get(variable) or None
    source = f"${variable}"
    if given is None:
        given, source = value_in(read, table, key), f"{key} in [{table}] of {file}"
    if given is None:
        return default
    try:
        number = float(given) if isinstance(given, int | float | str) and not isinstance(given, bool) else -1.0
    except ValueError:
        number = -1.0
    if not least <= number < float("inf"):
        raise StoreError(f"{source} is {given!r}.", f"Make it a number of at least {least:g}.")
    return number


def _engine_url(read: Mapping[str, object], file: Path, environment: Mapping[str, str], places: Places) -> str:
    given = environment.get("INGOT_ENGINE_URL") or value_in(read, "engine", "url")
    if not given:
        return f"sqlite:///{places.engine}"
    # Never shown whole: it may hold a password.
    if not isinstance(given, str) or not given.startswith(("postgresql://", "sqlite:///")):
        raise StoreError(
            f"The url in [engine] of {file}, or $INGOT_ENGINE_URL, is not one that the engine knows.",
            "Give postgresql://user@host/database, or leave it out for a file of its own.",
        )
    return given
