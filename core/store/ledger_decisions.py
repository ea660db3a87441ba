"""Decisions on the ledger: when one may be written, and what becomes of ours when others decided first.

Each lies under the next free number of what it is about, so no two are the same file, and none is ever rewritten.
"""

from collections.abc import Sequence

from core.errors import LedgerError, LostRaceError, RefusedError
from core.model.channels import ChannelMove
from core.model.decided import Decision
from core.model.states import StateChange
from core.store import ledger_tree
from core.store.ledger_contents import Contents
from core.store.ledger_rules import NOTHING, FileChange, Verdict
from core.store.ledger_tree import Entry, LedgerTree


def placed(contents: Contents, decisions: Sequence[Decision], now: float) -> dict[str, Decision]:
    """Where decisions get their places: path → decision, each checked on top of those before it.

    Raises LostRaceError when somebody else decided since they were made, and says who; RefusedError when a rule
    forbids one.
    """
    standing, numbers = contents.decided, dict(contents.numbers)
    found: dict[str, Decision] = {}
    for decision in decisions:
        if first := standing.overtaken_by(decision):
            raise LostRaceError(
                f"Somebody else was first: {described(first)}.",
                "Look at what is now, and decide again: ingot images; ingot channels",
            )
        if why := standing.forbids(decision, now):
            raise RefusedError(why)
        standing = standing.with_decision(decision)
        place = ledger_tree.decision_path(decision, 1).rpartition("/")[0]
        numbers[place] = numbers.get(place, 0) + 1
        found[ledger_tree.decision_path(decision, numbers[place])] = decision
    return found


def settle_decision(tree: LedgerTree, change: FileChange, contents: Contents, now: float) -> Verdict:
    """What becomes of a decision of ours that was made while we could not share, on what everybody has now.

    It is checked again by the rules, and counts where they allow it; it is lost, and said, where somebody decided what
    it must not undo.
    """
    if change.after is None:
        return NOTHING  # decisions are never taken off the ledger
    entry = Entry(change.path, change.after, regular=True, size=0)
    place = change.path.rpartition("/")[0]
    path = f"{place}/{contents.numbers.get(place, 0) + 1}.json"
    try:
        decision = decoded(tree, entry)
    except LedgerError:
        return Verdict({path: change.after})  # a newer Ingot of ours wrote it: kept, and named when it is read
    if first := contents.decided.overtaken_by(decision):
        return Verdict({}, f"{described(first)}, so {_undone(decision)}")
    if why := contents.decided.forbids(decision, now):
        return Verdict({}, f"{why.rstrip('.')}, so {_undone(decision)}")
    return Verdict({path: change.after})


def decoded(tree: LedgerTree, entry: Entry) -> Decision:
    """The decision that a file of the ledger is. Raises LedgerError where it is none."""
    content = tree.contents([entry]).get(entry.blob)
    return tree.decode(entry, content, StateChange if entry.kind == "states" else ChannelMove)


def described(decision: Decision) -> str:
    """`web 0.1.0 was revoked by Ada: it has no TLS`."""
    why = f": {decision.why}" if decision.why else ""
    if isinstance(decision, StateChange):
        return f"{decision.role} {decision.version} was {decision.act} by {decision.by}{why}"
    way = "moved back" if decision.back else "moved"
    return f"{decision.channel} of {decision.role} was {way} to {decision.version} by {decision.by}{why}"


def _undone(decision: Decision) -> str:
    if isinstance(decision, StateChange):
        return f"{decision.role} {decision.version} was not {decision.act} as decided here"
    return f"{decision.channel} of {decision.role} was not moved to {decision.version} as decided here"
