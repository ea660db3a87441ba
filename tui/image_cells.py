"""How everything about an image version is told, section by section: values in, rows out. Nothing here draws."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from core.model.channels import ChannelMove
from core.model.dossier import Dossier, Relative, TestRound
from core.model.image import Artifact, ImageVersion, UpstreamRecord, may_become_good
from core.model.run import Run, Stage
from core.model.sealing import Finding, ItemState
from core.model.states import Act, StateChange, Verdict, by_whom
from core.model.test_report import Case, Outcome
from core.text import duration, moment, size, visible
from tui.cells import (
    WEEK,
    ago,
    effective_state,
    formats,
    marks,
    person,
    run_state,
    stage_label,
    stage_sign,
    verdict,
    when,
)
from tui.run_cells import took
from tui.theme import UNICODE, Cell, Piece, Tone, plain
from tui.widgets.columns import Column
from tui.widgets.panel import PanelRow


@dataclass(frozen=True, slots=True)
class Row:
    """A line of any section: its cells, what the panel below says of it, and where Enter leads."""

    cells: tuple[Cell, ...]
    sorts: tuple[Any, ...] = ()
    """What the columns are sorted by, where they can be."""
    detail: tuple[tuple[str, Cell], ...] = ()
    """Facts: a label and what it says. A long text is one with an empty label."""
    text: str = ""
    """What a machine or tool printed, line by line."""
    image: ImageVersion | None = None
    run: Run | None = None
    copied: str = ""


@dataclass(frozen=True, slots=True)
class Section:
    """One section of the screen."""

    id: str
    title: str
    columns: tuple[Column[Row], ...]
    rows: Callable[[Dossier, float], Iterator[Row]]
    note: Callable[[Dossier], Piece]
    """A sign or a number beside the title."""
    empty: Callable[[Dossier], str]
    count: Callable[[Dossier], int] | None = None
    """How many things its rows are about, where that is not as many as there are rows."""


def column(
    at: int,
    title: str,
    least: int,
    most: int,
    *,
    rank: int = 1,
    right: bool = False,
    grow: bool = False,
    end: bool = True,
) -> Column[Row]:
    """The column of the cell at a place in `Row.cells`."""
    return Column(
        f"{at}",
        title,
        lambda row: row.cells[at] if at < len(row.cells) else "",
        lambda row: row.sorts[at] if at < len(row.sorts) else None,
        "right" if right else "left",
        rank,
        least,
        most,
        "end" if end else "middle",
        grow=grow,
    )


def _fact(what: str, says: Cell, *, copied: str = "", image: ImageVersion | None = None) -> Row:
    return Row((Piece(what, Tone.FAINT), says), copied=copied or plain(says), image=image)


# overview


def _overview(dossier: Dossier, now: float) -> Iterator[Row]:
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
    newest = dossier.rounds[0] if dossier.rounds else None
    tested = f"  {ago(newest.at, now)}" if newest else ""
    if effective.verdict is Verdict.UNTESTED:
        tested = f"  ingot test {image.role} {image.version}"
    yield _fact("tests", (verdict(effective.verdict), Piece(tested, Tone.FAINT)))
    yield _fact("sealed", _sealed(dossier))
    if told := marks(image, effective, dossier.outdated):
        yield _fact("marks", told)
    if dossier.outdated:
        yield _fact("", Piece(f"{image.upstream.role} {dossier.outdated} is newer and good", Tone.STALE))
    yield _fact("channels", " ".join(dossier.channels) or Piece("none is at it", Tone.FAINT))
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
    counted = [f"{len(dossier.packages):,} packages"]
    counted += [f"{count} {name}s" for name in ("service", "port", "user") if (count := kinds.count(name))]
    return ", ".join(counted)


# lineage


def _lineage(dossier: Dossier, now: float) -> Iterator[Row]:
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
        (name, Piece(upstream.kind, Tone.FAINT), _how(upstream), Piece(upstream.digest, Tone.FAINT)),
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
        (name, effective_state(relative.effective), how, Piece(digest, Tone.FAINT), when(image.created, now)),
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


def _verified(upstream: UpstreamRecord) -> str:
    return f"verified by {upstream.verified}" if upstream.verified else "unverified"


# stages


def _stages(dossier: Dossier, now: float) -> Iterator[Row]:
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


# what is in it


def _packages(dossier: Dossier, _: float) -> Iterator[Row]:
    several = len({item.build for item in dossier.packages}) > 1
    for item in (*dossier.contents, *dossier.packages):
        yield Row(
            (Piece(item.kind, Tone.FAINT), item.name, item.says, Piece(item.build if several else "", Tone.FAINT)),
            sorts=(item.kind, item.name, item.says, item.build),
            copied=f"{item.name} {item.says}".strip(),
        )


# seal

_LOOKED: dict[ItemState, tuple[str, Tone]] = {
    ItemState.FOUND: (UNICODE.bad, Tone.BAD),
    ItemState.CLEAN: (UNICODE.good, Tone.GOOD),
    ItemState.KEPT: (UNICODE.attention, Tone.STALE),
    ItemState.NOT_APPLICABLE: (UNICODE.not_yet, Tone.FAINT),
}


def _seal(dossier: Dossier, _: float) -> Iterator[Row]:
    several = len(dossier.seals) > 1
    order = list(_LOOKED)
    for seal in dossier.seals:
        for item in sorted(seal.items, key=lambda item: order.index(item.state)):
            yield _finding(item, seal.build if several else "")


def _finding(item: Finding, build: str) -> Row:
    sign, tone = _LOOKED[item.state]
    more = f" and {item.count - 1} more" if item.count > 1 else ""
    where = f"{item.paths[0]}{more}" if item.paths else ""
    return Row(
        (Piece(f"{sign} {item.state}", tone), item.title, where, Piece(build, Tone.FAINT)),
        detail=(
            *([("what to do", item.advice)] if item.advice else []),
            *(("found at" if at == 0 else "", path) for at, path in enumerate(item.paths)),
        ),
        copied="\n".join(item.paths) or item.title,
    )


# tests

_CASE: dict[Outcome, tuple[str, Tone]] = {
    Outcome.PASSED: (UNICODE.good, Tone.GOOD),
    Outcome.FAILED: (UNICODE.bad, Tone.BAD),
    Outcome.ERROR: (UNICODE.bad, Tone.BAD),
    Outcome.SKIPPED: (UNICODE.not_yet, Tone.FAINT),
}


def _tests(dossier: Dossier, now: float) -> Iterator[Row]:
    for found in dossier.rounds:
        yield _round(found, now)
        for case in sorted(found.cases, key=lambda case: not case.outcome.bad):
            yield _case(case)


def _round(found: TestRound, now: float) -> Row:
    report = found.report
    told = [f"{ago(found.at, now)} by {person(found.by)}"]
    facts: list[tuple[str, Cell]] = [("when", moment(found.at)), ("by", found.by)]
    if found.why:
        facts.append(("why", found.why))
    if report is not None:
        counted = ", ".join(f"{count} {outcome}" for outcome in Outcome if (count := report.counted(outcome)))
        boot = (
            f"let in after {report.boot_seconds:.0f} s" if report.boot_seconds is not None else "never let anybody in"
        )
        told += [counted, f"{boot} ({report.accelerator})"]
        facts += [
            ("build", report.build),
            ("kernel", report.facts.kernel),
            ("listens", ", ".join(report.facts.ports)),
            ("took", duration(report.ended - report.started)),
        ]
    else:
        told.append("no report can be read" if found.name else "without a report")
    sign = verdict(found.verdict)
    return Row(
        ((sign, Piece(f"  {told[0]}", Tone.STRONG)), "", Piece(f" {UNICODE.dot} ".join(told[1:]), Tone.FAINT)),
        detail=tuple((label, says) for label, says in facts if says),
        copied=found.name,
    )


def _case(case: Case) -> Row:
    sign, tone = _CASE[case.outcome]
    loud = tone if case.outcome.bad else Tone.PLAIN
    name = (Piece(f"  {sign} ", tone), Piece(case.name, loud), Piece(f"  {case.suite}", Tone.FAINT))
    return Row(
        (
            name,
            f"{case.seconds:.1f} s" if case.seconds else "",
            Piece(case.message, loud if case.outcome.bad else Tone.FAINT),
        ),
        detail=(("case", f"{case.suite}, {case.name}"), *([("found", case.message)] if case.message else [])),
        text=case.output,
        copied="\n".join(part for part in (f"{case.suite}, {case.name}", case.message, case.output) if part),
    )


# artifacts


def _artifacts(dossier: Dossier, _: float) -> Iterator[Row]:
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
            Piece(artifact.digest, Tone.FAINT),
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


# uses


def _uses(dossier: Dossier, now: float) -> Iterator[Row]:
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


# history


def _history(dossier: Dossier, now: float) -> Iterator[Row]:
    image = dossier.image
    built = _event(image.created, Piece("built"), image.built_by, f"from {image.commit[:7]}", now)
    told = [
        (image.created, built),
        *((change.at, _change(change, now)) for change in dossier.changes),
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


def _change(change: StateChange, now: float) -> Row:
    sign, tone = _ACTS[change.act]
    words = f"{sign} {change.act}"
    if change.act is Act.TESTED:
        found = verdict(change.verdict)
        words, tone = f"{found.text[:1]} tested, {change.verdict}", found.tone
    if change.since is not None:
        words += f" from {moment(change.since)[:10]}"
    if change.replacement:
        words += f", take {change.replacement}"
    return _event(change.at, Piece(words, tone), change.by, change.why, now)


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


# the table of sections


def _number(count: int) -> Piece:
    return Piece(f"{count:,}" if count else "", Tone.FAINT)


def _run_note(dossier: Dossier) -> Piece:
    return Piece(run_state(dossier.run).text[:1], run_state(dossier.run).tone) if dossier.run else Piece("")


def _seal_note(dossier: Dossier) -> Piece:
    found = [finding for seal in dossier.seals for finding in seal.found]
    if found:
        return Piece(f"{UNICODE.bad} {len(found)}", Tone.BAD)
    return Piece(UNICODE.good, Tone.GOOD) if dossier.seals else Piece("")


def _test_note(dossier: Dossier) -> Piece:
    if not dossier.rounds:
        return Piece("")
    found = dossier.effective.verdict
    bad = sum(case.outcome.bad for case in dossier.rounds[0].cases)
    return Piece(f"{verdict(found).text[:1]}{f' {bad}' if bad else ''}", verdict(found).tone)


def _name(dossier: Dossier) -> str:
    return f"{dossier.image.role} {dossier.image.version}"


SECTIONS: tuple[Section, ...] = (
    Section(
        "overview",
        "Overview",
        (column(0, "", 11, 12), column(1, "", 20, 400, grow=True)),
        _overview,
        lambda _: Piece(""),
        lambda _: "",
    ),
    Section(
        "lineage",
        "Lineage",
        (
            column(0, "BUILT ON EACH OTHER", 24, 70),
            column(1, "STATE", 9, 14, rank=2),
            column(2, "VERIFIED", 10, 48, rank=3, grow=True),
            column(3, "DIGEST", 14, 28, rank=5, end=False),
            column(4, "AGE", 4, 10, rank=4, right=True),
        ),
        _lineage,
        lambda dossier: _number(len(dossier.ancestors) + len(dossier.children) + 2),
        lambda _: "",
    ),
    Section(
        "stages",
        "Stages",
        (column(0, "STAGE", 14, 40), column(1, "TIME", 5, 9, right=True), column(2, "", 12, 200, rank=2, grow=True)),
        _stages,
        _run_note,
        lambda dossier: (
            "The run that made it is not known on this machine.\n"
            f"It was built by {person(dossier.image.built_by)}; its logs are where it was built."
        ),
    ),
    Section(
        "packages",
        "Packages",
        (
            column(0, "KIND", 6, 10, rank=2),
            column(1, "NAME", 20, 60),
            column(2, "VERSION", 12, 80, grow=True),
            column(3, "", 0, 30, rank=3),
        ),
        _packages,
        lambda dossier: _number(len(dossier.packages)),
        lambda dossier: (
            "There is no package in it."
            if dossier.looked_into
            else f"Nobody looked what is in it.\nBuilds of now look: ingot build {dossier.image.role}"
        ),
    ),
    Section(
        "seal",
        "Seal",
        (
            column(0, "STATE", 8, 16),
            column(1, "LOOKED FOR", 16, 44),
            column(2, "FOUND AT", 14, 200, rank=2, grow=True, end=False),
            column(3, "", 0, 30, rank=3),
        ),
        _seal,
        _seal_note,
        lambda dossier: (
            "Nobody looked what of its making is left in it: there is no seal report.\n"
            f"[roles.{dossier.image.role}.seal] in ingot.toml seals it when it is built again."
        ),
    ),
    Section(
        "tests",
        "Tests",
        (
            column(0, "CASE", 24, 80),
            column(1, "TOOK", 5, 8, right=True, rank=3),
            column(2, "FOUND", 14, 200, rank=2, grow=True),
        ),
        _tests,
        _test_note,
        lambda dossier: f"Not tested yet.\nt tests it, or: ingot test {_name(dossier)}",
        lambda dossier: sum(len(found.cases) for found in dossier.rounds),
    ),
    Section(
        "artifacts",
        "Artifacts",
        (
            column(0, "FORMAT", 6, 10),
            column(1, "SIZE", 6, 9, right=True, rank=2),
            column(2, "DISK", 6, 9, right=True, rank=4),
            column(3, "WHERE", 6, 20, rank=2),
            column(4, "STAMPED", 8, 10, rank=5),
            column(5, "DIGEST", 14, 26, rank=6, end=False),
            column(6, "LOCATION", 20, 300, rank=3, grow=True, end=False),
        ),
        _artifacts,
        lambda dossier: _number(len(dossier.image.artifacts)),
        lambda dossier: f"Its files were deleted.\nBuild it again: ingot build {dossier.image.role}",
    ),
    Section(
        "uses",
        "Uses",
        (
            column(0, "", 8, 14),
            column(1, "USED BY", 16, 50),
            column(2, "STATE", 8, 14, rank=2),
            column(3, "", 12, 200, rank=3, grow=True),
        ),
        _uses,
        lambda dossier: _number(len(dossier.channels) + len(dossier.children) + len(dossier.used_by)),
        lambda dossier: (
            "Nothing uses it: no channel is at it, no image is built on it. No fleets are known yet.\n"
            f"p moves a channel to it, or: ingot promote {_name(dossier)} CHANNEL"
        ),
    ),
    Section(
        "history",
        "History",
        (
            column(0, "AGE", 4, 10, right=True),
            column(1, "WHAT", 16, 50),
            column(2, "BY", 8, 24, rank=3),
            column(3, "WHY", 12, 200, rank=2, grow=True),
        ),
        _history,
        lambda dossier: _number(len(dossier.changes) + len(dossier.moves) + 1),
        lambda _: "",
    ),
)


_LABEL = 11
"""Cells of a label in the panel."""


def detail_rows(row: Row | None, width: int, height: int) -> list[PanelRow]:
    """What the panel below the list says of the chosen row, in so many lines at most."""
    if row is None:
        return []
    told = [PanelRow(cell) for label, says in row.detail for cell in _told(label, says, width)]
    lines = row.text.splitlines()
    room = max(height - len(told), 0)
    if len(lines) > room and room:
        left = len(lines) - room + 1
        lines = [*lines[: room - 1], f"… {left} more lines; y copies all of it"]
    return [*told[:height], *(PanelRow(Piece(line.expandtabs(4))) for line in lines[:room])]


def _told(label: str, says: Cell, width: int) -> Iterator[Cell]:
    """A fact on as many lines as it takes."""
    room = max(width - _LABEL - 1, 10)
    if not isinstance(says, str):
        yield (Piece(label.ljust(_LABEL), Tone.FAINT), *_pieces(says))
        return
    text = visible(says)
    for at in range(0, max(len(text), 1), room):
        yield (Piece((label if at == 0 else "").ljust(_LABEL), Tone.FAINT), Piece(text[at : at + room]))


def _pieces(cell: Cell) -> tuple[Piece, ...]:
    if isinstance(cell, str):
        return (Piece(cell),)
    return (cell,) if isinstance(cell, Piece) else cell
