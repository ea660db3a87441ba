"""The `:` line: a command of the registry and what it applies to, completed with Tab."""

from collections.abc import Sequence
from typing import ClassVar

import msgspec
from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from core.services.overview import Overview
from core.text import cut_end, visible
from tui.actions import Offer
from tui.widgets.typed import Typed

SHOWN = 8
"""Completions shown at once."""


class Completion(msgspec.Struct, frozen=True):
    """A whole command line, and what it does."""

    line: str
    about: str


def completions(typed: str, offers: Sequence[Offer], overview: Overview) -> list[Completion]:
    """Commands that begin with what was typed; after a command and a space, what it can apply to."""
    word, space, argument = typed.lstrip().partition(" ")
    commands = {offer.action.command: offer for offer in offers if offer.action.command}
    if not space:
        return [
            Completion(f"{command} " if offer.action.argument else command, offer.why_not or offer.action.about)
            for command, offer in commands.items()
            if command.startswith(word)
        ]
    offer = commands.get(word)
    if offer is None or not offer.action.argument:
        return []
    *before, last = argument.split(" ")
    done = " ".join([word, *before])
    if offer.action.argument == "image":
        done, last = word, argument
    return [
        Completion(f"{done} {value}", about)
        for value, about in _values(offer.action.argument, overview)
        if value.startswith(last) and value not in before
    ]


def _values(kind: str, overview: Overview) -> list[tuple[str, str]]:
    match kind:
        case "role":
            return [(view.role.name, view.state.value) for view in overview.roles]
        case "run":
            return [(str(run.id), f"{run.role} {run.state.value}") for run in overview.runs]
        case "image":
            return [
                (f"{image.role} {image.version}", image.state.value)
                for versions in overview.images.values()
                for image in versions
            ]
        case _:
            return []


class Command(ModalScreen[tuple[Offer, str] | None]):
    """The line at the lower edge, with completions above it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "Back", show=False),
        Binding("tab,down", "choose(1)", "Next", show=False, priority=True),
        Binding("shift+tab,up", "choose(-1)", "Previous", show=False, priority=True),
    ]

    def __init__(self, offers: Sequence[Offer], overview: Overview) -> None:
        super().__init__()
        self._offers = [offer for offer in offers if offer.action.command]
        self._overview = overview
        self._found: list[Completion] = []
        self._at = -1

    def compose(self) -> ComposeResult:
        with Vertical(id="command"):
            yield Static("", id="completions", markup=False)
            with Horizontal(id="command-line"):
                yield Static(Content(":"), id="colon")
                yield Typed(id="typed")

    def on_mount(self) -> None:
        self.set_focus(self.query_one(Typed))  # at once, for the next key; `focus` does it later
        self._complete("")

    def _complete(self, typed: str) -> None:
        self._found = completions(typed, self._offers, self._overview)
        self._at = -1
        self._show()

    def _show(self) -> None:
        first = max(min(self._at - SHOWN // 2, len(self._found) - SHOWN), 0)
        part = self._found[first : first + SHOWN]
        wide = max((len(visible(one.line)) for one in part), default=0)
        room = max(self.size.width - wide - 8, 10)
        lines: list[Content] = []
        for at, one in enumerate(part, first):
            text = f" {visible(one.line):<{wide}}   {cut_end(visible(one.about), room)} "
            lines.append(Content.styled(text, "reverse") if at == self._at else Content(text))
        if len(self._found) > first + SHOWN:
            lines.append(Content(f" … {len(self._found) - first - SHOWN} more"))
        shown = self.query_one("#completions", Static)
        shown.update(Content("\n").join(lines))
        shown.display = bool(lines)

    def on_input_changed(self, message: Typed.Changed) -> None:
        if not (0 <= self._at < len(self._found) and self._found[self._at].line == message.value):
            self._complete(message.value)

    def on_key(self, event: events.Key) -> None:
        if event.key == "backspace" and not self.query_one(Typed).value:
            event.stop()
            self.dismiss(None)

    def action_choose(self, step: int) -> None:
        """Put a completion on the line; the only one there is completes what follows it, too."""
        if not self._found:
            return
        self._at = (self._at + step) % len(self._found) if self._at >= 0 or step > 0 else len(self._found) - 1
        line = self._found[self._at].line
        typed = self.query_one(Typed)
        if len(self._found) == 1:
            self._at = -1
        typed.value = line
        typed.cursor_position = len(typed.value)
        self._show()

    def on_input_submitted(self, message: Typed.Submitted) -> None:
        message.stop()
        word, _, argument = message.value.strip().partition(" ")
        if not word:
            self.dismiss(None)
            return
        matching = [offer for offer in self._offers if offer.action.command.startswith(word)]
        exact = [offer for offer in matching if offer.action.command == word]
        if len(exact or matching) != 1:
            name = visible(word)
            words = f"{name} is not the whole command." if matching else f"There is no command {name}."
            self.query_one("#completions", Static).update(Content(f" {words} "))
            self.query_one("#completions", Static).display = True
            return
        self.dismiss(((exact or matching)[0], argument.strip()))

    def action_leave(self) -> None:
        self.dismiss(None)
