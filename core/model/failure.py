"""What went wrong, read from the log of a build: the step that failed, its command, where it is, and what it said last.

Understands the output of Packer 1.6 to 1.14, of ansible-playbook 2.9 to 2.19 inside it, and the words of the tools
that fail most often. One pass over the lines. Nothing here is certain, so a screen shows the log beside it. Real logs
of each kind are in tests/data/failures.
"""

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

import msgspec

from core.model.ansible_result import ansible_result, text_of
from core.model.log_words import advice_for, body_of, is_error

__all__ = ["Failure", "diagnose", "is_error"]

OUTPUT_LINES = 12
"""Lines of a failing step's last output that are kept."""
SENTENCE = 400
"""Characters of one sentence or command that are kept."""


class Failure(msgspec.Struct, frozen=True):
    """The answer to "what went wrong?", as far as the log has it: the tools' own text, not made safe yet."""

    step: str
    """`provisioner shell`, `TASK [nginx : install]`, `Waiting for SSH to become available`; empty when not known."""
    error: str
    """One sentence, the tool's own words where there are any."""
    first_line: int
    """Index of the line that says so."""
    command: str = ""
    """What the step ran: a script's path or a command line."""
    where: str = ""
    """`playbooks/web.yml:31`, `web.pkr.hcl:12`; empty when not known."""
    exit_status: int | None = None
    output: tuple[str, ...] = ()
    """The last lines that the step printed, without Packer's prefixes."""
    next_step: str = ""
    """What usually helps; empty when only the log can tell."""


# -- the pass over the log

_STEPS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), step)
    for pattern, step in (
        (r"Provisioning with shell script: (.*)", "provisioner shell"),
        (r"Running local shell script: (.*)", "provisioner shell-local"),
        (r"Provisioning with (?:powershell|Powershell)[^:]*:? ?(.*)", "provisioner powershell"),
        (r"Provisioning with windows-shell[^:]*:? ?(.*)", "provisioner windows-shell"),
        (r"Provisioning with Ansible Local\b()", "provisioner ansible-local"),
        (r"Provisioning with Ansible\b()", "provisioner ansible"),
        (r"Provisioning with (\w[\w -]*)", "provisioner"),
        (r"Uploading (\S+ => \S+)", "provisioner file"),
        (r"Restarting Machine()", "provisioner windows-restart"),
        (r"Running post-processor: +(?:\(type )?([\w-]+)", "post-processor"),
    )
)
_LATER_STEP = re.compile(
    r"(?:Gracefully halting|Forcibly halting|Converting hard drive|Stopping the source|Waiting for the instance to stop"
    r"|Creating (?:AMI|snapshot|unencrypted AMI|encrypted)|Copying/?\w* AMI|Exporting|Compacting|Waiting for AMI)\b.*"
)
_TEMPORARY = re.compile(r"\S*/packer-shell\d+$")
_TASK = re.compile(r"(?:TASK|RUNNING HANDLER) \[(.*)\] \**$")
_TASK_PATH = re.compile(r"task path: (.+:\d+)$")
_ORIGIN = re.compile(r"Origin: (.+:\d+):\d+$")
_APPEARS = re.compile(r"The error appears to be in '(.+)': line (\d+)")
_FATAL = re.compile(
    r"(?:fatal|failed): \[([^\]]+)\](?:: (?:FAILED|UNREACHABLE)!)?(?: \(item=.*?\))? =>\s?(.*)", re.DOTALL
)
_END_OF_RESULT = re.compile(r"(?:TASK|PLAY|RUNNING HANDLER|NO MORE HOSTS|fatal:|failed: \[|ok: |changed: )")
_BUILDER_STEP = re.compile(r"[A-Z].*\.\.\.$|Retrieving ISO$|Starting VM")
_BUILDER_ERROR = re.compile(r"[Ee]rror\b|Failed to|Timeout waiting")
_SAYS_NOTHING = ("", "non-zero return code", "module failure", "all items completed", "one or more items failed")
_ERRORED = re.compile(r"Build '(.+)' errored(?: after [^:]*)?: (.*)", re.DOTALL)
_FINISHED = re.compile(r"Build '.+' finished")
_HELD = re.compile(r'Step "\w+" failed$')
_HCL_ON = re.compile(r"\s+on (\S+) line (\d+)")
_HCL_AT = re.compile(r"(\S+\.(?:hcl|json)):(\d+),\d+")
_STATUS = re.compile(
    r"exit(?:ed with)?(?: non-zero)?(?: exit)? (?:status|code)s?:? ?(?:exit status )?(\d+)", re.IGNORECASE
)
_NOISE = re.compile(
    r"Provisioning step had errors|Deleting output directory|Build was halted|==> Wait completed|Cancelling build"
)


@dataclass(slots=True)
class _Pass:
    """What one pass over the log has met so far."""

    step: str = ""
    command: str = ""
    step_line: int = 0
    provisioning: bool = False
    output: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    """The last lines of the current step."""
    task: str = ""
    where: str = ""
    fatal: int = -1
    """Where the last failure of an Ansible task begins that was not ignored."""
    fatal_task: str = ""
    fatal_where: str = ""
    result: list[str] = field(default_factory=list[str])
    in_result: bool = False
    playbook_error: int = -1
    playbook_text: list[str] = field(default_factory=list[str])
    hcl: int = -1
    hcl_lines: list[str] = field(default_factory=list[str])
    errored: int = -1
    errored_text: list[str] = field(default_factory=list[str])
    held: int = -1
    """Where Packer said why a step failed, and then asked what to do: until it goes on, that is the end of the log."""
    held_text: str = ""
    builder_errors: list[tuple[int, str]] = field(default_factory=list[tuple[int, str]])
    finished: bool = False


def diagnose(lines: Sequence[str]) -> Failure | None:
    """What went wrong, from the lines of a failed stage's log, in order.

    None when there is nothing to say: no lines, or the log of a build that went well.
    """
    seen = _Pass()
    bodies: list[str] = []
    for number, line in enumerate(lines):
        build, body = body_of(line)
        bodies.append(body)
        _meet(seen, number, build, body)
    if seen.errored < 0 and seen.held >= 0:
        seen.errored, seen.errored_text = seen.held, [seen.held_text]
    if seen.errored < 0 and seen.hcl < 0 and seen.fatal < 0 and seen.finished:
        return None
    for answer in (_from_task, _from_playbook, _from_template, _from_step):
        if failure := answer(seen):
            return failure
    return _from_anything(seen, bodies)


def _meet(seen: _Pass, number: int, build: str, body: str) -> None:
    if not build and not seen.provisioning and body.startswith("Error: "):
        seen.hcl, seen.hcl_lines = (number, [body]) if seen.hcl < 0 else (seen.hcl, seen.hcl_lines)
        return
    if seen.hcl >= 0 and seen.errored < 0 and not build and not body.startswith("==>"):
        seen.hcl_lines.append(body)
        return
    if found := _ERRORED.match(body):
        if seen.errored < 0:
            seen.errored, seen.errored_text = number, [found[2]]
        return
    if seen.errored >= 0:
        follows = number == seen.errored + len(seen.errored_text) and len(seen.errored_text) < OUTPUT_LINES
        if follows and not build and body and not body.startswith(("==>", "-->")):
            seen.errored_text.append(body)
        return
    if _FINISHED.match(body):
        seen.finished = True
    if _NOISE.match(body):
        seen.in_result = False
        return
    if _begins_step(seen, number, build, body):
        seen.held = -1
        return
    if build and _HELD.match(body):
        seen.held, seen.held_text = seen.output.pop() if seen.output else (number, body)
    if seen.held >= 0:
        return
    _meet_ansible(seen, number, body)
    if build and not seen.provisioning and _BUILDER_ERROR.match(body):
        seen.builder_errors.append((number, body))
    if body:
        seen.output.append((number, body))
        if len(seen.output) > 4 * OUTPUT_LINES:
            del seen.output[:OUTPUT_LINES]


def _begins_step(seen: _Pass, number: int, build: str, body: str) -> bool:
    for pattern, step in _STEPS:
        if found := pattern.match(body):
            if step in ("provisioner", "post-processor"):
                step, command = f"{step} {found[1].strip().lower()}", ""
            else:
                command = "inline script" if _TEMPORARY.match(found[1]) else found[1].strip()
            seen.step, seen.command, seen.step_line = step, command, number
            seen.provisioning = True
            seen.output.clear()
            seen.task = seen.where = ""
            seen.fatal = seen.playbook_error = -1
            return True
    if build and (_LATER_STEP.match(body) or (not seen.provisioning and _BUILDER_STEP.match(body))):
        seen.step, seen.command, seen.step_line = body.rstrip(".: "), "", number
        seen.provisioning = False
        seen.output.clear()
        return True
    if body.startswith("Executing Ansible: "):
        seen.command = body.partition(": ")[2]
        return True
    return False


def _meet_ansible(seen: _Pass, number: int, body: str) -> None:
    if seen.in_result:
        if body.startswith("...ignoring"):
            seen.fatal, seen.in_result = -1, False
            return
        if body and not _END_OF_RESULT.match(body):
            seen.result.append(body)
            return
        # An empty line can be part of a result that is printed as YAML; what ends it is what follows.
        if body:
            seen.in_result = False
    if found := _TASK.match(body):
        seen.task, seen.where = found[1], ""
    elif (found := _TASK_PATH.match(body)) or (not seen.where and (found := _ORIGIN.match(body))):
        seen.where = found[1]
    elif found := _APPEARS.match(body):
        seen.where = f"{found[1]}:{found[2]}"
    if found := _FATAL.match(body):
        seen.fatal, seen.in_result, seen.result = number, True, [found[2]]
        seen.fatal_task, seen.fatal_where = seen.task, seen.where
    elif seen.playbook_error < 0 and not seen.task and body.startswith(("ERROR! ", "[ERROR]: ")):
        seen.playbook_error, seen.playbook_text = number, [body.partition(" ")[2]]


# -- the answers, the surest first


def _from_task(seen: _Pass) -> Failure | None:
    if seen.fatal < 0:
        return None
    result = ansible_result(seen.result)
    stdout, stderr = text_of(result, "stdout", "module_stdout"), text_of(result, "stderr", "module_stderr")
    message = text_of(result, "msg").strip()
    if message.lower() in _SAYS_NOTHING:
        message = _telling(stderr.splitlines()) or _telling(stdout.splitlines()) or message
    command = result.get("cmd", "")
    status = result.get("rc")
    output = [line for line in (*stdout.splitlines(), *stderr.splitlines()) if line.strip()]
    where = seen.fatal_where
    if found := _APPEARS.search(text_of(result, "msg")):
        where = where or f"{found[1]}:{found[2]}"
    if not output and "\n" in message:
        output = [line for line in message.splitlines() if line.strip()]
    error = _sentence(message.splitlines()[0] if message else "The task failed and did not say why.")
    return Failure(
        step=f"TASK [{seen.fatal_task}]" if seen.fatal_task else seen.step or "ansible",
        command=_sentence(
            shlex.join(map(str, cast(list[object], command))) if isinstance(command, list) else str(command)
        ),
        where=where,
        exit_status=status if isinstance(status, int) else None,
        output=tuple(output[-OUTPUT_LINES:]),
        error=error,
        first_line=seen.fatal,
        next_step=advice_for([error, *output]),
    )


def _from_playbook(seen: _Pass) -> Failure | None:
    if seen.playbook_error < 0:
        return None
    output = tuple(text for at, text in seen.output if at > seen.playbook_error)[:OUTPUT_LINES]
    error = _sentence(seen.playbook_text[0])
    return Failure(
        step=seen.step or "ansible",
        command=_sentence(seen.command),
        where=seen.where,
        exit_status=_status("\n".join(seen.errored_text)),
        output=output,
        error=error,
        first_line=seen.playbook_error,
        next_step=advice_for([error, *output]),
    )


def _from_template(seen: _Pass) -> Failure | None:
    if seen.hcl < 0 or seen.errored >= 0:
        return None
    rest = [line for line in seen.hcl_lines[1:] if line.strip()]
    where = ""
    for pattern in (_HCL_AT, _HCL_ON):  # the exact place first, else the block that it is in
        found = next((found for line in rest if (found := pattern.match(line))), None)
        if found:
            where = f"{found[1]}:{found[2]}"
            break
    said = [line for line in rest if not _HCL_ON.match(line) and "source code not available" not in line]
    error = seen.hcl_lines[0].removeprefix("Error: ")
    if listed := next((line for line in said if line.startswith("* ")), ""):
        error = listed[2:]
    elif said and (detail := _HCL_AT.match(said[0])):
        place = re.compile(re.escape(detail[0]) + r"(?:-[\d,]+)?: ")
        error = place.sub("", " ".join(line.strip() for line in said), count=1)
    elif said and not said[0].lstrip().startswith(("1:", "│")) and "|" not in said[0]:
        error = f"{error}: {said[-1].strip()}" if said[-1].strip() not in error else error
    return Failure(
        step="reading the template",
        error=_sentence(error),
        where=where,
        output=tuple(said[:OUTPUT_LINES]),
        first_line=seen.hcl,
        next_step=advice_for([error, *said]),
    )


def _from_step(seen: _Pass) -> Failure | None:
    if seen.errored < 0:
        return None
    reason = seen.errored_text[0].strip()
    said = [(at, text) for at, text in seen.output if not _NOISE.match(text)]
    output = [text for _, text in said][-OUTPUT_LINES:]
    texts = [*seen.errored_text, *output]
    error, at = _unbracketed(reason), seen.errored
    if seen.provisioning:
        telling = _telling([text for _, text in said])
        if telling and _STATUS.search(reason):
            error = telling
            at = next((number for number, text in reversed(said) if text.strip() == telling), seen.errored)
    elif seen.builder_errors:
        repeated = (told for told in seen.builder_errors if reason.startswith(told[1]))
        at, told = next(repeated, seen.builder_errors[0])
        if reason in ("", "Build was halted.", "unexpected EOF"):
            error = told
            texts.append(error)
    if not seen.provisioning and len(seen.errored_text) > 1:
        output = seen.errored_text
    return Failure(
        step=seen.step,
        command=_sentence(seen.command),
        exit_status=_status(reason),
        output=tuple(output),
        error=_sentence(error or "The build failed and did not say why."),
        first_line=at,
        next_step=advice_for(texts),
    )


def _from_anything(seen: _Pass, bodies: Sequence[str]) -> Failure | None:
    filled = [(at, body) for at, body in enumerate(bodies) if body.strip() and not _NOISE.match(body)]
    if not filled:
        return None
    at, error = next(((at, body) for at, body in reversed(filled) if is_error(body)), filled[-1])
    output = tuple(body for _, body in filled[-OUTPUT_LINES:])
    return Failure(
        step=seen.step,
        command=_sentence(seen.command),
        exit_status=_status(error),
        output=output,
        error=_sentence(error),
        first_line=at,
        next_step=advice_for([error, *output]),
    )


# -- small parts


def _sentence(text: str) -> str:
    # A script of several lines stays readable as one: its line ends are marked.
    text = " ↵ ".join(" ".join(line.split()) for line in text.strip().splitlines() if line.strip())
    return text if len(text) <= SENTENCE else text[: SENTENCE - 1] + "…"


def _unbracketed(reason: str) -> str:
    """`error downloading ISO: [Checksums did not match …` reads better without the list's bracket."""
    return reason.replace(": [", ": ", 1) if reason.count("[") > reason.count("]") else reason


def _status(text: str) -> int | None:
    found = _STATUS.search(text)
    return int(found[1]) if found else None


def _telling(lines: Sequence[str]) -> str:
    """The line that says most about a failure: the last with a known cause or an error, else the last."""
    filled = [line.strip() for line in lines if line.strip()]
    tests: tuple[Callable[[str], object], ...] = (lambda line: advice_for([line]), is_error)
    for test in tests:
        if found := next((line for line in reversed(filled) if test(line)), ""):
            return found
    return filled[-1] if filled else ""
