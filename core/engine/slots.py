"""How many runs work at once. A run that waits gives its slot back and queues for one to go on; one that was paused
takes its slot again at once, for its tool goes on by itself."""

import asyncio
from collections import deque


class Slots:
    """Slots for runs, by uid; for one event loop."""

    def __init__(self, total: int) -> None:
        self.total = total
        self._held: set[str] = set()
        self._queue: deque[tuple[str, asyncio.Future[None]]] = deque()

    @property
    def free(self) -> int:
        """Slots that a new run may take: those that want to go on come first."""
        return max(0, self.total - len(self._held) - len(self._queue))

    def take(self, uid: str) -> None:
        """Have a slot, whether one is free or not: for a run whose tool runs already."""
        self._held.add(uid)

    def give_back(self, uid: str) -> None:
        self._held.discard(uid)
        self._hand_out()

    async def have(self, uid: str) -> None:
        """Wait for a slot, first come, first served."""
        if uid in self._held:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._queue.append((uid, turn))
        self._hand_out()
        try:
            await turn
        except asyncio.CancelledError:
            if (uid, turn) in self._queue:
                self._queue.remove((uid, turn))
            else:
                self.give_back(uid)
            raise

    def _hand_out(self) -> None:
        while self._queue and len(self._held) < self.total:
            uid, turn = self._queue.popleft()
            if not turn.done():
                self._held.add(uid)
                turn.set_result(None)
