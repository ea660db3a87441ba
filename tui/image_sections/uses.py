"""Who needs an image version: channels, images that are built on it, and runs."""

from collections.abc import Iterator, Sequence

from core.model.dossier import Dossier
from core.model.image import ImageVersion
from core.model.run import Run
from tui.cells import ago, effective_state, person, run_state, when
from tui.image_sections.section import Row, Section, column, number
from tui.theme import Piece, Tone


def _rows(dossier: Dossier, now: float) -> Iterator[Row]:
    newest = {move.channel: move for move in dossier.moves if move.version == dossier.image.version}
    for name in dossier.channels:
        move = newest.get(name)
        since = f"for {when(move.at, now)}, by {person(move.by)}: {move.why}" if move else ""
        yield Row((Piece("channel", Tone.FAINT), Piece(name, Tone.STRONG), "", Piece(since, Tone.FAINT)), copied=name)
    for relative in dossier.children:
        yield Row(
            (
                Piece("built on it" if relative.steps == 1 else f"{relative.steps} steps on", Tone.FAINT),
                relative.name,
                effective_state(relative.effective),
                Piece(ago(relative.image.created, now), Tone.FAINT),
            ),
            image=relative.image,
            copied=relative.name,
        )
    for name in dossier.used_by:
        yield Row((Piece("run", Tone.FAINT), name, "", Piece("not over, and needs its files", Tone.FAINT)), copied=name)


def runs_about(runs: Sequence[Run], image: ImageVersion, now: float) -> Iterator[Row]:
    """The runs that tested or converted it."""
    for run in runs:
        if run.role == image.role and run.request.version == image.version:
            yield Row(
                (
                    Piece("run", Tone.FAINT),
                    f"{run.id} {run.request.purpose}",
                    run_state(run),
                    Piece(ago(run.created, now), Tone.FAINT),
                ),
                run=run,
                copied=run.uid,
            )


SECTION = Section(
    "uses",
    "Uses",
    (
        column(0, "", 8, 14),
        column(1, "USED BY", 16, 50),
        column(2, "STATE", 8, 14, rank=2),
        column(3, "", 12, 200, rank=3, grow=True),
    ),
    _rows,
    lambda dossier: number(len(dossier.channels) + len(dossier.children) + len(dossier.used_by)),
    lambda dossier: (
        "Nothing uses it: no channel is at it, no image is built on it. No fleets are known yet.\n"
        f"p moves a channel to it, or: ingot promote {dossier.image.role} {dossier.image.version} CHANNEL"
    ),
)
