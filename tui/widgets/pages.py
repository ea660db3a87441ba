"""The line of pages: on a small terminal the panes of a screen are pages, of which one shows."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from tui.theme import Piece, Tone
from tui.widgets.line import Line, Part

_NO_COUNTS: Mapping[str, int] = MappingProxyType({})


class Pages(Line):
    """Names the pages; the one that shows stands out, and a click goes to another."""

    def set_pages(
        self,
        titles: Mapping[str, str],
        here: str,
        go_to: Callable[[str], None],
        counts: Mapping[str, int] = _NO_COUNTS,
    ) -> None:
        """Show these titles (`1 Roles`), by the id of the page, and how much is on it; `here` is the one that shows."""
        self.set_parts(
            [
                Part(_page(title, counts.get(name), shows=name == here), clicked=partial(go_to, name))
                for name, title in titles.items()
            ]
        )


def _page(title: str, count: int | None, *, shows: bool) -> tuple[Piece, ...]:
    name = Piece(title, Tone.ACCENT if shows else Tone.FAINT)
    return (name,) if count is None else (name, Piece(f" {count}", Tone.PLAIN if shows else Tone.FAINT))
