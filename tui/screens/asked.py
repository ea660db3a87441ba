"""Questions in front of a screen: what is told scrolls where there is no room for all of it; what is asked, with its
keys, is always on the screen."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, TypeVar

from textual import events
from textual.app import ComposeResult
from textual.await_complete import AwaitComplete
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.content import Content
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.widget import Widget
from textual.widgets import Static

from core.text import visible
from tui.widgets.too_small import TooSmall

_Answer = TypeVar("_Answer")

ROOMY, TIGHT = 30, 20
"""Rows of a terminal from which a question has blank lines around it, and below which it has none at all."""

_REST = "PgUp PgDn: the rest"


class Told(VerticalScroll, can_focus=False):
    """What is told: as high as it is, or as the terminal has room for beside what is asked."""

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        wanted = super().get_content_height(container, viewport, width - self.scrollbar_size_vertical)
        box = self.parent
        if not isinstance(box, Widget):
            return wanted
        asked = [one for one in box.displayed_children if one is not self]
        taken = box.styles.gutter.height + sum(_height(one, container, viewport, width) for one in asked)
        return max(min(wanted, viewport.height - taken), 1)

    def watch_show_vertical_scrollbar(self, more: bool) -> None:
        """Say how the rest of it is read, where there is more than shows."""
        if isinstance(self.parent, Widget):
            self.parent.border_subtitle = _REST if more else ""


def _height(widget: Widget, container: Size, viewport: Size, width: int) -> int:
    """Rows that a widget takes, with what is around it."""
    styles = widget.styles
    around = styles.gutter.height + styles.margin.height
    if styles.height is None or styles.height.is_auto:
        return around + widget.get_content_height(container, viewport, width - styles.gutter.width)
    return around + int(styles.height.value)


class Asked(ModalScreen[_Answer | None]):
    """A question. Subclasses say in `asked` what is below what is told, and give what a person says to `answer`."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "no", "No", show=False),
        Binding("pagedown", "tell(1)", "More", show=False, priority=True),
        Binding("pageup", "tell(-1)", "Before", show=False, priority=True),
    ]

    def __init__(self, title: str, lines: Sequence[str], *, danger: bool = False) -> None:
        super().__init__()
        self._title = visible(title)
        self._danger = danger
        self.told = Told(
            *(Static(Content(visible(line)), classes="line" if line else "gap") for line in lines), id="told"
        )
        self.told.display = bool(lines)
        self.wrong = Static(Content(""), id="wrong")
        """What is wrong with what was typed."""
        self.too_small = TooSmall()
        self._left: Widget | None = None
        """What had the focus when the terminal became too small."""
        self._over = False
        self._waits: tuple[_Answer | None] | None = None
        """The answer that came while something else stood in front."""

    def asked(self) -> Iterator[Widget]:
        """What is below what is told, from top to bottom."""
        raise NotImplementedError

    def compose(self) -> ComposeResult:
        with Vertical(id="question", classes="-danger" if self._danger else "") as box:
            box.border_title = Content(self._title)
            box.styles.visibility = "hidden"  # until all of it is there: nobody answers half a question
            yield self.told
            yield from self.asked()
        yield self.too_small

    def on_mount(self) -> None:
        self.query_one("#question").styles.visibility = "visible"
        if (first := self.first()) is not None:
            self.set_focus(first)

    def first(self) -> Widget | None:
        """What has the keyboard at first; None where the keys are for the question itself."""
        return None

    @property
    def shows(self) -> bool:
        """The terminal is large enough for it: nobody says yes to what cannot be read."""
        return not self.has_class("-small")

    def on_resize(self, event: events.Resize) -> None:
        focused = self.focused
        self.set_class(event.size.height < ROOMY, "-low")
        self.set_class(event.size.height < TIGHT, "-tight")
        if self.too_small.fit(event.size):
            if self._left is not None:
                self.set_focus(self._left)
            self._left = None
        elif focused is not None:
            self._left = focused
        self.lay_out()

    def lay_out(self) -> None:
        """Give what is told the room that what is asked leaves now."""
        self.told.refresh(layout=True)

    def say_wrong(self, words: str) -> None:
        """Say it below what is typed; nothing with empty words."""
        self.wrong.update(Content(visible(words)))
        self.wrong.set_class(bool(words), "-said")
        self.lay_out()

    def action_tell(self, pages: int) -> None:
        self.told.scroll_relative(y=pages * max(self.told.size.height - 1, 1), animate=False)

    def answer(self, answer: _Answer) -> None:
        """What a person says to what is read: nothing that is hidden is answered."""
        if self.shows:
            self.dismiss(answer)

    def dismiss(self, result: _Answer | None = None) -> AwaitComplete:
        """End with this. Textual takes away whatever is in front: where that is not this question, it ends when it is
        in front again. The first answer counts."""
        if self._over or (self._waits is not None and not self.is_active):
            return AwaitComplete.nothing()
        if not self.is_active:
            self._waits = (result,)
            return AwaitComplete.nothing()
        self._over = True
        return super().dismiss(result if self._waits is None else self._waits[0])

    def on_screen_resume(self) -> None:
        if self._waits is not None:
            self.dismiss(self._waits[0])

    def action_no(self) -> None:
        self.dismiss(None)
