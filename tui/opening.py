"""The ways to the screens that show one thing: a run, an image, a difference, a machine."""

from typing import TYPE_CHECKING, Any

from textual.screen import Screen

from core.model.image import ImageVersion
from tui.waiting import Waiting, waiting

if TYPE_CHECKING:
    from tui.app import Ingot


class Opening:
    """On behalf of one app. Each screen is loaded when somebody first goes there."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house

    def run(self, uid: str) -> None:
        from tui.screens.run import RunScreen

        self._house.push_screen(RunScreen(uid))

    def image(self, image: ImageVersion) -> None:
        from tui.screens.image import ImageScreen

        self._house.push_screen(ImageScreen(image, self._house.clock, ascii_only=self._house.ascii_only))

    def difference(self, old: ImageVersion, new: ImageVersion) -> None:
        from tui.screens.difference import DifferenceScreen

        self._house.push_screen(DifferenceScreen(old, new))

    def debug(self, uid: str, build: str = "") -> None:
        """The debug screen of a run, or of one build of it, in front of it. Of several that wait one is chosen first:
        a shell marks an image for ever."""
        from tui.screens.debug import DebugScreen

        if build or len(waiting(self._house.overview, uid)) < 2:
            self._house.push_screen(DebugScreen(uid, build))
        else:
            self.choose_machine(uid)

    def what_waits(self) -> None:
        """The debug screen of the only machine that waits, of all runs; of several one is chosen first."""
        there = waiting(self._house.overview)
        if len(there) == 1:
            self.debug(there[0].run.uid, there[0].build)
        elif there:
            self.choose_machine()

    def choose_machine(self, uid: str = "", instead: Screen[Any] | None = None) -> None:
        """Have one of the machines that wait chosen, of one run or of all; its screen comes in the place of `instead`,
        where that is given."""
        from tui.screens.machines import Machines

        def chosen(one: Waiting | None) -> None:
            if one is not None:
                if instead is not None:
                    instead.dismiss()
                self.debug(one.run.uid, one.build)

        there = waiting(self._house.overview, uid)
        self._house.push_screen(Machines(there, self._house.clock, ascii_only=self._house.ascii_only), chosen)
