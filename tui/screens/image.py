"""The image screen: what is in an image version, and where did it come from? Section by section, one list each.

Below the list stands what else is known of the chosen row: a whole digest, all paths, what a test printed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Vertical

from core.model.dossier import Dossier
from core.model.image import ImageVersion
from core.model.run import Run
from core.model.standing import Standing
from core.services.overview import Overview
from tui.actions import Acting, Action, bindings
from tui.cells import what_for
from tui.image_sections.detail import detail_rows
from tui.image_sections.order import SECTIONS
from tui.image_sections.section import Row, Section, told
from tui.image_sections.uses import runs_about
from tui.loading import Loading
from tui.screens.image_actions import ACTIONS
from tui.theme import UNICODE, Piece, Tone
from tui.undecided import NO_LEDGER, why_not_restored
from tui.widgets.footer import Footer
from tui.widgets.image_header import ImageHeader
from tui.widgets.line import Line, Part
from tui.widgets.panel import Panel, PanelRow
from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

_BY_ID: Mapping[str, Section] = {section.id: section for section in SECTIONS}


class ImageScreen(Acting):
    """One image version."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(self, image: ImageVersion, clock: Callable[[], float], *, ascii_only: bool = False) -> None:
        super().__init__()
        self._image = image
        self._clock = clock
        self._ascii = ascii_only
        self._dossier: Dossier | None = None
        self._section = SECTIONS[0].id
        self.reading = Loading(self, self._show_header)
        self.header = ImageHeader(ascii_only=ascii_only, id="header")
        self.titles = Line(ascii_only=ascii_only, id="sections")
        self.footer = Footer(ascii_only=ascii_only, id="footer")
        self.too_small = TooSmall(ascii_only=ascii_only)
        self.detail = Panel(ascii_only=ascii_only, id="image-detail")
        self.tables: dict[str, Table[Row]] = {
            section.id: Table(
                section.columns,
                title=f"{at} {section.title}",
                id=f"image-{section.id}",
                ascii_only=ascii_only,
                copied=lambda row: row.copied or "",
                found_by=told,
            )
            for at, section in enumerate(SECTIONS, 1)
        }

    @property
    def table(self) -> Table[Row]:
        """The list of the section that shows."""
        return self.tables[self._section]

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.titles
        with Vertical(id="image-body"):
            yield from self.tables.values()
            yield self.detail
        yield self.too_small
        yield self.footer

    def on_mount(self) -> None:
        self._dossier = self._known_so_far()
        self._show()
        self._go_to(self._section)
        self._read()

    # what is shown, and how it stays fresh

    def _known_so_far(self) -> Dossier:
        """What the index has; the reports come with the ledger."""
        effective = self.house.standing.effective(self._image, self._clock())
        run = self.house.overview.run(self._image.run)
        return Dossier(self._image, effective, channels=self.house.standing.channels(self._image), run=run)

    def _read(self) -> None:
        deciding, image = self.house.deciding, self._image
        if deciding is not None:
            self.reading.read(
                "dossier",
                f"reading all about {image.role} {image.version}",
                partial(deciding.dossier, image.role, image.version),
                self._take,
            )

    def _take(self, dossier: Dossier) -> None:
        self._dossier = dossier
        self._image = dossier.image
        self._show()

    def show(self, overview: Overview) -> None:
        """A run that tests or converts it may have gone on."""
        self._show()

    def stands(self, standing: Standing) -> None:
        """What was decided is known anew."""
        self._read()

    def _show(self) -> None:
        dossier = self._dossier
        if dossier is None or not self.is_attached:
            return
        now = self._clock()
        for section in SECTIONS:
            rows = list(section.rows(dossier, now))
            if section.id == "uses":
                rows += runs_about(self.house.overview.runs, self._image, now)
            table = self.tables[section.id]
            table.set_empty(section.empty(dossier))
            table.set_count(section.count(dossier) if section.count is not None else None)
            table.set_rows((str(at), row) for at, row in enumerate(rows))
        self._show_header()
        self._show_detail()

    def _show_header(self) -> None:
        if not self.is_attached:
            return
        image, now, standing = self._image, self._clock(), self.house.standing
        effective = self._dossier.effective if self._dossier is not None else standing.effective(image, now)
        problem = self.reading.problem("dossier")
        said = [Part(Piece(f"{UNICODE.attention} {problem.what}", Tone.BAD), 2, right=True)] if problem else []
        reading = [*self.reading.part(), *said]
        self.header.show("image", image, effective, standing.outdated(image), now, reading)
        self._show_titles()
        self.show_footer()

    def _show_titles(self) -> None:
        """The sections by number, each with what it holds; where there is no room, those far from here are numbers."""
        wide = self.size.width >= 120
        parts: list[Part] = []
        chosen = [section.id for section in SECTIONS].index(self._section) + 1
        for at, section in enumerate(SECTIONS, 1):
            tone = Tone.ACCENT if at == chosen else Tone.FAINT
            note = section.note(self._dossier) if self._dossier is not None else Piece("")
            sign = Piece("" if note.tone is Tone.FAINT or not note.text else f" {note.text[:1]}", note.tone)
            title = Piece(f"{at} {section.title}", tone)
            shown = (title, Piece(f" {note.text}", note.tone)) if note.text and wide else (title, sign)
            parts.append(
                Part(
                    shown,
                    1 + abs(at - chosen),
                    clicked=partial(self._go_to, section.id),
                    short=(Piece(str(at), tone), sign),
                )
            )
        self.titles.set_parts(parts)

    def _show_detail(self) -> None:
        row, height = self.table.chosen, max(self.size.height // 3 - 2, 3)
        width = max(self.size.width - 4, 20)
        rows: list[PanelRow] = detail_rows(row, width, height)
        self.detail.set_rows("", lambda _: rows)
        self.detail.set_class(bool(rows), "-some")

    def show_footer(self) -> None:
        if not self.is_attached or not self.is_active:
            return
        if self.table.typing:
            self.footer.set_typing()
            return
        row = self.table.chosen
        opens = row is not None and (row.image is not None or row.run is not None)
        self.footer.set_offers(offer for offer in self.house.offers_here() if opens or offer.action.id != "choose")

    def on_screen_resume(self) -> None:
        self.show_footer()

    def on_resize(self, event: events.Resize) -> None:
        if self.too_small.fit(event.size):
            self.set_focus(self.table)
        self._show_titles()
        self._show_detail()

    # sections

    def _go_to(self, section: str) -> None:
        self._section = section
        for name, table in self.tables.items():
            table.set_class(name == section, "-page")
        self.set_focus(self.table)
        self._show_titles()
        self._show_detail()
        self.call_after_refresh(self.show_footer)

    def _step(self, by: int) -> None:
        names = list(_BY_ID)
        self._go_to(names[(names.index(self._section) + by) % len(names)])

    def act(self, action: Action, argument: str = "") -> None:
        """The sections are one action each, with nothing to carry out but going there."""
        if action.id in _BY_ID:
            self._go_to(action.id)
        elif argument and not super().why_not(action):
            getattr(self, f"do_{action.id}")(argument)
        else:
            super().act(action, argument)

    def do_next_section(self, _: str) -> None:
        self._step(1)

    def do_previous_section(self, _: str) -> None:
        self._step(-1)

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        if message.table is self.table:
            self._show_detail()
            self.show_footer()

    def on_table_typing(self, message: Table.Typing) -> None:
        self.show_footer()

    def on_table_chosen(self, message: Table.Chosen) -> None:
        message.stop()
        row = self.table.chosen
        if row is not None and row.image is not None:
            self.house.opening.image(row.image)
        elif row is not None and row.run is not None:
            self.house.opening.run(row.run.uid)

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        self.do_leave("")

    # what can be done

    def why_not(self, action: Action) -> str:
        if reason := super().why_not(action):
            return reason
        if action.id in ("revoke", "deprecate", "restore", "test", "convert") and self.house.deciding is None:
            return NO_LEDGER
        match action.id:
            case "restore":
                return why_not_restored(self.house, self._image)
            case "logs":
                if self._dossier is None or self._dossier.run is None:
                    return "The run that made it is not known on this machine."
            case "difference":
                if self._before() is None:
                    return "It is the oldest of its role: say which to compare with, :difference ROLE VERSION."
            case "test" | "convert":
                if not self._image.artifacts:
                    return "Its files were deleted: there is nothing to boot or to convert."
            case _:
                pass
        return ""

    def _before(self) -> ImageVersion | None:
        """The version of its role that was built before it."""
        versions = self.house.overview.images.get(self._image.role, ())
        older = [image for image in versions if image.created < self._image.created]
        return max(older, key=lambda image: image.created, default=None)

    def do_promote(self, _: str) -> None:
        self.house.decisions.promote(self._image)

    def do_test(self, _: str) -> None:
        self.house.decisions.test(self._image, self._queued)

    def do_convert(self, _: str) -> None:
        self.house.decisions.convert(self._image, self._queued)

    def _queued(self, run: Run) -> None:
        """What was asked for shows among the uses, and opens from there."""
        self.notify(
            f"Run {run.id} queued: {what_for(run)}",
            markup=False,
            timeout=4,
        )

    def do_difference(self, argument: str) -> None:
        """To the image version named, else to the one before."""
        other = self._before()
        if argument:
            role, _, version = argument.partition(" ")
            other = self.house.overview.image(role, version)
        if other is None:
            self.notify("There is no such image version here.", severity="warning", markup=False)
        elif other.created < self._image.created:
            self.house.opening.difference(other, self._image)
        else:
            self.house.opening.difference(self._image, other)

    def do_revoke(self, _: str) -> None:
        self.house.decisions.revoke(self._image)

    def do_deprecate(self, _: str) -> None:
        self.house.decisions.deprecate(self._image)

    def do_restore(self, _: str) -> None:
        self.house.decisions.restore(self._image)

    def do_logs(self, _: str) -> None:
        self.house.opening.run(self._image.run)

    def do_leave(self, _: str) -> None:
        self.dismiss()
