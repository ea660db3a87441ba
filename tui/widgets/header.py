"""The first line: which workspace, where its repository stands, and what the worker does."""

from core.model.machine import MachineState
from core.services.overview import Overview, WorkerView
from core.text import moment
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.widgets.line import Line, Part

_NAME = 12
"""Cells that a long name keeps where there is no room for all of it."""


class Header(Line):
    """One line about everything."""

    GAP = 3

    def show(
        self,
        overview: Overview,
        worker: WorkerView | None,
        *,
        asked: bool = True,
        busy: str = "",
        trouble: str = "",
        readonly: bool = False,
    ) -> None:
        """`asked`: it is known whether there is a worker. `busy` says what goes on in the background, `trouble` why
        what is shown may be old."""
        git = overview.git
        name = overview.workspace.name if overview.workspace else overview.root.rpartition("/")[2]
        place = (Piece("ingot", Tone.ACCENT), Piece(f" {UNICODE.into} ", Tone.FAINT), Piece(name, Tone.STRONG))
        parts = [Part(place, least=_NAME)]
        if git.commit:
            commit = Piece(git.short_commit, Tone.FAINT)
            branch = (Piece(f"{git.branch or 'detached'} "), commit)
            parts.append(Part(branch, 3, least=_NAME, short=commit))
        if git.last_tag:
            number = git.commits_since_tag
            away = (
                f"{number} commit{'s' if number != 1 else ''} after {git.last_tag}" if number else f"on {git.last_tag}"
            )
            parts.append(Part(Piece(away, Tone.FAINT), 6))
        if git.dirty:
            parts.append(Part(Piece(f"{UNICODE.attention} uncommitted changes", Tone.STALE), 5))
        if git.shallow:
            parts.append(Part(Piece(f"{UNICODE.attention} shallow clone", Tone.STALE), 7))
        if overview.pauses:
            parts.append(Part(Piece(f"{UNICODE.paused} {len(overview.pauses)} paused", Tone.WAITING), 1, right=True))
        if kept := sum(machine.state is MachineState.KEPT for machine in overview.machines):
            words = "1 machine kept" if kept == 1 else f"{kept} machines kept"
            parts.append(Part(Piece(words, Tone.WAITING), 3, right=True))
        if trouble:
            seen = f" (last seen {moment(overview.read_at)[11:16]})" if overview.read_at else ""
            parts.append(Part(Piece(f"{UNICODE.attention} {trouble}{seen}", Tone.BAD), 2, right=True))
        if busy:
            parts.append(Part(Piece(f"{UNICODE.busy} {busy}", Tone.BUSY), 4, right=True))
        if readonly:
            parts.append(Part(Piece("read-only", Tone.STALE), 2, right=True))
        if asked:
            parts.append(
                Part(_worker(worker), 2, right=True, short=Piece("no worker", Tone.FAINT) if not worker else "")
            )
        self.set_parts(parts)


def _worker(worker: WorkerView | None) -> Cell:
    if worker is None:
        return Piece("no worker: the next build starts one", Tone.FAINT)
    counts = [
        f"{number} {word}"
        for number, word in ((worker.running, "running"), (worker.waiting, "waiting"), (worker.queued, "queued"))
        if number
    ]
    said = f" {UNICODE.dot} ".join(counts) or "idle"
    return (Piece("worker ", Tone.FAINT), Piece(UNICODE.worker, Tone.GOOD), Piece(f" {said}"))
