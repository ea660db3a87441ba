"""The palette (Ctrl+P): Textual's own, fed from the registry of actions."""

from functools import partial
from typing import TYPE_CHECKING, cast

from textual.command import DiscoveryHit, Hit, Hits, Provider

from tui.actions import Offer

if TYPE_CHECKING:
    from tui.app import Ingot


class Offers(Provider):
    """What can be done on the screen that the palette was opened on; our own words only, never a name from outside."""

    def _offers(self) -> list[Offer]:
        from tui.actions import offers

        # The palette is a screen of its own: what was offered is that of the one below it.
        app = cast("Ingot", self.app)  # pyright: ignore[reportUnknownMemberType] - as in tui.actions.app_of
        return [offer for offer in offers((self.focused, self.screen, app), app.keymap) if not offer.action.internal]

    async def discover(self) -> Hits:
        for offer in self._offers():
            if not offer.why_not and offer.action.group != "In lists":
                yield DiscoveryHit(_title(offer), partial(_do, offer), help=offer.action.about)

    async def search(self, query: str) -> Hits:
        matcher, found = self.matcher(query), False
        for offer in self._offers():
            if (score := matcher.match(offer.action.title)) > 0:
                found = True
                # Never why it cannot be done now: that names what others named, and Textual takes a help for markup.
                # Who tries it is told in a notice.
                yield Hit(
                    score,
                    matcher.highlight(offer.action.title),
                    partial(_do, offer),
                    text=offer.action.title,
                    help=offer.action.about,
                )
        if not found:  # Textual says so only half a second later
            yield Hit(1, "Nothing here is called that", _nothing, text=query, help="? lists all that can be done here")


def _title(offer: Offer) -> str:
    return f"{offer.action.title}  ({offer.action.key})" if offer.action.key else offer.action.title


def _do(offer: Offer) -> None:
    offer.actor.act(offer.action)


def _nothing() -> None:
    """What Enter does where nothing was found."""
