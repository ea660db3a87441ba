"""What the list and the log have in common: a frame that says what they show, in the colours of the focus."""

from rich.style import Style
from textual.scroll_view import ScrollView

from tui.theme import Tone


class Framed(ScrollView):
    """A pane with words in its frame. Subclasses write them in `_frame`, and keep styles of tones in `_styles`."""

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - as Textual names it
        super().__init__(id=id)
        self._styles: dict[tuple[Tone, str], Style] = {}

    def _frame(self) -> None:
        raise NotImplementedError

    def notify_style_update(self) -> None:
        super().notify_style_update()
        self._styles.clear()
        if self.is_attached:  # the styles of the parts are renewed after this: only then can the frame take them
            self.call_after_refresh(self._frame)

    def on_focus(self) -> None:
        self.call_after_refresh(self._frame)  # the colours of the focus come with the next drawing
        self.refresh()

    def on_blur(self) -> None:
        self.call_after_refresh(self._frame)
        self.refresh()
