"""`ingot debug`: the machines that wait for somebody, a shell in one, and what becomes of it."""

import argparse
import asyncio
import os
import shlex
import sys
import time
from collections.abc import Awaitable, Callable
from typing import TextIO

from core import process, text
from core.cli import login
from core.cli.output import ExitStatus, print_json, put, say, table
from core.cli.sure import confirm
from core.errors import DeniedError, RefusedError
from core.model.machine import KeyProof, Machine, MachineState
from core.model.pause import LIMIT_WORDS, Answer, PauseMode, seconds_of
from core.model.run import Run
from core.places import Places
from core.services.debugging import Debugging, DebugView

_WAITING = 0
"""Place in the order of how much a machine needs somebody: below are kept ones, then those that Packer works in."""


def debug(arguments: argparse.Namespace) -> int:
    """`ingot debug [RUN] …`"""
    if arguments.command is not None and not arguments.command:
        raise RefusedError("There is no command after `--`.", "ingot debug RUN -- COMMAND")
    if login.is_given(arguments) and (arguments.answer or arguments.extend or arguments.end):
        raise RefusedError("A login is for entering the machine, and this does not enter it.", "One thing at a time.")
    if arguments.command and _does_more(arguments):
        raise RefusedError("A command, and something else as well: which is it?", "One thing at a time.")
    enters = arguments.run or arguments.command or login.is_given(arguments)
    lists = not (enters or _does_more(arguments)) or arguments.json
    if arguments.readonly and not lists:
        raise RefusedError(
            "--readonly is on: nothing is answered, and nobody enters a machine, as that marks its image."
        )
    if arguments.json and (arguments.command or login.is_given(arguments) or _does_more(arguments)):
        raise RefusedError("--json is for the list of machines.", "Leave it out.")
    if arguments.on:
        _elsewhere(arguments)
    debugging = Debugging(Places.of(os.environ), os.environ)
    if lists:
        return _list(debugging, arguments)
    view = _chosen(debugging, arguments.run, arguments.build or "")
    if arguments.answer:
        return _answer(debugging, view, Answer(arguments.answer), yes=arguments.yes)
    if arguments.extend:
        return _extend(debugging, view, arguments.extend)
    machine = _machine(view)
    if arguments.end:
        return _end(debugging, view, machine, yes=arguments.yes)
    try:
        machine = login.logged_in(debugging, view, machine, arguments)
        return _enter(debugging, view, machine, arguments)
    except DeniedError as error:
        raise login.denied(error, view) from error


def _enter(debugging: Debugging, view: DebugView, machine: Machine, arguments: argparse.Namespace) -> int:
    if arguments.ssh_command:
        asyncio.run(debugging.pin(machine))
        _tell_proof(debugging, machine)
        put(debugging.ssh_command(machine))
        return ExitStatus.DONE
    if arguments.command:
        return _command(debugging, machine, arguments.command)
    return _shell(debugging, view, machine)


def _does_more(arguments: argparse.Namespace) -> bool:
    return bool(arguments.answer or arguments.extend or arguments.end or arguments.ssh_command)


# Which machine


def _waiting(debugging: Debugging, which: str | None) -> list[DebugView]:
    """Of one run all builds with a machine; of all runs those that wait for somebody. Who waits for an answer first."""
    uid: str | None = None
    if which is not None:
        uid = _run(debugging, which).uid
    pauses = debugging.pauses(uid)
    machines = debugging.machines(uid)
    wanted = {(pause.run_uid, pause.stage_key): None for pause in pauses}
    for state in (MachineState.KEPT, MachineState.PAUSED, MachineState.BUILDING):
        if state is MachineState.KEPT or uid:
            wanted |= {(one.run_uid, one.stage_key): None for one in machines if one.state is state}
    views = [debugging.view(run_uid, key.partition("/")[2]) for run_uid, key in wanted]
    return [view for view in views if view is not None]


def _run(debugging: Debugging, which: str) -> Run:
    run = debugging.run(int(which) if which.isdecimal() else which)
    if run is None:
        raise RefusedError(f"There is no run {which} on this machine.", "ingot runs --all lists them.")
    return run


def _chosen(debugging: Debugging, which: str | None, build: str) -> DebugView:
    """The one that is meant. Raises RefusedError where there is none, or several could be."""
    views = [view for view in _waiting(debugging, which) if not build or _build(view) == build]
    first = [view for view in views if _urgency(view) == _urgency(views[0])]
    if len(first) == 1:
        return first[0]
    if not first and which is None:
        raise RefusedError("No machine waits for anybody.", "ingot runs lists the runs; ingot debug RUN names one.")
    if not first:
        run = _run(debugging, which or "")
        named = f" of {build}" if build else ""
        raise RefusedError(
            f"Run {run.id} ({run.state.value}) has no machine{named} that could be entered.", _why_none(run)
        )
    names = [f"ingot debug {view.run.id} --build {_build(view)}" for view in first]
    raise RefusedError("Several machines wait: which one?", "\n".join(names))


def _why_none(run: Run) -> str:
    if run.request.pausing.mode is PauseMode.NEVER:
        return "Builds pause when they are started with --pause failure, or from the workbench."
    if run.state.ended:
        return f"It has ended, and its machine with it: ingot logs {run.id} tells how."
    return f"It pauses when a step fails: ingot logs -f {run.id} follows it."


def _urgency(view: DebugView) -> int:
    if view.pause is not None:
        return _WAITING
    return 1 if view.machine is not None and view.machine.state is MachineState.KEPT else 2


def _build(view: DebugView) -> str:
    return view.stage.build if view.stage else ""


def _machine(view: DebugView) -> Machine:
    if view.machine is None:
        raise RefusedError(
            f"Where the machine of run {view.run.id} is, Packer has not said.",
            f"It can be answered all the same: ingot debug {view.run.id} --answer …",
        )
    return view.machine


# The list


def _list(debugging: Debugging, arguments: argparse.Namespace) -> int:
    views = [view for view in _waiting(debugging, arguments.run) if arguments.build in (None, _build(view))]
    if arguments.json:
        print_json([_as_json(view) for view in views])
        return ExitStatus.DONE
    if not views:
        say("No machine waits for anybody.")
        return ExitStatus.DONE
    now = time.time()
    rows = [
        (
            f"⏸ {view.run.id}",
            view.run.role,
            _build(view),
            _state(view),
            view.machine.address if view.machine and view.machine.address else "–",
            text.duration(left) if (left := view.seconds_left(now)) is not None else "–",
            ", ".join(choice.answer.value for choice in view.choices) or "end",
            text.cut_end(view.pause.why if view.pause else view.run.reason, 60),
        )
        for view in views
    ]
    table(("  RUN", "ROLE", "BUILD", "STATE", "WHERE", "LEFT", "ANSWERS", "WHY"), rows, right=(5,))
    for view in views:
        if view.key_proof in (KeyProof.FIRST_CONTACT, KeyProof.OTHER):
            say(f"run {view.run.id}, {_build(view)}: {view.key_proof.value}")
    return ExitStatus.DONE


def _state(view: DebugView) -> str:
    if view.pause is not None:
        return "paused"
    return view.machine.state.value if view.machine else view.run.state.value


def _as_json(view: DebugView) -> dict[str, object]:
    pause, machine = view.pause, view.machine
    return {
        "run": view.run.id,
        "uid": view.run.uid,
        "role": view.run.role,
        "build": _build(view),
        "state": _state(view),
        "pause": pause.id if pause else None,
        "kind": pause.kind.value if pause else None,
        "step": pause.step if pause else None,
        "why": pause.why if pause else view.run.reason,
        "since": pause.since if pause else None,
        "until": view.until,
        "answers": [choice.answer.value for choice in view.choices],
        "address": machine.address if machine and machine.address else None,
        "communicator": machine.communicator if machine else None,
        "host_key": view.key_proof.value or None,
        "kept_by": machine.kept_by or None if machine else None,
        "touches": len(view.touches),
    }


# What becomes of it


def _answer(debugging: Debugging, view: DebugView, answer: Answer, *, yes: bool) -> int:
    if view.pause is None:
        raise RefusedError(f"Run {view.run.id} does not wait for an answer now.", "ingot debug lists what does.")
    choice = next((choice for choice in view.choices if choice.answer is answer), None)
    if choice is None:
        raise RefusedError(
            f"Run {view.run.id} is paused where {answer.value} is no answer.",
            f"It has: {', '.join(choice.answer.value for choice in view.choices)}.",
        )
    if choice.destroys:
        confirm(view.run, choice.consequence, yes=yes)
    say(f"run {view.run.id}: {choice.title}. {asyncio.run(debugging.answer(view.pause, answer))}")
    return ExitStatus.DONE


def _extend(debugging: Debugging, view: DebugView, wanted: str) -> int:
    seconds = seconds_of(wanted)
    if seconds is None:
        raise RefusedError(f"{wanted!r} is no time that a machine can be kept.", f"Give {LIMIT_WORDS}.")
    held = view.pause or _machine(view)
    until = asyncio.run(debugging.extend(held, seconds))
    say(f"run {view.run.id}: its machine is kept until {text.moment(until)}")
    return ExitStatus.DONE


def _end(debugging: Debugging, view: DebugView, machine: Machine, *, yes: bool) -> int:
    if machine.state is not MachineState.KEPT:
        raise RefusedError(
            f"The machine of run {view.run.id} is not kept: it belongs to the build.",
            f"ingot debug {view.run.id} --answer clean-up, or ingot cancel {view.run.id}.",
        )
    confirm(view.run, "The machine and its disk are destroyed; the log stays.", yes=yes)
    asyncio.run(debugging.end_machine(machine))
    say(f"run {view.run.id}: its machine is being ended")
    return ExitStatus.DONE


# The way in


def _shell(debugging: Debugging, view: DebugView, machine: Machine) -> int:
    stdin, stdout = sys.stdin.fileno(), sys.stdout.fileno()
    if not (os.isatty(stdin) and os.isatty(stdout)):
        raise RefusedError(
            "A shell needs a terminal, and this is none.", f"ingot debug {view.run.id} -- COMMAND runs one command."
        )
    from core.cli.terminal import attach

    async def enter() -> tuple[bool, int | None]:
        columns, rows = os.get_terminal_size(stdout)
        shell = await debugging.shell(machine, columns, rows, term=os.environ.get("TERM") or "xterm-256color")
        say(f"run {view.run.id}: {machine.address}. Its image is marked as touched by hand. Leave: Enter ~ .")
        _tell_proof(debugging, machine)
        sys.stdout.flush()
        return await attach(shell, stdin, stdout), shell.exit_status

    left, status = asyncio.run(enter())
    if left:
        say(f"Left {machine.address}; the machine stays as it is.")
        return ExitStatus.DONE
    return _as_status(status)


def _command(debugging: Debugging, machine: Machine, words: list[str]) -> int:
    line = words[0] if len(words) == 1 else shlex.join(words)
    _tell_proof(debugging, machine)
    status = asyncio.run(debugging.stream(machine, line, _writer(sys.stdout), _writer(sys.stderr)))
    return _as_status(status)


def _tell_proof(debugging: Debugging, machine: Machine) -> None:
    """Beside what the machine prints. Another key than the console's is an error of its own: nobody gets in."""
    if (proof := debugging.key_proof(machine)) is KeyProof.FIRST_CONTACT:
        print(f"ingot: {proof.value}", file=sys.stderr)


def _writer(stream: TextIO) -> Callable[[bytes], Awaitable[None]]:
    """Writes to a stream at once; in a thread, as a pager may take its time and the connection has to be kept alive."""

    def write(data: bytes) -> None:
        stream.buffer.write(data)
        stream.buffer.flush()

    return lambda data: asyncio.to_thread(write, data)


def _as_status(status: int | None) -> int:
    """As shells give it: 128 and the number of the signal that ended it."""
    if status is None:
        return ExitStatus.FAILED
    return status if status >= 0 else 128 - status


def _elsewhere(arguments: argparse.Namespace) -> None:
    """The same command on the machine where the build runs: its keys stay there. Does not come back."""
    host = process.name_argument(arguments.on, "The host")
    words = ["ingot", *(["--readonly"] if arguments.readonly else []), "debug"]
    words += [arguments.run] if arguments.run else []
    for name in ("build", "answer", "extend", "user", "key"):
        words += [f"--{name}", getattr(arguments, name)] if getattr(arguments, name) else []
    for name in ("ssh_command", "end", "yes", "json", "ask_password"):
        words += [f"--{name.replace('_', '-')}"] if getattr(arguments, name) else []
    if arguments.command:
        words += ["--", *arguments.command]
    # A terminal would mix a command's errors into its output; a password is asked for on one.
    plain = (arguments.command or arguments.json or arguments.ssh_command) and not arguments.ask_password
    process.become(["ssh", *([] if plain else ["-t"]), "--", host, shlex.join(words)])
