"""The image screen: what is in an image version, and where did it come from? For now what its manifest says."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType

from core.model.image import ImageVersion, may_become_good
from core.services.overview import Overview
from core.text import moment, size
from tui.actions import Acting, Action, app_of, bindings, offers
from tui.cells import ago, image_state, when
from tui.theme import UNICODE, Cell, Piece, Tone
from tui.widgets.columns import Column
from tui.widgets.footer import Footer
from tui.widgets.line import Line, Part
from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

ACTIONS = (
    Action("logs", "Logs", ("l",), "The log of the run that made it", "Image", rank=1),
    Action("leave", "Back", ("q", "escape"), "Back to the workbench", "Image", rank=9, last=True),
)


@dataclass(frozen=True, slots=True)
class Fact:
    """One line about an image version."""

    what: str
    says: str
    tone: Tone = Tone.PLAIN


def facts(image: ImageVersion, now: float) -> Iterator[Fact]:
    """All that its manifest says, one fact a line, so that each can be copied."""
    yield Fact("version", image.version)
    yield Fact("state", "".join(text for text, _ in image_state(image)))
    yield Fact("built", f"{moment(image.created)} ({when(image.created, now)}) by {image.built_by}")
    yield Fact("commit", image.commit)
    yield Fact("template", image.template)
    yield Fact("run", image.run)
    yield Fact("upstream", image.parent)
    if image.upstream.digest:
        yield Fact("", image.upstream.digest, Tone.FAINT)
    verified = image.upstream.verified
    yield Fact("", f"verified by {verified}" if verified else "unverified", Tone.GOOD if verified else Tone.STALE)
    for at, artifact in enumerate(image.artifacts):
        sizes = [size(artifact.size)] if artifact.size is not None else []
        if artifact.virtual_size is not None:
            sizes.append(f"disk {size(artifact.virtual_size)}")
        stamped = ["version stamped inside"] if artifact.stamped_inside else []
        words = f" {UNICODE.dot} ".join([artifact.format, *sizes, artifact.build, *stamped])
        yield Fact("artifacts" if at == 0 else "", words)
        yield Fact("", artifact.location)
        if artifact.digest:
            yield Fact("", artifact.digest, Tone.FAINT)
    for at, (tool, version) in enumerate(image.tools.items()):
        yield Fact("tools" if at == 0 else "", f"{tool} {version}")
    for at, path in enumerate(image.inputs):
        yield Fact("made from" if at == 0 else "", path)
    for at, touch in enumerate(image.touches):
        told = f"{touch.kind.value} by {touch.who}, {moment(touch.when)}"
        yield Fact("by hand" if at == 0 else "", f"{told}: {touch.detail}" if touch.detail else told, Tone.STALE)
    if why := may_become_good(image):
        yield Fact("never good", why, Tone.STALE)
    for at, path in enumerate(image.outside):
        yield Fact("outside Git" if at == 0 else "", path, Tone.STALE)


def _says(fact: Fact) -> Cell:
    return Piece(fact.says, fact.tone)


COLUMNS: tuple[Column[Fact], ...] = (
    Column("what", "", lambda fact: Piece(fact.what, Tone.FAINT), None, "left", 2, 11, 14),
    Column("says", "", _says, None, "left", 1, 20, 400, grow=True),
)


class ImageScreen(Acting):
    """One image version."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(self, image: ImageVersion, clock: Callable[[], float], *, ascii_only: bool = False) -> None:
        super().__init__()
        self._image = image
        self._clock = clock
        self.header = Line(ascii_only=ascii_only, id="header")
        self.footer = Footer(ascii_only=ascii_only, id="footer")
        self.too_small = TooSmall(ascii_only=ascii_only)
        self.table: Table[Fact] = Table(
            COLUMNS,
            title="Image version",
            id="facts",
            ascii_only=ascii_only,
            copied=lambda fact: fact.says,
            opens=False,
        )

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.table
        yield self.too_small
        yield self.footer

    def on_mount(self) -> None:
        image = self._image
        self.header.set_parts(
            [
                Part((Piece("image", Tone.ACCENT), Piece(f" {UNICODE.into} "), Piece(image.role, Tone.STRONG))),
                Part(image.version),
                Part(image_state(image), 2),
                Part(Piece(f"built {ago(image.created, self._clock())}", Tone.FAINT), 3, right=True),
            ]
        )
        self.table.set_rows((str(at), fact) for at, fact in enumerate(facts(image, self._clock())))
        self.table.focus()
        self.call_after_refresh(self._show_footer)

    def _show_footer(self) -> None:
        self.footer.set_offers(offers((self.table, self, app_of(self))))

    def on_resize(self, event: events.Resize) -> None:
        if self.too_small.fit(event.size):
            self.set_focus(self.table)

    def show(self, overview: Overview) -> None:
        """Its state may change; nothing else of it does."""
        found = overview.image(self._image.role, self._image.version)
        if found is not None and found != self._image:
            self._image = found
            self.table.set_rows((str(at), fact) for at, fact in enumerate(facts(found, self._clock())))

    def do_logs(self, _: str) -> None:
        from tui.screens.run import RunScreen

        app_of(self).push_screen(RunScreen(self._image.run))

    def do_leave(self, _: str) -> None:
        app_of(self).pop_screen()

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        app_of(self).pop_screen()
