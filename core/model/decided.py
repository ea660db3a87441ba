"""Everything that was decided about a workspace's images, taken together: effective states, and what rules forbid."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec
from msgspec.structs import replace

from core.model.channels import ChannelMove, Trail, trail_of
from core.model.image import ImageState, ImageVersion, may_become_good
from core.model.states import Act, Life, StateChange, Verdict, after, by_whom, life_of, overtaken, refusal

Key = tuple[str, str]
"""Role and version, or role and channel."""
Decision = StateChange | ChannelMove

NEW = Life()


class Effective(msgspec.Struct, frozen=True):
    """The state of an image version as it counts at a moment."""

    state: ImageState
    stored: ImageState
    """As decided about this image version itself."""
    verdict: Verdict
    because: StateChange | None = None
    """The deprecation or revocation that makes the state: its own, or an ancestor's."""
    inherited: str = ""
    """The ancestor whose revocation it is, `base 0.1.0`; empty for its own."""
    coming: StateChange | None = None
    """What is decided for a later date."""


class Decided(msgspec.Struct, frozen=True):
    """All decisions about all images, as they stand on the ledger."""

    images: Mapping[Key, ImageVersion] = msgspec.field(default_factory=dict[Key, ImageVersion])
    lives: Mapping[Key, Life] = msgspec.field(default_factory=dict[Key, Life])
    """Of the images about which something was decided."""
    trails: Mapping[Key, Trail] = msgspec.field(default_factory=dict[Key, Trail])
    """By role and channel."""
    changes: Mapping[Key, tuple[StateChange, ...]] = msgspec.field(default_factory=dict[Key, tuple[StateChange, ...]])
    """The history: all that is on the ledger, the oldest first."""
    broken: tuple[Decision, ...] = ()
    """What is on the ledger against the rules: it does not count."""
    unreadable: frozenset[Key] = frozenset()
    """Role and version (or channel) of which a decision cannot be read: nothing builds on those until that is mended,
    for it may be a revocation."""

    def life(self, key: Key) -> Life:
        """What was decided about one image version."""
        return self.lives.get(key, NEW)

    def trail(self, role: str, channel: str) -> Trail:
        """The way of one channel."""
        return self.trails.get((role, channel), Trail())

    def ancestors(self, key: Key) -> Iterator[Key]:
        """The images of the ledger that one is built on, the nearest first."""
        seen = {key}
        while image := self.images.get(key):
            key = (image.upstream.role, image.upstream.version)
            if key in seen or key not in self.images:
                return
            seen.add(key)
            yield key

    def effective(self, key: Key, now: float) -> Effective:
        """The state of an image version at a moment: its own, unless an ancestor is revoked."""
        life = self.life(key)
        found = Effective(life.state(now), life.stored, life.verdict, life.counting(now), "", life.coming(now))
        if found.state is ImageState.REVOKED:
            return found
        for ancestor in self.ancestors(key):
            their = self.life(ancestor)
            if their.state(now) is ImageState.REVOKED:
                inherited = f"{ancestor[0]} {ancestor[1]}"
                return replace(found, state=ImageState.REVOKED, because=their.counting(now), inherited=inherited)
        return found

    def descendants(self, key: Key) -> list[Key]:
        """The images that are built on one, and on those, in the order of the ledger."""
        return [other for other in self.images if key in self.ancestors(other)]

    def points_to(self, channel: Key) -> Key | None:
        """The image version that a channel is at; None for none, or when that version's name is another image's now."""
        trail = self.trail(*channel)
        image = self.images.get((channel[0], trail.version))
        return (image.role, image.version) if image and image.run == trail.run else None

    def channels_at(self, key: Key) -> tuple[str, ...]:
        """The channels that are at an image version."""
        of_role = (channel for channel in self.trails if channel[0] == key[0])
        return tuple(sorted(channel[1] for channel in of_role if self.points_to(channel) == key))

    def has(self, decision: Decision) -> bool:
        """Whether this very decision is among them."""
        if isinstance(decision, StateChange):
            return decision in self.changes.get((decision.role, decision.version), ())
        return decision in self.trail(decision.role, decision.channel).moves

    def overtaken_by(self, decision: Decision) -> Decision | None:
        """The decision of somebody else that whoever made this one had not seen, and that it must not undo."""
        if isinstance(decision, StateChange):
            return overtaken(self.life((decision.role, decision.version)), decision)
        trail = self.trail(decision.role, decision.channel)
        return trail.newest if trail.version != decision.before else None

    def forbids(self, decision: Decision, now: float) -> str:
        """The rule that forbids a decision; empty where none does."""
        key = (decision.role, decision.version)
        image = self.images.get(key)
        if image is None:
            return f"There is no image {decision.role} {decision.version} on the ledger."
        if isinstance(decision, ChannelMove):
            return self._forbids_move(image, decision, now)
        if decision.act is not Act.REVOKED and (mend := self._unreadable(key)):
            return mend
        if decision.act is Act.REVOKED and not decision.why.strip():  # one on the ledger counts without, too
            return f"{image.role} {image.version} is revoked only for a reason."
        effective = self.effective(key, now)
        if decision.act in (Act.GOOD, Act.RELEASED) and effective.inherited:
            return f"{image.role} {image.version} is built on {effective.inherited}, which is revoked{_by(effective)}."
        return refusal(image, self.life(key), decision)

    def _forbids_move(self, image: ImageVersion, move: ChannelMove, now: float) -> str:
        name = f"{image.role} {image.version}"
        key = (image.role, image.version)
        if image.run != move.run:
            return f"{name} is another image now, of run {image.run}."
        if self.points_to((move.role, move.channel)) == key:
            return f"{move.channel} of {image.role} is at {image.version} already."
        if mend := self._unreadable(key) or self._unreadable((move.role, move.channel)):
            return mend
        effective = self.effective(key, now)
        if effective.state is ImageState.REVOKED:
            built = f"built on {effective.inherited}, which is " if effective.inherited else ""
            return f"{name} is {built}revoked{_by(effective)}."
        if effective.state not in move.takes:
            takes = f"what is {' or '.join(move.takes)}" if move.takes else "nothing"
            if effective.state is ImageState.CANDIDATE and (never := may_become_good(image)):
                return f"{move.channel} takes {takes}, and {never}"
            return f"{name} is {effective.state}, and {move.channel} takes {takes}."
        if effective.verdict is Verdict.FAILED:
            return f"{name} failed its newest tests."
        return "" if image.artifacts else f"The files of {name} were deleted: there is nothing to be had of it."

    def _unreadable(self, key: Key) -> str:
        for one in (key, *self.ancestors(key)):
            if one in self.unreadable:
                return f"What was decided about {one[0]} {one[1]} cannot be read: it may be revoked."
        return ""

    def with_decision(self, decision: Decision) -> "Decided":
        """The same, with one more decision that nothing forbids."""
        if isinstance(decision, StateChange):
            key = (decision.role, decision.version)
            changes = {**self.changes, key: (*self.changes.get(key, ()), decision)}
            return replace(self, lives={**self.lives, key: after(self.life(key), decision)}, changes=changes)
        key = (decision.role, decision.channel)
        return replace(self, trails={**self.trails, key: trail_of((*self.trail(*key).moves, decision))})


def decided(
    images: Iterable[ImageVersion],
    changes: Mapping[Key, tuple[StateChange, ...]],
    moves: Mapping[Key, tuple[ChannelMove, ...]],
    unreadable: Iterable[Key] = (),
) -> Decided:
    """All decisions taken together. `changes` and `moves` are in the order of the ledger."""
    by_key = {(image.role, image.version): image for image in images}
    lives: dict[Key, Life] = {}
    broken: list[Decision] = []
    for key, of_image in changes.items():
        if image := by_key.get(key):
            lives[key], wrong = life_of(image, of_image)
            broken += wrong
        else:
            broken += of_image
    trails = {key: trail_of(of_channel) for key, of_channel in moves.items()}
    broken += [move for trail in trails.values() for move in trail.broken]
    return Decided(by_key, lives, trails, changes, tuple(broken), frozenset(unreadable))


def _by(effective: Effective) -> str:
    return f" {by_whom(effective.because)}" if effective.because else ""
