"""What was decided about the images of a workspace, as its ledger had it when it was read."""

from collections import defaultdict
from collections.abc import Mapping

import msgspec

from core.model.channels import ChannelRule
from core.model.decided import Decided, Effective, Key
from core.model.image import ImageState, ImageVersion
from core.model.stale import newer_parent
from core.model.states import Verdict

_BETTER = frozenset({ImageState.GOOD, ImageState.RELEASED})


class Standing(msgspec.Struct, frozen=True):
    """All decisions of a workspace, with what is looked up for each of its images made ready."""

    decided: Decided = msgspec.field(default_factory=Decided)
    rules: tuple[ChannelRule, ...] = ()
    """The channels of ingot.toml, in its order."""
    at: Mapping[Key, tuple[str, ...]] = msgspec.field(default_factory=dict[Key, tuple[str, ...]])
    """Role and version → the channels that are there."""
    newest_good: Mapping[str, ImageVersion] = msgspec.field(default_factory=dict[str, ImageVersion])
    """Role → its newest image version that was good when the ledger was read."""

    def knows(self, image: ImageVersion) -> bool:
        """Whether the ledger has this very image: a version's name can turn out to be another one's."""
        there = self.decided.images.get((image.role, image.version))
        return there is not None and there.run == image.run

    def effective(self, image: ImageVersion, now: float) -> Effective:
        """Its state as it counts now; where the ledger was not read, or does not know it, what the image itself says,
        and nothing of its tests."""
        if self.knows(image):
            return self.decided.effective((image.role, image.version), now)
        return Effective(image.state, image.state, Verdict.UNKNOWN)

    def channels(self, image: ImageVersion) -> tuple[str, ...]:
        """The channels that are at it, in the order of ingot.toml."""
        return self.at.get((image.role, image.version), ()) if self.knows(image) else ()

    def outdated(self, image: ImageVersion) -> str:
        """The newer good version of what it is built on; empty where there is none."""
        parent = self.decided.images.get((image.upstream.role, image.upstream.version))
        return newer_parent(image, self.newest_good, parent)


def standing_of(decided: Decided, rules: tuple[ChannelRule, ...], now: float) -> Standing:
    """Of all decisions, the standing at a time."""
    places: dict[Key, list[str]] = defaultdict(list)
    order = {rule.name: at for at, rule in enumerate(rules)}
    for role, channel in sorted(decided.trails, key=lambda key: (order.get(key[1], len(order)), key)):
        if there := decided.points_to((role, channel)):
            places[there].append(channel)
    newest: dict[str, ImageVersion] = {}
    for key, image in decided.images.items():
        before = newest.get(image.role)
        newer = before is None or image.created > before.created
        if newer and decided.effective(key, now).state in _BETTER:
            newest[image.role] = image
    return Standing(decided, rules, {key: tuple(names) for key, names in places.items()}, newest)
