"""The promote screen: may this image version go on? Where each channel is, what is looked at, what changes, the move.

Everything of it can be looked at by anybody; only the move and the step back change something.
"""

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import BindingType
from textual.containers import Horizontal, Vertical

from core.model.dossier import Dossier
from core.model.image import ImageVersion
from core.model.promotion import Check, checks, forbidden
from core.model.standing import Standing
from tui.actions import Acting, Action, bindings, find
from tui.loading import Loading
from tui.moving import Moves, why_not_moved
from tui.promote_cells import (
    ChannelHere,
    CheckRow,
    channel_columns,
    channels_of,
    check_columns,
    check_rows,
    counted,
    move_rows,
)
from tui.screens.promote_actions import ACTIONS
from tui.theme import Piece
from tui.undecided import NO_LEDGER
from tui.widgets.changes import Changes
from tui.widgets.footer import Footer
from tui.widgets.image_header import ImageHeader
from tui.widgets.pages import Pages
from tui.widgets.panel import Panel
from tui.widgets.table import Table
from tui.widgets.too_small import TooSmall

PAGES = {"channels": "1 Channels", "checks": "2 Checks", "changes": "3 What changes"}
"""What the panes are called where they are pages, by their ids."""
PANES = tuple(PAGES)


class PromoteScreen(Acting):
    """Promote one image version."""

    ACTIONS: ClassVar[tuple[Action, ...]] = ACTIONS
    BINDINGS: ClassVar[list[BindingType]] = bindings(ACTIONS)

    def __init__(self, image: ImageVersion) -> None:
        super().__init__()
        self._image = image
        self._dossier: Dossier | None = None
        self._page = "channels"

    def compose(self) -> ComposeResult:
        plain, clock = self.house.ascii_only, self.house.clock
        self.reading = Loading(self, self._show)
        self.moves = Moves(self.house)
        self.header = ImageHeader(ascii_only=plain, id="header")
        self.pages = Pages(ascii_only=plain, id="pages")
        self.channels: Table[ChannelHere] = Table(
            channel_columns(clock),
            title=f"1 Channels of {self._image.role}",
            id="promote-channels",
            ascii_only=plain,
            copied=lambda channel: f"{channel.name} {channel.version}".strip(),
        )
        self.checks: Table[CheckRow] = Table(
            check_columns(),
            title="2 Checks",
            empty="The checks are being looked at.",
            id="promote-checks",
            ascii_only=plain,
            copied=lambda row: row.check.next_step if row.step else row.check.says,
            opens=False,
        )
        self.changes = Changes(title="3 What changes", id="promote-changes", ascii_only=plain)
        self.move = Panel(ascii_only=plain, id="promote-move")
        self.too_small = TooSmall(ascii_only=plain)
        self.footer = Footer(ascii_only=plain, id="footer")
        yield self.header
        yield self.pages
        with Vertical(id="promote-body"):
            yield self.channels
            with Horizontal(id="promote-lower"):
                yield self.checks
                yield self.changes
            yield self.move
        yield self.too_small
        yield self.footer

    def on_mount(self) -> None:
        self._show()
        self._fit()
        self._go_to("channels")
        self._read()

    # what is shown, and how it stays fresh

    def stands(self, standing: Standing) -> None:
        """What was decided is known anew: here, or by somebody else."""
        self._image = standing.decided.images.get((self._image.role, self._image.version), self._image)
        self._show()
        self._read()

    def _read(self) -> None:
        deciding = self.house.deciding
        if deciding is not None:
            image = self._image
            self.reading.read(
                "dossier",
                f"looking at {image.role} {image.version}",
                partial(deciding.dossier, image.role, image.version),
                self._known,
            )

    def _known(self, dossier: Dossier) -> None:
        self._dossier = dossier
        self._image = dossier.image
        self._show()

    @property
    def channel(self) -> ChannelHere | None:
        """The chosen channel."""
        return self.channels.chosen

    @property
    def found(self) -> tuple[Check, ...] | None:
        """The checks for the chosen channel; None as long as they are not known."""
        channel, dossier = self.channel, self._dossier
        if channel is None or channel.rule is None or dossier is None:
            return None
        decided, now = self.house.standing.decided, self.house.clock()
        against = "" if channel.here else forbidden(decided, self._image, channel.rule, now)
        return checks(dossier, channel.rule, against)

    def _show(self) -> None:
        if not self.is_attached:
            return
        image, now, standing = self._image, self.house.clock(), self.house.standing
        effective, outdated = standing.effective(image, now), standing.outdated(image)
        self.header.show("promote", image, effective, outdated, now, self.reading.part())
        first = self.channels.cursor is None
        self.channels.set_rows((channel.name, channel) for channel in channels_of(standing, image, now))
        if first:
            self._choose_first()
        self._show_channel()

    def _choose_first(self) -> None:
        """The first channel that this image version is not at yet."""
        for key in self.channels.rows:
            if not self.channels.rows[key].here and self.channels.rows[key].rule is not None:
                self.channels.move_to(key)
                return

    def _show_channel(self) -> None:
        channel, found = self.channel, self.found
        width = self.size.width if self.has_class("-paged") else self.size.width // 2
        rows = list(check_rows(found or (), width))
        self.checks.set_rows(rows)
        self.checks.set_count(len(found or ()))
        self.checks.set_title(f"2 Checks for {channel.name}" if channel else "2 Checks")
        self.checks.set_note(counted(found or ()))
        problem = self.reading.problem("dossier")
        if problem is not None:
            self.checks.set_empty(f"{problem.what}\n{problem.next_step}")
        elif self.house.deciding is None:
            self.checks.set_empty(NO_LEDGER)
        title, kind, told = move_rows(
            self._image,
            channel,
            found,
            self.house.standing,
            self.house.clock(),
            readonly=self.READONLY if self.house.readonly else "",
            problem=problem.what if problem is not None else "",
        )
        self.move.set_rows(title, told)
        for name in ("-bad", "-waiting", "-good"):
            self.move.set_class(name == kind, name)
        self._compare(channel)
        self._show_pages()
        self.show_footer()

    def _compare(self, channel: ChannelHere | None) -> None:
        """What is different to what the channel has now."""
        title = f"3 What changes for {channel.name}" if channel else "3 What changes"
        self.changes.set_title(title)
        if channel is None:
            self.changes.nothing("")
        elif channel.here:
            self.changes.nothing(f"{channel.name} has this one already.")
        elif channel.image is None:
            self.changes.nothing(f"{channel.name} is nowhere yet: everything is new for whoever takes it.")
        else:
            self.changes.compare(channel.image, self._image, self.reading)

    def _show_pages(self) -> None:
        note = counted(self.found or ())
        signs = {"checks": Piece(note.text[:1], note.tone)} if note.text else {}
        self.pages.set_pages(PAGES, self._page, self._go_to, signs=signs)

    def show_footer(self) -> None:
        if self.is_attached and self.is_active:
            # What Enter does in the channels is what p does.
            self.footer.set_offers(offer for offer in self.house.offers_here() if offer.action.id != "choose")

    def on_screen_resume(self) -> None:
        self.show_footer()

    # panes

    @property
    def panes(self) -> Mapping[str, Table[ChannelHere] | Table[CheckRow] | Changes]:
        return {"channels": self.channels, "checks": self.checks, "changes": self.changes}

    def _go_to(self, page: str) -> None:
        self._page = page
        for name, pane in self.panes.items():
            pane.set_class(name == page, "-page")
        self.query_one("#promote-lower").set_class(page != "channels", "-page")
        self.set_focus(self.panes[page])
        self._show_pages()

    def _fit(self) -> None:
        if self.too_small.fit(self.size):
            self.set_focus(self.panes[self._page])

    def on_resize(self, event: events.Resize) -> None:
        self._fit()
        self.call_after_refresh(self._show_channel)

    def on_descendant_focus(self, event: events.DescendantFocus) -> None:
        self._page = next((name for name, pane in self.panes.items() if pane is self.focused), self._page)
        self.show_footer()

    def on_table_moved(self, message: Table.Moved) -> None:
        message.stop()
        if message.table is self.channels:
            self._show_channel()

    def on_table_typing(self, message: Table.Typing) -> None:
        self.show_footer()

    def on_table_chosen(self, message: Table.Chosen) -> None:
        message.stop()
        if message.table is self.channels and (action := find(ACTIONS, "promote")):
            self.act(action)

    def on_table_left(self, message: Table.Left) -> None:
        message.stop()
        self.do_leave("")

    def do_channels(self, _: str) -> None:
        self._go_to("channels")

    def do_checks(self, _: str) -> None:
        self._go_to("checks")

    def do_changes(self, _: str) -> None:
        self._go_to("changes")

    def do_next_pane(self, _: str) -> None:
        self._go_to(PANES[(PANES.index(self._page) + 1) % len(PANES)])

    def do_previous_pane(self, _: str) -> None:
        self._go_to(PANES[(PANES.index(self._page) - 1) % len(PANES)])

    # what can be done

    def why_not(self, action: Action) -> str:
        if reason := super().why_not(action):
            return reason
        if action.id in ("promote", "back", "revoke") and self.house.deciding is None:
            return NO_LEDGER
        match action.id:
            case "promote":
                return why_not_moved(self._image, self.channel, self.found)
            case "back":
                channel = self.channel
                if channel is None or not channel.back_to:
                    return f"{channel.name if channel else 'No channel'} has nothing to go back to."
            case "whole":
                channel = self.channel
                if channel is None or channel.image is None or channel.here:
                    return "There is nothing to compare with."
            case _:
                pass
        return ""

    def do_promote(self, _: str) -> None:
        channel, found = self.channel, self.found
        if channel is not None and found is not None:
            self.moves.promote(self._image, channel, found, self._read)

    def do_back(self, _: str) -> None:
        if self.channel is not None:
            self.moves.back(self._image, self.channel, self._read)

    def do_revoke(self, _: str) -> None:
        self.house.decisions.revoke(self._image)

    def do_image(self, _: str) -> None:
        self.house.opening.image(self._image)

    def do_whole(self, _: str) -> None:
        channel = self.channel
        if channel is not None and channel.image is not None:
            self.house.opening.difference(channel.image, self._image)

    def do_leave(self, _: str) -> None:
        self.dismiss()
