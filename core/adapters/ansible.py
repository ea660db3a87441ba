"""ansible-playbook, run by ansible-runner: its inventory, its output as it comes, and how it ended.

ansible-runner starts it, on a terminal of its own, and writes what it was given and what came of it into the private
directory: that has to be 0700, and is removed by whoever made it.
"""

import json
import os
import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from core import process
from core.errors import ToolError
from core.model.machine import Machine

PROGRAM = "ansible-playbook"
_SETTINGS = {"suppress_output_file": True, "pexpect_timeout": 1, "pexpect_use_poll": True}
"""No copy of the output, which is not redacted; a second between two looks whether the playbook is to be ended."""
_SSH = (
    "GlobalKnownHostsFile=/dev/null", "StrictHostKeyChecking=yes", "UpdateHostKeys=no", "IdentitiesOnly=yes",
    "IdentityAgent=none", "LogLevel=ERROR",
    # A machine that starts anew takes its connections with it and says nothing: ssh would wait for ever.
    "ServerAliveInterval=5", "ServerAliveCountMax=4",
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """How a playbook ended."""

    good: bool = False
    failed: str = ""
    """The task that ended it, as `--start-at-task` takes it; empty where none did."""
    begun: list[str] = field(default_factory=list[str])
    """The tasks that were begun, in order."""
    changed: int = 0
    """Tasks that changed something, and went well."""


def inventory(host: str, machine: Machine) -> bytes:
    """One host, with how to get into it, as Ansible's YAML inventories have it (JSON is YAML)."""
    options = [f"UserKnownHostsFile={machine.known_hosts}", *_SSH]
    settings = {
        "ansible_host": machine.host,
        "ansible_port": machine.port,
        "ansible_user": machine.login.user,
        "ansible_ssh_private_key_file": machine.login.key_files[0],
        "ansible_ssh_common_args": shlex.join([word for option in options for word in ("-o", option)]),
    }
    return json.dumps({"all": {"hosts": {host: settings}}}).encode()


def configuration(checkout: Path, playbook: str) -> Path | None:
    """The ansible.cfg that counts for a playbook: the nearest one, from beside it up to the repository's root."""
    directory = (checkout / playbook).parent
    for place in (directory, *directory.parents):
        if (file := place / "ansible.cfg").is_file():
            return file
        if place == checkout:
            break
    return None


async def version(environment: dict[str, str]) -> str:
    """The version of ansible-core. Raises ToolError where there is none."""
    said = await process.run([PROGRAM, "--version"], env=environment, check=True)
    found = re.search(rb"\[core ([\w.]+)\]|ansible-playbook ([\d.]+)", said.out)
    return (found[1] or found[2]).decode() if found else ""


def play(
    private: Path,
    playbook: Path,
    inventory_file: Path,
    arguments: Sequence[str],
    *,
    cwd: Path,
    say: Callable[[str], None],
    cancelled: Callable[[], bool],
) -> Outcome:
    """Run a playbook to its end, in our own environment. `say` gets each line of its output. Blocking, and for the main
    thread. Raises ToolError when it cannot be run at all."""
    # Here: half a second, which only who builds with it has to wait for.
    runner: Any = import_module("ansible_runner")
    outcome = Outcome()
    # As a file: what it is given as an argument counts for nothing where there is none (ansible-runner 2.4.3).
    (private / "env").mkdir(mode=0o700, exist_ok=True)
    (private / "env" / "settings").write_text(json.dumps(_SETTINGS))

    def heard(event: dict[str, object]) -> bool:
        if text := str(event.get("stdout") or ""):
            for line in text.splitlines():
                say(line.rstrip("\r"))
        data = event.get("event_data")
        if isinstance(data, dict):
            _note(outcome, str(event.get("event")), cast("dict[str, object]", data))
        return False  # it is not written down: what counts is told to Ingot by its own plugin, and redacted

    try:
        ended = runner.run(
            private_data_dir=str(private),
            project_dir=str(cwd),
            playbook=str(playbook),
            inventory=str(inventory_file),
            cmdline=shlex.join(arguments),
            quiet=True,
            suppress_env_files=True,
            event_handler=heard,
            cancel_callback=cancelled,
            rotate_artifacts=1,
        )
    except (OSError, runner.exceptions.AnsibleRunnerException) as error:
        raise ToolError(f"{PROGRAM} cannot be run: {error}.", "`ingot doctor` says what it needs.") from error
    outcome.good = bool(ended.rc == 0 and ended.status == "successful")
    if outcome.good:
        outcome.failed = ""
    return outcome


def _note(outcome: Outcome, event: str, data: dict[str, object]) -> None:
    task, role = str(data.get("task") or ""), str(data.get("role") or "")
    title = f"{role} : {task}" if role and not task.startswith(f"{role} : ") else task
    match event:
        case "playbook_on_task_start" | "playbook_on_handler_task_start":
            outcome.begun.append(title)
        case "runner_on_failed" if not data.get("ignore_errors"):
            outcome.failed = title
        case "runner_on_failed":
            result = data.get("res")
            # The recap counts it among what was changed.
            outcome.changed -= bool(isinstance(result, dict) and cast("dict[str, object]", result).get("changed"))
        case "runner_on_unreachable":
            outcome.failed = title
        case "playbook_on_stats":
            changed = data.get("changed")
            counts = cast("dict[str, object]", changed).values() if isinstance(changed, dict) else ()
            outcome.changed += sum(count for count in counts if isinstance(count, int))
        case _:
            pass


def private_directory(path: Path) -> Path:
    """A fresh directory that nobody else can read."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.chmod(path, 0o700)  # noqa: PTH101 - said again, as a umask may differ
    return path
