"""What is known of images beyond the index: what was decided about all of them, and everything about one.

Reads the ledger, its reports, the record of runs and the disk; changes nothing. All methods block, for as long as Git
takes: call them in a thread.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from core import config
from core.adapters.git import GitRepository
from core.errors import RefusedError, WorkspaceError
from core.model.channels import ChannelRule
from core.model.decided import Decided, Key
from core.model.dossier import NAMED_RUN, Dossier, Relative
from core.model.image import ImageState, ImageVersion
from core.model.promotion import Check, checks, forbidden
from core.model.run import Run
from core.model.standing import Standing, standing_of
from core.model.states import StateChange
from core.model.workspace import Workspace
from core.places import Places
from core.services import catalogue, images, reports
from core.store.index import Index
from core.store.ledger import Ledger
from core.store.ledger_contents import Contents


@dataclass(frozen=True, slots=True)
class _Read:
    """The ledger of a workspace at one moment."""

    workspace: Workspace
    ledger: Ledger
    contents: Contents
    rules: tuple[ChannelRule, ...]
    now: float

    @property
    def decided(self) -> Decided:
        return self.contents.decided


@dataclass(frozen=True, slots=True)
class Dossiers:
    """The images of the workspace that holds `directory`."""

    places: Places
    directory: Path
    clock: Callable[[], float] = time.time

    def standing(self) -> Standing:
        """What was decided about all images, as the ledger here has it. Raises IngotError."""
        read = self._read()
        return standing_of(read.decided, read.rules, read.now)

    def dossier(self, role: str, version: str) -> Dossier:
        """Everything about one image version. Raises RefusedError when there is none, IngotError for the rest."""
        read = self._read()
        return self._dossier(read, _image(read, role, version))

    def checks(self, role: str, version: str, channel: str) -> tuple[Dossier, tuple[Check, ...]]:
        """Whether a channel may be moved to an image version: what is looked at, and what it comes to."""
        read = self._read()
        image = _image(read, role, version)
        rule = next((rule for rule in read.rules if rule.name == channel), None)
        if rule is None:
            names = ", ".join(rule.name for rule in read.rules)
            raise RefusedError(
                f"There is no channel {channel!r}: there are {names}.", f"Name it in ingot.toml: [channels.{channel}]"
            )
        dossier = self._dossier(read, image)
        return dossier, checks(dossier, rule, forbidden(read.decided, image, rule, read.now))

    def _dossier(self, read: _Read, image: ImageVersion) -> Dossier:
        key, decided = (image.role, image.version), read.decided
        listed = images.look_at(self.places, read.workspace, image, read.contents)
        above = list(decided.ancestors(key))
        known = reports.known_of(read.ledger, image, decided.changes.get(key, ()))
        moves = [
            move
            for (role, _), trail in sorted(decided.trails.items())
            for move in trail.moves
            if role == image.role and image.version in (move.version, move.before)
        ]
        standing = standing_of(decided, read.rules, read.now)
        return Dossier(
            image=image,
            effective=decided.effective(key, read.now),
            changes=decided.changes.get(key, ()),
            moves=tuple(sorted(moves, key=lambda move: move.at)),
            channels=standing.channels(image),
            ancestors=tuple(
                Relative(decided.images[one], decided.effective(one, read.now), steps)
                for steps, one in enumerate(above, 1)
            ),
            revoked=tuple(
                f"{one[0]} {one[1]}" for one in above if decided.life(one).state(read.now) is ImageState.REVOKED
            ),
            children=tuple(_children(decided, key, read.now)),
            outdated=standing.outdated(image),
            run=self._run(image),
            numbers=self._numbers(decided.changes.get(key, ())),
            used_by=listed.used_by,
            seals=known.seals,
            rounds=known.rounds,
            packages=known.packages,
            contents=known.contents,
            looked_into=known.looked_into,
            here=listed.on_disk,
            missing=listed.missing,
            problems=known.problems,
        )

    def _run(self, image: ImageVersion) -> Run | None:
        index = Index(self.places.index)
        try:
            return index.run(image.run)
        finally:
            index.close()

    def _numbers(self, changes: Iterable[StateChange]) -> dict[str, int]:
        """The numbers that the runs which are named in reasons have on this machine, by their uids."""
        uids = {uid for change in changes for uid in NAMED_RUN.findall(change.why)}
        if not uids:
            return {}
        index = Index(self.places.index)
        try:
            known = [index.run(uid) for uid in sorted(uids)]
        finally:
            index.close()
        return {run.uid: run.id for run in known if run is not None}

    def _read(self) -> _Read:
        workspace = catalogue.identify(self.directory)
        root = Path(workspace.root)
        if GitRepository.find(root) is None:
            raise WorkspaceError(f"{root} is in no Git repository: it has no ledger.", "Make it one: git init")
        ledger = Ledger(root, workspace.remote, clock=self.clock)
        contents = ledger.read()
        return _Read(workspace, ledger, contents, config.load(root).channels, self.clock())


def _image(read: _Read, role: str, version: str) -> ImageVersion:
    found = next((one for one in read.contents.images if (one.role, one.version) == (role, version)), None)
    if found is None:
        raise RefusedError(f"There is no image {role} {version} on the ledger.", f"See: ingot images {role}")
    return found


def _children(decided: Decided, key: Key, now: float) -> Iterator[Relative]:
    """What is built on an image, each below what it is built on."""
    below: dict[Key, list[Key]] = {}
    for other, image in decided.images.items():
        if image.upstream.role:
            below.setdefault((image.upstream.role, image.upstream.version), []).append(other)
    seen = {key}
    left = [(1, child) for child in reversed(below.get(key, []))]
    while left:
        depth, one = left.pop()
        if one in seen:
            continue
        seen.add(one)
        yield Relative(decided.images[one], decided.effective(one, now), depth)
        left += [(depth + 1, child) for child in reversed(below.get(one, []))]
