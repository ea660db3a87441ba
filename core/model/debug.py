"""How builds of a workspace may pause where nobody says it."""

import msgspec

from core.model.pause import DEFAULT_LIMIT, NEVER, PauseMode, Pausing, Wish


class Debug(msgspec.Struct, frozen=True):
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
