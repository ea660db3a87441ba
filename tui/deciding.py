"""Decisions about image versions, for the screens of one app: what they bring is said, then a reason is asked."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

from core.errors import IngotError, LostRaceError
from core.model.image import ImageVersion
from core.model.run import Run
from core.model.states import by_whom
from core.text import moment
from tui.screens.reasons import REASON, Field, Reasons
from tui.undecided import NO_LEDGER, why_not_deprecated

if TYPE_CHECKING:
    from core.services.promoting import Consequences, Outcome
    from tui.app import Ingot

Done = Callable[[], None]
Queued = Callable[[Run], None]


class Decisions:
    """Each decision: the question, the service in a thread, a notice of what came of it, the standing read again."""

    def __init__(self, house: "Ingot") -> None:
        self._house = house

    def promote(self, image: ImageVersion) -> None:
        """Open the screen that leads there."""
        from tui.screens.promote import PromoteScreen

        self._house.push_screen(PromoteScreen(image))

    def revoke(self, image: ImageVersion) -> None:
        """Say what goes with it, looking at what others decided first; then ask."""
        deciding = self._house.deciding
        if deciding is None:
            self._house.notify(NO_LEDGER, severity="warning")
            return
        self._house.asking.after_look(
            f"looking what depends on {image.role} {image.version}…",
            partial(deciding.consequences, image.role, image.version),
            partial(self._ask_revoke, image),
        )

    def _ask_revoke(self, image: ImageVersion, found: "Consequences") -> None:
        name = f"{image.role} {image.version}"
        lines = [f"Nothing new is built on {name} or promoted to it, for anybody. Its files stay."]
        if found.inherits:
            lines += ["", "Revoked with it, since they are built on it:"]
            lines += _some([f"  {role} {version}" for role, version in found.inherits])
        if found.channels:
            lines += ["", "Channels:"]
            lines += [
                f"  {end.channel} of {end.role}, at {end.version}, "
                + (f"goes back to {end.back_to}." if end.back_to else "is blocked until somebody moves it.")
                for end in found.channels
            ]
        if not found.inherits and not found.channels:
            lines.append("Nothing is built on it, and no channel is at it.")
        lines += ["", "It can be taken back (:restore)."]

        def answered(typed: Mapping[str, str] | None) -> None:
            if typed is not None and (deciding := self._house.deciding):
                self.decide(
                    f"revoking {name}…",
                    partial(deciding.revoke, image.role, image.version, typed["why"], typed=typed["name"]),
                )

        fields = (REASON, Field("name", "", must=name))
        self._house.push_screen(
            Reasons(f"Revoke {name}?", lines, yes="revoke it", fields=fields, danger=True), answered
        )

    def deprecate(self, image: ImageVersion) -> None:
        if reason := why_not_deprecated(self._house, image):
            self._house.notify(reason, title="Deprecate: not now", severity="warning")
            return
        name = f"{image.role} {image.version}"
        at = self._house.standing.channels(image)
        lines = [
            f"{name} goes on to be built on and to be taken where it is, and says that something else is better.",
            *([f"It is what {' and '.join(at)} of {image.role} has: that stays so."] if at else []),
            "",
            "It can be taken back (:restore).",
        ]
        fields = (REASON, Field("replacement", "Version to take instead; may be empty", required=False))

        def answered(typed: Mapping[str, str] | None) -> None:
            if typed is not None and (deciding := self._house.deciding):
                replacement = typed["replacement"]
                self.decide(
                    f"deprecating {name}…",
                    partial(deciding.deprecate, image.role, image.version, typed["why"], replacement=replacement),
                )

        self._house.push_screen(Reasons(f"Deprecate {name}?", lines, yes="deprecate it", fields=fields), answered)

    def restore(self, image: ImageVersion) -> None:
        name = f"{image.role} {image.version}"
        effective = self._house.standing.effective(image, self._house.clock())
        because = effective.because or effective.coming
        lines = ["The last revocation or deprecation is taken back; the state is the one before."]
        if because is not None:
            lines.append(f"It was {because.act} on {moment(because.at)} {by_whom(because)}.")
        lines.append("What is built on it is no longer revoked with it. Channels stay where they are.")

        def answered(typed: Mapping[str, str] | None) -> None:
            if typed is not None and (deciding := self._house.deciding):
                self.decide(f"restoring {name}…", partial(deciding.restore, image.role, image.version, typed["why"]))

        self._house.push_screen(Reasons(f"Restore {name}?", lines, yes="restore it"), answered)

    def test(self, image: ImageVersion, queued: Queued) -> None:
        """Tests run what the repository brings: whether it is trusted is asked once."""
        name = f"{image.role} {image.version}"

        def go(trust: bool) -> None:
            if deciding := self._house.deciding:
                test = partial(deciding.test, image.role, image.version, trust=trust)
                self._house.carry_out(f"asking for a test of {name}…", test, queued)

        self._house.asking.when_trusted(go)

    def convert(self, image: ImageVersion, queued: Queued) -> None:
        """Ask which formats."""
        name = f"{image.role} {image.version}"
        there = " ".join(dict.fromkeys(artifact.format for artifact in image.artifacts)) or "nothing"
        lines = [
            f"It has {there}. What is made of it is compared with it, gets a digest, and stands among its artifacts.",
            "There are raw, qcow2, vhd (fixed, for Azure), vhdx, vmdk (stream-optimized) and ova.",
        ]

        def answered(typed: Mapping[str, str] | None) -> None:
            if typed is not None and (deciding := self._house.deciding):
                formats = typed["formats"].replace(",", " ").split()
                convert = partial(deciding.convert, image.role, image.version, formats)
                self._house.carry_out(f"asking for other formats of {name}…", convert, queued)

        fields = (Field("formats", "Which? Several with a blank between them."),)
        self._house.push_screen(Reasons(f"Convert {name}?", lines, yes="make them", fields=fields), answered)

    def decide(
        self, words: str, work: "Callable[[], Outcome]", done: Done | None = None, lost: Done | None = None
    ) -> None:
        """Carry a decision out; `lost` is called when somebody else was first, which is said, too."""

        def carry() -> "Outcome | LostRaceError":
            try:
                return work()
            except LostRaceError as error:
                return error

        def said(outcome: "Outcome | LostRaceError") -> None:
            self._house.read_standing()
            if isinstance(outcome, IngotError):
                self._house.complain(outcome)
                if lost is not None:
                    lost()
                return
            self._house.notify("\n".join(outcome.notes), title=outcome.done, timeout=8)
            if done is not None:
                done()

        self._house.carry_out(words, carry, said)


def _some(lines: list[str], most: int = 8) -> list[str]:
    return lines if len(lines) <= most else [*lines[: most - 1], f"  and {len(lines) - most + 1} more"]
