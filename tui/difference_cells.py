"""How the difference of two image versions is told, line by line. Nothing here draws, asks or decides."""

from collections.abc import Callable, Iterator, Sequence

import msgspec
from msgspec.structs import replace
from rich.cells import cell_len

from core.model.difference import Change, Changed, Contents, Difference, Grown, PackageChange, Source, in_words
from core.text import cut_middle, moment, size, visible
from tui.cells import person
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.table_cells import wrapped

_NOTE = 56
"""Cells of a line of a sentence, which must fit beside the checks, too."""

_SIGNS: dict[Change, tuple[str, Tone]] = {
    Change.ADDED: ("+", Tone.GOOD),
    Change.REMOVED: ("-", Tone.BAD),
    Change.UP: (UNICODE.up, Tone.PLAIN),
    Change.DOWN: (UNICODE.down, Tone.STALE),
    Change.CHANGED: ("~", Tone.PLAIN),
}


class ChangeRow(msgspec.Struct, frozen=True):
    """One line: the heading of a section, or something that differs."""

    section: str
    sign: str
    tone: Tone
    name: str
    before: str = ""
    after: str = ""
    heading: bool = False

    @property
    def copied(self) -> str:
        """The line for the clipboard."""
        if not self.before and not self.after:
            return f"{self.sign} {self.name}".strip()
        arrow = f"{self.before or UNICODE.none} → {self.after or UNICODE.none}"
        return f"{self.sign} {self.name} {arrow}".strip()


class Section(msgspec.Struct, frozen=True):
    """What differs in one respect."""

    id: str
    title: str
    summary: str
    rows: tuple[ChangeRow, ...]


def sections(found: Difference, *, patch: bool = False) -> Iterator[Section]:
    """What differs, what weighs most first; sections in which nothing does are left out. `patch` wants the lines of the
    playbooks and templates, too."""
    told: list[tuple[str, str, str, list[ChangeRow]]] = []
    if found.upstream is not None:
        told.append(("upstream", "Built on", "", [_changed("upstream", found.upstream)]))
    for contents in found.contents:
        more = f" of {contents.build}" if len(found.contents) > 1 else ""
        told += [
            (f"{name} {contents.build}", f"{title}{more}", words, rows) for name, title, words, rows in _in(contents)
        ]
    if commits := [*found.commits, *found.commits_gone]:
        rows = [
            ChangeRow("commits", sign, tone, f"{commit.hash[:7]} {commit.subject}", "", _by(commit.author, commit.at))
            for sign, tone, of in (("+", Tone.GOOD, found.commits), ("-", Tone.BAD, found.commits_gone))
            for commit in of
        ]
        gone = f", {len(found.commits_gone)} gone" if found.commits_gone else ""
        told.append(("commits", "Commits", f"{len(found.commits)} new{gone}" if gone else str(len(commits)), rows))
    if found.sources:
        rows = [_source(source) for source in found.sources]
        told.append(("sources", "Templates and playbooks", in_words(found.sources), rows))
    if found.tools:
        told.append(("tools", "Tools", in_words(found.tools), [_changed("tools", one) for one in found.tools]))
    if found.size is not None and found.size.before != found.size.after:
        told.append(("size", "Size of the files", "", [_grown("size", found.size, "files")]))
    if found.notes:
        rows = [
            ChangeRow("notes", " " if at else UNICODE.attention, Tone.STALE, line)
            for note in found.notes
            for at, line in enumerate(wrapped(note, _NOTE))
        ]
        told.append(("notes", "Not compared", "", rows))
    if patch and found.patch:
        lines = found.patch.splitlines()
        told.append(("patch", "The lines", f"{len(lines):,}", [_patch(line) for line in lines]))
    for name, title, summary, rows in told:
        yield Section(name, title, summary, tuple(replace(row, section=name) for row in rows))


def rows(found: Sequence[Section]) -> Iterator[tuple[str, ChangeRow]]:
    """The sections for a list, each below its heading."""
    for section in found:
        yield f"{section.id} ", ChangeRow(section.id, "", Tone.STRONG, section.title, "", section.summary, heading=True)
        for at, row in enumerate(section.rows):
            yield f"{section.id} {at}", row


def columns(width: Callable[[], int]) -> tuple[Column[ChangeRow], ...]:
    """One column with what, what it was and what it is below each other; what needs more room takes the line.

    `width` is that of the list now. The title explains the signs.
    """
    legend = f"+ added  - removed  {UNICODE.up} newer  {UNICODE.down} older  ~ changed"
    return (Column("line", legend, lambda row: _line(row, width()), None, "left", 1, 20, 500, "end", grow=True),)


def _line(row: ChangeRow, width: int) -> Cell:
    if row.heading:
        return (Piece(row.name, Tone.STRONG), Piece(f"  {row.after}" if row.after else "", Tone.FAINT))
    if row.section == "patch":
        return Piece(row.name, row.tone)
    sign = Piece(f"{row.sign} ", row.tone)
    name = Piece(row.name, row.tone if row.tone in (Tone.BAD, Tone.STALE) else Tone.PLAIN)
    if row.section in _WHOLE:
        return (sign, name, Piece(f"  {row.after}" if row.after else "", Tone.FAINT))
    room = max(width - 8, 30)
    names = min(max(room * 2 // 5, 16), 48)
    half = (room - names - 3) // 2
    name = Piece(_padded(row.name, names), name.tone)
    if not row.before:
        return (sign, name, Piece(" "), Piece(row.after))
    before = min(half, 36)
    if not row.after:
        return (sign, name, Piece(" "), Piece(row.before, Tone.FAINT))
    was = Piece(_padded(row.before, before), Tone.FAINT)
    return (sign, name, Piece(" "), was, Piece(" → ", Tone.FAINT), Piece(cut_middle(visible(row.after), half)))


_WHOLE = ("commits", "notes")
"""Sections whose lines are sentences."""


def _padded(text: str, width: int) -> str:
    cut = cut_middle(visible(text), width)
    return cut + " " * (width - cell_len(cut))


def _in(contents: Contents) -> Iterator[tuple[str, str, str, list[ChangeRow]]]:
    if contents.packages:
        rows = [_package(one) for one in sorted(contents.packages, key=_by_weight)]
        yield "packages", "Packages", in_words(contents.packages), rows
    for name, title, changes in (
        ("services", "Services", contents.services),
        ("ports", "Ports", contents.ports),
        ("users", "Users", contents.users),
        ("files", "Files", contents.files),
        ("system", "System", contents.system),
    ):
        if changes:
            yield name, title, in_words(changes), [_changed(name, one) for one in changes]
    if contents.disk:
        yield "disk", "Disk use", "", [_grown("disk", one, one.path) for one in contents.disk]


_WEIGHT = (Change.DOWN, Change.REMOVED, Change.ADDED, Change.CHANGED, Change.UP)


def _by_weight(change: PackageChange) -> tuple[int, str]:
    """What is often a mistake first, what is expected last."""
    return _WEIGHT.index(change.change), change.name


def _package(one: PackageChange) -> ChangeRow:
    sign, tone = _SIGNS[one.change]
    return ChangeRow("packages", sign, tone, one.name, one.before, one.after)


def _changed(section: str, one: Changed) -> ChangeRow:
    sign, tone = _SIGNS[one.change]
    return ChangeRow(section, sign, tone, one.name, one.before, one.after)


def _grown(section: str, one: Grown, name: str) -> ChangeRow:
    sign, tone = _SIGNS[Change.UP if one.after > one.before else Change.DOWN]
    return ChangeRow(section, sign, Tone.PLAIN if tone is Tone.STALE else tone, name, size(one.before), size(one.after))


def _source(source: Source) -> ChangeRow:
    sign, tone = _SIGNS[source.change]
    lines = f"+{source.added} -{source.removed}" if source.added is not None else "no text"
    return ChangeRow("sources", sign, tone, source.path, "", lines)


def _patch(line: str) -> ChangeRow:
    tone = Tone.PLAIN
    if line.startswith(("diff ", "+++", "---", "index ")):
        tone = Tone.FAINT
    elif line.startswith("@@"):
        tone = Tone.ACCENT
    elif line.startswith("+"):
        tone = Tone.GOOD
    elif line.startswith("-"):
        tone = Tone.BAD
    return ChangeRow("patch", "", tone, line.expandtabs(4))


def _by(author: str, at: float) -> str:
    return f"{person(author)}, {moment(at)[:10]}"
