"""The rounds of tests of an image version, newest first, each with its cases."""

from collections.abc import Iterator

from core.model.dossier import Dossier, TestRound
from core.model.test_report import Case, Outcome
from core.text import duration, moment
from tui.cells import ago, person, verdict
from tui.image_sections.section import Row, Section, column
from tui.theme import UNICODE, Cell, Piece, Tone

_CASE: dict[Outcome, tuple[str, Tone]] = {
    Outcome.PASSED: (UNICODE.good, Tone.GOOD),
    Outcome.FAILED: (UNICODE.bad, Tone.BAD),
    Outcome.ERROR: (UNICODE.bad, Tone.BAD),
    Outcome.SKIPPED: (UNICODE.not_yet, Tone.FAINT),
}


def _rows(dossier: Dossier, now: float) -> Iterator[Row]:
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


def _note(dossier: Dossier) -> Piece:
    if not dossier.rounds:
        return Piece("")
    found = dossier.effective.verdict
    bad = sum(case.outcome.bad for one in dossier.decisive for case in one.cases)
    return Piece(f"{verdict(found).text[:1]}{f' {bad}' if bad else ''}", verdict(found).tone)


SECTION = Section(
    "tests",
    "Tests",
    (
        column(0, "CASE", 24, 100, keeps=84),
        column(1, "TOOK", 5, 8, right=True, rank=3),
        column(2, "FOUND", 14, 200, rank=2, grow=True),
    ),
    _rows,
    _note,
    lambda dossier: f"Not tested yet.\nt tests it, or: ingot test {dossier.image.role} {dossier.image.version}",
    lambda dossier: sum(len(found.cases) for found in dossier.rounds),
)
