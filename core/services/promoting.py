"""Deciding about image versions: promote, step back, deprecate, revoke, restore, and what channels are at.

Every decision is made on what is on the shared ledger now, and is on it, for everybody, when the method returns; only
where the remote cannot be reached it stays here, and the outcome says so. All methods block: call them from a thread.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from msgspec.structs import replace

from core import config
from core.adapters.git import GitRepository
from core.errors import LostRaceError, RefusedError, WorkspaceError
from core.model.channels import ChannelMove, ChannelRule, OnRevoked, Trail
from core.model.decided import Decided, Decision, Effective, Key
from core.model.image import ImageState, ImageVersion
from core.model.states import Act, StateChange, by_whom
from core.model.stepping_back import steps_back
from core.places import Places
from core.services import catalogue, known_roles
from core.store.index import Index
from core.store.ledger import Ledger
from core.text import moment, visible

_TRIES = 5
"""How often a revocation is made again when somebody moves a channel that it is about to move back."""


class ChannelView(msgspec.Struct, frozen=True):
    """One channel of one role, as it is now."""

    role: str
    channel: str
    rule: ChannelRule | None
    """What ingot.toml says of it; None where it names it no longer, and then it cannot be moved."""
    version: str
    """Where it is; empty for nowhere."""
    state: Effective | None
    """Of the image that it is at; None where it is nowhere, or at an image that is not on the ledger."""
    blocked: str
    """Why it gives nobody anything; empty where it does, and where it is nowhere."""
    moves: tuple[ChannelMove, ...]
    """Its history, the oldest first."""


class ChannelEnd(msgspec.Struct, frozen=True):
    """What becomes of one channel by a revocation."""

    role: str
    channel: str
    version: str
    back_to: str
    """Where it goes back to; empty where it stays, and is blocked."""


class Consequences(msgspec.Struct, frozen=True):
    """What revoking an image version brings with it."""

    inherits: tuple[Key, ...]
    """Role and version of the images that are built on it, and are revoked with it."""
    channels: tuple[ChannelEnd, ...]


class Outcome(msgspec.Struct, frozen=True):
    """What was decided, in sentences."""

    done: str
    notes: tuple[str, ...] = ()
    """What else one has to know: channels that moved or are blocked, and whether others know."""
    changed: bool = True


class _Desk(msgspec.Struct, frozen=True):
    """What is decided on: the ledger as it is now, and the rules of the workspace."""

    workspace_id: str
    ledger: Ledger
    decided: Decided
    rules: dict[str, ChannelRule]
    who: str
    now: float

    def image(self, role: str, version: str) -> ImageVersion:
        """Raises RefusedError where there is none."""
        found = self.decided.images.get((role, version))
        if found is None:
            raise RefusedError(f"There is no image {role} {version} on the ledger.", f"See: ingot images {role}")
        return found

    def rule(self, channel: str) -> ChannelRule:
        """Raises RefusedError where ingot.toml has no such channel."""
        if found := self.rules.get(channel):
            return found
        raise RefusedError(
            f"There is no channel {channel!r}: there are {', '.join(self.rules)}.",
            f"Name it in ingot.toml: [channels.{channel}]" if channel else "",
        )

    def seen(self, role: str, channel: str, expected: str | None) -> Trail:
        """The way of a channel. Raises LostRaceError where it is not at `expected` (None: wherever it is)."""
        trail = self.decided.trail(role, channel)
        if expected is not None and trail.newest and trail.version != expected:
            raise LostRaceError(
                f"{channel} of {role} is at {trail.newest.version} meanwhile, {by_whom_moved(trail.newest)}.",
                f"Look again: ingot channels {role} {channel}",
            )
        return trail

    def move(self, image: ImageVersion, rule: ChannelRule, why: str) -> ChannelMove:
        before = self.decided.trail(image.role, rule.name).version
        return ChannelMove(image.role, rule.name, image.version, image.run, before, self.who, self.now, why, rule.takes)

    def change(self, act: Act, role: str, version: str, why: str) -> StateChange:
        image = self.image(role, version)
        follows = self.decided.life((role, version)).follows
        return StateChange(role, version, image.run, act, self.who, self.now, why, follows=follows)

    def step_back(self, role: str, channel: str, why: str) -> tuple[ChannelMove, tuple[str, ...]]:
        """The nearest step back that nothing forbids, and the rules that forbid those before it. Raises RefusedError
        where there is none."""
        passed: dict[str, None] = {}
        for move, forbidden in steps_back(self.decided, role, self.rule(channel), self.now, by=self.who, why=why):
            if not forbidden:
                return move, tuple(passed)
            passed[forbidden] = None
        raise RefusedError(
            f"{channel} of {role} has nothing to go back to.",
            "\n".join(passed) or f"See: ingot channels {role} {channel}",
        )


@dataclass(frozen=True, slots=True)
class Promoting:
    """Decisions about the images of the workspace that holds `directory`."""

    places: Places
    directory: Path
    clock: Callable[[], float] = time.time

    def channels(self, role: str = "") -> list[ChannelView]:
        """The channels of all roles, or of one, as the ledger here has them: by role, then as ingot.toml has them.

        Raises RefusedError where there is no such role.
        """
        desk = self._desk(fetch=False)
        with_images = {one for one, _ in (*desk.decided.images, *desk.decided.trails)}
        if role:
            known_roles.check(self.directory, role, with_images)
        roles = sorted(with_images if not role else {role})
        found: list[ChannelView] = []
        for one in roles:
            gone = sorted(name for of, name in desk.decided.trails if of == one and name not in desk.rules)
            found += [_view(desk, one, name) for name in (*desk.rules, *gone)]
        return found

    def promote(self, role: str, version: str, channel: str, why: str = "", *, expected: str | None = None) -> Outcome:
        """Move a channel to an image version. `expected` is where whoever asks saw it (None: wherever it is now).

        Raises RefusedError when a rule forbids it, LostRaceError, naming who, when somebody moved it first.
        """
        desk = self._desk()
        rule, image = desk.rule(channel), desk.image(role, version)
        before = desk.seen(role, channel, expected)
        if desk.decided.points_to((role, channel)) == (role, version):
            return Outcome(f"{channel} of {role} is at {version} already.", changed=False)
        self._decide(desk, [desk.move(image, rule, why)], f"promote {role} {version} to {channel}", why)
        return Outcome(f"{channel} of {role} is at {version} now{_was(before.version)}.", _shared(desk))

    def back(
        self, role: str, channel: str, why: str = "", *, expected: str | None = None, to: str | None = None
    ) -> Outcome:
        """Move a channel to what it had before, or to the newest before that which it still takes. `expected` as in
        `promote`; `to` is where whoever asks was told that it goes (None: wherever it goes now).

        Raises RefusedError when there is none, LostRaceError, naming who, when somebody moved the channel first, and
        when it goes elsewhere by now: what it had before was revoked meanwhile, or restored.
        """
        desk = self._desk()
        before = desk.seen(role, channel, expected).version
        move, passed = desk.step_back(role, channel, why)
        if to is not None and move.version != to:
            told = f"{channel} of {role} would not go back to {to} any more, but to {move.version}."
            raise LostRaceError(
                " ".join((told, *passed)),
                f"Look again: ingot channels {role} {channel}",
                kept=f"It was not moved: it is at {before}.",
            )
        self._decide(desk, [move], f"move {channel} of {role} back to {move.version}", why)
        done = f"{channel} of {role} is back at {move.version}{_was(before)}."
        return Outcome(done, (*passed, *_shared(desk)))

    def going_back(self, role: str, channel: str) -> tuple[ChannelMove, tuple[str, ...]]:
        """The move that `back` would make now, and why it passes over what the channel had in between. Raises as
        that."""
        return self._desk().step_back(role, channel, "")

    def consequences(self, role: str, version: str, why: str, *, since: float | None = None) -> Consequences:
        """What revoking an image version would bring with it. Raises RefusedError where a rule forbids it."""
        desk = self._desk()
        return self._consequences(desk, self._revocation(desk, role, version, why, since))[0]

    def revoke(self, role: str, version: str, why: str, *, typed: str, since: float | None = None) -> Outcome:
        """Revoke an image version, at once or from a time on, and move back the channels that are set to.

        `typed` is what the person typed to confirm, and must be `role version`. Raises RefusedError when it is not, or
        when a rule forbids it.
        """
        name = f"{role} {version}"
        if typed.strip() not in (name, visible(name)):
            raise RefusedError(f"{name} is revoked only when its name is typed.", f"Type exactly: {name}")
        for turn in range(1, _TRIES + 1):
            desk = self._desk()
            change = self._revocation(desk, role, version, why, since)
            found, moves = self._consequences(desk, change)
            try:
                self._decide(desk, [change, *moves], f"revoke {name}", why)
            except LostRaceError:
                if turn == _TRIES:
                    raise
                continue
            notes = [f"{child[0]} {child[1]} is built on it, and revoked with it." for child in found.inherits]
            notes += [_said(end, dated=since is not None) for end in found.channels]
            when = "" if since is None else f" from {moment(since)} on"
            return Outcome(f"{name} is revoked{when}.", (*notes, *_shared(desk)))
        raise AssertionError("the last turn returns or raises")

    def deprecate(
        self, role: str, version: str, why: str = "", *, since: float | None = None, replacement: str = ""
    ) -> Outcome:
        """Deprecate an image version, at once or from a time on, in favour of another where one is named."""
        desk = self._desk()
        self._in_future(since, desk.now)
        change = replace(desk.change(Act.DEPRECATED, role, version, why), since=since, replacement=replacement)
        if replacement and replacement != version:
            desk.image(role, replacement)
            if desk.decided.effective((role, replacement), desk.now).state is ImageState.REVOKED:
                raise RefusedError(f"{role} {replacement} is revoked: it can replace nothing.")
        self._decide(desk, [change], f"deprecate {role} {version}", why)
        when = "" if since is None else f" from {moment(since)} on"
        instead = f"; take {replacement} instead" if replacement else ""
        at = desk.decided.channels_at((role, version))
        notes = (f"It is what {' and '.join(at)} of {role} has.",) if at else ()
        return Outcome(f"{role} {version} is deprecated{when}{instead}.", (*notes, *_shared(desk)))

    def restore(self, role: str, version: str, why: str = "") -> Outcome:
        """Take back what was decided last: a revocation, or a deprecation. The state is the one before.

        Raises RefusedError where there is nothing to take back: an ancestor's revocation is taken back there.
        """
        desk = self._desk()
        key = (role, version)
        change = desk.change(Act.RESTORED, role, version, why)
        effective = desk.decided.effective(key, desk.now)
        if effective.inherited and not desk.decided.life(key).layers:
            raise RefusedError(
                f"{role} {version} is revoked only because {effective.inherited} is, which it is built on.",
                f"Restore that: ingot restore {effective.inherited}",
            )
        self._decide(desk, [change], f"restore {role} {version}", why)
        now = desk.decided.with_decision(change).effective(key, desk.now)
        still = f" {effective.inherited}, which it is built on, is revoked." if now.inherited else ""
        return Outcome(f"{role} {version} is {now.state}{' again' if not still else ''}.{still}", _shared(desk))

    # What they share

    def _desk(self, *, fetch: bool = True) -> _Desk:
        workspace = catalogue.identify(self.directory)
        root = Path(workspace.root)
        repository = GitRepository.find(root)
        if repository is None:
            raise WorkspaceError(f"{root} is in no Git repository: it has no ledger.", "Make it one: git init")
        ledger = Ledger(root, workspace.remote, clock=self.clock)
        if fetch and (lost := ledger.fetch().lost):  # said once: whoever asks now is the one to hear it
            raise LostRaceError(
                f"What was decided here while the remote was away came too late: {'; '.join(lost)}.",
                "Look at what is now, and decide again: ingot images; ingot channels",
                kept="Everything else is shared. Nothing new was decided.",
            )
        rules = {rule.name: rule for rule in config.load(root).channels}
        return _Desk(workspace.id, ledger, ledger.read().decided, rules, repository.identity(), self.clock())

    def _decide(self, desk: _Desk, decisions: Sequence[Decision], what: str, why: str) -> None:
        contents = desk.ledger.decide(decisions, desk.who, what, why)
        self.places.create()
        index = Index(self.places.index)
        try:
            index.replace_images(desk.workspace_id, contents.images, contents.head or "")
        finally:
            index.close()

    def _revocation(self, desk: _Desk, role: str, version: str, why: str, since: float | None) -> StateChange:
        self._in_future(since, desk.now)
        change = replace(desk.change(Act.REVOKED, role, version, why), since=since)
        if forbidden := desk.decided.forbids(change, desk.now):
            raise RefusedError(forbidden)
        return change

    def _consequences(self, desk: _Desk, change: StateChange) -> tuple[Consequences, list[ChannelMove]]:
        """What a revocation brings with it, and the moves of channels that go back with it."""
        key = (change.role, change.version)
        then = desk.decided.with_decision(change)
        children = desk.decided.descendants(key)
        ends: list[ChannelEnd] = []
        moves: list[ChannelMove] = []
        for role, name in sorted(desk.decided.trails):
            at = desk.decided.points_to((role, name))
            if at is None or at not in (key, *children):
                continue
            rule = desk.rules.get(name)
            back: ChannelMove | None = None
            if rule and rule.on_revoked is OnRevoked.BACK and change.since is None:
                reason = f"{key[0]} {key[1]} was revoked: {change.why}"
                steps = steps_back(then, role, rule, desk.now, by=desk.who, why=reason)
                back = next((move for move, forbidden in steps if not forbidden), None)
            if back:
                moves.append(back)
            ends.append(ChannelEnd(role, name, at[1], back.version if back else ""))
        return Consequences(tuple(children), tuple(ends)), moves

    def _in_future(self, since: float | None, now: float) -> None:
        if since is not None and since <= now:
            raise RefusedError(f"{moment(since)} is over.", "Leave the date out: then it counts at once.")


def by_whom_moved(move: ChannelMove) -> str:
    """`moved by Ada on 2026-11-14 09:05:00: why`, for sentences."""
    return f"moved by {move.by} on {moment(move.at)}" + (f": {move.why}" if move.why else "")


def _view(desk: _Desk, role: str, name: str) -> ChannelView:
    trail = desk.decided.trail(role, name)
    at = desk.decided.points_to((role, name))
    state = desk.decided.effective(at, desk.now) if at else None
    blocked = ""
    if trail.version and state is None:
        blocked = f"{role} {trail.version} is not on the ledger, or is another image now"
    elif state and state.state is ImageState.REVOKED:
        built = f"{state.inherited}, which it is built on, was " if state.inherited else ""
        blocked = f"{built}revoked" + (f" {by_whom(state.because)}" if state.because else "")
    return ChannelView(role, name, desk.rules.get(name), trail.version, state, blocked, trail.moves)


def _said(end: ChannelEnd, *, dated: bool) -> str:
    if end.back_to:
        return f"{end.channel} of {end.role} went back from {end.version} to {end.back_to}."
    when = "will be blocked from then on" if dated else "is blocked"
    return (
        f"{end.channel} of {end.role} is at {end.version} and {when}: ingot promote moves it, or ingot channels --back."
    )


def _was(version: str) -> str:
    return f" (was {version})" if version else ""


def _shared(desk: _Desk) -> tuple[str, ...]:
    """What to say of how it was shared."""
    shared = desk.ledger.last_shared
    notes = [f"Lost meanwhile: {lost}." for lost in shared.lost]
    if shared.state == "offline":
        notes.append(f"Others do not know yet, the remote cannot be reached: {shared.reason}")
    return tuple(notes)
