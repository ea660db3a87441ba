"""The last line: what can be done here and now, from the registry of actions."""

from collections.abc import Iterable

from tui.actions import Offer
from tui.theme import Piece, Tone
from tui.widgets.line import Line, Part

_ORDER = {"In lists": 1, "Everywhere": 2}
"""What the screen can do comes first, then what every list can, then what always can be done."""
_TYPING = {"Enter": "Keep", "Esc": "Clear"}


class Footer(Line):
    """Shows what has a rank; where there is no room, the lower ranks stay. The rest is in the help. At its right end
    stands the way out, which is the nearest one: back, or on the first screen out of Ingot."""

    def set_offers(self, offers: Iterable[Offer], *, lead: str = "") -> None:
        """Show those that have a rank and can be done now; `lead` stands before them."""
        able = [offer for offer in offers if offer.action.rank and not offer.why_not]
        out = next((offer for offer in able if offer.action.last), None)
        shown = sorted(
            (offer for offer in able if offer is out or not offer.action.last),
            key=lambda offer: (offer.action.last, _ORDER.get(offer.action.group, 0), offer.action.rank),
        )
        self.set_parts(
            [
                *([Part(Piece(lead, Tone.STRONG))] if lead else []),
                *(
                    Part(
                        (Piece(offer.action.key, Tone.ACCENT), Piece(f" {offer.action.title}", Tone.FAINT)),
                        priority=offer.action.rank,
                        right=offer.action.last,
                        clicked=lambda offer=offer: offer.actor.act(offer.action),
                    )
                    for offer in shown
                ),
            ]
        )

    def set_typing(self) -> None:
        """Show how what is typed into a list or log, to filter or to find, ends."""
        self.set_parts(
            [Part((Piece(key, Tone.ACCENT), Piece(f" {what}", Tone.FAINT))) for key, what in _TYPING.items()]
        )
