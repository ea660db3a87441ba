"""Moves of channels to an image version, and back: what a move brings is said, then a reason is asked."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

from core.model.image import ImageVersion
from core.model.promotion import Check, blockers, warnings
from tui.cells import person
from tui.promote_cells import ChannelHere
from tui.screens.reasons import REASON, Field, Reasons
from tui.theme import UNICODE

if TYPE_CHECKING:
    from tui.app import Ingot


class Moves:
    """The moves that one screen asks for; it knows which channel was moved from there last."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house
        self._moved = ""
        """The channel that was moved from here last: one key takes that back."""

    def promote(
        self, image: ImageVersion, channel: ChannelHere, found: Sequence[Check], lost: Callable[[], None]
    ) -> None:
        """Ask why, and for a yes where something is to be weighed; then move what was seen here.

        `lost` is called when somebody else was first.
        """
        deciding = self._house.deciding
        if deciding is None:
            return
        expected, left = channel.version, warnings(found)
        before = f"from {expected} " if expected else ""
        lines = [f"{channel.name} of {image.role} moves {before}to {image.version}, for everybody who takes it."]
        if left:
            lines += ["", "Weigh this:", *(f"  {UNICODE.attention} {check.title}: {check.says}" for check in left)]
        lines += ["", "u takes it back afterwards." if expected else "It had nothing before: there is no way back."]
        fields = [REASON, *([Field("yes", "", must="yes")] if left else [])]

        def answered(typed: Mapping[str, str] | None) -> None:
            if typed is None:
                return
            self._house.decisions.decide(
                f"moving {channel.name} of {image.role}…",
                partial(deciding.promote, image.role, image.version, channel.name, typed["why"], expected=expected),
                partial(self._has_moved, channel.name),
                lost,
            )

        question = Reasons(f"Promote {image.role} {image.version}?", lines, yes="move it", fields=fields)
        self._house.push_screen(question, answered)

    def _has_moved(self, channel: str) -> None:
        self._moved = channel

    def back(self, image: ImageVersion, channel: ChannelHere, lost: Callable[[], None]) -> None:
        """What was moved from here a moment ago goes back at once; what others moved is asked about first. `lost` as in
        `promote`."""
        if channel.name == self._moved and channel.here:
            self._go_back(image, channel, "moved a moment ago, and taken back", lost)
            return
        by = f" by {person(channel.newest.by)}" if channel.newest else ""
        lines = (
            f"{channel.name} of {image.role} goes back from {channel.version} to {channel.back_to}, for everybody"
            " who takes it.",
            f"It was moved to {channel.version}{by}." if by else "",
        )

        def answered(typed: Mapping[str, str] | None) -> None:
            if typed is not None:
                self._go_back(image, channel, typed["why"], lost)

        self._house.push_screen(Reasons(f"Move {channel.name} back?", lines, yes="move it back"), answered)

    def _go_back(self, image: ImageVersion, channel: ChannelHere, why: str, lost: Callable[[], None]) -> None:
        if (deciding := self._house.deciding) is not None:
            self._moved = ""
            self._house.decisions.decide(
                f"moving {channel.name} of {image.role} back…",
                partial(deciding.back, image.role, channel.name, why, expected=channel.version, to=channel.back_to),
                lost=lost,
            )


def why_not_moved(image: ImageVersion, channel: ChannelHere | None, found: Sequence[Check] | None) -> str:
    """Why the channel cannot move to the image version; empty where it can. `found` is None before it is known."""
    if channel is None:
        return "ingot.toml names no channel: [channels.production] makes one."
    if channel.here:
        return f"{channel.name} of {image.role} is at {image.version} already."
    if channel.rule is None:
        return f"ingot.toml names {channel.name} no longer: it cannot be moved."
    if found is None:
        return "The checks are being looked at."
    if stopped := blockers(found):
        first = stopped[0]
        return f"{first.title}: {first.says}. {first.next_step}".strip()
    return ""
