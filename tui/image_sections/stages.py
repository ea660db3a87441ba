"""The stages of the run that made an image version."""

from collections.abc import Iterator

from core.model.dossier import Dossier
from core.model.run import Run, Stage
from core.text import moment
from tui.cells import person, run_state, stage_label, stage_sign
from tui.image_sections.section import Row, Section, column
from tui.run_cells import took
from tui.theme import Cell, Piece, Tone


def _rows(dossier: Dossier, now: float) -> Iterator[Row]:
    run = dossier.run
    if run is not None:
        yield from _stages_of(run, now)


def _stages_of(run: Run, now: float) -> Iterator[Row]:
    for stage in run.stages:
        sign = stage_sign(stage, run)
        said = stage.error or stage.progress
        yield Row(
            (
                (Piece(f"{sign.text} ", sign.tone), Piece(stage_label(stage, run))),
                took(stage, now),
                Piece(said, Tone.FAINT),
            ),
            run=run,
            detail=_stage_detail(run, stage),
            copied=stage.key,
        )


def _stage_detail(run: Run, stage: Stage) -> tuple[tuple[str, Cell], ...]:
    begun = moment(stage.started) if stage.started is not None else "not begun"
    return (("run", f"{run.id}, begun {begun}"), ("log", "Enter opens the run with its logs"))


def _note(dossier: Dossier) -> Piece:
    return Piece(run_state(dossier.run).text[:1], run_state(dossier.run).tone) if dossier.run else Piece("")


SECTION = Section(
    "stages",
    "Stages",
    (column(0, "STAGE", 14, 40), column(1, "TIME", 5, 9, right=True), column(2, "", 12, 200, rank=2, grow=True)),
    _rows,
    _note,
    lambda dossier: (
        "The run that made it is not known on this machine.\n"
        f"It was built by {person(dossier.image.built_by)}; its logs are where it was built."
    ),
)
