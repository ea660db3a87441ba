"""What of its making was looked for in an image version, and what was left."""

from collections.abc import Iterator

from core.model.dossier import Dossier
from core.model.sealing import Finding, ItemState
from tui.image_sections.section import Row, Section, column
from tui.theme import UNICODE, Piece, Tone

_LOOKED: dict[ItemState, tuple[str, str, Tone]] = {
    ItemState.FOUND: (UNICODE.bad, "found", Tone.BAD),
    ItemState.CLEAN: (UNICODE.good, "clean", Tone.GOOD),
    ItemState.KEPT: (UNICODE.attention, "kept", Tone.STALE),
    ItemState.NOT_APPLICABLE: (UNICODE.not_yet, "no such", Tone.FAINT),
}

_SEEN_WHOLE = 36
"""Cells of a title that is not cut on a small terminal."""


def _rows(dossier: Dossier, _: float) -> Iterator[Row]:
    several = len(dossier.seals) > 1
    order = list(_LOOKED)
    for seal in dossier.seals:
        for item in sorted(seal.items, key=lambda item: order.index(item.state)):
            yield _finding(item, seal.build if several else "")


def _finding(item: Finding, build: str) -> Row:
    sign, word, tone = _LOOKED[item.state]
    more = f" and {item.count - 1} more" if item.count > 1 else ""
    where = f"{item.paths[0]}{more}" if item.paths else ""
    return Row(
        (Piece(f"{sign} {word}", tone), item.title, where, Piece(build, Tone.FAINT)),
        detail=(
            *([("looked for", item.title)] if len(item.title) > _SEEN_WHOLE else []),
            *([("what to do", item.advice)] if item.advice else []),
            *(("found at" if at == 0 else "", path) for at, path in enumerate(item.paths)),
        ),
        copied="\n".join(item.paths) or item.title,
    )


def _note(dossier: Dossier) -> Piece:
    found = [finding for seal in dossier.seals for finding in seal.found]
    if found:
        return Piece(f"{UNICODE.bad} {len(found)}", Tone.BAD)
    return Piece(UNICODE.good, Tone.GOOD) if dossier.seals else Piece("")


SECTION = Section(
    "seal",
    "Seal",
    (
        column(0, "STATE", 8, 16),
        column(1, "LOOKED FOR", 16, 100, keeps=30),
        column(2, "FOUND AT", 14, 200, rank=2, keeps=30, grow=True, end=False),
        column(3, "", 0, 30, rank=3),
    ),
    _rows,
    _note,
    lambda dossier: (
        "Nobody looked what of its making is left in it: there is no seal report.\n"
        f"[roles.{dossier.image.role}.seal] in ingot.toml seals it when it is built again."
    ),
)
