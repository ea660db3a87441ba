"""How a build may pause: asked before it starts, where the usual way is not what a person wants."""

from collections.abc import Iterator, Sequence
from typing import ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.geometry import Size
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Static

from core.model.pause import CLEAN_UP, DEFAULT_LIMIT, EACH_PROVISIONER, FIRST_PROVISIONER, PauseMode, Wish, is_stop
from core.text import cut_end, duration
from tui.actions import app_of
from tui.ascii import in_ascii
from tui.screens.asked import Asked
from tui.theme import ASCII, UNICODE, Piece, Tone, tone_style
from tui.widgets.typed import Typed

_MODES = (
    (PauseMode.FAILURE, "On failure", "at failures and breakpoints"),
    (PauseMode.STEP, "Step through", "also where you say below"),
    (PauseMode.NEVER, "Never", "cleans up, passes breakpoints"),
)
_STOPS = (
    (FIRST_PROVISIONER, "before the first provisioner"),
    (EACH_PROVISIONER, "before each provisioner"),
    (CLEAN_UP, "before the machine is cleaned up"),
)
_NAMED = "at the step named below"
_ROWS = len(_MODES) + len(_STOPS) + 1


class Ways(Widget, can_focus=True):
    """The modes, one of which is chosen, and the stops of stepping through, of which some are."""

    class Chosen(Message):
        """Enter: as it is now."""

    class Moved(Message):
        """Something else is chosen, or the row of the step's name is reached."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__(id="ways")
        self.mode = PauseMode.FAILURE
        self.stops: set[str] = {FIRST_PROVISIONER}
        self.named = False
        self.at = 0
        self._signs = ASCII if ascii_only else UNICODE
        self._ascii = ascii_only

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return _ROWS

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y >= _ROWS:
            return Strip.blank(width, self.rich_style)
        stepping = self.mode is PauseMode.STEP
        if y < len(_MODES):
            mode, title, about = _MODES[y]
            chosen = mode is self.mode
            box = f"({self._signs.marked if chosen else ' '}) "
            pieces = [Piece(box, Tone.ACCENT), Piece(f"{title:<14}", Tone.STRONG if chosen else Tone.PLAIN)]
            pieces.append(Piece(about, Tone.FAINT))
        else:
            chosen, label = self._stop(y - len(_MODES))
            box = f"    [{'x' if chosen else ' '}] "
            loud = Tone.PLAIN if stepping else Tone.FAINT
            pieces = [Piece(box, Tone.ACCENT if stepping else Tone.FAINT), Piece(label, loud)]
        here = y == self.at and self.has_focus
        pieces.insert(0, Piece(f"{self._signs.cursor} " if here else "  ", Tone.ACCENT))
        segments: list[Segment] = []
        left = width
        for text, tone in pieces:
            cut = cut_end(in_ascii(text) if self._ascii else text, left)
            left -= len(cut)
            segments.append(Segment(cut, self._tone(tone)))
        return Strip(segments).adjust_cell_length(width, self.rich_style)

    def _tone(self, tone: Tone) -> Style:
        return Style(bgcolor=self.rich_style.bgcolor) + tone_style(tone, app_of(self).theme_variables)

    def _stop(self, at: int) -> tuple[bool, str]:
        if at == len(_STOPS):
            return self.named, _NAMED
        stop, label = _STOPS[at]
        return stop in self.stops, label

    def on_key(self, event: events.Key) -> None:
        match event.key:
            case "j" | "down":
                self._move(self.at + 1)
            case "k" | "up":
                self._move(self.at - 1)
            case "space":
                self.toggle(self.at)
            case "enter":
                self.post_message(self.Chosen())
            case _:
                return
        event.stop()
        event.prevent_default()

    def on_click(self, event: events.Click) -> None:
        if event.y < _ROWS:
            self._move(event.y)
            self.toggle(self.at)

    def _move(self, at: int) -> None:
        self.at = max(0, min(at, _ROWS - 1))
        if self.at < len(_MODES):
            self.mode = _MODES[self.at][0]
        self.refresh()
        self.post_message(self.Moved())

    def toggle(self, at: int) -> None:
        """Choose the mode, or choose the stop or not: a stop makes sense only when stepping through."""
        if at < len(_MODES):
            self.mode = _MODES[at][0]
        elif at - len(_MODES) == len(_STOPS):
            self.mode, self.named = PauseMode.STEP, not self.named
        else:
            self.mode = PauseMode.STEP
            self.stops ^= {_STOPS[at - len(_MODES)][0]}
        self.refresh()
        self.post_message(self.Moved())

    def on_focus(self) -> None:
        self.refresh()

    def on_blur(self) -> None:
        self.refresh()


class HowToPause(Asked[Wish]):
    """Gives how the build may pause; None where it is not to start."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("tab,shift+tab", "other", "Other field", show=False, priority=True),
        Binding("q", "no", "No", show=False),
    ]

    def __init__(self, roles: Sequence[str], *, ascii_only: bool = False) -> None:
        what = roles[0] if len(roles) == 1 else f"{len(roles)} roles"
        super().__init__(
            f"Build {what}: when may it pause?",
            (
                "Paused, its machine lives, with a shell in it.",
                f"Nobody comes: cleaned up after {duration(DEFAULT_LIMIT)}, or as ingot.toml says.",
            ),
        )
        self._ways = Ways(ascii_only=ascii_only)

    def asked(self) -> Iterator[Widget]:
        yield self._ways
        yield Typed(id="typed")
        yield self.wrong
        yield Static(Content("↑ ↓ choose   Space mark   Enter build   Esc no"), classes="ask")

    def first(self) -> Widget:
        typed = self.query_one(Typed)
        typed.placeholder = "StepProvision"
        typed.display = False
        return self._ways

    def on_ways_moved(self) -> None:
        named = self._ways.named and self._ways.mode is PauseMode.STEP
        typed = self.query_one(Typed)
        if named and not typed.display:
            typed.display = True
            typed.focus()
        elif not named:
            typed.display = False
        self.say_wrong("")

    def action_other(self) -> None:
        typed = self.query_one(Typed)
        self.set_focus(typed if typed.display and not typed.has_focus else self._ways)

    def on_ways_chosen(self) -> None:
        self._done()

    def on_input_submitted(self, message: Typed.Submitted) -> None:
        message.stop()
        self._done()

    def _done(self) -> None:
        ways = self._ways
        if ways.mode is not PauseMode.STEP:
            self.answer(Wish(ways.mode, watched=True))
            return
        stops = [stop for stop, _ in _STOPS if stop in ways.stops]
        if ways.named:
            name = self.query_one(Typed).value.strip()
            if not is_stop(name):
                words = f"{name} is no name of a step." if name else "Name the step, as Packer prints it."
                self.say_wrong(words)
                self.query_one(Typed).focus()
                return
            stops.append(name)
        if not stops:
            self.say_wrong("Mark where it is to stop: Space does.")
            return
        self.answer(Wish(PauseMode.STEP, tuple(stops), watched=True))
