"""Another way to be let into a machine: asked when it turns away all that is known of it."""

from collections.abc import Awaitable, Callable, Iterator
from functools import partial

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from core.errors import IngotError
from core.model.machine import Machine
from tui.screens.asked import Asked
from tui.widgets.typed import Typed

LogIn = Callable[[str, str, str], Awaitable[Machine]]
"""Takes a user, the path of a key and a password, and gives the machine with them, once it has let us in. Raises
IngotError."""


class AskLogin(Asked[Machine]):
    """Gives the machine with its new login; None where nobody gave one."""

    def __init__(self, machine: Machine, log_in: LogIn) -> None:
        super().__init__(f"Log in to {machine.host}:{machine.port}", ())
        self._machine = machine
        self._log_in = log_in

    def asked(self) -> Iterator[Widget]:
        yield Static(Content("User"), classes="line")
        yield Typed(self._machine.login.user, id="user")
        yield Static(Content("File of a private key on this computer"), classes="line")
        yield Typed(id="key")
        yield Static(Content("Or a password; it is not shown, and goes when the machine goes"), classes="line")
        yield Typed(id="password")
        yield self.wrong
        yield Static(Content("Tab next   Enter log in   Esc no"), classes="ask")

    def first(self) -> Widget:
        for field in self.query(Typed):
            field.add_class("field")
        self._field("password").password = True
        return self._field("key" if self._machine.login.user else "user")

    def _field(self, name: str) -> Typed:
        return self.query_one(f"#{name}", Typed)

    def on_input_submitted(self, message: Typed.Submitted) -> None:
        message.stop()
        if not self.shows:
            return
        words = (self._field("user").value, self._field("key").value.strip(), self._field("password").value)
        # Exclusive: Enter once more tries what stands there now, and Esc ends the try.
        self.run_worker(partial(self._try, *words), exclusive=True, exit_on_error=False)

    async def _try(self, user: str, key: str, password: str) -> None:
        self.say_wrong("Logging in… Esc: no")
        try:
            machine = await self._log_in(user, key, password)
        except (IngotError, OSError) as error:
            self.say_wrong(error.what if isinstance(error, IngotError) else str(error))
        else:
            self.dismiss(machine)
