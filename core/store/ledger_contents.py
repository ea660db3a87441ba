"""What is on the ledger at one commit, read at once."""

from collections import defaultdict
from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from core.errors import LedgerError
from core.model import version as versions
from core.model.channels import ChannelMove
from core.model.decided import Decided, Decision, Key, decided
from core.model.image import ImageVersion
from core.model.states import StateChange
from core.store.ledger_rules import with_additions, without
from core.store.ledger_tree import REF, Addition, Entry, LedgerTree, Removal, Reservation

_TELLS_OF_NO_IMAGE = frozenset({"reserved", "removed", "states", "channels"})
"""Kinds of files that make known no image, and no artifact, that another file does not. A newer Ingot may have more."""


class Contents(msgspec.Struct, frozen=True):
    """Everything on the ledger at one commit."""

    head: str | None
    images: tuple[ImageVersion, ...]
    """By role, then version, each in the state that counts at the time of reading, with the artifacts that were made of
    it since. Artifacts whose files were deleted are not in them."""
    reservations: tuple[Reservation, ...]
    removals: tuple[Removal, ...]
    lost: tuple[ImageVersion, ...]
    """Registered offline under names that others had by then: their artifacts exist, their names are not theirs."""
    decided: Decided
    """What was decided about the images, and the channels."""
    numbers: dict[str, int]
    """Directory of decisions → the number of the newest one in it."""
    problems: tuple[LedgerError, ...]
    """Files that cannot be read, each by name, and decisions that break the rules."""
    unread: tuple[LedgerError, ...] = ()
    """Of these the files that cannot be read: what they say may count. What breaks the rules does not."""
    hides_images: bool = False
    """An image, or an artifact of one, may be among what cannot be read."""


class _Gathered:
    """What is read, by kind."""

    def __init__(self) -> None:
        self.images: list[ImageVersion] = []
        self.reservations: list[Reservation] = []
        self.removals: list[Removal] = []
        self.additions: list[Addition] = []
        self.lost: list[ImageVersion] = []
        self.changes: dict[Key, list[tuple[int, StateChange]]] = defaultdict(list)
        self.moves: dict[Key, list[tuple[int, ChannelMove]]] = defaultdict(list)

    def take(self, tree: LedgerTree, entry: Entry, content: bytes | None) -> None:
        """Raises LedgerError for what cannot be read."""
        match entry.kind:
            case "images":
                self.images.append(tree.decode(entry, content, ImageVersion))
            case "reserved":
                self.reservations.append(tree.decode(entry, content, Reservation))
            case "removed":
                self.removals.append(tree.decode(entry, content, Removal))
            case "added":
                self.additions.append(tree.decode(entry, content, Addition))
            case "lost":
                self.lost.append(tree.decode(entry, content, ImageVersion))
            case "states":
                change = tree.decode(entry, content, StateChange)
                self.changes[entry.role, entry.decided].append((entry.number, change))
            case "channels":
                move = tree.decode(entry, content, ChannelMove)
                self.moves[entry.role, entry.decided].append((entry.number, move))
            case "transcripts" | "evidence":
                pass  # read one by one, when somebody wants to see it
            case _:
                raise LedgerError(
                    f"On the ledger, {entry.path!r} is nothing that this version of Ingot knows.",
                    "A newer Ingot wrote it, or somebody by hand: see git log " + REF,
                    kept="Everything else on the ledger can be read.",
                )


def contents_of(tree: LedgerTree, head: str | None, entries: Sequence[Entry], now: float) -> Contents:
    """What the files of a ledger say. What cannot be read is among the problems and hides nothing else."""
    contents = tree.contents(entry for entry in entries if entry.kind not in ("transcripts", "evidence"))
    gathered = _Gathered()
    unread: list[LedgerError] = []
    hides_images = False
    unreadable: set[Key] = set()
    numbers: dict[str, int] = {}
    for entry in entries:
        if entry.number:
            place = entry.path.rpartition("/")[0]
            numbers[place] = max(numbers.get(place, 0), entry.number)
        try:
            gathered.take(tree, entry, contents.get(entry.blob))
        except LedgerError as problem:
            unread.append(problem)
            hides_images |= entry.kind not in _TELLS_OF_NO_IMAGE
            if entry.number:
                unreadable.add((entry.role, entry.decided))
    gone = {(removal.role, removal.version, removal.location, removal.host) for removal in gathered.removals}
    images = with_additions(gathered.images, gathered.additions)
    images = [without(image, gone) for image in images] if gone else images
    images.sort(key=lambda image: (image.role, versions.order(image.version)))
    found = decided(
        images,
        {key: tuple(change for _, change in sorted(of, key=_number)) for key, of in gathered.changes.items()},
        {key: tuple(move for _, move in sorted(of, key=_number)) for key, of in gathered.moves.items()},
        unreadable,
    )
    return Contents(
        head,
        tuple(replace(image, state=found.effective((image.role, image.version), now).state) for image in images),
        tuple(gathered.reservations),
        tuple(gathered.removals),
        tuple(gathered.lost),
        found,
        numbers,
        (*unread, *map(_against_the_rules, found.broken)),
        tuple(unread),
        hides_images,
    )


def _number(numbered: tuple[int, object]) -> int:
    return numbered[0]


def _against_the_rules(decision: Decision) -> LedgerError:
    did = (
        f"{decision.role} {decision.version} was {decision.act}"
        if isinstance(decision, StateChange)
        else f"{decision.channel} of {decision.role} was moved to {decision.version}"
    )
    return LedgerError(
        f"On the ledger, {did} by {decision.by} against the rules: it does not count.",
        f"A newer Ingot wrote it, or somebody by hand: see git log {REF}",
        kept="Everything else on the ledger counts.",
    )
