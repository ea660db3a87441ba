"""What counts about an image version at a glance: its state, what it was made of, and by whom."""

from collections.abc import Iterator

from core.model.amount import amount
from core.model.dossier import Dossier
from core.model.image import UpstreamRecord, may_become_good
from core.model.sealing import ItemState
from core.model.states import Verdict, by_whom
from core.text import moment, size
from tui.cells import WEEK, ago, effective_state, formats, marks, person, verdict
from tui.image_sections.section import Row, Section, column
from tui.theme import UNICODE, Cell, Piece, Tone, plain


def _fact(what: str, says: Cell, *, copied: str = "") -> Row:
    return Row((Piece(what, Tone.FAINT), says), copied=copied or plain(says))


_NOT_READ = Piece("? not read yet", Tone.FAINT)


def _rows(dossier: Dossier, now: float) -> Iterator[Row]:
    image, effective = dossier.image, dossier.effective
    yield _fact("version", Piece(f"{image.role} {image.version}", Tone.STRONG))
    why = f"  {by_whom(effective.because)}" if effective.because else ""
    inherited = f"  with {effective.inherited}, which it is built on," if effective.inherited else ""
    yield _fact("state", (effective_state(effective), Piece(f"{inherited}{why}", Tone.PLAIN)))
    if effective.because is not None and effective.because.replacement:
        yield _fact("", f"take {effective.because.replacement} instead")
    if (coming := effective.coming) is not None:
        yield _fact("", Piece(f"{coming.act} from {moment(coming.begins)[:16]} on, {by_whom(coming)}", Tone.STALE))
    if reason := may_become_good(image):
        yield _fact("", Piece(reason, Tone.STALE))
    told = dossier.decisive
    tested = f"  {ago(told[0].at, now)}" if told else ""
    if effective.verdict is Verdict.UNTESTED:
        tested = f"  ingot test {image.role} {image.version}"
    yield _fact("tests", (verdict(effective.verdict), Piece(tested, Tone.FAINT)))
    known = effective.verdict is not Verdict.UNKNOWN  # the ledger was read
    yield _fact("sealed", _sealed(dossier) if known or dossier.seals else _NOT_READ)
    if told := marks(image, effective, dossier.outdated):
        yield _fact("marks", told)
    if dossier.outdated:
        yield _fact("", Piece(f"{image.upstream.role} {dossier.outdated} is newer and good", Tone.STALE))
    yield _fact("channels", " ".join(dossier.channels) or (Piece("none is at it", Tone.FAINT) if known else _NOT_READ))
    yield _fact("files", _files(dossier))
    if dossier.looked_into:
        yield _fact("holds", _holds(dossier))
    age = f" ({ago(image.created, now)})" if now - image.created < WEEK else ""
    yield _fact("built", f"{moment(image.created)}{age} by {person(image.built_by)}")
    yield _fact("built on", (Piece(image.parent), Piece(f"  {_verified(image.upstream)}", Tone.FAINT)))
    yield _fact("commit", image.commit)
    run = dossier.run
    yield _fact("run", str(run.id) if run else image.run, copied=image.run)
    yield _fact("template", image.template)
    for at, path in enumerate(image.inputs):
        yield _fact("made from" if at == 0 else "", path)
    for at, (tool, version) in enumerate(image.tools.items()):
        yield _fact("tools" if at == 0 else "", f"{tool} {version}")
    for at, touch in enumerate(image.touches):
        said = f"{touch.kind.value} by {person(touch.who)}, {moment(touch.when)}"
        yield _fact(
            "by hand" if at == 0 else "", Piece(f"{said}: {touch.detail}" if touch.detail else said, Tone.STALE)
        )
    for at, path in enumerate(image.outside):
        yield _fact("outside Git" if at == 0 else "", Piece(path, Tone.STALE))
    for at, item in enumerate(item for item in dossier.contents if item.kind in ("system", "kernel")):
        yield _fact("system" if at == 0 else "", f"{item.name} {item.says}".strip())
    for at, problem in enumerate(dossier.problems):
        yield _fact("not read" if at == 0 else "", Piece(f"{UNICODE.attention} {problem}", Tone.STALE))


def _sealed(dossier: Dossier) -> Piece:
    if not dossier.seals:
        return Piece("nobody looked", Tone.FAINT)
    found = [finding for seal in dossier.seals for finding in seal.found]
    if found:
        return Piece(f"{UNICODE.bad} {len(found)} left of its making", Tone.BAD)
    states = [finding.state for seal in dossier.seals for finding in seal.items]
    return Piece(f"{UNICODE.good} {states.count(ItemState.CLEAN)} clean", Tone.GOOD)


def _files(dossier: Dossier) -> Cell:
    image = dossier.image
    if not image.artifacts:
        return Piece("deleted", Tone.FAINT)
    gone = Piece(f"  {UNICODE.bad} {len(dossier.missing)} gone", Tone.BAD) if dossier.missing else Piece("")
    total = f", {size(image.size)}" if image.size is not None else ""
    return (Piece(f"{formats(image)}{total}"), gone)


def _holds(dossier: Dossier) -> str:
    kinds = [item.kind for item in dossier.contents]
    counted = [amount(len(dossier.packages), "package")]
    counted += [amount(count, name) for name in ("service", "port", "user") if (count := kinds.count(name))]
    return ", ".join(counted)


def _verified(upstream: UpstreamRecord) -> str:
    return f"verified by {upstream.verified}" if upstream.verified else "unverified"


SECTION = Section(
    "overview",
    "Overview",
    (column(0, "", 11, 12), column(1, "", 20, 400, grow=True)),
    _rows,
    lambda _: Piece(""),
    lambda _: "",
)
