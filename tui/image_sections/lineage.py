"""What an image version is built on, back to what came from outside, and what is built on it."""

from collections.abc import Iterator

from core.model.dossier import Dossier, Relative
from core.model.image import UpstreamRecord
from core.text import moment
from tui.cells import effective_state, short_digest, when
from tui.image_sections.section import Row, Section, column, number
from tui.theme import UNICODE, Piece, Tone


def _rows(dossier: Dossier, now: float) -> Iterator[Row]:
    """What it is built on above it, back to what came from outside; what is built on it below."""
    above = list(reversed(dossier.ancestors))
    chain = [*above, Relative(dossier.image, dossier.effective, 0)]
    yield _root(chain[0].image.upstream)
    for depth, (relative, child) in enumerate(zip(chain, [*chain[1:], None], strict=True), 1):
        yield _member(relative, depth, now, child.image.upstream if child else None)
    for relative in dossier.children:
        yield _member(relative, len(chain) + relative.steps, now, None)


def _root(upstream: UpstreamRecord) -> Row:
    name = Piece(upstream.description or upstream.kind)
    details = tuple((key, value) for key, value in upstream.details.items())
    return Row(
        (name, Piece(upstream.kind, Tone.FAINT), _how(upstream), Piece(short_digest(upstream.digest), Tone.FAINT)),
        detail=(("verified", upstream.verified or "unverified"), ("digest", upstream.digest), *details),
        copied=upstream.digest or upstream.description,
    )


def _member(relative: Relative, depth: int, now: float, used: UpstreamRecord | None) -> Row:
    """`used` is what was noted of it when the next one was built on it."""
    image, here = relative.image, relative.steps == 0
    name = (
        Piece(f"{'  ' * (depth - 1)}└ ", Tone.FAINT),
        Piece(relative.name, Tone.STRONG if here else Tone.PLAIN),
        Piece("  this one" if here else "", Tone.ACCENT),
    )
    digest = used.digest if used is not None else next((one.digest for one in image.artifacts), "")
    how = _how(used) if used is not None else ""
    return Row(
        (
            name,
            effective_state(relative.effective),
            how,
            Piece(short_digest(digest), Tone.FAINT),
            when(image.created, now),
        ),
        detail=(
            ("built", f"{moment(image.created)} by {image.built_by}"),
            ("commit", image.commit),
            ("digest", digest),
        ),
        image=None if here else image,
        copied=relative.name,
    )


def _how(upstream: UpstreamRecord) -> Piece:
    if upstream.verified:
        return Piece(f"{UNICODE.good} {upstream.verified}", Tone.GOOD)
    return Piece(f"{UNICODE.attention} unverified", Tone.STALE)


SECTION = Section(
    "lineage",
    "Lineage",
    (
        column(0, "BUILT ON EACH OTHER", 24, 70, keeps=44),
        column(1, "STATE", 12, 14, rank=2),
        column(2, "VERIFIED", 11, 48, rank=3, grow=True),
        column(3, "DIGEST", 12, 12, rank=5),
        column(4, "AGE", 4, 10, rank=4, right=True),
    ),
    _rows,
    lambda dossier: number(len(dossier.ancestors) + len(dossier.children) + 2),
    lambda _: "",
)
