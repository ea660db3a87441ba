"""`[notify]` of ingot.toml: who is told when nobody looks. Its reference is docs/workspace.md."""

from core.config.table import Table
from core.model.event import EventKind
from core.model.notify import FROM_ENVIRONMENT, VARIABLE, Notify, is_webhook

KEYS = ("command", "webhook", "on")


def read(top: Table) -> Notify:
    """The table; what is wrong in it is left out."""
    table = top.table("notify", KEYS)
    command, webhook, on = table.texts("command"), table.text("webhook"), table.texts("on")
    fix = f"Use: {', '.join(EventKind)}."
    kinds = table.those("on", on or (), tuple(EventKind).__contains__, "is nothing to be told of", fix)
    if command is not None and (not command or command[0].startswith("-")):
        table.wrong("command", "must begin with a program", 'Write: command = ["notify-send", "{title}", "{text}"]')
        command = None
    if webhook and not is_webhook(webhook):
        # Without the value: it may hold a token, and problems are shown and logged.
        table.wrong("webhook", "is no http(s) URL", f'Write: webhook = "https://…", or "{FROM_ENVIRONMENT}{VARIABLE}"')
        webhook = None
    return Notify(command or (), webhook or "", tuple(EventKind if on is None else map(EventKind, kinds)))
