"""What is in an image version: its packages, and what else was found by looking into it."""

from collections.abc import Iterator

from core.model.dossier import Dossier
from tui.image_sections.section import Row, Section, column, number
from tui.theme import Piece, Tone


def _rows(dossier: Dossier, _: float) -> Iterator[Row]:
    several = len({item.build for item in dossier.packages}) > 1
    for item in (*dossier.contents, *dossier.packages):
        yield Row(
            (Piece(item.kind, Tone.FAINT), item.name, item.says, Piece(item.build if several else "", Tone.FAINT)),
            sorts=(item.kind, item.name, item.says, item.build),
            copied=f"{item.name} {item.says}".strip(),
        )


SECTION = Section(
    "packages",
    "Packages",
    (
        column(0, "KIND", 6, 10, rank=2),
        column(1, "NAME", 20, 60),
        column(2, "VERSION", 12, 80, grow=True),
        column(3, "", 0, 30, rank=3),
    ),
    _rows,
    lambda dossier: number(len(dossier.packages)),
    lambda dossier: (
        "There is no package in it."
        if dossier.looked_into
        else f"Nobody looked what is in it.\nBuilds of now look: ingot build {dossier.image.role}"
    ),
)
