"""The few keys that edit what is searched for or filtered by, where it is typed into the frame of a pane."""

from textual import events

from core.text import visible

RUB_OUT = ("backspace", "ctrl+h")


def edited(needle: str, event: events.Key) -> str | None:
    """The text after this key; None where the key does not edit."""
    if event.key in RUB_OUT:
        return needle[:-1]
    if event.key in ("ctrl+u", "ctrl+w"):
        return ""
    if event.is_printable and event.character:
        return needle + event.character
    return None


def pasted(needle: str, event: events.Paste) -> str:
    """The text with what was pasted behind it, made harmless and on one line."""
    return needle + " ".join(visible(event.text).split())
