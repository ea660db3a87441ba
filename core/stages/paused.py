"""How a build may pause, what each of its pauses means, and how it ends when there were any."""

import asyncio
import logging
import re
import time
from pathlib import Path

from core import text
from core.adapters import packer_prompts
from core.errors import ToolError
from core.hold import Held
from core.holding import Exit
from core.model.failure import Failure, diagnose
from core.model.pause import Answer, Pause, PauseKind, PauseMode
from core.stages.environment import Preparation
from core.stages.stage import StageJob
from core.store.logs import LogReader

defects = logging.getLogger("ingot.paused")

LOOKED_BACK = 4000
"""Lines of a failed build's log that are searched for what went wrong."""

_BREAKPOINT = re.compile(r"^==> .*: Pausing at breakpoint provisioner(?: with note .*|\.)$")
_AGAIN = re.compile(r"^==> .*: \[c\] Clean up and exit, .*\? ?(?:r$|ingot: .*: retry$)")
"""The last line of an attempt that a person answered with a retry."""


class Pauses:
    """The pauses of one build."""

    def __init__(self, job: StageJob, preparation: Preparation) -> None:
        self._job = job
        self._build = preparation.build
        self._pausing = job.run.request.pausing
        self._provisioners = len(preparation.role.provisioners)
        announced = packer_prompts.announces_provisioners(preparation.packer, preparation.role.syntax)
        self.options = packer_prompts.options(self._pausing, self._build.kind)
        self.rules = packer_prompts.rules(self._pausing, announced=announced)
        self.limit = self._pausing.limit

    def heard(self, line: str) -> None:
        """A line of Packer's."""
        if self._pausing.mode is PauseMode.NEVER and _BREAKPOINT.match(line):
            self._job.say("ingot: this build never pauses: it goes past the breakpoint")

    async def held(self, held: Held) -> Pause:
        """What it means that Packer waits."""
        asked = packer_prompts.read(held.text) or packer_prompts.Asked(PauseKind.STEP, "", "")
        match asked.kind:
            case PauseKind.FAILURE:
                log = self._job.places.log(self._job.run.uid, self._job.stage.key)
                found = await asyncio.to_thread(what_failed, log)
                why = in_a_sentence(found) if found and found.error else f"{asked.step or 'A step'} failed."
            case PauseKind.BREAKPOINT:
                why = f"Breakpoint: {asked.note.rstrip('.')}." if asked.note else "A breakpoint of the template."
            case PauseKind.PROVISIONER:
                why = "Stopped before the next provisioner, as asked."
            case PauseKind.CLEAN_UP:
                why = f"Stopped before the clean-up of {asked.step}, as asked."
            case PauseKind.STEP | PauseKind.TASK:
                why = f"Stopped after {asked.step}, as asked." if asked.step else "Packer waits for an answer."
        return Pause(
            run_uid=self._job.run.uid,
            stage_key=self._job.stage.key,
            number=held.number,
            kind=asked.kind,
            step=asked.note if asked.kind is PauseKind.BREAKPOINT else asked.step,
            why=why,  # of what is in the log, and so without secrets
            since=held.since,
            until=None,
            provisioners=self._provisioners,
        )

    @property
    def any(self) -> bool:
        """Whether there was one."""
        return bool(self._job.pauses())

    def mended(self, ended: Exit) -> bool:
        """Whether every step went well in the end, although Packer calls the build failed.

        It never forgets the error of a step that was retried (multistep_runner.go: “build may fail even if retry
        succeeds”). But each step that fails asks, so when the last question was answered with a retry, and no other
        came, all have gone well.
        """
        failures = [pause for pause in self._job.pauses() if pause.kind is PauseKind.FAILURE]
        by_itself = ended.ended_by == "" and ended.code == 1
        return by_itself and bool(failures) and failures[-1].answer == Answer.RETRY

    def end_of(self, ended: Exit) -> ToolError | None:
        """`end_by_pause` of this build."""
        return end_by_pause(self._job, ended)


def end_by_pause(job: StageJob, ended: Exit) -> ToolError | None:
    """Why a build ended, when it was for a pause; None when what failed says more."""
    pauses = job.pauses()
    if not pauses:
        return None
    last, name = pauses[-1], job.stage.build
    number = job.run.id
    if last.answer == Answer.KEEP:
        return ToolError(
            f"{name}: {last.answered_by.partition(' <')[0]} kept the machine. {last.why}",
            f"A shell in it: ingot debug {number}. It is ended{_at(last.until)}, or when somebody ends it.",
        )
    if ended.ended_by == "limit":
        waited = text.duration((last.answered_at or time.time()) - last.since)
        return ToolError(
            f"{name}: nobody answered within {waited}, and the machine was cleaned up. {last.why}",
            "Build again; a longer limit: [debug] limit in ingot.toml, or --keep-paused.",
        )
    return None


def in_a_sentence(found: Failure) -> str:
    """What failed, where, and how."""
    at = f" ({found.where})" if found.where else ""
    if found.exit_status and "exit" not in found.error:
        at += f", exit status {found.exit_status}"
    why = f"{found.error.rstrip('.')}{at}."
    return f"{found.step}: {why}" if found.step else why


def what_failed(log: Path) -> Failure | None:
    """What went wrong in the last attempt that the log of a build shows. Reads a file: in a thread."""
    reader = LogReader(log)
    try:
        reader.refresh()
        first = max(0, reader.line_count - LOOKED_BACK)
        lines = [text.from_bytes(line.raw) for line in reader.read(first, LOOKED_BACK)]
    finally:
        reader.close()
    attempts = [number for number, line in enumerate(lines, 1) if _AGAIN.match(line)]
    try:
        return diagnose(lines[attempts[-1] :] if attempts else lines)
    except Exception:  # noqa: BLE001 - whatever it stumbles over, the pause is told of
        # What it reads was written by others. A pause without its reason is a pause still; one that nobody hears of is
        # a machine that is cleaned up with nobody there.
        defects.exception("why %s failed cannot be said", log)
        return None


def _at(until: float | None) -> str:
    return f" at {time.strftime('%H:%M', time.localtime(until))}" if until is not None else ""
