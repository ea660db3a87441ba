"""Another way to be let into a machine: asked when it turns away all that is known of it."""

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from core.errors import IngotError
from core.model.machine import Machine
from core.text import visible
from tui.widgets.typed import Typed

Give = Callable[[str, str, str], Machine]
"""Takes a user, the path of a key and a password, and gives the machine with them. Raises IngotError."""


class AskLogin(ModalScreen[Machine | None]):
    """Gives the machine with its new login; None where nobody gave one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no", "No", show=False)]

    def __init__(self, machine: Machine, give: Give) -> None:
        super().__init__()
        self._machine = machine
        self._give = give

    def compose(self) -> ComposeResult:
        machine = self._machine
        with Vertical(id="question") as box:
            box.border_title = Content(f"Log in to {visible(machine.host)}:{machine.port}")
            yield Static(Content("User"), classes="line")
            yield Typed(machine.login.user, id="user")
            yield Static(Content("File of a private key on this computer"), classes="line")
            yield Typed(id="key")
            yield Static(Content("Or a password; it is not shown, and goes when the machine goes"), classes="line")
            yield Typed(id="password")
            yield Static(Content(""), id="wrong")
            yield Static(Content("Tab next   Enter log in   Esc no"), classes="ask")

    def on_mount(self) -> None:
        for field in self.query(Typed):
            field.add_class("field")
        self._field("password").password = True
        self._field("key" if self._machine.login.user else "user").focus()

    def _field(self, name: str) -> Typed:
        return self.query_one(f"#{name}", Typed)

    def on_input_submitted(self, message: Typed.Submitted) -> None:
        message.stop()
        key = self._field("key").value.strip()
        try:
            machine = self._give(self._field("user").value, key, self._field("password").value)
        except (IngotError, OSError) as error:
            said = error.what if isinstance(error, IngotError) else str(error)
            self.query_one("#wrong", Static).update(Content(visible(said)))
        else:
            self.dismiss(machine)

    def action_no(self) -> None:
        self.dismiss(None)
