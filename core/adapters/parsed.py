"""The parsed content of a workspace's templates, kept between two looks at it, by content: what did not change is not
parsed again. The file that keeps it can be deleted at any time."""

import contextlib
import gc
import hashlib
import os
import posixpath
import tempfile
from collections.abc import Generator
from pathlib import Path

import msgspec

from core.adapters import hcl, hcl_json, hcl_tree
from core.adapters.files import WorkspaceFiles
from core.model.role import Problem

_FORM = 2
"""Of the tree in hcl.py and of how it is made. Another number makes everything parsed anew."""


class _Entry(msgspec.Struct, frozen=True, array_like=True):
    """A tree, or why there is none."""

    body: bytes
    """The tree as MessagePack, decoded only for files that are there now; empty where there is none."""
    reason: str = ""
    line: int | None = None
    fix: str = ""


class _Kept(msgspec.Struct, frozen=True):
    form: int
    entries: dict[str, _Entry]


class ParsedFiles:
    """Gives the trees of HCL files. `keep` is the file in which they are kept; None keeps nothing."""

    def __init__(self, files: WorkspaceFiles, keep: Path | None) -> None:
        self._files = files
        self._keep = keep
        self._known = _read(keep) if keep else {}
        self._used: dict[str, _Entry] = {}
        self._bodies: dict[str, hcl_tree.Body | Problem] = {}

    def body(self, path: str) -> hcl_tree.Body | Problem:
        """The tree of a `.hcl` or `.json` file in HCL2, or what is wrong with it."""
        if path not in self._bodies:
            self._bodies[path] = self._body(path)
        return self._bodies[path]

    def _body(self, path: str) -> hcl_tree.Body | Problem:
        try:
            content = self._files.read(path, hcl.MAX_BYTES + 1)
        except OSError as error:
            return Problem(path, f"it cannot be read: {error.strerror or error}", None, f"Look at: ls -l {path}")
        kind = posixpath.splitext(path)[1]
        digest = hashlib.sha256(kind.encode() + b"\0" + content).hexdigest()
        entry = self._known.get(digest) or _parsed(content, kind)
        self._used[digest] = entry
        if entry.body:
            with contextlib.suppress(msgspec.MsgspecError, RecursionError):
                return msgspec.msgpack.decode(entry.body, type=hcl_tree.Body)
        return Problem(path, entry.reason or "it cannot be read", entry.line, entry.fix)

    def save(self) -> None:
        """Keep what was used, and only that. Where that is not possible nothing is lost but time."""
        if self._keep is None or self._used.keys() == self._known.keys():
            return
        content = msgspec.msgpack.encode(_Kept(_FORM, self._used))
        with contextlib.suppress(OSError):
            self._keep.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._keep.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(content)
                Path(name).replace(self._keep)
            except OSError:
                Path(name).unlink(missing_ok=True)


def _read(keep: Path) -> dict[str, _Entry]:
    try:
        kept = msgspec.msgpack.decode(keep.read_bytes(), type=_Kept)
    except (OSError, msgspec.MsgspecError):
        return {}
    return kept.entries if kept.form == _FORM else {}


@contextlib.contextmanager
def _no_collection() -> Generator[None]:
    """A parser makes a hundred thousand objects that go again by themselves: looking for circles among them, and among
    all that a workbench holds, takes a third of its time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


def _parsed(content: bytes, kind: str) -> _Entry:
    try:
        if len(content) > hcl.MAX_BYTES:
            raise hcl_tree.HclError(f"it has more than {hcl.MAX_BYTES:,} bytes", None, "Split it.")
        text = hcl.decode(content)
        with _no_collection():
            body = hcl.parse(text) if kind == ".hcl" else hcl_json.from_json(text)
            return _Entry(msgspec.msgpack.encode(body))
    except hcl_tree.HclError as error:
        return _Entry(b"", error.reason, error.line, error.fix)
