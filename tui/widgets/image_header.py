"""The first line of a screen about one image version: what the screen is, which version, and where it stands."""

from collections.abc import Sequence

from core.model.decided import Effective
from core.model.image import ImageVersion
from tui.cells import ago, effective_state, marks, person, verdict
from tui.theme import UNICODE, Piece, Tone
from tui.widgets.line import Line, Part


class ImageHeader(Line):
    """One line about an image version."""

    def show(
        self, screen: str, image: ImageVersion, effective: Effective, outdated: str, now: float, reading: Sequence[Part]
    ) -> None:
        """`outdated` is a newer good version of what it is built on; `reading` says what is read, or could not be."""
        told = marks(image, effective, outdated)
        self.set_parts(
            [
                Part((Piece(screen, Tone.ACCENT), Piece(f" {UNICODE.into} "), Piece(image.role, Tone.STRONG))),
                Part(image.version),
                Part(effective_state(effective), 2),
                Part(verdict(effective.verdict), 3),
                *([Part(told, 4)] if told else []),
                *reading,
                Part(Piece(f"built {ago(image.created, now)} by {person(image.built_by)}", Tone.FAINT), 5, right=True),
            ]
        )
