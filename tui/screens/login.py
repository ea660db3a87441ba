"""Another way to be let into a machine: asked when it turns away all that is known of it."""

from collections.abc import Awaitable, Callable
from functools import partial
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

LogIn = Callable[[str, str, str], Awaitable[Machine]]
"""Takes a user, the path of a key and a password, and gives the machine with them, once it has let us in. Raises
IngotError."""


class AskLogin(ModalScreen[Machine | None]):
    """Gives the machine with its new login; None where nobody gave one."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no", "No", show=False)]

    def __init__(self, machine: Machine, log_in: LogIn) -> None:
        super().__init__()
        self._machine = machine
        self._log_in = log_in

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
        words = (self._field("user").value, self._field("key").value.strip(), self._field("password").value)
        # Exclusive: Enter once more tries what stands there now, and Esc ends the try.
        self.run_worker(partial(self._try, *words), exclusive=True, exit_on_error=False)

    async def _try(self, user: str, key: str, password: str) -> None:
        self._say("Logging in… Esc: no")
        try:
            machine = await self._log_in(user, key, password)
        except (IngotError, OSError) as error:
            self._say(error.what if isinstance(error, IngotError) else str(error))
        else:
            self.dismiss(machine)

    def _say(self, text: str) -> None:
        self.query_one("#wrong", Static).update(Content(visible(text)))

    def action_no(self) -> None:
        self.dismiss(None)
