"""A pause: a build held with its machine alive, why, and what may be done about it.

Packer's own prompts decide what is possible (docs/debugging.md): the table `choices` is all that screens, commands and
the engine know of it.
"""

import re
from enum import StrEnum

import msgspec

DEFAULT_LIMIT = 2 * 3600.0
"""Seconds that a paused machine is kept unless somebody says otherwise."""
WARNED_BEFORE = 15 * 60.0
"""Seconds before a machine is cleaned up at which somebody is told."""


class PauseMode(StrEnum):
    """When a build may pause."""

    NEVER = "never"
    """It cleans up after a failure, and goes past breakpoints: for builds that nobody watches."""
    FAILURE = "failure"
    """When a step fails, and at breakpoints of the template."""
    STEP = "step"
    """Also where the person asked for it (`Pausing.stops`)."""


FIRST_PROVISIONER = "first-provisioner"
EACH_PROVISIONER = "each-provisioner"
CLEAN_UP = "clean-up"
STOPS = (FIRST_PROVISIONER, EACH_PROVISIONER, CLEAN_UP)
"""Where a build that is stepped through can be told to stop; beside these, at any step of Packer's by its name."""

_STEP_NAME = re.compile(r"[Ss]tep[A-Z][A-Za-z0-9]*")
"""Packer prints the name of a step's Go type; those of all builders begin so."""


def is_stop(text: str) -> bool:
    """Whether this says where to stop: one of `STOPS`, or the name of a step as Packer prints it.

    >>> is_stop("first-provisioner"), is_stop("stepRun"), is_stop("foo"), is_stop("each provisioner")
    (True, True, False, False)
    """
    return text in STOPS or _STEP_NAME.fullmatch(text) is not None


class Pausing(msgspec.Struct, frozen=True):
    """When a build may pause, and for how long: chosen when it starts."""

    mode: PauseMode = PauseMode.NEVER
    stops: tuple[str, ...] = ()
    """With STEP: where to stop (`is_stop`); empty means before the first provisioner."""
    limit: float = DEFAULT_LIMIT
    """Seconds after which a paused machine is cleaned up."""


NEVER = Pausing()
"""For builds that nobody watches."""


class Wish(msgspec.Struct, frozen=True):
    """How a build may pause, as far as somebody said so when it was started; `[debug]` of ingot.toml says the rest."""

    mode: PauseMode | None = None
    stops: tuple[str, ...] = ()
    limit: float | None = None
    """Seconds."""
    watched: bool = False
    """Somebody sits at a workbench."""


WATCHED = Wish(watched=True)
UNWATCHED = Wish()

SHORTEST_LIMIT = 60.0
LONGEST_LIMIT = 7 * 24 * 3600.0
LIMIT_WORDS = "hours and minutes, such as 2h, 90m or 1h30m; at least 1m, at most 168h"
_LIMIT = re.compile(r"(?:([0-9]{1,4})h)?(?:([0-9]{1,5})m)?")


def seconds_of(limit: str) -> float | None:
    """The seconds in a limit as people write it; None where it is none (`LIMIT_WORDS`).

    >>> seconds_of("2h"), seconds_of("1h30m"), seconds_of("90"), seconds_of("")
    (7200.0, 5400.0, None, None)
    """
    found = _LIMIT.fullmatch(limit)
    seconds = int(found[1] or 0) * 3600.0 + int(found[2] or 0) * 60.0 if found else 0.0
    return seconds if SHORTEST_LIMIT <= seconds <= LONGEST_LIMIT else None


class PauseKind(StrEnum):
    """What Packer waits for."""

    FAILURE = "failure"
    """A step failed (`-on-error=ask`)."""
    BREAKPOINT = "breakpoint"
    """A `breakpoint` provisioner of the template."""
    STEP = "step"
    """`-debug`: after the run of a step."""
    PROVISIONER = "provisioner"
    """`-debug`: before the next provisioner."""
    CLEAN_UP = "clean-up"
    """`-debug`: before the clean-up of a step."""
    TASK = "task"
    """A task of a playbook failed, where Ingot itself runs it (`builder = "ansible"`)."""

    @property
    def is_failure(self) -> bool:
        """Something went wrong; else somebody wanted to stop here."""
        return self in (PauseKind.FAILURE, PauseKind.TASK)


class Answer(StrEnum):
    """What can be done about a pause."""

    RETRY = "retry"
    RESTART = "restart"
    CONTINUE = "continue"
    KEEP = "keep"
    CLEAN_UP = "clean-up"


class Choice(msgspec.Struct, frozen=True):
    """One thing that can be done about one pause."""

    answer: Answer
    title: str
    """Some words: `Retry: run all 4 provisioners again`."""
    consequence: str
    """What it does to the machine, in a sentence, said before it is done."""
    destroys: bool = False
    """The machine is gone afterwards."""


class Pause(msgspec.Struct, frozen=True):
    """One pause of one stage of a run."""

    run_uid: str
    stage_key: str
    number: int
    """Counts the prompts of the stage's tool: an answer names it, and never hits a later one."""
    kind: PauseKind
    step: str
    """Packer's name of the step, `StepProvision`; the note of a breakpoint; empty when not known."""
    why: str
    """One sentence for a person."""
    since: float
    until: float | None
    """When the machine is cleaned up (seconds since the epoch); None: never."""
    provisioners: int = 0
    """How many the template has for this build."""
    answer: str = ""
    """Of `Answer`, or `cancel` or `time limit`; empty as long as it waits."""
    answered_by: str = ""
    answered_at: float | None = None

    @property
    def id(self) -> str:
        """Unique everywhere; every answer names it."""
        return f"{self.run_uid}/{self.stage_key}/{self.number}"

    @property
    def open(self) -> bool:
        """Nobody has answered yet."""
        return self.answered_at is None


def choices(kind: PauseKind, step: str = "", provisioners: int = 0) -> tuple[Choice, ...]:
    """What this kind of pause allows, the most harmless first.

    >>> [choice.answer.value for choice in choices(PauseKind.FAILURE, "StepProvision", 2)]
    ['retry', 'keep', 'clean-up']
    >>> [choice.answer.value for choice in choices(PauseKind.BREAKPOINT)]
    ['continue', 'clean-up']
    """
    clean_up = Choice(
        Answer.CLEAN_UP,
        "Clean up and end",
        "The machine and its disk are destroyed, and the run ends as failed; the log stays."
        if kind.is_failure
        else "The machine and its disk are destroyed, and the run ends as cancelled; the log stays.",
        destroys=True,
    )
    if kind is PauseKind.TASK:
        return (*_of_a_task(step), _keep("Ansible"), clean_up)
    if kind is not PauseKind.FAILURE:
        destroys = kind is PauseKind.CLEAN_UP
        return (Choice(Answer.CONTINUE, "Continue", _CONTINUES[kind], destroys), clean_up)
    return (_retry(step, provisioners), _keep("Packer"), clean_up)


def _keep(tool: str) -> Choice:
    return Choice(
        Answer.KEEP,
        "Keep the machine",
        f"{tool} lets go of the machine and the run ends as failed; the machine goes on until you end it, "
        "or its time is over.",
    )


def _of_a_task(task: str) -> tuple[Choice, ...]:
    """ansible-playbook can begin at a task by its name (`--start-at-task`), and knows nothing of an earlier run."""
    restart = Choice(
        Answer.RESTART,
        "Run the whole playbook again",
        "Ansible runs the playbook from its first task, in the machine as it is now; it and its roles are read again.",
    )
    if not task:
        return (restart,)
    retry = Choice(
        Answer.RETRY,
        "Retry from the failed task",
        f"Ansible begins at the first “{task}”: handlers notified before it do not run, and what tasks before "
        "it registered or set is not known. Facts are gathered anew; playbooks and roles are read again.",
    )
    return (retry, restart)


_CONTINUES = {
    PauseKind.BREAKPOINT: "Packer goes on with the next provisioner.",
    PauseKind.STEP: "Packer goes on with the next step.",
    PauseKind.PROVISIONER: "Packer runs the next provisioner.",
    PauseKind.CLEAN_UP: "Packer cleans up after this step; when all are done, the machine is gone.",
}


def _retry(step: str, provisioners: int) -> Choice:
    """Packer repeats the whole step, and all provisioners are one step (packer/provisioner.go)."""
    if step != "StepProvision":
        name = step or "the failed step"
        return Choice(Answer.RETRY, f"Retry {name}", f"Packer runs {name} once more; the machine stays as it is.")
    if provisioners > 1:
        again = f"Retry: all {provisioners} provisioners again"
        does = f"Packer runs all {provisioners} provisioners again, from the first, in the machine as it is now."
    else:
        again, does = "Retry the provisioner", "Packer runs the provisioner again, in the machine as it is now."
    return Choice(Answer.RETRY, again, f"{does} The template is not read again; playbooks and scripts are.")
