"""The files and cloud images of an image version, and where they are."""

from collections.abc import Iterator

from core.model.dossier import Dossier
from core.model.image import Artifact
from core.text import size
from tui.cells import short_digest
from tui.image_sections.section import Row, Section, column, number
from tui.theme import UNICODE, Piece, Tone


def _rows(dossier: Dossier, _: float) -> Iterator[Row]:
    for artifact in dossier.image.artifacts:
        yield _artifact(artifact, dossier)


def _artifact(artifact: Artifact, dossier: Dossier) -> Row:
    if artifact.location in dossier.missing:
        where = Piece(f"{UNICODE.bad} gone", Tone.BAD)
    elif artifact.location in dossier.here:
        where = Piece(f"{UNICODE.good} here", Tone.GOOD)
    else:
        where = Piece(artifact.host or "cloud")
    stamp = Piece(f"{UNICODE.good} inside", Tone.GOOD) if artifact.stamped_inside else Piece("not read", Tone.FAINT)
    return Row(
        (
            artifact.format,
            size(artifact.size) if artifact.size is not None else "",
            size(artifact.virtual_size) if artifact.virtual_size is not None else "",
            where,
            stamp,
            Piece(short_digest(artifact.digest), Tone.FAINT),
            artifact.location,
        ),
        sorts=(artifact.format, artifact.size, artifact.virtual_size),
        detail=(
            ("where", artifact.location),
            ("host", artifact.host),
            ("digest", artifact.digest or "the cloud keeps it"),
            ("build", artifact.build),
        ),
        copied=artifact.location,
    )


SECTION = Section(
    "artifacts",
    "Artifacts",
    (
        column(0, "FORMAT", 6, 10),
        column(1, "SIZE", 6, 9, right=True, rank=2),
        column(2, "DISK", 6, 9, right=True, rank=4),
        column(3, "WHERE", 6, 20, rank=2),
        column(4, "STAMPED", 8, 10, rank=5),
        column(5, "DIGEST", 12, 12, rank=6),
        column(6, "LOCATION", 20, 300, rank=3, grow=True, end=False),
    ),
    _rows,
    lambda dossier: number(len(dossier.image.artifacts)),
    lambda dossier: f"Its files were deleted.\nBuild it again: ingot build {dossier.image.role}",
)
