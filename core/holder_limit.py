"""The time limit of a tool, as its holder keeps it. Times are monotonic."""


class TimeLimit:
    """A moment at which the tool is to be ended; another one counts while the tool waits for an answer.

    While it waits by a limit of its own the tool's does not count on: that a person took long is not the tool's doing.
    """

    def __init__(self, seconds: float | None, now: float) -> None:
        self.at: float | None = None
        """None: never."""
        self._waits = False
        self._rest: float | None = None
        """Seconds that the tool has, when it goes on."""
        self.set(seconds, now)

    def set(self, seconds: float | None, now: float) -> None:
        """So many seconds from now; None: never."""
        self.at = None if seconds is None else now + seconds

    def left(self, now: float) -> float | None:
        """Seconds; None: for ever."""
        return None if self.at is None else max(self.at - now, 0.0)

    def wait(self, seconds: float, now: float) -> None:
        """The tool waits for an answer, at most so long."""
        if not self._waits:
            self._waits, self._rest = True, self.left(now)
        self.set(seconds, now)

    def go_on(self, now: float) -> None:
        """The tool has its answer. Nothing happens where it did not wait."""
        if self._waits:
            self._waits = False
            self.set(self._rest, now)
