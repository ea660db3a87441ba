"""What a stage is given to work with, and how it ends.

A stage is one module with `async def carry_out(job: StageJob) -> Mapping[str, object]`. It returns what later stages
and the record of the run need to know (JSON: str, int, float, bool, None, lists and dicts of them), or raises an
IngotError, which fails the run in this stage with that message. A stage may be carried out again after a crash of the
worker: it first looks for what an earlier attempt made, and `tool` adopts a tool that still runs.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from core.hold import Held, Prompt
from core.holding import Exit
from core.model.decided import Decision
from core.model.image import Artifact, ImageVersion
from core.model.machine import Machine
from core.model.pause import Pause
from core.model.run import Run, Stage
from core.places import Places
from core.store.ledger_contents import Contents
from core.store.ledger_sharing import Shared

LineSink = Callable[[str], None]
"""Gets each line that a tool printed, redacted, without its end."""
OnHeld = Callable[[Held], Awaitable[Pause]]
"""Says what it means that a tool waits; `until` is left to the engine."""


class LedgerOfRun(Protocol):
    """The part of the ledger that stages use (store/ledger.py has all of it)."""

    def reserve(self, role: str, wanted: str, run_uid: str, who: str) -> str: ...
    def register(
        self,
        image: ImageVersion,
        who: str,
        why: str,
        transcripts: Mapping[str, bytes] | None = None,
        evidence: Mapping[str, bytes] | None = None,
    ) -> None: ...
    def images(self) -> list[ImageVersion]: ...
    def read(self) -> Contents: ...
    def decide(
        self,
        decisions: Sequence[Decision],
        who: str,
        what: str,
        why: str = "",
        *,
        image: ImageVersion | None = None,
        evidence: Mapping[str, bytes] | None = None,
    ) -> Contents: ...
    def add_artifacts(self, image: ImageVersion, artifacts: Sequence[Artifact], who: str, why: str = "") -> None: ...
    @property
    def last_shared(self) -> Shared:
        """How the last attempt to share with others ended."""
        ...


class StageJob(Protocol):
    """One attempt at one stage of one run."""

    @property
    def run(self) -> Run: ...
    @property
    def stage(self) -> Stage: ...
    @property
    def places(self) -> Places: ...
    @property
    def directory(self) -> Path:
        """The run's own directory, `places.run(uid)`."""
        ...

    @property
    def ledger(self) -> LedgerOfRun:
        """Blocking: call what writes to it through `work.in_thread`."""
        ...

    @property
    def leaving(self) -> bool:
        """The worker is ending: a cancel now only lets go of the tools, which the next worker finds again."""
        ...

    @property
    def secrets(self) -> Mapping[str, str]:
        """The secret environment variables of the run (`request.secret_names`): in memory only, never to be written
        down. A stage after the build begins without those that a restarted worker has forgotten: see
        `wait_for_secrets`."""
        ...

    async def wait_for_secrets(self) -> None:
        """Return when `secrets` has all of them; until somebody gives again what was forgotten, the run is shown as
        waiting. For what redacts what it puts on the ledger, where it stays for ever. Cancelling ends it."""
        ...

    def result(self, stage_key: str) -> Mapping[str, object]:
        """What an earlier stage of this run returned."""
        ...

    def say(self, line: str) -> None:
        """Append a line to the stage's log (redacted)."""
        ...

    def progress(self, text: str, fraction: float | None = None) -> None:
        """What the stage does now, in a few words, and how much of it is done. Cheap: call it as often as you like."""
        ...

    def version_reserved(self, version: str) -> None:
        """Show the version that the run's image will have. May be called from a thread."""
        ...

    def add_secrets(self, values: Sequence[str]) -> None:
        """Register values with the redactor of this stage's log and tools."""
        ...

    def redacted(self, text: str) -> str:
        """The text without any secret that the stage knows, for what it writes to a file by itself."""
        ...

    async def tool(
        self,
        name: str,
        argv: Sequence[str],
        *,
        cwd: Path,
        environment: Mapping[str, str],
        on_line: LineSink | None = None,
        prompts: Sequence[Prompt] = (),
        prompt_limit: float | None = None,
        on_held: OnHeld | None = None,
        events: bool = False,
        repeatable: bool = False,
    ) -> Exit:
        """Run a tool under a holder, its output in the stage's log; adopt it when an earlier attempt started it.

        `name` tells the tools of one stage apart. `environment` is whole (see process.environment); secrets in it are
        passed to the holder in memory. When the run is cancelled the tool is interrupted, has its time to clean up,
        and CancelledError is raised.

        While the tool waits at one of `prompts` that has no reply, the run is paused as `on_held` says, for
        `prompt_limit` seconds at most: then its holder ends it. `events`: what Ansible tells of its tasks is kept
        (places.tasks; core/adapters/ansible_events.py is what makes Ansible tell it). `repeatable`: it has no machine
        and needs no secret, so it is just started again where its holder vanished, in a build too.
        """
        ...

    async def let_go(self, name: str, machine: Machine, seconds: float, why: str) -> bool:
        """Keep the machine that a tool of this stage *is*, by the name of the tool, for `seconds` at most: it is shown
        as kept, and who waits for the tool may be cancelled without an end of it. False where it has ended."""
        ...

    async def end_earlier(self) -> None:
        """End what an earlier attempt at this stage left running, for a stage that begins anew. Where a run has a
        machine on its way, `tool` adopts it instead."""
        ...

    def pauses(self) -> list[Pause]:
        """Those of this stage so far, in order, with how they were answered."""
        ...

    def machine(self) -> Machine | None:
        """The machine of this stage, as far as it is known."""
        ...

    def save_machine(self, machine: Machine) -> None:
        """Show what is known of the machine now. Whose it is, and until when, the engine knows better: `state`, `until`
        and `kept_by` count only when it is saved first."""
        ...

    def own_machine(self, machine: Machine) -> None:
        """Show a machine that is none of this stage's tools, as one that it launched in a cloud by itself: with its
        state. One that is not GONE when its run ends is ended then, whatever became of the stage; KEPT, at its time.
        Raises StoreError."""
        ...

    async def waiting(self, reason: str, until: Callable[[], Awaitable[bool]], every: float = 5.0) -> None:
        """Show the run as waiting, with the reason, until the condition holds. Cancelling ends it."""
        ...
