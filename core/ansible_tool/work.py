"""The build, from the machine's boot to its end."""

import asyncio
import os
import select
import shutil
import signal
import sys
import termios
import threading
from pathlib import Path

from core.adapters import ansible, ansible_prompts
from core.adapters.ansible import Outcome
from core.ansible_tool.guest import Booted, Cancelled
from core.ansible_tool.plan import VARIABLES, Ended, Plan
from core.errors import IngotError
from core.model.pause import Answer

_ANSWERS = {typed.decode().strip(): answer for answer, typed in ansible_prompts.TYPED.items()}
_LOOK_EVERY = 0.5
"""Seconds between two looks whether somebody wants us to end."""


class Work:
    """One build. Says what it does as Packer does, so that it is read in the same way."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._ends = False
        self._printing = threading.Lock()
        # Nothing that is started from here is to have it.
        self._variables = os.environ.pop(VARIABLES, "{}")
        self._booted = Booted(plan, self._own, lambda: self._ends, self._restarted)

    def carry_out(self) -> int:
        """The exit status (`Ended`)."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda _number, _frame: self._end())
        private = ansible.private_directory(Path(self._plan.private))
        kept = False
        try:
            ended = self._build(private)
            kept = ended is Ended.KEPT
        except Cancelled:
            self._own("Cancelled.")
            ended = Ended.FAILED
        except IngotError as error:
            self._own(f"Error: {error.what}")
            ended = Ended.MACHINE
        finally:
            shutil.rmtree(private, ignore_errors=True)
            if not kept:
                self._booted.end()
        return ended

    def _end(self) -> None:
        self._ends = True

    def _build(self, private: Path) -> Ended:
        plan, booted = self._plan, self._booted
        self._own("Booting the machine")
        asyncio.run(booted.start())
        self._print(ansible_prompts.machine_runs(plan.build, booted.pid, booted.port))
        self._own("Waiting for SSH to become available...")
        asyncio.run(booted.let_in())
        self._print(ansible_prompts.connected(plan.build))
        (private / "inventory.yml").write_bytes(ansible.inventory(plan.host, plan.machine(booted.port)))
        with os.fdopen(os.open(private / "variables.json", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(self._variables)
        if (ended := self._until_good(private)) is not None:
            return ended
        if plan.idempotent:
            self._own("Running the playbook a second time: it must change nothing")
            again = self._play(private)
            if not again.good or again.changed:
                what = f"{again.changed} tasks changed something" if again.good else "it failed"
                self._own(f"The second run of the playbook is not without changes: {what}.")
                return Ended.CHANGES
        self._own("Gracefully halting virtual machine...")
        asyncio.run(booted.shut_down())
        self._own("The machine is off.")
        return Ended.GOOD

    def _until_good(self, private: Path) -> Ended | None:
        """Run the playbook until it went well; None then."""
        start = ""
        while True:
            outcome = self._play(private, start)
            if outcome.good and start and start not in outcome.begun:
                # Ansible takes a task that it does not find for a job well done.
                self._own(
                    f"Ansible did not find the task {start!r} to start at: it is included only while the playbook runs,"
                    " or its name is computed. Nothing was run: run the whole playbook again."
                )
                outcome = Outcome(failed=start)
            if outcome.good:
                return None
            if self._ends:
                raise Cancelled
            if not self._booted.lives:
                self._own("Error: the machine ended by itself: look at its console")
                return Ended.MACHINE
            task = outcome.failed
            if task:
                self._print(ansible_prompts.task_failed(self._plan.build, task))
            else:
                self._own("The playbook failed before any of its tasks.")
            answer = self._ask() if self._plan.asks else Answer.CLEAN_UP
            if answer is Answer.KEEP:
                self._own("Letting go of the machine.")
                return Ended.KEPT
            if answer is Answer.CLEAN_UP:
                self._own("Cleaning up.")
                return Ended.FAILED
            start = task if answer is Answer.RETRY else ""

    def _play(self, private: Path, start: str = "") -> Outcome:
        plan = self._plan
        arguments = ["--extra-vars", f"@{private / 'variables.json'}"]
        arguments += ["--start-at-task", start] if start else []
        self._own(f"Running {plan.playbook}" + (f", starting at the task {start!r}" if start else ""))
        outcome = ansible.play(
            private,
            Path(plan.checkout) / plan.playbook,
            private / "inventory.yml",
            arguments,
            cwd=Path(plan.checkout),
            say=lambda line: self._print(f"    {plan.build}: {line}"),
            cancelled=lambda: self._ends,
        )
        shutil.rmtree(private / "artifacts", ignore_errors=True)
        return outcome

    def _ask(self) -> Answer:
        """What to do about a failed task. Raises Cancelled when somebody wants us to end meanwhile."""
        terminal = sys.stdin.fileno()
        while True:
            termios.tcflush(terminal, termios.TCIFLUSH)
            sys.stdout.write(ansible_prompts.question(self._plan.build))
            sys.stdout.flush()
            while not select.select([terminal], [], [], _LOOK_EVERY)[0]:
                if self._ends:
                    self._print("")
                    raise Cancelled
            line = os.read(terminal, 100).decode(errors="replace").strip()
            self._print(line)
            if answer := _ANSWERS.get(line[:1]):
                return answer

    def _restarted(self, pid: int, port: int) -> None:
        self._print(ansible_prompts.machine_runs(self._plan.build, pid, port))

    def _own(self, line: str) -> None:
        self._print(f"==> {self._plan.build}: {line}")

    def _print(self, line: str) -> None:
        with self._printing:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
