"""How a machine that waits for a person is told: values in, rows and parts out. Nothing here draws, asks or decides."""

from collections.abc import Sequence
from typing import NamedTuple

from msgspec.structs import replace

from core.errors import DeniedError, IngotError
from core.model.failure import Failure
from core.model.machine import KeyProof, Machine, MachineState, into_winrm, no_ssh
from core.model.pause import Answer, Choice, Pause, PauseKind
from core.model.run import Run
from core.services.debugging import MachineFacts
from core.text import age, cut_middle, moment, size
from tui.cells import person, until
from tui.theme import UNICODE, Piece, Tone, pieces_of
from tui.widgets.panel import PanelRow, paragraph, whole

KEYS = {Answer.RETRY: "r", Answer.RESTART: "p", Answer.CONTINUE: "c", Answer.KEEP: "k", Answer.CLEAN_UP: "x"}
"""What each answer is given with on the debug screen."""

_LABELS = 10
"""Cells that the names of facts take."""
PAUSED = {
    PauseKind.FAILURE: "after a failure",
    PauseKind.TASK: "after a failed task",
    PauseKind.BREAKPOINT: "at a breakpoint",
    PauseKind.STEP: "after a step",
    PauseKind.PROVISIONER: "before a provisioner",
    PauseKind.CLEAN_UP: "before clean-up",
}


class Try(NamedTuple):
    """One time that no shell was to be had, and what came back."""

    at: float
    error: IngotError
    times: int = 1
    """So often in a row."""


def clock_time(epoch: float) -> str:
    """`14:03`"""
    return moment(epoch)[11:16]


# the machine


def facts(
    machine: Machine | None,
    measured: Sequence[tuple[str, str]],
    *,
    width: int,
    since: float | None = None,
    checkout: str = "",
    proof: KeyProof = KeyProof.NONE,
    brief: bool = False,
) -> list[PanelRow]:
    """What is known of the machine; `measured` in it now and then: names and values. `brief` leaves out the names.

    `since` is when it began to wait (epoch). `checkout` is where Packer reads playbooks and scripts again when it
    repeats a step. `proof` is what its host key was compared with.
    """
    if machine is None:
        return [PanelRow(Piece("Packer has not said yet where it is.", Tone.FAINT))]
    told = [("address", machine.address or "not known yet"), *measured]
    if machine.image:
        told.append(("image", machine.image))
    told.append(("build", machine.build))
    waits = f", since {clock_time(since)}" if since is not None else ""
    told.append(("holds", f"{costs(machine).removeprefix('its ')}{waits}"))
    if brief:
        words = [f"{name} {value}" if name in ("up", "disk", "holds") else value for name, value in told]
        return [*_key_proof(proof, width), *paragraph(f" {UNICODE.dot} ".join(words), width, Tone.PLAIN, 2)]
    if checkout:
        told.append(("playbooks", cut_middle(checkout, width - 3 - _LABELS)))
    return [*_key_proof(proof, width), *(row for name, value in told for row in _fact(name, value, width))]


def _key_proof(proof: KeyProof, width: int) -> list[PanelRow]:
    """Said where there was nothing to compare with; loudly where it is another one."""
    match proof:
        case KeyProof.OTHER:
            return whole(f"! {proof.value}", width, Tone.BAD)
        case KeyProof.FIRST_CONTACT:
            return whole(proof.value, width, Tone.WAITING)
        case _:
            return []


def _fact(name: str, value: str, width: int) -> list[PanelRow]:
    """On two rows where one is too short."""
    rows = paragraph(value, width - _LABELS, Tone.PLAIN, 2)
    names = (name, "")
    return [
        PanelRow((Piece(label.ljust(_LABELS), Tone.FAINT), *pieces_of(row.left)))
        for label, row in zip(names, rows, strict=False)
    ]


def measured(said: MachineFacts) -> list[tuple[str, str]]:
    """What a machine says of itself, as names and values; what it does not tell is left out."""
    told: list[tuple[str, str]] = []
    if said.uptime is not None:
        load = f" {UNICODE.dot} load {said.load.split(' ')[0]}" if said.load else ""
        told.append(("up", f"{age(said.uptime)}{load}"))
    if said.disk_used is not None and said.disk_size:
        share = f"{said.disk_used / said.disk_size:.0%}"
        told.append(("disk", f"{share} of {size(said.disk_size)} used"))
    if said.system:
        told.append(("system", said.system))
    return told


def costs(machine: Machine) -> str:
    """What the machine takes as long as it waits, as far as it is known."""
    if machine.instance:
        kind = f", {machine.instance_type}" if machine.instance_type else ""
        where = f" in {machine.region}" if machine.region else ""
        return f"{machine.instance}{kind}{where}, which is paid for"
    if machine.memory:
        cpus = f"{machine.cpus} CPU{'s'[: machine.cpus != 1]}"
        disk = f", {size(machine.disk)} disk" if machine.disk else ""
        return f"{machine.memory >> 20:,} MiB memory, {cpus}{disk} here"
    if machine.kind == "qemu":
        return "its memory and disk here"
    return f"what its {machine.kind} builder started"


def paused_title(pause: Pause | None) -> str:
    return f"{UNICODE.paused} Paused" if pause is not None else f"{UNICODE.paused} Its machine is kept"


def paused(pause: Pause | None, machine: Machine | None, now: float, *, said: bool = False) -> list[PanelRow]:
    """On the screen of a run: why it waits, since and until when, what that costs, and where to go.

    `said` leaves out why, where it stands in the panel above.
    """
    if pause is not None:
        end, since = pause.until, f"since {clock_time(pause.since)} {UNICODE.dot} "
        first = Piece(pause.why or "It waits for an answer.", Tone.STRONG)
    else:
        by = person(machine.kept_by) if machine is not None and machine.kept_by else "Somebody"
        end, since = machine.until if machine is not None else None, ""
        first = Piece(f"{by} kept the machine; it is Ingot's, until it is ended.", Tone.STRONG)
    rows = [] if said else [PanelRow(first)]
    left = (Piece(since, Tone.FAINT), Piece(until(end, now), Tone.WAITING))
    rows.append(PanelRow(left))
    if machine is not None:
        rows.append(PanelRow(Piece(f"it holds {costs(machine)}", Tone.FAINT)))
    can = (Piece("d ", Tone.ACCENT), Piece("a shell in the machine, and all that can be done about it", Tone.FAINT))
    return [*rows, PanelRow(can)]


# what can be done


def can_do(
    choices: Sequence[Choice],
    pause: Pause | None,
    machine: Machine | None,
    *,
    width: int,
    explained: int,
) -> list[PanelRow]:
    """What this kind of pause allows, each with its key, and so many of them with what they do to the machine."""
    rows: list[PanelRow] = []
    for at, choice in enumerate(choices):
        more = "…" if choice.destroys else ""
        until_when = ""
        if choice.answer is Answer.KEEP and pause is not None and pause.until is not None:
            until_when = f" until {clock_time(pause.until)}"
        rows.append(_choice(KEYS[choice.answer], f"{choice.title}{until_when}{more}", choice.destroys))
        if at < explained:
            rows += _indented(choice.consequence, width)
    if not choices and machine is not None and machine.state is MachineState.KEPT:
        rows.append(_choice("x", "End machine…", destroys=True))
        if explained:
            rows += _indented("The machine and its disk are destroyed; the run stays failed, and its log stays.", width)
    end = pause.until if pause is not None else machine.until if machine is not None else None
    if rows and end is not None:
        rows.append(_choice("+", f"One hour more, until {clock_time(end + 3600)}"))
    return rows or [PanelRow(Piece("Nothing waits for an answer now.", Tone.FAINT))]


def _choice(key: str, title: str, destroys: bool = False) -> PanelRow:
    return PanelRow((Piece(f"{key}  ", Tone.ACCENT), Piece(title, Tone.BAD if destroys else Tone.STRONG)))


def _indented(text: str, width: int) -> list[PanelRow]:
    return [PanelRow((Piece("   "), *pieces_of(row.left))) for row in paragraph(text, width - 3, Tone.FAINT, 4)]


# in the place of a shell


def why_no_shell(run: Run, machine: Machine | None, *, readonly: bool) -> str:
    """Why no shell can be had, however often it is tried; empty as long as one may come."""
    if machine is not None and machine.state is MachineState.GONE:
        return "The machine is gone."
    if run.state.ended and (machine is None or machine.state is not MachineState.KEPT):
        return "The run has ended, and its machine with it."
    if readonly:
        return "Ingot was started with --readonly: a shell would mark the image as touched by hand."
    if machine is not None and machine.communicator == "winrm":
        return no_ssh(machine)
    return ""


def no_shell(
    machine: Machine | None,
    tries: Sequence[Try],
    console: Sequence[str],
    *,
    refused: str,
    width: int,
    height: int,
) -> list[PanelRow]:
    """What was tried to get a shell and what came back, and what the machine's own screen says meanwhile."""
    rows: list[PanelRow] = []
    if refused:
        rows += paragraph(refused, width, Tone.STRONG, 4)
        if machine is not None and machine.communicator == "winrm" and machine.state is not MachineState.GONE:
            rows += [PanelRow(), *whole(into_winrm(machine), width, Tone.ACCENT)]
            machine = replace(machine, vnc="")  # it is among them
    elif not tries:
        where = machine.address if machine is not None and machine.address else "the machine"
        rows.append(PanelRow(Piece(f"{UNICODE.busy} connecting to {where}…", Tone.BUSY)))
    else:
        last = tries[-1].error
        # Fingerprints are compared, and a path is copied: nothing of them may be missing.
        rows += [*whole(last.what, width, Tone.STRONG), *whole(last.next_step, width, Tone.ACCENT)]
        if isinstance(last, DeniedError):
            rows.append(PanelRow((Piece("u  ", Tone.ACCENT), Piece("Other user, key or password…", Tone.STRONG))))
        rows.append(PanelRow())
        rows += [_try(one) for one in tries[-6:]]
    if machine is not None and machine.vnc:
        rows += [PanelRow(), PanelRow((Piece("Its screen over VNC: ", Tone.FAINT), Piece(machine.vnc, Tone.ACCENT)))]
    room = height - len(rows) - 2
    if room > 0 and console:
        rows += [PanelRow(), PanelRow(Piece("Its console says last:", Tone.FAINT))]
        rows += [PanelRow(Piece(line)) for line in console[-room:]]
    return rows[:height]


def _try(one: Try) -> PanelRow:
    times = Piece(f"{one.times} times", Tone.FAINT) if one.times > 1 else ""
    return PanelRow((Piece(f"{moment(one.at)[11:]}  ", Tone.FAINT), Piece(one.error.what, Tone.BAD)), times)


def again(failure: Failure | None) -> tuple[str, str]:
    """What to put into a shell to run again what failed, and else why there is nothing.

    A script of Packer's shell provisioner that fails stays in the machine where it was put, by default as
    /tmp/script_NNNN.sh (Packer's provisioner/shell, which removes it only after it went well).
    """
    if failure is None or not failure.step:
        return "", "It is not known what failed."
    if failure.step == "provisioner shell":
        return '"$(ls -t /tmp/script_*.sh | head -n 1)"', ""
    if not failure.step.startswith(("TASK [", "RUNNING HANDLER [")) or not failure.command:
        return "", f"{failure.step} ran no command in the machine that could be put into a shell."
    if "↵" in failure.command or failure.command.endswith("…") or not failure.command.isprintable():
        return "", "The command has several lines or was too long to keep: the log has it."
    return failure.command, ""
