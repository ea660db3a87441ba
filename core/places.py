"""Where Ingot keeps things on this machine. Creates nothing until asked to."""

import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

from core.errors import StoreError

_LONGEST_BASE = 60
"""Bytes of a runtime directory below which the longest path of a socket of ours still fits."""


class Places(msgspec.Struct, frozen=True):
    """All paths of one user's Ingot on one machine, below `home`."""

    home: Path

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Places":
        """`$INGOT_HOME`, else the XDG state directory (freedesktop.org basedir-spec, `XDG_STATE_HOME`)."""
        if chosen := environment.get("INGOT_HOME"):
            return cls(Path(chosen).absolute())
        home = Path(environment.get("HOME") or "~").expanduser()
        state = environment.get("XDG_STATE_HOME") or str(home / ".local/state")
        return cls(Path(state) / "ingot")

    @property
    def index(self) -> Path:
        """The index of the ledgers and the record of runs (SQLite)."""
        return self.home / "index.sqlite"

    @property
    def engine(self) -> Path:
        """The engine's own database; nothing but `core/engine` opens it."""
        return self.home / "engine.sqlite"

    @property
    def worker_log(self) -> Path:
        return self.home / "worker.log"

    @property
    def worker_lock(self) -> Path:
        return self.home / "worker.lock"

    @property
    def worker_socket(self) -> Path:
        return self.runtime / "worker.sock"

    @property
    def images(self) -> Path:
        """Artifacts: `images/<workspace key>/<role>/<version>/`."""
        return self.home / "images"

    @property
    def cache(self) -> Path:
        """Upstreams and Packer's downloads: can be deleted at the price of fetching again."""
        return self.home / "cache"

    def run(self, uid: str) -> Path:
        """Everything that a run writes while it works: checkout, logs, output of the tools."""
        return self.home / "runs" / uid

    def log(self, uid: str, stage: str) -> Path:
        """The log of one stage (`build/qemu.web` becomes `build.qemu.web.log`)."""
        return self.run(uid) / "logs" / f"{stage.replace('/', '.')}.log"

    def tasks(self, uid: str, stage: str) -> Path:
        """What Ansible told of its tasks in one stage, a line of JSON an event."""
        return self.run(uid) / "tasks" / f"{stage.replace('/', '.')}.jsonl"

    @property
    def runtime(self) -> Path:
        """For sockets, whose paths must be short (108 bytes, unix(7)): never below a long `home`."""
        import hashlib  # here: the first picture does not wait for it

        key = hashlib.sha256(str(self.home).encode()).hexdigest()[:12]
        base = os.environ.get("XDG_RUNTIME_DIR")
        if base and len(os.fsencode(base)) < _LONGEST_BASE and Path(base).is_dir():
            return Path(base) / f"ingot-{key}"
        return Path(f"/tmp/ingot-{os.getuid()}-{key}")  # noqa: S108 - `create` refuses it unless it is ours and 0700

    def create(self) -> None:
        """Make the directories, private to the user.

        Raises StoreError when one cannot be made or belongs to somebody else.
        """
        for directory in (self.home, self.images, self.cache, self.home / "runs", self.runtime):
            try:
                directory.mkdir(mode=0o700, parents=True, exist_ok=True)
                found = directory.lstat()
            except OSError as error:
                raise StoreError(
                    f"Cannot create {directory}: {error.strerror}.",
                    "Make room or set INGOT_HOME to a directory that you can write to.",
                ) from error
            if found.st_uid != os.getuid() or (found.st_mode & 0o077 and directory in (self.home, self.runtime)):
                raise StoreError(
                    f"{directory} is not private to you.", f"Look at who made it, then: chmod 700 {directory}"
                )
