"""`[debug]` of ingot.toml: how builds may pause where nobody says it. Its reference is docs/workspace.md."""

from collections.abc import Callable
from dataclasses import dataclass

from core.model.pause import DEFAULT_LIMIT, LIMIT_WORDS, NEVER, STOPS, PauseMode, Pausing, Wish, is_stop, seconds_of

KEYS = ("pause", "stops", "limit", "headless")

Wrong = Callable[[str, str, str], None]
"""Takes the key, what is wrong with it, and the fix."""


@dataclass(frozen=True, slots=True)
class Debug:
    """What is None was not said."""

    pause: PauseMode | None = None
    stops: tuple[str, ...] = ()
    limit: float | None = None
    """Seconds."""
    headless: bool = False
    """It counts for builds that nobody watches, too."""

    def pausing(self, wish: Wish) -> Pausing:
        """How a build may pause: what the person said, else what is said here, else as it comes: a build that somebody
        watches pauses on failure, any other never."""
        mode = wish.mode or (PauseMode.STEP if wish.stops else None)
        if mode is None:
            mode = (self.pause or PauseMode.FAILURE) if wish.watched else PauseMode.NEVER
            if self.headless and not wish.watched:
                mode = self.pause or PauseMode.FAILURE
        if mode is PauseMode.NEVER:
            return NEVER
        stops = (wish.stops or self.stops) if mode is PauseMode.STEP else ()
        return Pausing(mode, stops, wish.limit or self.limit or DEFAULT_LIMIT)


def checked(
    pause: str | None, stops: tuple[str, ...] | None, limit: str | None, headless: object, wrong: Wrong
) -> Debug:
    """The table from its values; what is wrong in it is left out and said to `wrong`."""
    if pause is not None and pause not in tuple(PauseMode):
        wrong("pause", f"{pause!r} is no way to pause", f"Use one of: {', '.join(PauseMode)}.")
        pause = None
    for stop in stops or ():
        if not is_stop(stop):
            wrong(
                "stops", f"{stop!r} is nowhere to stop", f"Use {', '.join(STOPS)}, or a step of Packer's by its name."
            )
    seconds = seconds_of(limit) if limit is not None else None
    if limit is not None and seconds is None:
        wrong("limit", f"{limit!r} is no time that a machine can be kept", f"Write it as {LIMIT_WORDS}.")
    if not isinstance(headless, bool):
        wrong("headless", "must be true or false", "Write: headless = true")
        headless = False
    return Debug(
        PauseMode(pause) if pause is not None else None,
        tuple(stop for stop in stops or () if is_stop(stop)),
        seconds,
        headless,
    )
