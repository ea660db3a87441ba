"""What the program that builds with Ansible says and asks (core/ansible_tool), and what is typed for each answer."""

import re
from collections.abc import Sequence

from core.hold import Prompt
from core.model.pause import Answer, PauseMode, Pausing

QUESTION = (
    "[r] retry from the failed task, [p] run the whole playbook again, [a] let go of the machine, or [c] clean up? "
)
TYPED: dict[Answer, bytes] = {
    Answer.RETRY: b"r\r",
    Answer.RESTART: b"p\r",
    Answer.KEEP: b"a\r",
    Answer.CLEAN_UP: b"c\r",
}
_RUNS = re.compile(r"==> [^:]+: The machine runs: process (\d+), port (\d+)\.$")
_IN = re.compile(r"==> [^:]+: Connected to SSH!$")
_FAILED = re.compile(r'^==> [^\n]*?: The task "([^\n]*)" failed\.$', re.MULTILINE)


def question(build: str) -> str:
    return f"==> {build}: {QUESTION}"


def machine_runs(build: str, pid: int, port: int) -> str:
    return f"==> {build}: The machine runs: process {pid}, port {port}."


def connected(build: str) -> str:
    return f"==> {build}: Connected to SSH!"


def task_failed(build: str, task: str) -> str:
    return f'==> {build}: The task "{task}" failed.'


def rules(pausing: Pausing) -> Sequence[Prompt]:
    """What the holder does about the question; there is none in a build that never pauses."""
    if pausing.mode is PauseMode.NEVER:
        return ()
    return (Prompt(rf"^==> [^\n]*?: {re.escape(QUESTION)}", goodbye="c\r"),)


def read_machine(line: str) -> tuple[int, int] | None:
    """The process and the port of the machine, where a line tells them."""
    found = _RUNS.match(line)
    return (int(found[1]), int(found[2])) if found else None


def is_connected(line: str) -> bool:
    return _IN.match(line) is not None


def failed_task(held_text: str) -> str:
    """The task that failed, from the end of the output before the question; empty where it does not tell."""
    found: list[str] = _FAILED.findall(held_text)
    return found[-1] if found else ""
