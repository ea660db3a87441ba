"""What was read anew reaches everybody: the screens that show it, and the person, on whichever of them."""

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from core.model.standing import Standing
from core.services.overview import Overview
from tui.news import begun, failed, newest_paused

if TYPE_CHECKING:
    from tui.app import Ingot


@runtime_checkable
class Follows(Protocol):
    """A screen that shows something of the overview and wants each new one."""

    def show(self, overview: Overview) -> None: ...


@runtime_checkable
class Stands(Protocol):
    """A screen that shows what was decided and wants to know when that changed."""

    def stands(self, standing: Standing) -> None: ...


class Telling:
    """On behalf of one app."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house

    def overview(self, before: Overview, *, first: bool) -> None:
        """On all screens, and what is new as a notice; the first one opens what waits for a person."""
        house, overview = self._house, self._house.overview
        house.workbench.show(overview)
        house.show_header()
        house.ahead.look(overview)
        for screen in house.screen_stack:
            if screen is not house.workbench and isinstance(screen, Follows):
                screen.show(overview)
        if first:
            house.call_after_refresh(self._open_paused)
        else:
            self._say_news(before, overview)
            if overview.images is not before.images:
                house.read_standing()

    def standing(self) -> None:
        """On the screens that show it."""
        for screen in self._house.screen_stack:
            if isinstance(screen, Stands):
                screen.stands(self._house.standing)

    def _open_paused(self) -> None:
        untouched = not self._house.first_run and self._house.screen is self._house.workbench
        if untouched and (uid := newest_paused(self._house.overview)):
            self._house.opening.run(uid)

    def _say_news(self, before: Overview, after: Overview) -> None:
        """Somebody must notice when a machine begins to wait, and when a run fails: one bell, and a notice for each."""
        house = self._house
        pauses, runs = begun(before, after, house.clock()), failed(before, after)
        for news in pauses:
            house.notify(news.text, title=news.title, severity="warning", timeout=20)
        for news in runs:
            house.notify(news.text, title=news.title, severity="error", timeout=12)
        if pauses or runs:
            house.bell()
