"""What was decided about an image version, and which channels moved to it or away: newest first."""

from collections.abc import Iterator, Mapping

from core.model.channels import ChannelMove
from core.model.dossier import NAMED_RUN, Dossier
from core.model.image import ImageVersion
from core.model.states import Act, StateChange
from core.text import moment
from tui.cells import person, verdict, when
from tui.image_sections.section import Row, Section, column, number
from tui.theme import UNICODE, Piece, Tone


def _rows(dossier: Dossier, now: float) -> Iterator[Row]:
    image = dossier.image
    built = _event(image.created, Piece("built"), image.built_by, f"from {image.commit[:7]}", now)
    told = [
        (image.created, built),
        *((change.at, _change(change, dossier.numbers, now)) for change in dossier.changes),
        *((move.at, _move(move, image, now)) for move in dossier.moves),
    ]
    for _, row in sorted(told, key=lambda pair: -pair[0]):
        yield row


_ACTS = {
    Act.TESTED: (UNICODE.not_yet, Tone.PLAIN),
    Act.GOOD: (UNICODE.good, Tone.GOOD),
    Act.RELEASED: (UNICODE.good, Tone.GOOD),
    Act.DEPRECATED: (UNICODE.attention, Tone.STALE),
    Act.REVOKED: (UNICODE.bad, Tone.BAD),
    Act.RESTORED: (UNICODE.stale, Tone.PLAIN),
}


def _change(change: StateChange, numbers: Mapping[str, int], now: float) -> Row:
    sign, tone = _ACTS[change.act]
    words = f"{sign} {change.act}"
    if change.act is Act.TESTED:
        found = verdict(change.verdict)
        words, tone = f"{found.text[:1]} tested, {change.verdict}", found.tone
    if change.since is not None:
        words += f" from {moment(change.since)[:10]}"
    if change.replacement:
        words += f", take {change.replacement}"
    why = NAMED_RUN.sub(lambda named: f"by run {numbers.get(named[1], named[1])}", change.why)
    return _event(change.at, Piece(words, tone), change.by, why, now)


def _move(move: ChannelMove, image: ImageVersion, now: float) -> Row:
    arrow = "←" if move.back else "→"
    words = f"{move.channel} {move.before or 'nowhere'} {arrow} {move.version}"
    return _event(
        move.at, Piece(words, Tone.ACCENT if move.version == image.version else Tone.PLAIN), move.by, move.why, now
    )


def _event(at: float, what: Piece, by: str, why: str, now: float) -> Row:
    return Row(
        (Piece(when(at, now), Tone.FAINT), what, person(by), Piece(why, Tone.FAINT)),
        sorts=(-at, what.text, by, why),
        detail=(("when", moment(at)), ("by", by), *([("why", why)] if why else [])),
        copied=f"{moment(at)} {what.text} by {by}: {why}",
    )


SECTION = Section(
    "history",
    "History",
    (
        column(0, "AGE", 4, 10, right=True),
        column(1, "WHAT", 16, 50),
        column(2, "BY", 8, 24, rank=3),
        column(3, "WHY", 12, 200, rank=2, grow=True),
    ),
    _rows,
    lambda dossier: number(len(dossier.changes) + len(dossier.moves) + 1),
    lambda _: "",
)
