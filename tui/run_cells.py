"""How one run is told on its own screen: values in, rows and parts out. Nothing here draws, asks or decides."""

from collections.abc import Callable, Sequence

from core.model.failure import Failure
from core.model.run import Run, RunState, Stage, StageState
from core.services.following import RunView
from core.text import duration, moment
from tui.cells import person, run_state, stage_label, stage_sign, what_for
from tui.printed_cells import printed
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.line import Part
from tui.widgets.panel import PanelRow, paragraph

_ERROR_ROWS = 3
"""Rows that one error takes at most."""
_PRINTED_ROWS = 5
"""Rows that what a step printed takes at most."""
_STATE_TONES = {RunState.FAILED: Tone.BAD, RunState.LOST: Tone.BAD, RunState.SUCCEEDED: Tone.GOOD}


def took(stage: Stage, now: float) -> str:
    """How long a stage has been at work, or took."""
    if stage.started is None:
        return ""
    return duration(max((stage.ended or now) - stage.started, 0.0))


def stage_columns(run: Callable[[], Run | None], clock: Callable[[], float]) -> tuple[Column[Stage], ...]:
    """The stages of a run as a list."""

    def name(stage: Stage) -> Cell:
        whole = run()
        sign, tone = stage_sign(stage, whole)
        loud = stage.state is not StageState.PENDING
        label = stage_label(stage, whole) if whole is not None else stage.key
        return (Piece(f"{sign} ", tone), Piece(label, Tone.PLAIN if loud else Tone.FAINT))

    return (
        Column("stage", "STAGE", name, None, min_width=10, max_width=60, grow=True, cut="end"),
        Column("took", "TIME", lambda stage: took(stage, clock()), None, "right", 2, 4),
    )


def header_parts(run: Run, now: float, trouble: str = "") -> list[Part]:
    """`run 41 · build database · ✗ failed in build after 1:03 · version 0.1.0`, with what can be left out marked so."""
    parts = [
        Part((Piece(f"run {run.id}", Tone.ACCENT), Piece(f"  {what_for(run)}", Tone.STRONG))),
        Part(_state(run, now)),
    ]
    if run.version:
        parts.append(Part((Piece("version ", Tone.FAINT), Piece(run.version)), 3))
    parts.append(
        Part((Piece(f"{run.request.ref} ", Tone.FAINT), Piece(run.request.commit[:7], Tone.FAINT)), 5, least=12)
    )
    if run.cancel_asked_by and not run.state.ended:
        parts.append(Part(Piece(f"cancelled by {person(run.cancel_asked_by)}", Tone.STALE), 4))
    if trouble:
        parts.append(Part(Piece(f"{UNICODE.attention} {trouble}", Tone.BAD), 2, right=True))
    return parts


def _state(run: Run, now: float) -> Cell:
    state = run_state(run)
    time = duration(max((run.ended or now) - run.started, 0.0)) if run.started is not None else ""
    if run.state in (RunState.FAILED, RunState.LOST) and (stage := run.failed_stage or run.current):
        return (state, Piece(f" in {stage_label(stage, run)}", state.tone), Piece(f" after {time}" if time else ""))
    if run.state.ended:
        return (state, Piece(f" after {time}" if time else ""))
    return (state, Piece(f"  {time}" if time else ""))


def facts(run: Run, labels: int = 9) -> list[PanelRow]:
    """What does not change about a run, one fact a row."""
    request = run.request
    told: list[tuple[str, Cell]] = [
        ("version", run.version or run.request.version or Piece("not reserved yet", Tone.FAINT)),
        ("commit", (Piece(f"{request.commit[:10]} "), Piece(f"({request.ref})", Tone.FAINT))),
        ("builds", " ".join(request.builds)),
        ("template", request.role.template),
        ("asked by", person(request.asked_by)),
        ("asked", moment(run.created or request.asked_at)),
    ]
    if run.started is not None:
        told.append(("begun", moment(run.started)))
    if run.ended is not None:
        told.append(("ended", moment(run.ended)))
    told.append(("run", Piece(run.uid, Tone.FAINT)))
    return [PanelRow((Piece(label.ljust(labels), Tone.FAINT), *_pieces(value))) for label, value in told]


def _pieces(cell: Cell) -> tuple[Piece, ...]:
    if isinstance(cell, str):
        return (Piece(cell),)
    return (cell,) if isinstance(cell, Piece) else cell


def went_wrong(run: Run, stage: Stage | None, failure: Failure | None, *, width: int, height: int) -> list[PanelRow]:
    """What went wrong, in at most `height` rows: the step, its command and status, the error, what it said, what to do.

    What the engine said rules where it and the log differ: it also knows of what no log has.
    """
    if stage is None:
        return paragraph(run.reason or "It ended without a word.", width, Tone.BAD, _ERROR_ROWS)
    error = stage.error or (failure.error if failure else "") or run.reason or "It ended and did not say why."
    if run.state is RunState.LOST and run.reason:
        error = run.reason
    advice = stage.next_step or (failure.next_step if failure else "")
    rows: list[PanelRow] = []
    if failure is not None and (failure.step or failure.where):
        rows.append(PanelRow(Piece(failure.step, Tone.STRONG), Piece(failure.where, Tone.ACCENT)))
    status = (
        Piece(f"exit status {failure.exit_status}", Tone.BAD) if failure and failure.exit_status is not None else ""
    )
    if failure is not None and failure.command:
        rows.append(PanelRow((Piece("$ ", Tone.FAINT), Piece(failure.command)), status))
    rows += paragraph(_bare(error, stage, failure), width, Tone.BAD, _ERROR_ROWS)
    told = (failure.error if failure else "").removeprefix(f"{UNICODE.bad} ")  # as Ingot itself writes it into a log
    if told and told not in error:
        rows += paragraph(told, width, Tone.BAD, 2)
    end = [row for line in advice.splitlines() for row in paragraph(f"{UNICODE.into} {line}", width, Tone.ACCENT, 2)]
    room = height - len(rows) - len(end)
    above = (error, told)
    output = [line for line in (failure.output if failure else ()) if line.strip()]
    stands = {at for at, line in enumerate(output) if line.strip().removeprefix(f"{UNICODE.bad} ") in above}
    rows += printed(output, failure.error if failure else "", width, min(room, _PRINTED_ROWS), told=stands)
    return [*rows, *end][:height] if len(rows) + len(end) <= height else [*rows[: height - len(end)], *end]


def _bare(error: str, stage: Stage, failure: Failure | None) -> str:
    """The error without the build, step and status around it, where the rows above it say them already."""
    if failure is None or not failure.step:
        return error
    bare = error.removeprefix(f"{stage.build}: ").removeprefix(f"{failure.step}: ")
    if failure.command and failure.exit_status is not None:
        bare = bare.removesuffix(f", exit status {failure.exit_status}.")
    return bare


def waits(run: Run, width: int) -> list[PanelRow]:
    """Why a run does not go on, and what that means."""
    rows = paragraph(run.reason or "It did not say for what.", width, Tone.WAITING, _ERROR_ROWS)
    return [*rows, PanelRow(Piece("It goes on by itself as soon as it can; x cancels it.", Tone.FAINT))]


def queued(view: RunView) -> str:
    """`2 runs are taken before it; 2 go on now.`"""
    before = {0: "It is the next", 1: "1 run is taken before it"}.get(
        view.ahead, f"{view.ahead} runs are taken before it"
    )
    now = {0: "none goes on now", 1: "1 goes on now"}.get(view.at_work, f"{view.at_work} go on now")
    return f"{before}; {now}. It begins by itself."


def log_title(stage: Stage) -> str:
    """`build/web · Uploading 40%`: whose log shows, and what the stage does as far as it says so."""
    if stage.state is not StageState.RUNNING or not stage.progress:
        return stage.key
    share = f" {stage.fraction:.0%}" if stage.fraction is not None else ""
    return f"{stage.key} · {stage.progress}{share}"


def why_no_lines(view: RunView, stage: Stage) -> str:
    """What the log of a stage says as long as it is empty."""
    run = view.run
    if run.state is RunState.QUEUED:
        return f"Queued.\n{queued(view)}"
    if stage.state is StageState.PENDING:
        if run.state.ended:
            return f"{stage.key} was not begun.\nThe run had ended before."
        return f"{stage.key} has not begun.\nIt comes after the stages before it."
    if stage.state in (StageState.RUNNING, StageState.WAITING):
        return "Nothing was printed yet."
    return "This stage printed nothing."


def signs(stages: Sequence[Stage], run: Run, shown: str, now: float) -> list[tuple[str, Cell]]:
    """The stages as parts of one line, by key; the one whose log shows stands out."""
    found: list[tuple[str, Cell]] = []
    for stage in stages:
        sign, tone = stage_sign(stage, run)
        here = stage.key == shown
        label = stage_label(stage, run)
        time = f" {took(stage, now)}" if here or stage.state is StageState.RUNNING else ""
        name = Piece(f"[{label}]" if here else label, Tone.STRONG if here else Tone.FAINT)
        found.append((stage.key, (Piece(f"{sign} ", tone), name, Piece(time.rstrip(), Tone.FAINT))))
    return found
