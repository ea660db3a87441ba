"""The line that is left of a screen on a terminal that is too small for it: which size it needs."""

from textual.geometry import Size

from tui.sizes import LEAST, WORKBENCH, needs
from tui.widgets.line import Line


class TooSmall(Line):
    """Hidden as long as there is room (screens.css, `-small`)."""

    def __init__(self, *, ascii_only: bool = False) -> None:
        super().__init__(ascii_only=ascii_only, id="too-small")

    def fit(self, size: Size, paged: tuple[int, int] = WORKBENCH) -> bool:
        """Mark the screen as `-small`, or as `-paged` where it is less than `paged`.

        Gives whether there is room for more than this line: then the screen focuses a pane again, since what was
        hidden has lost the focus.
        """
        width, height = size
        small = width < LEAST[0] or height < LEAST[1]
        self.screen.set_class(small, "-small")
        self.screen.set_class(not small and (width < paged[0] or height < paged[1]), "-paged")
        self.set_parts(needs(width, height))
        return not small
