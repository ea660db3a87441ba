"""Who is told when nobody looks: a program, or a web address."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from core.model.event import EventKind

FROM_ENVIRONMENT = "env:"
VARIABLE = "INGOT_WEBHOOK"
"""What the name of a variable that holds a webhook's address begins with; a worker is started with these."""


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


def is_webhook(value: str) -> bool:
    """Whether it is what `Notify.webhook` may be."""
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
