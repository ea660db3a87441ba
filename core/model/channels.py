"""Channels: named pointers of a role to an image version, what they take, and how they were moved."""

from collections.abc import Iterable
from enum import StrEnum

import msgspec

from core.model.image import ImageState


class OnRevoked(StrEnum):
    """What becomes of a channel whose image version is revoked."""

    BLOCK = "block"
    """It stays where it is and gives nobody anything, until somebody moves it."""
    BACK = "back"
    """It goes back, with the revocation, to the newest it had before that it still takes."""


class ChannelRule(msgspec.Struct, frozen=True):
    """What a workspace says about one channel of all its roles."""

    name: str
    takes: tuple[ImageState, ...] = (ImageState.GOOD, ImageState.RELEASED)
    on_revoked: OnRevoked = OnRevoked.BLOCK


DEFAULT_CHANNELS = (ChannelRule("staging"), ChannelRule("production"))
"""Where ingot.toml names none."""


class ChannelMove(msgspec.Struct, frozen=True):
    """One move of one channel: who, when, why, from, to."""

    role: str
    channel: str
    version: str
    """Where it was moved to."""
    run: str
    """Uid of the run that made that image: a version's name can turn out to be somebody else's."""
    before: str
    """The version that it had, empty for none: what compare-and-swap compares."""
    by: str
    at: float
    """Seconds since the epoch."""
    why: str = ""
    takes: tuple[ImageState, ...] = ()
    """The states that the channel took by the rule that held then."""
    back: bool = False
    """It was a step back on the way that the channel had come."""


class Trail(msgspec.Struct, frozen=True):
    """The way of a channel, by all its moves."""

    moves: tuple[ChannelMove, ...] = ()
    """Those that count, the oldest first."""
    way: tuple[ChannelMove, ...] = ()
    """The moves that a step back takes back, the newest last: a step back is itself not one of them."""
    broken: tuple[ChannelMove, ...] = ()
    """Moves that do not count: they came from where the channel was not."""

    @property
    def version(self) -> str:
        """Where the channel is; empty for nowhere."""
        return self.moves[-1].version if self.moves else ""

    @property
    def newest(self) -> ChannelMove | None:
        return self.moves[-1] if self.moves else None

    @property
    def run(self) -> str:
        """Uid of the run that made the image that the channel is at."""
        return self.moves[-1].run if self.moves else ""


def trail_of(moves: Iterable[ChannelMove]) -> Trail:
    """The way of a channel from its moves, in their order. A move from where the channel was not does not count."""
    counted: list[ChannelMove] = []
    way: list[ChannelMove] = []
    broken: list[ChannelMove] = []
    for move in moves:
        if move.before != (counted[-1].version if counted else ""):
            broken.append(move)
            continue
        counted.append(move)
        if move.back and way:
            way.pop()
            while way and (way[-1].version, way[-1].run) != (move.version, move.run):
                way.pop()
        if not move.back or not way:
            way.append(move)
    return Trail(tuple(counted), tuple(way), tuple(broken))
