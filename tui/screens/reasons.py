"""Questions whose answer stays on the ledger: what happens is said first, then a reason is asked for and, where it
weighs more, a name or a `yes` to be typed. Enter alone answers nothing: what is missing is said, and Esc means no."""

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

import msgspec
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from core.text import visible
from tui.screens.asked import Asked
from tui.widgets.typed import Typed


class Field(msgspec.Struct, frozen=True):
    """Something to type."""

    id: str
    label: str
    required: bool = True
    must: str = ""
    """What must be typed, to the letter; empty for anything."""


REASON = Field("why", "Why? It stays on the ledger, with your name.")


class Answer(Typed):
    """A field of a question."""

    async def _on_key(self, event: events.Key) -> None:
        if event.key == "enter" and isinstance(self.screen, Reasons):
            event.stop()
            event.prevent_default()
            self.screen.enter()
        else:
            await super()._on_key(event)


class Reasons(Asked[Mapping[str, str]]):
    """Gives what was typed, by field; None where nobody said yes."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up", "step(-1)", "Field before", show=False, priority=True),
        Binding("down", "step(1)", "Next field", show=False, priority=True),
    ]

    def __init__(
        self, title: str, lines: Sequence[str], *, yes: str, fields: Sequence[Field] = (REASON,), danger: bool = False
    ) -> None:
        """`yes` says what the last Enter does."""
        super().__init__(title, lines, danger=danger)
        self._yes = yes
        self._fields = tuple(fields)

    def asked(self) -> Iterator[Widget]:
        for field in self._fields:
            label = f"Type {visible(field.must)} to {self._yes}" if field.must else field.label
            yield Static(Content(label), classes="ask")
            typed = Answer(id=f"field-{field.id}")
            typed.add_class("field")
            yield typed
        yield self.wrong
        yield Static(Content(f"Enter {self._yes}   Esc no"), classes="keys")

    def first(self) -> Widget:
        return self._typed(self._fields[0])

    def _typed(self, field: Field) -> Typed:
        return self.query_one(f"#field-{field.id}", Typed)

    def _value(self, field: Field) -> str:
        return self._typed(field).value.strip()

    def enter(self) -> None:
        """To the next field that is still to be filled in; after the last, the answer."""
        here = self._here()
        for field in self._fields[here + 1 :]:
            if field.must or not self._value(field):
                if self._complain(self._fields[: here + 1]):
                    return
                self.set_focus(self._typed(field))
                return
        if not self._complain(self._fields):
            self.answer({field.id: self._value(field) for field in self._fields})

    def _complain(self, fields: Sequence[Field]) -> bool:
        """Say what is wrong with the first field that is, and go there."""
        for field in fields:
            value = self._value(field)
            wrong = ""
            if field.required and not value:
                wrong = "This is missing. Esc leaves everything as it is."
            elif field.must and value != visible(field.must):
                wrong = f"That is not {visible(field.must)}. Esc leaves everything as it is."
            self.say_wrong(wrong)
            if wrong:
                self.set_focus(self._typed(field))
                return True
        return False

    def action_step(self, by: int) -> None:
        self.set_focus(self._typed(self._fields[(self._here() + by) % len(self._fields)]))

    def _here(self) -> int:
        """The field that is typed in."""
        return next((at for at, field in enumerate(self._fields) if self._typed(field) is self.focused), 0)
