"""A line to type on, whose text is harmless whatever is pasted into it."""

from textual.widgets import Input

from core.text import visible


class Typed(Input):
    """Textual's input, in one line of its own, without markup and without control characters."""

    def __init__(self, value: str = "", *, id: str | None = None) -> None:  # noqa: A002 - as Textual names it
        super().__init__(value, id=id, compact=True, select_on_focus=False)
        self.cursor_blink = False

    def validate_value(self, value: str) -> str:
        """Whatever comes in, from keys or the clipboard, becomes visible."""
        return visible(value)
