"""How the ledger lies in Git: one JSON file a fact, in the tree of the commits on one ref.

    roles/<role>/images/<version>.json              an image version, as registered; never changed
    roles/<role>/reserved/<version>.json            a version string that a run has for itself
    roles/<role>/removed/<version>/<digest>.json    an artifact of it whose file was deleted
    roles/<role>/lost/<version>-<run>.json          an image that was registered offline under a name others had by then
    roles/<role>/states/<version>/<number>.json     a decision about it: tested, good, deprecated, revoked, restored, …
    roles/<role>/channels/<channel>/<number>.json   a move of a channel
    roles/<role>/added/<version>/<digest>.json      an artifact that was made of it later: another format, a copy
    roles/<role>/transcripts/<run>/<name>.gz        what a machine printed while it was touched by hand in that run
    roles/<role>/evidence/<run>/<name>.gz           what was found in the image of that run: seal report, packages, …

Names in paths are percent-encoded, so that any role has one. Everything here is plumbing on a private index: the
user's working tree, index and branches are never touched.
"""

import hashlib
import re
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, unquote

import msgspec

from core.adapters.git import GitRepository
from core.adapters.git_program import Answer, DiskFullError, failure
from core.errors import IngotError, LedgerError
from core.model.decided import Decision
from core.model.image import Artifact, ImageVersion
from core.model.states import StateChange

REF = "refs/ingot/ledger"
LARGEST = 1 << 20
"""Bytes of one manifest: a hundred times what a real one has. What is larger was not written by Ingot."""

_FACT = re.compile(
    r"roles/(?P<role>[^/]+)/(?P<kind>images|reserved|removed|added|lost)/(?P<rest>[^/]+(?:/[^/]+)?)\.json"
)
_DECISION = re.compile(
    r"roles/(?P<role>[^/]+)/(?P<kind>states|channels)/(?P<name>[^/]+)/(?P<number>[1-9][0-9]{0,8})\.json"
)
_BESIDE = re.compile(r"roles/[^/]+/(?P<kind>transcripts|evidence)/[^/]+/[^/]+\.gz")
_CONTENDED = re.compile(r"but expected|reference already exists|\.lock': File exists")
_WRITING = (
    ("i18n.commitEncoding", "UTF-8"),
    ("core.splitIndex", "false"),  # a split index keeps its other half in .git
    ("core.untrackedCache", "false"),
    ("index.sparse", "false"),
    (
        "core.fsync",
        "committed,reference",
    ),  # what is registered survives a power cut; Git's default spares loose objects
)

T = TypeVar("T")


class Reservation(msgspec.Struct, frozen=True):
    """A version string that nobody else may use: whose it is, and since when."""

    role: str
    version: str
    run: str
    by: str
    at: float


class Removal(msgspec.Struct, frozen=True):
    """An artifact whose file was deleted; that it existed stays in the manifest."""

    role: str
    version: str
    location: str
    by: str
    at: float
    host: str = ""
    """The machine on which it was deleted: another may have a file of its own at the same path. Empty: everywhere."""


class Addition(msgspec.Struct, frozen=True):
    """An artifact that was made of an image version after it was registered."""

    role: str
    version: str
    run: str
    """Uid of the run that made the image version: what was made of another one of that name is none of it."""
    artifact: Artifact
    by: str
    at: float


class Entry(msgspec.Struct, frozen=True):
    """One file of the ledger's tree."""

    path: str
    blob: str
    regular: bool
    size: int

    @property
    def role(self) -> str:
        return unquote(self.path.split("/")[1])

    @property
    def kind(self) -> str:
        """`images`, `reserved`, `removed`, `added`, `lost`, `states`, `channels`, `transcripts` or `evidence`; empty
        for what Ingot did not put there."""
        found = _FACT.fullmatch(self.path) or _DECISION.fullmatch(self.path) or _BESIDE.fullmatch(self.path)
        return found["kind"] if found else ""

    @property
    def version(self) -> str:
        found = _FACT.fullmatch(self.path)
        return unquote(found["rest"].split("/")[0]) if found else ""

    @property
    def decided(self) -> str:
        """The version or channel that a decision is about; empty for what is none."""
        found = _DECISION.fullmatch(self.path)
        return unquote(found["name"]) if found else ""

    @property
    def number(self) -> int:
        """Which decision about that it is, counted from 1; 0 for what is none."""
        found = _DECISION.fullmatch(self.path)
        return int(found["number"]) if found else 0


class Signature(msgspec.Struct, frozen=True):
    """Who a commit is by, and when it was written (as Git takes a date; empty means now)."""

    who: str
    date: str = ""


def image_path(role: str, version: str) -> str:
    return f"roles/{_name(role)}/images/{_name(version)}.json"


def reservation_path(role: str, version: str) -> str:
    return f"roles/{_name(role)}/reserved/{_name(version)}.json"


def removal_path(role: str, version: str, location: str, host: str = "") -> str:
    named = f"{location}\0{host}" if host else location
    digest = hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"roles/{_name(role)}/removed/{_name(version)}/{digest}.json"


def addition_path(role: str, version: str, artifact: Artifact) -> str:
    """By what it is and where: the same one made again is the same fact, unless its content differs."""
    named = "\0".join((artifact.format, artifact.location, artifact.digest))
    digest = hashlib.sha256(named.encode("utf-8", "surrogateescape")).hexdigest()[:16]
    return f"roles/{_name(role)}/added/{_name(version)}/{digest}.json"


def lost_path(role: str, version: str, run: str) -> str:
    return f"roles/{_name(role)}/lost/{_name(f'{version}-{run}')}.json"


def decision_path(decision: Decision, number: int) -> str:
    """Where the decision with a number has its place: nobody has the same number about the same thing."""
    kind, name = ("states", decision.version) if isinstance(decision, StateChange) else ("channels", decision.channel)
    return f"roles/{_name(decision.role)}/{kind}/{_name(name)}/{number}.json"


def transcript_path(role: str, run: str, name: str) -> str:
    """By the run, not by the version: the image may lose its version to somebody who was first."""
    return f"roles/{_name(role)}/transcripts/{_name(run)}/{_name(name)}.gz"


def evidence_path(role: str, run: str, name: str) -> str:
    """By the run, as transcripts are."""
    return f"roles/{_name(role)}/evidence/{_name(run)}/{_name(name)}.gz"


def encode(fact: ImageVersion | Reservation | Removal | Addition | Decision) -> bytes:
    """Sorted and indented, one way only: equal facts are equal bytes, and a diff of two is readable."""
    return msgspec.json.format(msgspec.json.encode(fact, order="sorted"), indent=2) + b"\n"


class LedgerTree:
    """Reads and writes commits of the ledger; knows the layout, and none of the rules."""

    def __init__(self, repository: GitRepository) -> None:
        self.repository = repository

    def head(self, ref: str = REF) -> str | None:
        """The commit that a ref of the ledger is at; None where there is none yet."""
        found = self.repository.git("rev-parse", "--verify", "--quiet", ref)
        if found.code == 1 and self._is_there(ref):
            found = self.repository.git("rev-parse", "--verify", "--quiet", ref)  # made a moment ago?
        if found.code == 1 and not self._is_there(ref):
            return None
        if found.code == 1:
            raise LedgerError(
                f"{ref} in {self.repository.common_directory()} is damaged: it names no commit.",
                "After a crash: git fsck --lost-found names its newest commit, and git update-ref puts it back.",
            )
        if found.code:  # not "there is none", but "that cannot be told"
            error = failure(self.repository.root, "Reading the ledger", found)
            raise LedgerError(error.what, error.next_step)
        if self.repository.git("cat-file", "-t", found.text).text != "commit":
            raise LedgerError(
                f"{ref} in {self.repository.root} is not a commit of a ledger.",
                f"Look at what made it: git cat-file -p {ref}",
            )
        return found.text

    def _is_there(self, ref: str) -> bool:
        return (self.repository.common_directory() / ref).is_file()

    def entries(self, commit: str | None, *under: str) -> list[Entry]:
        """The files of a commit (none: of an empty ledger) below some directories, such as `roles/web/images/`."""
        if commit is None:
            return []
        listed = self._git(
            "ls-tree",
            "-r",
            "-z",
            "-l",
            "--full-tree",
            commit,
            "--",
            *(under or ("roles/",)),
            doing="Reading the ledger",
        )
        entries: list[Entry] = []
        for line in listed.paths:
            about, _, path = line.partition("\t")
            mode, kind, blob, size = about.split()
            entries.append(Entry(path, blob, kind == "blob" and mode == "100644", int(size) if size.isdigit() else 0))
        return entries

    def contents(self, entries: Iterable[Entry]) -> dict[str, bytes]:
        """Blob → bytes, in one process for all of them; those that cannot be a fact are left out."""
        wanted = {entry.blob for entry in entries if entry.regular and entry.size <= LARGEST}
        if not wanted:
            return {}
        asked = "".join(f"{blob}\n" for blob in wanted).encode()
        raw = self._git("cat-file", "--batch", given=asked, doing="Reading the ledger").out
        found: dict[str, bytes] = {}
        place = 0
        while place < len(raw):
            end = raw.index(b"\n", place)
            header = raw[place:end].split()
            place = end + 1
            if len(header) == 3:  # "<object> missing" has two
                size = int(header[2])
                found[header[0].decode()] = raw[place : place + size]
                place += size + 1
        return found

    def decode(self, entry: Entry, content: bytes | None, kind: type[T]) -> T:
        """What a file of the ledger says. Raises LedgerError, naming it, when it is none of Ingot's facts."""
        reason = ""
        if not entry.regular:
            reason = "is no plain file"
        elif entry.size > LARGEST:
            reason = f"has {entry.size} bytes"
        elif content is None:
            reason = "is missing from the object store"
        else:
            try:
                fact = msgspec.json.decode(content, type=kind)
            except (msgspec.DecodeError, RecursionError) as error:
                reason = f"is not a manifest ({error})"
            else:
                named = getattr(fact, "channel" if entry.kind == "channels" else "version", None)
                if entry.kind == "lost":
                    named = f"{named}-{getattr(fact, 'run', None)}"
                if (getattr(fact, "role", None), named) == (entry.role, entry.decided or entry.version):
                    return fact
                reason = "is about another role or version than its path says"
        raise LedgerError(
            f"On the ledger, {entry.path!r} {reason}.",
            f"Look at it: git cat-file -p {entry.blob}; and at who wrote it: git log {REF}",
            kept="Everything else on the ledger can be read.",
        )

    def write(self, content: bytes) -> str:
        """Store some bytes as a blob, and give its name."""
        return self._git("hash-object", "-w", "--stdin", given=content, doing="Writing to the ledger").text

    def commit(self, parent: str | None, edits: Mapping[str, str | None], message: str, signature: Signature) -> str:
        """Write a commit that adds, replaces or (None) removes files, given as blobs; moves no ref."""
        lines: list[bytes] = []
        for path, blob in edits.items():
            mode = "100644" if blob else "0"
            lines.append(f"{mode} {blob or '0' * len(parent or '')}\t{path}".encode("utf-8", "surrogateescape"))
        with _place_for_an_index() as private:
            index = {"GIT_INDEX_FILE": str(Path(private) / "index")}
            base = parent or "--empty"
            self._git("read-tree", base, extra=index, doing="Writing to the ledger")
            given = b"".join(line + b"\0" for line in lines)
            self._git("update-index", "-z", "--index-info", given=given, extra=index, doing="Writing to the ledger")
            tree = self._git("write-tree", extra=index, doing="Writing to the ledger").text
        parents = ("-p", parent) if parent else ()
        return self._git(
            "commit-tree", tree, *parents, "-F", "-",
            given=_message(message), extra=_signed(signature), doing="Writing to the ledger",
        ).text  # fmt: skip

    def swap(self, new: str, old: str | None, ref: str = REF) -> bool:
        """Move the ref if it still is where it was read (compare-and-swap); False when somebody else was first."""
        answer = self.repository.git(
            "update-ref", "--no-deref", ref, new, old or "0" * len(new), configuration=_WRITING
        )
        if answer.code == 0:
            return True
        if _CONTENDED.search(answer.err):
            return False
        if isinstance(failure(self.repository.root, "Writing to the ledger", answer), DiskFullError):
            raise self._full()
        raise LedgerError(
            f"The ledger in {self.repository.common_directory()} cannot be written: {answer.err.strip()}",
            "Look at the rights of that directory, and at the disk's free space.",
        )

    def _git(self, *arguments: str, doing: str, given: bytes = b"", extra: Mapping[str, str] | None = None) -> Answer:
        try:
            return self.repository.git(*arguments, given=given, extra=extra, configuration=_WRITING, doing=doing)
        except LedgerError:
            raise
        except DiskFullError as error:
            raise self._full() from error
        except IngotError as error:
            raise LedgerError(error.what, error.next_step) from error
        except OSError as error:
            raise LedgerError(
                f"{doing} failed, Git could not be started: {error.strerror or error}.",
                "Look at this machine's free memory, and at what a process may have (ulimit -a), then try again.",
            ) from error

    def _full(self) -> LedgerError:
        return LedgerError(
            f"The ledger cannot be written: there is no space left on the disk of {self.repository.common_directory()}"
            " or of temporary files.",
            "It needs some kilobytes there. What needs none to free some: ingot sweep, and ingot cache --delete. Then "
            "try again.",
        )


def split_who(who: str) -> tuple[str, str]:
    """Name and mail of `Name <mail>`, such that Git takes them."""
    found = re.fullmatch(r"\s*(.*?)\s*<([^<>]*)>\s*", who, re.DOTALL)
    name, mail = (found[1], found[2]) if found else (who, "")
    name = re.sub(r"[\x00-\x1f\x7f<>]+", " ", name).strip()
    mail = re.sub(r"[\x00-\x20\x7f<>]+", "", mail)
    return (name if re.search(r"\w", name) else "unknown"), mail or "unknown"


def _place_for_an_index() -> tempfile.TemporaryDirectory[str]:
    """Raises LedgerError."""
    try:
        return tempfile.TemporaryDirectory(prefix="ingot-ledger-")
    except OSError as error:
        raise LedgerError(
            f"The ledger cannot be written: temporary files have no place. {error.strerror or error}.",
            "Look at the free space of TMPDIR, or of /tmp.",
        ) from error


def _signed(signature: Signature) -> dict[str, str]:
    name, mail = split_who(signature.who)
    signed = {
        "GIT_AUTHOR_NAME": name,
        "GIT_AUTHOR_EMAIL": mail,
        "GIT_COMMITTER_NAME": name,
        "GIT_COMMITTER_EMAIL": mail,
    }
    return {**signed, "GIT_AUTHOR_DATE": signature.date} if signature.date else signed


def _message(text: str) -> bytes:
    clean = re.sub(r"[\x00-\x09\x0b-\x1f\x7f]", " ", text).strip() or "change"
    return clean.encode("utf-8", "replace") + b"\n"


def _name(text: str) -> str:
    """A role or version as one component of a path, reversible with `unquote`."""
    quoted = quote(text, safe="").replace("~", "%7E")
    return f"%2E{quoted[1:]}" if quoted.startswith(".") else quoted  # Git refuses `..`, `.git` and `GIT~1` as names
