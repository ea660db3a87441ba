"""`[notify]` of ingot.toml: who is told when nobody looks. Its reference is docs/workspace.md."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from core.model.event import EventKind

KEYS = ("command", "webhook", "on")
FROM_ENVIRONMENT = "env:"
VARIABLE = "INGOT_WEBHOOK"
"""What the name of a variable that holds a webhook's address begins with; a worker is started with these."""

Wrong = Callable[[str, str, str], None]
"""Takes the key, what is wrong with it, and the fix."""


@dataclass(frozen=True, slots=True)
class Notify:
    """What to do about events; nothing where neither `command` nor `webhook` is set."""

    command: tuple[str, ...] = ()
    """An argument list; `{title}` and `{text}` in it stand for what happened."""
    webhook: str = field(default="", repr=False)
    """http(s) URL, or `env:NAME` for one that is in a variable. It may hold a token: never shown."""
    on: tuple[EventKind, ...] = tuple(EventKind)

    def wants(self, kind: EventKind) -> bool:
        return kind in self.on and bool(self.command or self.webhook)

    def address(self, environment: Mapping[str, str]) -> str:
        """The webhook's URL; empty where the variable that holds it is not set, or holds none."""
        if not self.webhook.startswith(FROM_ENVIRONMENT):
            return self.webhook
        found = environment.get(self.webhook.removeprefix(FROM_ENVIRONMENT), "").strip()
        return found if is_web(found) else ""


def checked(command: tuple[str, ...] | None, webhook: str | None, on: tuple[str, ...] | None, wrong: Wrong) -> Notify:
    """The table from its values; what is wrong in it is left out and said to `wrong`."""
    kinds: list[EventKind] = []
    for name in on or ():
        if name in tuple(EventKind):
            kinds.append(EventKind(name))
        else:
            wrong("on", f"{name!r} is nothing to be told of", f"Use: {', '.join(EventKind)}.")
    if command is not None and (not command or command[0].startswith("-")):
        wrong("command", "must begin with a program", 'Write: command = ["notify-send", "{title}", "{text}"]')
        command = None
    if webhook and not _is_webhook(webhook):
        # Without the value: it may hold a token, and problems are shown and logged.
        wrong("webhook", "is no http(s) URL", f'Write: webhook = "https://…", or "{FROM_ENVIRONMENT}{VARIABLE}"')
        webhook = None
    return Notify(command or (), webhook or "", tuple(EventKind) if on is None else tuple(kinds))


def _is_webhook(value: str) -> bool:
    if value.startswith(FROM_ENVIRONMENT):
        return re.fullmatch(rf"{VARIABLE}[A-Z0-9_]*", value.removeprefix(FROM_ENVIRONMENT)) is not None
    return is_web(value)


def is_web(url: str) -> bool:
    """Whether it is a URL that can be posted to."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return False
