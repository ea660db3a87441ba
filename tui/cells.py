"""How roles, image versions and runs look in a list: values in, cells out. Nothing here draws, asks or decides.

A state is always a sign, a word and a tone, from the tables here, so that it looks the same wherever it stands.
"""

from collections.abc import Callable, Container

from rich.cells import cell_len

from core.model.decided import Effective
from core.model.image import ImageState, ImageVersion
from core.model.machine import Machine
from core.model.pause import Pause
from core.model.pipeline import Purpose
from core.model.run import Run, RunState, Stage, StageState
from core.model.standing import Standing
from core.model.states import Verdict
from core.model.touch import TOUCHED
from core.services.overview import Overview, RoleState, RoleView
from core.text import age, duration, moment, size
from tui.theme import UNICODE, Cell, Piece, Tone, plain
from tui.widgets.columns import Column

Clock = Callable[[], float]
"""Seconds since the epoch, now."""

WEEK = 7 * 86_400
"""Seconds until which a time is shown as an age; after that as a date."""

_ROLE: dict[RoleState, tuple[str, Tone]] = {
    RoleState.BUILDING: (UNICODE.busy, Tone.BUSY),
    RoleState.QUEUED: (UNICODE.not_yet, Tone.BUSY),
    RoleState.WAITING: (UNICODE.attention, Tone.WAITING),
    RoleState.PAUSED: (UNICODE.paused, Tone.WAITING),
    RoleState.BROKEN: (UNICODE.bad, Tone.BAD),
    RoleState.FAILED: (UNICODE.bad, Tone.BAD),
    RoleState.NO_IMAGE: (UNICODE.not_yet, Tone.FAINT),
    RoleState.STALE: (UNICODE.stale, Tone.STALE),
    RoleState.OUTDATED: (UNICODE.stale, Tone.STALE),
    RoleState.CANDIDATE: (UNICODE.good, Tone.GOOD),
    RoleState.GOOD: (UNICODE.good, Tone.GOOD),
    RoleState.RELEASED: (UNICODE.good, Tone.GOOD),
    RoleState.DEPRECATED: (UNICODE.attention, Tone.STALE),
    RoleState.REVOKED: (UNICODE.bad, Tone.BAD),
}

_IMAGE: dict[ImageState, tuple[str, Tone]] = {
    ImageState.CANDIDATE: (UNICODE.not_yet, Tone.PLAIN),
    ImageState.GOOD: (UNICODE.good, Tone.GOOD),
    ImageState.RELEASED: (UNICODE.good, Tone.GOOD),
    ImageState.DEPRECATED: (UNICODE.attention, Tone.STALE),
    ImageState.REVOKED: (UNICODE.bad, Tone.BAD),
}

_VERDICT: dict[Verdict, tuple[str, Tone]] = {
    Verdict.UNTESTED: (UNICODE.not_yet, Tone.FAINT),
    Verdict.PASSED: (UNICODE.good, Tone.GOOD),
    Verdict.FAILED: (UNICODE.bad, Tone.BAD),
    Verdict.UNKNOWN: ("?", Tone.FAINT),
}

_RUN: dict[RunState, tuple[str, Tone]] = {
    RunState.QUEUED: (UNICODE.not_yet, Tone.FAINT),
    RunState.RUNNING: (UNICODE.busy, Tone.BUSY),
    RunState.WAITING: (UNICODE.attention, Tone.WAITING),
    RunState.PAUSED: (UNICODE.paused, Tone.WAITING),
    RunState.CANCELLING: (UNICODE.busy, Tone.STALE),
    RunState.SUCCEEDED: (UNICODE.good, Tone.GOOD),
    RunState.FAILED: (UNICODE.bad, Tone.BAD),
    RunState.CANCELLED: (UNICODE.bad, Tone.FAINT),
    RunState.LOST: (UNICODE.bad, Tone.BAD),
}

_STAGE: dict[StageState, tuple[str, Tone]] = {
    StageState.PENDING: (UNICODE.not_yet, Tone.FAINT),
    StageState.RUNNING: (UNICODE.busy, Tone.BUSY),
    StageState.WAITING: (UNICODE.attention, Tone.WAITING),
    StageState.SUCCEEDED: (UNICODE.good, Tone.GOOD),
    StageState.FAILED: (UNICODE.bad, Tone.BAD),
    StageState.CANCELLED: (UNICODE.bad, Tone.FAINT),
    StageState.LOST: (UNICODE.bad, Tone.BAD),
}


def when(epoch: float, now: float) -> str:
    """`12m` up to a week, the date after that."""
    past = now - epoch
    return age(max(past, 0.0)) if past < WEEK else moment(epoch)[:10]


def ago(epoch: float, now: float) -> str:
    """`12m ago` up to a week, `on 2026-11-14` after that."""
    told = when(epoch, now)
    return f"{told} ago" if now - epoch < WEEK else f"on {told}"


def person(identity: str) -> str:
    """`Ada Ops` of `Ada Ops <ada@example.org>`: the address says no more in a list, and is the first to be cut."""
    return identity.partition(" <")[0] or identity


def purpose(run: Run) -> Piece:
    """`build`, `test` or `convert`: what a run is for."""
    return Piece(run.request.purpose.value, Tone.PLAIN if run.request.purpose is Purpose.BUILD else Tone.FAINT)


def what_for(run: Run) -> str:
    """`build web`, `test web 0.1.0`: what a run is for, in a title or a sentence."""
    about = f" {run.request.version}" if run.request.purpose is not Purpose.BUILD else ""
    return f"{run.request.purpose} {run.role}{about}"


def run_state(run: Run) -> Piece:
    """`◐ running`."""
    sign, tone = _RUN[run.state]
    return Piece(f"{sign} {run.state.value}", tone)


def effective_state(effective: Effective) -> Piece:
    """`✗ revoked`: the state that counts now."""
    sign, tone = _IMAGE[effective.state]
    return Piece(f"{sign} {effective.state.value}", tone)


def verdict(found: Verdict) -> Piece:
    """`✓ passed`: what the newest tests said."""
    sign, tone = _VERDICT[found]
    return Piece(f"{sign} {found.value}", tone)


def marks(image: ImageVersion, effective: Effective, outdated: str) -> tuple[Piece, ...]:
    """What one has to know beside the state, what weighs most first: `! by hand  ↻ outdated`."""
    told: list[Piece] = []
    if effective.inherited:
        told.append(Piece(f"with {effective.inherited}", Tone.BAD))
    if TOUCHED in image.marks or image.touches:
        told.append(Piece(f"{UNICODE.attention} by hand", Tone.STALE))
    if effective.coming is not None:
        told.append(Piece(f"{effective.coming.act} from {moment(effective.coming.begins)[:10]}", Tone.STALE))
    if outdated:
        told.append(Piece(f"{UNICODE.stale} outdated", Tone.STALE))
    told += [Piece(mark, Tone.STALE) for mark in image.marks if mark != TOUCHED]
    if not image.artifacts:
        told.append(Piece("no files", Tone.FAINT))
    return tuple(Piece(f"{'  ' if at else ''}{piece.text}", piece.tone) for at, piece in enumerate(told))


def until(epoch: float | None, now: float) -> str:
    """`cleaned up in 1:55:40`: what becomes of a machine that nobody does anything about."""
    if epoch is None:
        return "not cleaned up by itself"
    return f"cleaned up in {duration(epoch - now)}" if epoch > now else "being cleaned up"


def _left(epoch: float | None, now: float) -> str:
    """The same where room is short."""
    return "" if epoch is None else f"{duration(epoch - now)} left  " if epoch > now else "being cleaned up  "


def elapsed(run: Run, now: float) -> str:
    """How long the run has been going, or took."""
    if run.started is None:
        return UNICODE.none
    return duration(max((run.ended or now) - run.started, 0.0))


def short_digest(digest: str) -> str:
    """As much of a SHA-256 as people compare by eye, without the name that all of them have."""
    return digest.removeprefix("sha256:")[:12]


def formats(image: ImageVersion) -> str:
    """`qcow2 vhd`: each once, in the order in which they were made."""
    return " ".join(dict.fromkeys(artifact.format for artifact in image.artifacts)) or UNICODE.none


_LOUD = (StageState.RUNNING, StageState.WAITING, StageState.FAILED, StageState.LOST)
"""States of a stage that a reader looks for."""
_STAGES_WIDTH = 48
"""Cells that the stages of a run may take in a list."""


def stage_label(stage: Stage, run: Run) -> str:
    """`build`, or `build qemu.web` where the run has several builds."""
    several = stage.build and len(run.request.builds) > 1
    return f"{stage.name} {stage.build}" if several else stage.name


def stage_sign(stage: Stage, run: Run | None = None) -> Piece:
    """The sign of a stage's state; of a run that is paused, the stage at work is."""
    if run is not None and run.state is RunState.PAUSED and stage.state is StageState.RUNNING:
        return Piece(UNICODE.paused, Tone.WAITING)
    return Piece(*_STAGE[stage.state])


def stages(run: Run, now: float) -> tuple[Piece, ...]:
    """`✓ checkout ✓ upstream ◐ build 3:12 · register`; where that is too long `✓✓✓✓ ◐ seal 0:12  · prove  ····`."""
    whole = _stages(run, now, range(len(run.stages)))
    if sum(cell_len(piece.text) for piece in whole) <= _STAGES_WIDTH:
        return whole
    loud = [at for at, stage in enumerate(run.stages) if stage.state in _LOUD]
    begun = [at for at, stage in enumerate(run.stages) if stage.state is not StageState.PENDING]
    at_work = loud or begun[-1:]
    following = at_work[-1] + 1 if at_work else 0
    return _stages(run, now, [*at_work, *([] if run.state.ended else [following])])


def _stages(run: Run, now: float, named: Container[int]) -> tuple[Piece, ...]:
    """The stages, of which those that are not named are their signs."""
    pieces: list[Piece] = []
    for at, stage in enumerate(run.stages):
        state = stage.state
        if run.state.ended and state is StageState.PENDING:
            sign, tone = _STAGE[StageState.PENDING]
        else:
            sign, tone = stage_sign(stage, run)
        if at not in named:
            pieces.append(Piece(sign, tone))
            if at + 1 in named:
                pieces.append(Piece("  "))
            continue
        loud = state in _LOUD
        pieces.append(Piece(f"{sign} ", tone))
        pieces.append(Piece(stage_label(stage, run), tone if loud else Tone.FAINT))
        if loud and stage.started is not None:
            pieces.append(Piece(f" {duration(max((stage.ended or now) - stage.started, 0.0))}", tone))
        if at + 1 < len(run.stages):
            pieces.append(Piece("  "))
    return tuple(pieces)


def doing(run: Run) -> Piece:
    """What it does now, waits for, or failed with."""
    if run.state in (RunState.FAILED, RunState.LOST):
        failed = run.failed_stage
        return Piece((failed.error if failed else "") or run.reason, Tone.BAD)
    if run.state is RunState.SUCCEEDED:
        return Piece(run.version, Tone.FAINT)
    if run.state is RunState.CANCELLED:
        lost = f": {run.lost_stage.error}" if run.lost_stage else ""
        return Piece(f"by {person(run.cancel_asked_by)}{lost}" if run.cancel_asked_by else run.reason, Tone.FAINT)
    if run.reason:
        return Piece(run.reason, Tone.WAITING if run.state is RunState.WAITING else Tone.FAINT)
    current = run.current
    if current is None:
        return Piece("waits for its turn" if run.state is RunState.QUEUED else "", Tone.FAINT)
    share = f"{current.fraction:.0%} " if current.fraction is not None else ""
    return Piece(f"{share}{current.progress}".strip() or current.name)


def held(run: Run, pause: Pause | None, kept: Machine | None, now: float) -> Cell:
    """The same of a run whose machine waits for a person: until when it does, and what for."""
    if pause is not None:
        why = Piece(pause.why or run.reason, Tone.BAD if pause.kind.is_failure else Tone.PLAIN)
        return (Piece(_left(pause.until, now), Tone.WAITING), why)
    if kept is not None:
        return (Piece("machine kept ", Tone.WAITING), Piece(_left(kept.until, now), Tone.WAITING), doing(run))
    return doing(run)


def role_columns(sorted_now: Callable[[], bool] = lambda: False) -> tuple[Column[RoleView], ...]:
    """`sorted_now` says that the roles stand in another order than that of what is built on what."""

    def name(view: RoleView) -> Cell:
        sign, tone = _ROLE[view.state]
        below = "" if sorted_now() else "  " * min(view.depth, 3)  # the roles it is built on stand above it
        return (Piece(f"{below}{sign} ", tone), Piece(view.role.name))

    def state(view: RoleView) -> Cell:
        return Piece(view.state.value, _ROLE[view.state][1])

    def version(view: RoleView) -> Cell:
        return view.latest.version if view.latest else Piece(UNICODE.none, Tone.FAINT)

    return (
        Column("role", "ROLE", name, lambda view: view.role.name, min_width=12, max_width=60, grow=True),
        Column("version", "VERSION", version, lambda view: view.latest.created if view.latest else None, priority=3),
        Column("state", "STATE", state, lambda view: list(RoleState).index(view.state), "right", 2, min_width=9),
    )


def image_columns(clock: Clock, standing: Callable[[], Standing]) -> tuple[Column[ImageVersion], ...]:
    """`standing` gives what is known of decisions now; before it was read, images say their state themselves,
    and of tests and channels nothing is known."""

    def state(image: ImageVersion) -> Cell:
        return effective_state(standing().effective(image, clock()))

    def tests(image: ImageVersion) -> Cell:
        return verdict(standing().effective(image, clock()).verdict)

    def channels(image: ImageVersion) -> Cell:
        at = standing().channels(image)
        blocked = standing().effective(image, clock()).state is ImageState.REVOKED
        if not at:
            return Piece(UNICODE.none if standing().knows(image) else "?", Tone.FAINT)
        names = " ".join(at)
        return Piece(f"{UNICODE.bad} {names}", Tone.BAD) if blocked else Piece(names, Tone.STRONG)

    def marked(image: ImageVersion) -> Cell:
        found = standing()
        return marks(image, found.effective(image, clock()), found.outdated(image))

    def image_size(image: ImageVersion) -> Cell:
        return size(image.size) if image.size is not None else Piece(UNICODE.none, Tone.FAINT)

    return (
        Column("version", "VERSION", lambda image: image.version, lambda image: image.version, "left", 1, 18, 28),
        Column("state", "STATE", state, lambda image: image.state.value, "left", 2, 12, 12, "end"),
        Column("tests", "TESTS", tests, lambda image: plain(tests(image)), "left", 6, 10, 10, "end"),
        Column("channels", "CHANNELS", channels, lambda image: plain(channels(image)), "left", 3, 12, 24, "end"),
        Column("marks", "MARKS", marked, None, "left", 4, 15, 44, "end", 44, grow=True),
        Column("age", "AGE", lambda image: when(image.created, clock()), lambda image: -image.created, "right", 5, 10),
        Column("commit", "COMMIT", lambda image: Piece(image.commit[:7], Tone.FAINT), None, "left", 9, 7),
        Column("parent", "BUILT ON", lambda image: image.parent, lambda image: image.parent, "left", 7, 10, 72),
        Column("artifacts", "FORMATS", formats, formats, "left", 8, 7, 24, "end"),
        Column("size", "FILES", image_size, lambda image: image.size, "right", 10, 7),
    )


def run_columns(clock: Clock, overview: Callable[[], Overview]) -> tuple[Column[Run], ...]:
    """`overview` gives what is known of pauses and machines now."""

    def now(run: Run) -> Cell:
        seen = overview()
        return held(run, seen.pause(run.uid), seen.kept(run.uid), clock())

    return (
        Column("run", "RUN", lambda run: str(run.id), lambda run: run.id, "right", 1, 3, 7),
        Column("role", "ROLE", lambda run: run.role, lambda run: run.role, min_width=8, max_width=28),
        Column("purpose", "WHAT", purpose, lambda run: run.request.purpose.value, min_width=7, max_width=7),
        Column("state", "STATE", run_state, lambda run: run.state.value, priority=2, min_width=11),
        Column("stages", "STAGES", lambda run: stages(run, clock()), None, "left", 7, 48, _STAGES_WIDTH, "end"),
        Column("doing", "NOW", now, None, "left", 4, 12, 200, "end", grow=True),
        Column("took", "TOOK", lambda run: elapsed(run, clock()), lambda run: _took(run, clock()), "right", 3, 9),
        Column("begun", "BEGUN", lambda run: Piece(when(run.created, clock()), Tone.FAINT), None, "right", 6, 5),
    )


def _took(run: Run, now: float) -> float | None:
    return None if run.started is None else (run.ended or now) - run.started
