"""A decision on a ledger that no rule allows, as somebody writes it by hand."""

from pathlib import Path

from core.adapters.git import GitRepository
from core.model.decided import Decision
from core.model.states import Act, StateChange
from core.store.ledger_tree import LedgerTree, Signature, decision_path, encode

FORGER = "Bo Lind <bo@example.org>"


def forge_good(root: Path, role: str, version: str, run: str) -> None:
    """That an image version is good, though nobody tested it; `run` is the one that made it."""
    forge(root, StateChange(role, version, run, Act.GOOD, FORGER, 1.0))


def forge(root: Path, decision: Decision) -> None:
    """A decision after all others about the same, whatever the rules say of it."""
    tree = LedgerTree(GitRepository(root))
    head = tree.head()
    edits = {decision_path(decision, 99): tree.write(encode(decision))}
    assert tree.swap(tree.commit(head, edits, "by hand", Signature(FORGER)), head)
