"""The one tree of errors, each for the person who reads it at night.

IngotError
├── WorkspaceError        the repository, its templates or ingot.toml
├── ToolError             an outside program: missing, too old, or it failed
├── UpstreamError         an upstream that could not be had or did not verify
├── LedgerError           the ledger could not be read or written
│   └── LostRaceError     somebody else changed it first
├── StoreError            the index, the record of runs or a log
│   └── NoRoomError       it cannot be written: the disk is full
├── EngineError           the worker or a holder
├── SpaceError            not enough disk or memory
├── ConnectError          no shell in a machine
│   ├── NoAnswerError     nothing answers there, or no longer
│   ├── DeniedError       it does not let us in
│   ├── HostKeyError      it is not known to be the one that it was
│   └── NoShellError      there is no SSH to it
└── RefusedError          a rule forbids it
"""


class IngotError(Exception):
    """Something that a person has to know about.

    `what` says what happened and to what, in one sentence; `next_step` says what to do now; `kept` says what is safe
    (empty where nothing was at risk).
    """

    def __init__(self, what: str, next_step: str = "", *, kept: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.next_step = next_step
        self.kept = kept

    def __str__(self) -> str:
        return "\n".join(part for part in (self.what, self.kept, self.next_step) if part)


class WorkspaceError(IngotError):
    """The repository, its templates or its ingot.toml are not as they must be."""


class ToolError(IngotError):
    """An outside program is missing, too old, or ended with an error."""


class UpstreamError(IngotError):
    """An upstream could not be had, or what came is not what was promised."""


class LedgerError(IngotError):
    """The ledger could not be read or written."""


class LostRaceError(LedgerError):
    """Somebody else changed the same thing first; the message says who and what."""


class StoreError(IngotError):
    """The index, the record of runs or a log cannot be used."""


class NoRoomError(StoreError):
    """It cannot be written, because the disk is full; what is there can be read."""


class EngineError(IngotError):
    """The worker or a holder cannot do what it was asked for."""


class SpaceError(IngotError):
    """There is not enough disk or memory for it."""


class ConnectError(IngotError):
    """There is no shell to be had in a machine."""


class NoAnswerError(ConnectError):
    """The machine refuses the connection, does not answer, or the connection to it broke."""


class DeniedError(ConnectError):
    """The machine lets nobody in with the keys and the password that are known of it."""


class HostKeyError(ConnectError):
    """The machine shows another host key than it has to; nothing was sent to it."""


class NoShellError(ConnectError):
    """The machine is not, or not yet, one that SSH leads to."""


class RefusedError(IngotError):
    """A rule forbids it; the message names the rule."""
