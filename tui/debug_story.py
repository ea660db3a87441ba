"""What becomes of a machine and its run, as the debug screen tells it: in its header, and in the panel of what went
wrong, of why it waits, of what it does now, or of how it ended. Values in, rows and parts out."""

from msgspec.structs import replace

from core.model.failure import Failure
from core.model.machine import MachineState
from core.model.pause import Answer, Pause
from core.model.run import Run, RunState, Stage
from core.services.debugging import DebugView
from core.text import moment
from tui.cells import person, run_state, stage_label, until
from tui.debug_cells import PAUSED, clock_time
from tui.printed_cells import beside, is_of_error, printed
from tui.run_cells import went_wrong
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.widgets.line import Part
from tui.widgets.panel import PanelRow, paragraph

TIGHT = 8
"""Rows below which what went wrong is told as on the run's screen: several things on one row."""


def _kept(view: DebugView) -> bool:
    return view.machine is not None and view.machine.state is MachineState.KEPT


def _gone(view: DebugView) -> bool:
    return view.machine is not None and view.machine.state is MachineState.GONE


def _at_work(view: DebugView) -> bool:
    """It goes on, and waits for nobody."""
    return view.pause is None and not view.run.state.ended


# the header


def header_parts(view: DebugView, now: float) -> list[Part]:
    """`run 41 · ⏸ paused in build · database · root@127.0.0.1:3059 · cleaned up in 1:55:40`, and who touched it."""
    run, machine = view.run, view.machine
    parts = [
        Part((Piece(f"run {run.id}", Tone.ACCENT), Piece(f"  {run.role}", Tone.STRONG))),
        Part(state(view)),
    ]
    if run.state is RunState.SUCCEEDED and run.version:
        parts.append(Part((Piece("version ", Tone.FAINT), Piece(run.version)), 3))
    if machine is not None and machine.address and not _gone(view):
        parts.append(Part(Piece(machine.address), 4))
    if view.pause is not None or _kept(view):
        parts.append(Part(Piece(until(view.until, now), Tone.WAITING), 2))
    if view.touches:
        last = view.touches[-1]
        words = f"touched by hand: {person(last.who)}, {clock_time(last.when)}"
        parts.append(Part(Piece(words, Tone.STALE), 3, right=True))
    return parts


def state(view: DebugView) -> Cell:
    """What becomes of the machine now and, once it is gone, of the run."""
    run, pause, machine = view.run, view.pause, view.machine
    if pause is not None:
        stage = pause.stage_key.partition("/")[0]
        return Piece(f"{UNICODE.paused} paused in {stage} {PAUSED[pause.kind]}", Tone.WAITING)
    if machine is not None and _kept(view):
        by = f" by {person(machine.kept_by)}" if machine.kept_by else ""
        return Piece(f"{UNICODE.paused} machine kept{by}", Tone.WAITING)
    if run.state.ended:
        word = run_state(run)
        return (word, Piece(f": {why}")) if run.state is not RunState.SUCCEEDED and (why := _reason(view)) else word
    if run.state is RunState.CANCELLING:
        return run_state(run)
    if not _gone(view):
        return Piece(f"{UNICODE.busy} Packer goes on", Tone.BUSY)
    how = "cleaned up" if _cleaned_up(view.answered) else "shut down by Packer"
    follows = "".join(f" {UNICODE.dot} {words}" for words in _doing(run)[:1])
    return Piece(f"{UNICODE.busy} {how}{follows}", Tone.BUSY)


def _cleaned_up(answered: Pause | None) -> bool:
    """The last answer was one after which there is no image."""
    return answered is not None and answered.answer not in (Answer.RETRY, Answer.RESTART, Answer.CONTINUE)


def _doing(run: Run) -> list[str]:
    """The stage that is at work, and what it does, as far as it says so."""
    stage = run.current
    if stage is None:
        return []
    label = stage_label(stage, run)
    if stage.state.ended:  # between two stages
        return [f"after {label}"]
    return [f"{label} …", *([stage.progress] if stage.progress else [])]


def _reason(view: DebugView) -> str:
    """Why it ended, in one sentence; empty where nobody said it."""
    failed = view.run.failed_stage
    return (failed.error if failed else "") or view.run.reason


# the panel


def title(view: DebugView | None) -> str:
    """What the panel tells."""
    if view is None:
        return "What went wrong"
    if view.pause is not None:
        return "What went wrong" if view.pause.kind.is_failure else "Why it waits"
    if _at_work(view):
        return "What it does now"
    return "How it ended" if view.run.state in (RunState.SUCCEEDED, RunState.CANCELLED) else "What went wrong"


def mood(view: DebugView | None) -> str:
    """The class of the panel's frame: `-now`, `-good`, or empty where something is wrong or waits."""
    if view is None or view.pause is not None:
        return ""
    return "-now" if _at_work(view) else "-good" if view.run.state is RunState.SUCCEEDED else ""


def story(view: DebugView, *, width: int, height: int) -> list[PanelRow]:
    """Why it waits or what went wrong; without either what it does now, or how it ended."""
    if view.pause is not None and not view.pause.kind.is_failure:
        return _waits(view.pause, width)[:height]
    if _at_work(view):
        return _now(view, width)[:height]
    if view.pause is None and view.run.state in (RunState.SUCCEEDED, RunState.CANCELLED):
        return _ended(view, width)[:height]
    return _wrong(view.run, view.stage, view.pause, view.failure, width=width, height=height)


def least(view: DebugView, *, width: int) -> int:
    """Rows that what counts of the story takes: all of it, but of what was printed only what is next to the error."""
    failure = view.failure
    if failure is not None:
        output = [line for line in failure.output if line.strip()]
        near = tuple(output[at] for at in sorted(beside(output, failure.error)))
        view = replace(view, failure=replace(failure, output=near))
    return sum(row != PanelRow() for row in story(view, width=width, height=100))


def _waits(pause: Pause, width: int) -> list[PanelRow]:
    rows = paragraph(pause.why, width, Tone.STRONG, 4)
    if pause.step and pause.step not in pause.why:
        rows += paragraph(pause.step, width, Tone.PLAIN, 4)
    return [*rows, PanelRow(Piece(f"since {moment(pause.since)[11:]}", Tone.FAINT))]


def _now(view: DebugView, width: int) -> list[PanelRow]:
    doing = _doing(view.run)
    stage = view.run.current
    done = f"{stage.fraction:.0%}" if stage is not None and stage.fraction is not None else ""
    rows = [PanelRow(Piece(f"{UNICODE.busy} {doing[0] if doing else 'begins'}", Tone.BUSY), done)]
    for words in doing[1:]:
        rows += paragraph(words, width, Tone.STRONG, 4)
    return [*rows, *_answered(view.answered, width)]


def _ended(view: DebugView, width: int) -> list[PanelRow]:
    word = run_state(view.run)
    made = view.run.version if view.run.state is RunState.SUCCEEDED else ""
    version = f" {UNICODE.dot} version {made}" if made else ""
    rows = [PanelRow((word, Piece(version)))]
    if reason := _reason(view):
        rows += paragraph(reason, width, Tone.PLAIN, 4)
    if view.touches and view.run.state is RunState.SUCCEEDED:
        rows += paragraph("Touched by hand: it never becomes good. Build it again from code.", width, Tone.STALE, 3)
    return [*rows, *_answered(view.answered, width)]


def _answered(pause: Pause | None, width: int) -> list[PanelRow]:
    """What the last pause was, and who ended it how."""
    if pause is None:
        return []
    who = person(pause.answered_by) if pause.answered_by else "It was"
    when = f" at {clock_time(pause.answered_at)}" if pause.answered_at is not None else ""
    rows = [PanelRow(), *paragraph(f"{who} answered{when}: {pause.answer}", width, Tone.ACCENT, 2)]
    return rows + (paragraph(f"to: {pause.why}", width, Tone.FAINT, 3) if pause.why else [])


def _wrong(
    run: Run, stage: Stage | None, pause: Pause | None, failure: Failure | None, *, width: int, height: int
) -> list[PanelRow]:
    """The step that failed, its command and status, the error, and what was printed last, the error marked in it."""
    failed = run.failed_stage or stage
    said = (pause.why if pause else "") or (failed.error if failed else "") or run.reason
    if failure is None:
        return paragraph(said or "It did not say why.", width, Tone.BAD, height)
    if height < TIGHT:
        return went_wrong(run, stage, replace(failure, next_step=""), width=width, height=height)
    advice = [row for line in failure.next_step.splitlines() for row in paragraph(line, width, Tone.ACCENT, 3)]
    output = [line for line in failure.output if line.strip()]
    marked = any(is_of_error(line, failure.error) for line in output)
    error = [] if marked else paragraph(failure.error or said, width, Tone.BAD, 4)
    near = [output[at] for at in sorted(beside(output, failure.error))[:2]]  # what is before the error, and it
    needed = len(printed(near, failure.error, width, 12))
    rows: list[PanelRow] = []
    for most in (3, 2, 1):  # the error is worth more than the end of a long command
        rows = [*_step(failure, width, most), *error]
        if height - len(rows) - len(advice) >= needed:
            break
    if needed and rows and height - len(rows) - len(advice) > needed:
        rows.append(PanelRow())
    rows += printed(output, failure.error, width, height - len(rows) - len(advice))
    return [*rows, *advice][:height] if len(rows) + len(advice) <= height else [*rows[: height - len(advice)], *advice]


def _step(failure: Failure, width: int, most: int) -> list[PanelRow]:
    """The step that failed, where it stands, and its status; its command on at most so many rows."""
    rows: list[PanelRow] = []
    if failure.step:
        rows += paragraph(failure.step, width, Tone.STRONG, 2)
    if failure.where:
        rows.append(PanelRow(Piece(failure.where, Tone.ACCENT)))
    if failure.command:
        rows += paragraph(f"$ {failure.command}", width, Tone.PLAIN, most)
    if failure.exit_status is not None:
        rows.append(PanelRow(Piece(f"exit status {failure.exit_status}", Tone.BAD)))
    return rows
