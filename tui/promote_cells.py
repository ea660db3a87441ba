"""How the promote screen tells channels, checks and the move: values in, rows out. Nothing here draws or decides."""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from rich.cells import cell_len

from core.model.channels import ChannelMove, ChannelRule
from core.model.decided import Effective
from core.model.image import ImageState, ImageVersion
from core.model.promotion import Check, CheckState, any_of, blockers, warnings
from core.model.standing import Standing
from core.model.stepping_back import steps_back
from core.text import age
from tui.cells import Clock, effective_state, person, when
from tui.theme import UNICODE, Cell, Piece, Tone, pieces_of, plain
from tui.widgets.columns import Column
from tui.widgets.panel import PanelRow, paragraph
from tui.widgets.table_cells import wrapped

_CHECK = {
    CheckState.OK: (UNICODE.good, Tone.GOOD),
    CheckState.WARNING: (UNICODE.attention, Tone.STALE),
    CheckState.UNKNOWN: (UNICODE.attention, Tone.STALE),
    CheckState.FAILED: (UNICODE.bad, Tone.BAD),
}
TITLES = 10
"""Cells that the title of a check takes."""


class ChannelHere(msgspec.Struct, frozen=True):
    """One channel of the role, as the screen lists it."""

    name: str
    rule: ChannelRule | None
    """None where ingot.toml names it no longer: it cannot be moved."""
    version: str
    image: ImageVersion | None
    """What it is at; None for nowhere, and for what is not on the ledger."""
    state: Effective | None
    newest: ChannelMove | None
    back_to: str
    """Where one step back leads; empty for nowhere."""
    here: bool
    """It is at the image version of the screen."""


def channels_of(standing: Standing, image: ImageVersion, now: float) -> list[ChannelHere]:
    """The channels of ingot.toml, then those that are somewhere and that it names no longer."""
    decided, role = standing.decided, image.role
    gone = sorted(name for of, name in decided.trails if of == role and name not in {r.name for r in standing.rules})
    found: list[ChannelHere] = []
    for name, rule in [*((rule.name, rule) for rule in standing.rules), *((name, None) for name in gone)]:
        trail = decided.trail(role, name)
        at = decided.points_to((role, name))
        found.append(
            ChannelHere(
                name,
                rule,
                trail.version,
                decided.images.get(at) if at else None,
                decided.effective(at, now) if at else None,
                trail.newest,
                _back_to(standing, role, rule, now) if rule is not None else "",
                at == (role, image.version),
            )
        )
    return found


def _back_to(standing: Standing, role: str, rule: ChannelRule, now: float) -> str:
    steps = steps_back(standing.decided, role, rule, now)
    return next((move.version for move, forbidden in steps if not forbidden), "")


def channel_columns(clock: Clock) -> tuple[Column[ChannelHere], ...]:
    """Where each channel is now, since when, and by whom."""

    def name(channel: ChannelHere) -> Cell:
        return Piece(channel.name, Tone.PLAIN if channel.rule is not None else Tone.FAINT)

    def version(channel: ChannelHere) -> Cell:
        return channel.version or Piece("nowhere yet", Tone.FAINT)

    def state(channel: ChannelHere) -> Cell:
        if channel.rule is None:
            return Piece("not in ingot.toml", Tone.STALE)
        if channel.version and channel.state is None:
            return Piece(f"{UNICODE.bad} not on the ledger", Tone.BAD)
        if channel.state is None:
            return ""
        told = effective_state(channel.state)
        if channel.state.state is ImageState.REVOKED:
            return Piece(f"{told.text}, blocked", Tone.BAD)
        return (told, Piece(" this one", Tone.ACCENT)) if channel.here else told

    def takes(channel: ChannelHere) -> Cell:
        return Piece("takes " + any_of(channel.rule.takes) if channel.rule else "", Tone.FAINT)

    def by(channel: ChannelHere) -> Cell:
        return person(channel.newest.by) if channel.newest else ""

    def why(channel: ChannelHere) -> Cell:
        return Piece(channel.newest.why if channel.newest else "", Tone.FAINT)

    def since(channel: ChannelHere) -> Cell:
        return when(channel.newest.at, clock()) if channel.newest else ""

    return (
        Column("channel", "CHANNEL", name, None, "left", 1, 10, 24),
        Column("version", "IS AT", version, None, "left", 1, 11, 28),
        Column("state", "STATE", state, None, "left", 3, 16, 26, "end"),
        Column("since", "SINCE", since, None, "right", 4, 10),
        Column("by", "BY", by, None, "left", 5, 6, 20, "end"),
        Column("why", "WHY", why, None, "left", 6, 16, 60, "end", grow=True),
        Column("takes", "", takes, None, "left", 7, 24, 40, "end"),
    )


class CheckRow(msgspec.Struct, frozen=True):
    """A line of the list of checks: a check, the rest of what it says, or what to do about it."""

    check: Check
    title: str
    says: str
    step: bool = False


def check_rows(checks: Sequence[Check], width: int) -> Iterator[tuple[str, CheckRow]]:
    """The checks for a list of a width: all that each says, and below it what to do, to be copied."""
    room = max(width - TITLES - 9, 20)
    for check in checks:
        for at, line in enumerate(wrapped(check.says, room)):
            yield f"{check.id} {at}", CheckRow(check, check.title if at == 0 else "", line)
        if check.next_step:
            for at, line in enumerate(wrapped(check.next_step, room - 2)):
                yield f"{check.id} step {at}", CheckRow(check, "", line, step=True)


def check_columns() -> tuple[Column[CheckRow], ...]:
    """Sign, what is looked at, what it says."""

    def title(row: CheckRow) -> Cell:
        if not row.title:
            return ""
        sign, tone = _CHECK[row.check.state]
        return (Piece(f"{sign} ", tone), Piece(row.title, Tone.PLAIN))

    def says(row: CheckRow) -> Cell:
        if row.step:
            return Piece(f"  {row.says}", Tone.ACCENT)
        return Piece(row.says, Tone.FAINT if row.check.state is CheckState.OK else _CHECK[row.check.state][1])

    return (
        Column("check", "LOOKED AT", title, None, "left", 1, TITLES + 1, TITLES + 1, "end"),
        Column("says", "FOUND", says, None, "left", 2, 20, 400, "end", grow=True),
    )


def counted(checks: Sequence[Check]) -> Piece:
    """`2 in the way`, `1 to weigh`, `all well`: the checks in a word."""
    if not checks:
        return Piece("")
    if found := blockers(checks):
        return Piece(f"{UNICODE.bad} {len(found)} in the way", Tone.BAD)
    if found := warnings(checks):
        return Piece(f"{UNICODE.attention} {len(found)} to weigh", Tone.STALE)
    return Piece(f"{UNICODE.good} all well", Tone.GOOD)


Rows = Callable[[int], Sequence[PanelRow]]


def move_rows(
    image: ImageVersion,
    channel: ChannelHere | None,
    checks: Sequence[Check] | None,
    standing: Standing,
    now: float,
    *,
    readonly: str,
    problem: str = "",
) -> tuple[str, str, Rows]:
    """What the move would be: a title, a class for the frame, and rows for a width."""
    if problem:
        return "The move", "-bad", lambda width: paragraph(problem, width, Tone.BAD, 3)
    if channel is None:
        words = "ingot.toml names no channel: [channels.production] makes one."
        return "The move", "", lambda width: paragraph(words, width, Tone.FAINT, 2)
    users = _users(channel, standing, image.role)
    since = f", for {age(max(now - channel.newest.at, 0))}" if channel.newest else ""
    at = f"is at {channel.version}{since}" if channel.version else "is nowhere yet"
    first = (Piece(f"{channel.name} of {image.role} ", Tone.STRONG), Piece(f"{at}. ", Tone.PLAIN))
    then: tuple[Cell, ...]
    kind = ""
    if channel.here:
        back = f"u takes it back to {channel.back_to}." if channel.back_to else "It had nothing before."
        then = (Piece(f"{UNICODE.good} It has this one.", Tone.GOOD), Piece(back))
        kind = "-good"
    elif channel.rule is None:
        then = (Piece("ingot.toml names it no longer: it cannot be moved.", Tone.STALE),)
    elif checks is None:
        then = (Piece("The checks are being looked at.", Tone.FAINT),)
    elif found := blockers(checks):
        then = (Piece(f"{UNICODE.bad} Not possible: {found[0].says}.", Tone.BAD),)
        kind = "-bad"
    else:
        to = (Piece("Enter moves it to "), Piece(image.version, Tone.STRONG), Piece(", and asks why."))
        if readonly:
            to = (Piece("Ingot was started with --readonly: nothing is moved from here.", Tone.FAINT),)
        left = warnings(checks)
        words = f"To weigh first: {_things(left)}." if left and not readonly else ""
        then = (to, Piece(words, Tone.STALE))
        kind = "-waiting" if left else "-good"
    return "The move", kind, lambda width: [PanelRow(first), *_said(then, width), *users]


def _said(cells: Sequence[Cell], width: int) -> list[PanelRow]:
    """On one row where there is room; else each on rows of its own, of which none is cut."""
    told = [cell for cell in cells if plain(cell)]
    line = [piece for at, cell in enumerate(told) for piece in ((Piece(" "),) if at else ()) + pieces_of(cell)]
    if sum(cell_len(text) for text, _ in line) <= width - 2:
        return [PanelRow(tuple(line))]
    rows: list[PanelRow] = []
    for cell in told:
        rows += paragraph(cell.text, width, cell.tone, 3) if isinstance(cell, Piece) else [PanelRow(cell)]
    return rows


def _users(channel: ChannelHere, standing: Standing, role: str) -> list[PanelRow]:
    """Who has what the channel has now."""
    told = ["no fleets are known yet"]
    others = [name for name in standing.at.get((role, channel.version), ()) if name != channel.name]
    if others:
        told.append(f"{' and '.join(others)} {'is' if len(others) == 1 else 'are'} at {channel.version}, too")
    built = [
        f"{other.role} {other.version}"
        for other in standing.decided.images.values()
        if channel.version and (other.upstream.role, other.upstream.version) == (role, channel.version)
    ]
    if built:
        more = f" and {len(built) - 3} more" if len(built) > 3 else ""
        told.append(f"{', '.join(built[:3])}{more} built on {channel.version}")
    return [PanelRow((Piece("used by  ", Tone.FAINT), Piece("; ".join(told), Tone.FAINT)))]


def _things(left: Sequence[Check]) -> str:
    words = [check.title.lower() for check in left]
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
