"""Sharing the ledger through a Git remote: it only ever moves forward there, and whoever pushes first is right.

What was written here meanwhile is carried over, commit by commit, onto what the others have, and each rule is checked
again. What has lost is said, and an image that has lost its name stays on the ledger under `lost/`.
"""

import itertools
import random
import re
import time
from collections.abc import Callable, Iterator
from typing import Literal

import msgspec

from core.adapters.git_program import NETWORK_LIMIT, Answer, ssh_command
from core.errors import IngotError, LedgerError
from core.model.image import ImageVersion
from core.process import name_argument
from core.store.ledger_contents import contents_of
from core.store.ledger_decisions import settle_decision
from core.store.ledger_rules import FileChange, Owner, settle
from core.store.ledger_tree import REF, Entry, LedgerTree, Reservation, Signature

PATIENCE = 120.0
"""Seconds for which a lost compare-and-swap is tried again: time for hundreds of others to be first."""

_BUSY = re.compile(r"but expected|reference already exists|\.lock': File exists|cannot lock ref|failed to update ref")
_NETWORK = (
    ("fetch.fsckObjects", "true"),  # nothing malformed comes in: its paths would end up in our trees
    ("push.gpgSign", "false"),
    ("push.followTags", "false"),
)


class Shared(msgspec.Struct, frozen=True):
    """How an attempt to share ended."""

    state: Literal["local", "same", "received", "sent", "offline"]
    """`local`: no remote is named. `offline`: the remote could not be reached, `reason` says why; nothing is lost."""
    reason: str = ""
    lost: tuple[str, ...] = ()
    """What was decided otherwise by somebody who was first: who, and what."""


class RemoteRefusesError(LedgerError):
    """The remote can be reached, and does not take what was written."""


class _OfflineError(Exception):
    """The remote cannot be reached, or does not want us."""


def attempts() -> Iterator[int]:
    """Numbers to try again by, for as long as PATIENCE lasts, with pauses between that no two keep in step.

    The pauses stay short: with long ones, who has lost would lose again to whoever comes next.
    """
    until = time.monotonic() + PATIENCE
    for attempt in itertools.count():
        yield attempt
        if time.monotonic() > until:
            return
        time.sleep(random.uniform(0, 0.05))  # noqa: S311 - spreads load, keeps no secret


class Sharing:
    """One ledger and the remote that it is shared through."""

    def __init__(self, tree: LedgerTree, remote: str, clock: Callable[[], float] = time.time) -> None:
        name_argument(remote, "the ledger's remote")
        if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_./-]*", remote) or ".." in remote or "::" in remote:
            raise LedgerError(f"{remote!r} is not the name of a Git remote.", "Mend `ledger.remote` in ingot.toml.")
        self._tree = tree
        self._remote = remote
        self._clock = clock
        self._tracking = f"refs/ingot/remotes/{remote}/ledger"

    def synchronise(self, *, send: bool = True, hopeful: bool = False) -> Shared:
        """Make ours and theirs one: take theirs, carry ours over, push.

        `send=False` pushes nothing. `hopeful` pushes before it looks: right when we looked a moment ago. Raises
        LedgerError when the remote's ledger was rewritten or is malformed, or when it moves faster than we can.
        """
        lost: list[str] = []
        self._check_remote()
        try:
            ours = self._tree.head()
            if hopeful and send and ours and self._push(ours):
                return Shared("sent")
            for _ in attempts():
                theirs = self._fetch()
                ours = self._tree.head()
                if ours == theirs:
                    return Shared("same" if not lost else "received", lost=tuple(lost))
                if theirs and (ours is None or self._contains(theirs, ours)):
                    if self._tree.swap(theirs, ours):
                        return Shared("received", lost=tuple(lost))
                    continue
                if theirs and ours and not self._contains(ours, theirs):
                    carried, beaten = self._carry_over(ours, theirs)
                    if not self._tree.swap(carried, ours):
                        continue
                    lost += beaten
                    ours = carried
                if ours == theirs or not send:
                    return Shared("received", lost=tuple(lost))
                if ours and self._push(ours):
                    return Shared("sent", lost=tuple(lost))
        except _OfflineError as error:
            return Shared("offline", str(error), tuple(lost))
        raise LedgerError(
            f"For {PATIENCE:g} seconds others were always first on the ledger of {self._remote!r}.",
            "Try again when fewer builds begin at once.",
            kept="What is on the ledger here stays, and will be sent next time.",
        )

    def offer(self, commit: str) -> Literal["taken", "beaten", "offline"]:
        """Push a commit that no ref here is at yet: it counts only when nobody else was first.

        To be called right after `synchronise`, which looks at the remote's configuration.
        """
        try:
            return "taken" if self._push(commit) else "beaten"
        except _OfflineError:
            return "offline"

    def _fetch(self) -> str | None:
        """Where the ledger is on the remote, with everything up to there; None where it has none yet."""
        # Read before the remote is asked: what it has then must hold this, unless it was rewritten. (A fetch into a ref
        # would not tell: outside refs/heads and refs/tags Git takes any update, git-fetch(1).)
        seen = self._tree.head(self._tracking)
        listed = self._talk("ls-remote", "--quiet", "--upload-pack=git-upload-pack", "--", self._remote, REF)
        if listed.code:
            raise _OfflineError(_last_words(listed))
        tips = [line.partition("\t") for line in listed.text.split("\n")]
        theirs = next((tip for tip, _, name in tips if name == REF), None)
        if theirs is None or theirs == seen:
            return theirs
        answer = self._talk(
            "fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-write-fetch-head", "--refmap=",
            "--no-auto-maintenance", "--upload-pack=git-upload-pack", "--", self._remote, REF,
        )  # fmt: skip
        if answer.code and re.search("fsck error|bad object|fsck-objects", answer.err):
            raise LedgerError(
                f"The ledger on {self._remote!r} holds something malformed: {_last_words(answer)}",
                "It was not taken in. Ask who pushed it.",
                kept="The ledger here is untouched.",
            )
        if answer.code:
            raise _OfflineError(_last_words(answer))
        if seen and not self._contains(theirs, seen):
            raise LedgerError(
                f"The ledger on {self._remote!r} was rewritten: it no longer has what it had.",
                f"Ask who did that. What it was is still here: git log {self._tracking}",
                kept="The ledger here is untouched.",
            )
        self._tree.repository.git("update-ref", "--no-deref", self._tracking, theirs)
        return theirs

    def _push(self, commit: str) -> bool:
        """Move the remote's ledger forward to the commit; False when somebody else moved it."""
        answer = self._talk(
            "push", "--porcelain", "--quiet", "--no-verify", "--no-follow-tags", "--no-signed",
            "--recurse-submodules=no", "--receive-pack=git-receive-pack", "--", self._remote, f"{commit}:{REF}",
        )  # fmt: skip
        said = answer.out.decode("utf-8", "replace") + answer.err
        if answer.code == 0:
            self._tree.repository.git("update-ref", "--no-deref", self._tracking, commit)
            return True
        if "[rejected]" in said or ("[remote rejected]" in said and _BUSY.search(said)):
            return False
        if "[remote rejected]" in said:
            refused = next((line for line in said.splitlines() if "[remote rejected]" in line), "")
            raise RemoteRefusesError(
                f"The remote {self._remote!r} refuses the ledger: {refused.partition('[remote rejected]')[2].strip()}",
                f"Ask who runs it to allow pushes to {REF}.",
                # Not what was to be written: that may be on no ledger yet (`offer`).
                kept="What is on the ledger here stays, and is sent when the remote takes it.",
            )
        raise _OfflineError(_last_words(answer))

    def _talk(self, *arguments: str) -> Answer:
        try:
            return self._tree.repository.git(
                *arguments,
                extra=ssh_command(self._tree.repository.root),
                configuration=_NETWORK,
                limit=NETWORK_LIMIT,
            )
        except IngotError as error:  # took too long
            raise _OfflineError(error.what) from error

    def _check_remote(self) -> None:
        """The remote must exist, and be spoken to by Git itself and not by a program that the configuration names."""
        repository = self._tree.repository
        urls = repository.git("remote", "get-url", "--all", self._remote)
        if urls.code:
            raise LedgerError(
                f"The ledger is shared through the remote {self._remote!r}, which this clone does not have.",
                f"Add it (git remote add {self._remote} URL) or mend `ledger.remote` in ingot.toml.",
            )
        pushed = repository.git("remote", "get-url", "--push", "--all", self._remote)
        helper = repository.git("config", "--get", f"remote.{self._remote}.vcs").text
        if helper or any(re.match(r"[A-Za-z0-9]+::", url) for url in (urls.text + "\n" + pushed.text).split("\n")):
            raise LedgerError(
                f"The remote {self._remote!r} is reached through a helper program, which the ledger does not run.",
                "Name one with an https, ssh, git or file URL.",
            )

    def _contains(self, later: str, earlier: str) -> bool:
        return self._tree.repository.git("merge-base", "--is-ancestor", earlier, later).code == 0

    # Carrying over what was written here onto what others wrote

    def _carry_over(self, ours: str, theirs: str) -> tuple[str, list[str]]:
        repository = self._tree.repository
        only_ours = repository.git(
            "rev-list", "--reverse", "--first-parent", ours, f"^{theirs}", "--", doing="Reading the ledger"
        ).text.split("\n")
        entries = {entry.path: entry for entry in self._tree.entries(theirs)}
        standing = {path: entry.blob for path, entry in entries.items()}
        tip, lost = theirs, list[str]()
        for commit in filter(None, only_ours):
            about = repository.git(
                "show", "-s", "--encoding=UTF-8", "--format=%an <%ae>%x00%aI%x00%B", commit, doing="Reading the ledger"
            ).text
            who, date, message = about.split("\0", 2)
            edits: dict[str, str | None] = {}
            for change in self._changes(commit):
                if Entry(change.path, "", regular=True, size=0).number:
                    now = contents_of(self._tree, None, list(entries.values()), self._clock())
                    verdict = settle_decision(self._tree, change, now, self._clock())
                else:
                    verdict = settle(change, standing, self._owner)
                edits |= verdict.edits
                for path, blob in verdict.edits.items():
                    if blob is None:
                        del standing[path], entries[path]
                    else:
                        standing[path] = blob
                        entries[path] = Entry(path, blob, regular=True, size=0)
                if verdict.lost:
                    lost.append(verdict.lost)
            if edits:
                tip = self._tree.commit(tip, edits, message, Signature(who, date))
        return tip, lost

    def _changes(self, commit: str) -> list[FileChange]:
        """What a commit changed; images come first, because a reservation that they use up is theirs until then, and
        decisions in the order in which they were made."""
        raw = self._tree.repository.git(
            "diff-tree", "-r", "-z", "--root", "--no-renames", "--no-commit-id", commit, doing="Reading the ledger"
        ).paths
        changes: list[FileChange] = []
        for about, path in zip(raw[::2], raw[1::2], strict=True):
            _, _, before, after, _ = about.split()
            changes.append(FileChange(path, before if before.strip("0") else None, after if after.strip("0") else None))
        return sorted(
            changes, key=lambda change: (change.after is None, Entry(change.path, "", regular=True, size=0).number)
        )

    def _owner(self, path: str, blob: str) -> Owner | None:
        entry = Entry(path, blob, regular=True, size=0)
        content = self._tree.contents([entry]).get(blob)
        try:
            if entry.kind == "reserved":
                reservation = self._tree.decode(entry, content, Reservation)
                return Owner(reservation.run, reservation.by)
            image = self._tree.decode(entry, content, ImageVersion)
            return Owner(image.run, image.built_by)
        except LedgerError:
            return None


def _last_words(answer: Answer) -> str:
    said = [line for line in answer.err.splitlines() if line.strip() and not line.startswith(("hint:", "Please make"))]
    fatal = [line for line in said if line.startswith(("fatal:", "ssh:", "error:", "remote:"))]
    return (fatal or said or [f"exit status {answer.code}"])[0].removeprefix("fatal: ").removeprefix("error: ")
