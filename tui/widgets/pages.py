"""The line of pages: on a small terminal the panes of a screen are pages, of which one shows."""

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType

from tui.theme import Piece, Tone
from tui.widgets.line import Line, Part

_NO_COUNTS: Mapping[str, int] = MappingProxyType({})
_NO_SIGNS: Mapping[str, Piece] = MappingProxyType({})


class Pages(Line):
    """Names the pages; the one that shows stands out, and a click goes to another."""

    def set_pages(
        self,
        titles: Mapping[str, str],
        here: str,
        go_to: Callable[[str], None],
        counts: Mapping[str, int] = _NO_COUNTS,
        signs: Mapping[str, Piece] = _NO_SIGNS,
    ) -> None:
        """Show these titles (`1 Roles`), by the id of the page; `here` is the one that shows.

        `counts` say how much is on a page, `signs` how it stands there.
        """
        parts: list[Part] = []
        for name, title in titles.items():
            shows = name == here
            pieces = [Piece(title, Tone.ACCENT if shows else Tone.FAINT)]
            if name in counts:
                pieces.append(Piece(f" {counts[name]}", Tone.PLAIN if shows else Tone.FAINT))
            if name in signs:
                pieces += [Piece(" "), signs[name]]
            parts.append(Part(tuple(pieces), clicked=partial(go_to, name)))
        self.set_parts(parts)
