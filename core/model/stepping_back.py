"""Stepping back on the way that a channel came: one rule, for what is said of it and for what is then moved."""

from collections.abc import Iterator

from core.model.channels import ChannelMove, ChannelRule
from core.model.decided import Decided


def steps_back(
    decided: Decided, role: str, rule: ChannelRule, now: float, *, by: str = "", why: str = ""
) -> Iterator[tuple[ChannelMove, str]]:
    """The moves that would step back, the nearest first, each with the rule that forbids it (empty where none does)."""
    trail = decided.trail(role, rule.name)
    for earlier in reversed(trail.way[:-1]):
        image = decided.images.get((role, earlier.version))
        if image is not None and image.run == earlier.run:
            move = ChannelMove(
                role, rule.name, image.version, image.run, trail.version, by, now, why, rule.takes, back=True
            )
            yield move, decided.forbids(move, now)
