"""The ledger of a workspace: which image versions there are, who built them, and which names are taken.

Facts are commits on `refs/ingot/ledger`. Each change is made by compare-and-swap on that ref, by a person, for a
reason, and with a remote it counts once it is pushed (docs/ledger.md). All methods block: call them from a thread.
"""

import contextlib
import time
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from core.adapters.git import GitRepository
from core.errors import LedgerError, LostRaceError, RefusedError
from core.model import version as versions
from core.model.decided import Decision
from core.model.image import Artifact, ImageState, ImageVersion
from core.store import ledger_artifacts, ledger_tree
from core.store.ledger_artifacts import Edits
from core.store.ledger_contents import Contents, contents_of
from core.store.ledger_decisions import placed
from core.store.ledger_rules import check_names, same_building, with_additions
from core.store.ledger_sharing import PATIENCE, RemoteRefusesError, Shared, Sharing, attempts
from core.store.ledger_tree import REF, Addition, Entry, LedgerTree, Removal, Reservation, Signature
from core.store.transcripts import LARGEST

F = TypeVar("F", ImageVersion, Reservation, Addition)

_GZIP = 31
"""zlib's `wbits` for the gzip format."""
LARGEST_EVIDENCE = 16 * 1024 * 1024
"""Bytes of one report, unpacked: a list of files of a large system has as many."""
_NO_REMOTE = Shared("local", "The workspace names no remote for its ledger (`ledger.remote` in ingot.toml).")


class Change(msgspec.Struct, frozen=True):
    """One commit of the ledger."""

    commit: str
    who: str
    at: float
    """Seconds since the epoch."""
    what: str
    """`register web 0.1.0`."""
    why: str


class Ledger:
    """The ledger of the repository at `repo_root`, shared through a Git remote where one is named."""

    def __init__(self, repo_root: Path, remote: str = "", *, clock: Callable[[], float] = time.time) -> None:
        self._tree = LedgerTree(GitRepository(repo_root))
        self._sharing = Sharing(self._tree, remote, clock) if remote else None
        self._clock = clock
        self.last_shared = _NO_REMOTE
        """How the last attempt to share ended: `offline` means that others do not know yet."""

    def head(self) -> str | None:
        """The newest commit of the ledger; None before the first."""
        return self._tree.head()

    def read(self) -> Contents:
        """All of the ledger. What cannot be read is among the problems and hides nothing else."""
        return self._at(self._tree.head())

    def _at(self, head: str | None) -> Contents:
        return contents_of(self._tree, head, self._tree.entries(head), self._clock())

    def images(self) -> list[ImageVersion]:
        """Every image version that can be read, by role, the newest version of each last."""
        return list(self.read().images)

    def image(self, role: str, version: str) -> ImageVersion:
        """One image version. Raises LedgerError when there is none, or when its manifest cannot be read."""
        found = next((one for one in self.read().images if (one.role, one.version) == (role, version)), None)
        return found or self.manifest(role, version)  # which says why it is not there

    def history(self, limit: int = 100) -> list[Change]:
        """The newest changes, newest first."""
        if self._tree.head() is None:
            return []
        form = "%H%x00%an <%ae>%x00%at%x00%s%x00%b%x00"
        raw = self._tree.repository.git(
            "log", f"--max-count={limit}", "--first-parent", "--encoding=UTF-8", f"--format={form}", REF, "--",
            doing="Reading the ledger",
        ).out.decode("utf-8", "replace")  # fmt: skip
        fields = raw.split("\0")
        return [
            Change(fields[at].strip(), fields[at + 1], float(fields[at + 2]), fields[at + 3], fields[at + 4].strip())
            for at in range(0, len(fields) - 4, 5)
        ]

    def reserve(self, role: str, wanted: str, run_uid: str, who: str) -> str:
        """Take a version string for a run: `wanted`, or the next free `wanted.2`, …

        The same run gets the same one again, however often it asks. With a remote it is the run's once it is pushed;
        when the remote cannot be reached, `last_shared` says so, and it may still be lost to somebody. Raises
        RefusedError for names that cannot be, LedgerError when the ledger cannot be written.
        """
        check_names(role, wanted)
        if not run_uid:
            raise RefusedError("A reservation is for a run, and none was named.")
        for _ in attempts():
            shared = self._share()
            head = self._tree.head()
            taken, held = self._names(head, role, wanted, run_uid)
            if held:
                return held
            version = versions.next_free(wanted, taken)
            reservation = Reservation(role, version, run_uid, who, self._clock())
            edits = {
                ledger_tree.reservation_path(role, version): self._tree.write(ledger_tree.encode(reservation)),
            }
            commit = self._tree.commit(head, edits, f"reserve {role} {version}\n\nfor run {run_uid}", Signature(who))
            if self._publish(commit, head, shared):
                return version
        raise _contended(f"a version of {role}")

    def decide(
        self,
        decisions: Sequence[Decision],
        who: str,
        what: str,
        why: str = "",
        *,
        image: ImageVersion | None = None,
        evidence: Mapping[str, bytes] | None = None,
    ) -> Contents:
        """Put decisions about images and channels on the ledger, in one commit: all of them, or none. Gives the ledger
        with them. `evidence` about `image` (compressed, by name) goes with them.

        With a remote they count once they are pushed; `last_shared` says so when it could not be reached. Raises
        LostRaceError, naming who and what, when somebody decided since they were made; RefusedError when a rule
        forbids one; LedgerError when the ledger cannot be written, RemoteRefusesError when the remote does not take it.
        What comes with evidence was found out, and not merely wanted: then it is on the ledger here all the same.
        """
        try:
            return self._decide(decisions, who, what, why, image, evidence or {})
        except RemoteRefusesError as refused:
            if not evidence:
                raise
            self._decide(decisions, who, what, why, image, evidence, here=Shared("offline", refused.what))
            raise RemoteRefusesError(
                refused.what,
                refused.next_step,
                kept="What was found out is on the ledger here, and is sent when the remote takes it.",
            ) from refused

    def _decide(
        self,
        decisions: Sequence[Decision],
        who: str,
        what: str,
        why: str,
        image: ImageVersion | None,
        evidence: Mapping[str, bytes],
        here: Shared | None = None,
    ) -> Contents:
        """As `decide`; with `here` the remote is not asked."""
        for _ in attempts():
            shared = here or self._share()
            contents = self.read()
            if all(contents.decided.has(decision) for decision in decisions):
                return contents  # written a moment ago, and beaten here after it was pushed
            places = placed(contents, decisions, self._clock())
            edits = {path: self._tree.write(ledger_tree.encode(decision)) for path, decision in places.items()}
            if image:
                edits |= self._beside(image, evidence)
            commit = self._tree.commit(contents.head, edits, f"{what}\n\n{why}", Signature(who))
            if self._publish(commit, contents.head, shared):
                return self.read()
        raise _contended(what)

    def _publish(self, commit: str, head: str | None, shared: Shared) -> bool:
        """Make a commit the ledger's newest, on the remote first; False when somebody else was first anywhere."""
        if self._sharing and shared.state != "offline":
            # Pushed before it is ours here: who was beaten has nothing to take back.
            offered = self._sharing.offer(commit)
            if offered == "beaten":
                return False
            self.last_shared = Shared("sent", lost=shared.lost)
            if offered == "offline":
                self.last_shared = Shared("offline", "The remote went away while it was written.", shared.lost)
        # Another process here may be first; what was pushed comes back with the next look at the remote.
        return self._tree.swap(commit, head)

    def release(self, role: str, run_uid: str, who: str, why: str = "") -> str:
        """Give back what a run had reserved and did not use; gives the version, empty when it had none."""
        for _ in attempts():
            head = self._tree.head()
            mine = next((held for held in self._reservations(head, role) if held.run == run_uid), None)
            if mine is None:
                return ""
            edits = {ledger_tree.reservation_path(role, mine.version): None}
            commit = self._tree.commit(head, edits, f"give back {role} {mine.version}\n\n{why}", Signature(who))
            if self._tree.swap(commit, head):
                self._share(hopeful=True)
                return mine.version
        raise _contended(f"the version of {role}")

    def transcript(self, image: ImageVersion, name: str) -> bytes:
        """What a machine printed while it was touched by hand (`Touch.transcript` is the name): asciinema v2.

        Raises LedgerError when it is not on the ledger, or damaged.
        """
        content = self._unpacked(ledger_tree.transcript_path(image.role, image.run, name), 2 * LARGEST)
        if content is None:
            raise LedgerError(
                f"The transcript {name} of {image.role} {image.version} is not on the ledger, or is damaged.",
                "What is too large for it stays on the machine that built the image, in the run's directory.",
            )
        return content

    def evidence(self, image: ImageVersion, name: str) -> bytes:
        """A report about an image version (`image.evidence`, `StateChange.evidence`), as it was written.

        Raises LedgerError when it is not on the ledger, or damaged.
        """
        content = self._unpacked(ledger_tree.evidence_path(image.role, image.run, name), LARGEST_EVIDENCE)
        if content is None:
            raise LedgerError(f"The report {name} of {image.role} {image.version} is not on the ledger, or is damaged.")
        return content

    def _unpacked(self, path: str, largest: int) -> bytes | None:
        for entry in self._tree.entries(self._tree.head(), path):
            raw = self._tree.contents([entry]).get(entry.blob, b"")
            with contextlib.suppress(zlib.error):
                # Others may have written it: a few bytes could unpack to any number of them.
                return zlib.decompressobj(_GZIP).decompress(raw, largest)
        return None

    def _beside(self, image: ImageVersion, evidence: Mapping[str, bytes]) -> dict[str, str]:
        return {
            ledger_tree.evidence_path(image.role, image.run, name): self._tree.write(packed)
            for name, packed in evidence.items()
        }

    def register(
        self,
        image: ImageVersion,
        who: str,
        why: str,
        transcripts: Mapping[str, bytes] | None = None,
        evidence: Mapping[str, bytes] | None = None,
    ) -> None:
        """Put an image version on the ledger for good; its reservation is used up. `transcripts` (compressed, by name)
        are those of its touches, `evidence` the reports that `image.evidence` names.

        The same building of the same run may be registered again and changes nothing. Raises RefusedError when another
        content has that version already, LostRaceError when another run holds it or was first on the remote.
        """
        check_names(image.role, image.version)
        if not image.run:
            raise RefusedError(f"{image.role} {image.version} names no run that made it.")
        if image.state is not ImageState.CANDIDATE:
            raise RefusedError(f"{image.role} {image.version} is {image.state} before anything was decided about it.")
        path = ledger_tree.image_path(image.role, image.version)
        held_at = ledger_tree.reservation_path(image.role, image.version)
        blob = self._tree.write(ledger_tree.encode(image))
        beside = {
            ledger_tree.transcript_path(image.role, image.run, name): self._tree.write(packed)
            for name, packed in (transcripts or {}).items()
        } | self._beside(image, evidence or {})
        for _ in attempts():
            head = self._tree.head()
            there = {entry.path: entry for entry in self._tree.entries(head, path, held_at)}
            if self._registered(there.get(path), image):
                break
            edits: dict[str, str | None] = {path: blob, **beside}
            if held := there.get(held_at):
                self._must_hold(held, image)
                edits[held_at] = None
            message = f"register {image.role} {image.version}\n\n{why}"
            if self._tree.swap(self._tree.commit(head, edits, message, Signature(who)), head):
                break
        else:
            raise _contended(f"{image.role} {image.version}")
        self._share(hopeful=True)
        self._must_stand(path, image)

    def add_artifacts(self, image: ImageVersion, artifacts: Sequence[Artifact], who: str, why: str = "") -> None:
        """Record artifacts that were made of an image version. The same ones again change nothing."""
        name, at = f"{image.role} {image.version}", self._clock()
        additions = [Addition(image.role, image.version, image.run, artifact, who, at) for artifact in artifacts]
        formats = ", ".join(dict.fromkeys(artifact.format for artifact in artifacts))
        self._change(
            lambda head: ledger_artifacts.added(self._tree, self._at(head), image, additions),
            name,
            f"add {formats} to {name}\n\n{why}",
            who,
        )

    def remove_artifacts(
        self, role: str, version: str, locations: Sequence[str], who: str, why: str = "", *, host: str = ""
    ) -> None:
        """Record that the files of some artifacts are deleted, on one host or all; that they existed stays.

        Raises RefusedError for locations that the image does not have.
        """
        known = {artifact.location for artifact in self.manifest(role, version).artifacts}
        if unknown := [location for location in locations if location not in known]:
            raise RefusedError(f"{role} {version} has no artifact {unknown[0]}.", "See: ingot images --json")
        at = self._clock()
        removals = [Removal(role, version, location, who, at, host) for location in locations]
        self._change(
            lambda head: ledger_artifacts.removed(self._tree, head, removals),
            f"{role} {version}",
            f"remove files of {role} {version}\n\n{why}",
            who,
        )

    def keep_artifacts(
        self, role: str, version: str, locations: Sequence[str], who: str, why: str = "", *, host: str = ""
    ) -> None:
        """Take back `remove_artifacts`, for files that are not deleted after all: all is as it was before."""
        self._change(
            lambda head: ledger_artifacts.kept(self._tree, head, role, version, locations, host),
            f"{role} {version}",
            f"keep files of {role} {version}\n\n{why}",
            who,
        )

    def _change(self, edits_on: Callable[[str | None], Edits], name: str, message: str, who: str) -> None:
        """Write what is to be changed in the files of an image, on top of what is newest, and share it. Where that is
        nothing, nothing is written."""
        for _ in attempts():
            head = self._tree.head()
            edits = edits_on(head)
            if not edits:
                return
            if self._tree.swap(self._tree.commit(head, edits, message, Signature(who)), head):
                self._share(hopeful=True)
                return
        raise _contended(name)

    def fetch(self) -> Shared:
        """Take in what others wrote; push nothing. What of ours lost is in `lost`."""
        self.last_shared = self._sharing.synchronise(send=False) if self._sharing else _NO_REMOTE
        return self.last_shared

    def share(self) -> Shared:
        """Take in what others wrote, and send what was written here.

        Raises LostRaceError, after everything else is shared, when something written here while offline had been
        decided otherwise by then.
        """
        shared = self._share()
        if shared.lost:
            raise LostRaceError(
                f"Somebody else was first: {'; '.join(shared.lost)}.",
                "An image that lost its version stays on the ledger, under `lost`: build it again. See: ingot channels",
                kept="Everything else is shared.",
            )
        return shared

    def _share(self, *, hopeful: bool = False) -> Shared:
        self.last_shared = self._sharing.synchronise(hopeful=hopeful) if self._sharing else _NO_REMOTE
        return self.last_shared

    def _names(self, head: str | None, role: str, wanted: str, run_uid: str) -> tuple[set[str], str]:
        """The names of a role that are taken, and the one that this run has of them."""
        images = self._entries(head, role, "images")
        reserved = self._reservations(head, role)
        taken = {entry.version for entry in images} | {entry.version for entry in self._entries(head, role, "reserved")}
        held = next((reservation.version for reservation in reserved if reservation.run == run_uid), "")
        if not held:  # used up already, by a run that asks again after a crash?
            near = [entry for entry in images if entry.version == wanted or entry.version.startswith(f"{wanted}.")]
            runs = self._decoded(near, ImageVersion)
            held = next((image.version for image in runs if image.run == run_uid), "")
        return taken, held

    def _entries(self, head: str | None, role: str, kind: str) -> list[Entry]:
        under = ledger_tree.image_path(role, "x").rpartition("/images/")[0]
        return [entry for entry in self._tree.entries(head, f"{under}/{kind}/") if entry.kind == kind]

    def _reservations(self, head: str | None, role: str) -> list[Reservation]:
        return self._decoded(self._entries(head, role, "reserved"), Reservation)

    def _decoded(self, entries: Sequence[Entry], kind: type[F]) -> list[F]:
        contents: Mapping[str, bytes] = self._tree.contents(entries)
        found: list[F] = []
        for entry in entries:
            try:
                found.append(self._tree.decode(entry, contents.get(entry.blob), kind))
            except LedgerError:
                continue  # `read` names it; its name is taken all the same
        return found

    def manifest(self, role: str, version: str) -> ImageVersion:
        """An image version as it was registered, with what was made of it since; deleted files are still in it."""
        head, path = self._tree.head(), ledger_tree.image_path(role, version)
        for entry in self._tree.entries(head, path):
            image = self._tree.decode(entry, self._tree.contents([entry]).get(entry.blob), ImageVersion)
            later = [entry for entry in self._entries(head, role, "added") if entry.version == version]
            return with_additions([image], self._decoded(later, Addition))[0]
        raise LedgerError(f"There is no image {role} {version} on the ledger.", "See: ingot images")

    def _registered(self, entry: Entry | None, image: ImageVersion) -> bool:
        if entry is None:
            return False
        there = self._tree.decode(entry, self._tree.contents([entry]).get(entry.blob), ImageVersion)
        if same_building(there, image):
            return True
        raise RefusedError(
            f"{image.role} {image.version} is another image already, by {there.built_by} (run {there.run}).",
            "An image version never changes: build again, and the run gets another version.",
        )

    def _must_hold(self, held: Entry, image: ImageVersion) -> None:
        """The reservation must be of the image's own run."""
        reservation = self._tree.decode(held, self._tree.contents([held]).get(held.blob), Reservation)
        if reservation.run != image.run:
            raise LostRaceError(
                f"{image.role} {image.version} is reserved by {reservation.by} (run {reservation.run}).",
                "Build again: the run gets another version.",
            )

    def _must_stand(self, path: str, image: ImageVersion) -> None:
        """After sharing, the version must still be this image's."""
        standing = self._tree.entries(self._tree.head(), path)
        there = self._decoded(standing, ImageVersion)
        if not there or not same_building(there[0], image):
            winner = (
                f"{there[0].built_by} (run {there[0].run})" if there else "; ".join(self.last_shared.lost) or "somebody"
            )
            raise LostRaceError(
                f"{image.role} {image.version} went to {winner}, who was first on the shared ledger.",
                "Build again: the run gets another version.",
                kept="What was built stays on the ledger, under `lost`, and where it was built.",
            )


def _contended(what: str) -> LedgerError:
    return LedgerError(
        f"For {PATIENCE:g} seconds others were always first on the ledger while {what} was to be written.",
        f"Try again. If nothing else is running, remove a lock that was left behind: {REF}.lock in the Git directory.",
    )
