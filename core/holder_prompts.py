"""What a tool asks, as its holder sees it: when the end of its output is a prompt, which one is held, and how each was
over.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from core.errors import RefusedError
from core.hold import Answered, Held, Prompt, PromptRecord, Reply, ToolSpec
from core.holder_limit import TimeLimit
from core.holder_log import Tail, ToolLog, complain
from core.holder_tool import Tool

QUIET = 0.1
"""Seconds without output after which its end is taken for a prompt. Packer writes a prompt in one piece, but what comes
before the last line end may still be on its way."""
_AGAIN = 1.0
"""Seconds between attempts to write `prompt.json` on a full disk."""


class PromptWatch:
    """Looks at the end of a tool's output, secrets and all, and keeps no more of it than that.

    Times are monotonic.
    """

    def __init__(self, prompts: Sequence[Prompt]) -> None:
        self._prompts = prompts
        self._tail = Tail()
        self._quiet_at: float | None = None
        self._asks = False
        """The line that has no end yet has been found to be a prompt: whatever else comes on it is the same one."""

    @property
    def next_due(self) -> float | None:
        """When `asked` wants to be called."""
        return self._quiet_at

    def printed(self, chunk: bytes, now: float) -> None:
        if self._prompts:
            self._tail.add(chunk)
            self._asks = self._asks and b"\n" not in chunk
            self._quiet_at = now + QUIET

    def interrupted(self) -> None:
        """Something was typed at the tool, or it got a signal: what it prints from now on begins a line, as it would
        where a terminal echoes the Enter, and may be the same prompt once more."""
        self._tail.add(b"\n")
        self._asks = False

    def asked(self, now: float) -> int | None:
        """The place, in the prompts' order, of one that has come up; told once."""
        if self._quiet_at is None or now < self._quiet_at:
            return None
        self._quiet_at = None
        if self._asks:
            return None
        text = self._tail.text()
        found = next((place for place, prompt in enumerate(self._prompts) if prompt.asks(text)), None)
        self._asks = found is not None
        return found


class PromptBook:
    """The held prompt, and how all earlier ones were over: in memory, and in `prompt.json` for whoever comes later."""

    def __init__(self, directory: Path) -> None:
        """Goes on where a holder of this directory vanished: no number is ever used again."""
        self._directory = directory
        record = PromptRecord.read(directory)
        self._answers = {answered.number: answered for answered in record.answers}
        self.held = record.held
        self.write_at: float | None = None
        """When `write` wants to be called (monotonic): the disk was full, or something has changed."""
        if self.held is not None:
            self.over("", "its holder vanished")

    @property
    def last(self) -> Answered | None:
        return next(reversed(self._answers.values()), None)

    def answered(self, number: int) -> Answered | None:
        """How this prompt was over; None while it is held, and where there was none."""
        return self._answers.get(number)

    def hold(self, pattern_index: int, text: str) -> None:
        """The tool waits at a new prompt. One that was held before is over, as the tool went on without an answer."""
        if self.held is not None:
            self.over("", "the tool went on")
        number = self.last.number + 1 if self.last else 1
        self.held = Held(number, text, time.time(), pattern_index)
        self.write_at = 0.0

    def over(self, by: str, what: str) -> Answered:
        """The wait at the held prompt is over."""
        assert self.held is not None
        answered = Answered(self.held.number, by, what, time.time())
        self._answers[answered.number] = answered
        self.held = None
        self.write_at = 0.0
        return answered

    def write(self) -> None:
        """Bring to disk what has changed; on a full disk, later."""
        if self.write_at is None:
            return
        try:
            PromptRecord(self.held, tuple(self._answers.values())).write(self._directory)
        except OSError as error:
            complain(f"the prompts cannot be written: {error.strerror}")
            self.write_at = time.monotonic() + _AGAIN
        else:
            self.write_at = None


class Prompting:
    """What becomes of what the tool asks: typed at once, held, answered by one, said goodbye to."""

    def __init__(
        self, directory: Path, spec: ToolSpec, tool: Tool, log: ToolLog, limit: TimeLimit, changed: Callable[[], None]
    ) -> None:
        """`changed` is called when a prompt is held, and when that is over."""
        self._spec = spec
        self._tool = tool
        self._log = log
        self._limit = limit
        self._changed = changed
        self.watch = PromptWatch(spec.prompts)
        self.book = PromptBook(directory)
        self.keep = spec.keep
        """Whether what the tool leaves behind is to be kept: the last answer decides."""

    def look(self, now: float, *, ending: bool) -> None:
        """Call when nothing of the tool's output waits to be read. `ending`: the tool is being ended."""
        if (place := self.watch.asked(now)) is None or self._tool.deaf(0):
            return
        prompt = self._spec.prompts[place]
        if ending or prompt.reply:
            if typed := (ending and prompt.goodbye) or prompt.reply:
                self._type(typed.encode())
            return
        self._log.flush()  # what may be the start of a secret: nothing comes after it
        self.book.hold(place, self._log.tail.text())
        if self._spec.prompt_limit is not None:
            self._limit.wait(self._spec.prompt_limit, now)
        self.book.write()
        self._changed()

    def answer(self, message: Reply) -> str:
        """Compare and swap: of several answers to a prompt the first counts, and one to another prompt never does.

        Gives why it cannot be typed, empty when it was. Raises RefusedError when that prompt is not held now.
        """
        self.check(message.number)
        typed = message.raw
        if why := self._tool.deaf(len(typed)):
            return why
        by, what = self._told(message.by), self._told(message.what)
        self.keep = self._spec.keep or message.keep
        if not message.keep:
            self._limit.go_on(time.monotonic())
        self._log.say(f"{by.partition(' <')[0]}: {what}")
        self._type(typed)
        self.over(by, what)
        return ""

    def check(self, number: int) -> None:
        """Raises RefusedError when it is not this prompt that is held now: who answered it, when and what."""
        if self.book.held is None or self.book.held.number != number:
            over = self.book.answered(number)
            raise RefusedError(str(over) if over else self._tool.deaf(0) or f"No prompt {number} is held.")

    def say_goodbye(self, why: str, by: str = "") -> bool:
        """The tool is to be ended: a held prompt is held no more. Whether its goodbye was typed: Packer's `ask`, for
        one, takes SIGINT for a reason to ask again. `by`: who answered so."""
        held = self.book.held
        if held is None:
            return False
        goodbye = self._spec.prompts[held.pattern_index].goodbye
        types = bool(goodbye) and not self._tool.deaf(len(goodbye))
        by, why = self._told(by), self._told(why)
        said = f"{by.partition(' <')[0]}: {why}" if by else why
        if types:
            self._log.say(f"{said}: answered {goodbye.strip() or 'Enter'}")
            self._type(goodbye.encode())
        elif by:
            self._log.say(said)
        self.over(by, why)
        return types

    def _told(self, text: str) -> str:
        """What a client says, in one line and without secrets."""
        return self._log.redacted(" ".join(text.split()))

    def over(self, by: str, what: str) -> None:
        """The wait at the held prompt is over."""
        self.book.over(by, what)
        self.book.write()
        self._changed()

    def type(self, typed: bytes) -> str:
        """Type what is no answer to a held prompt. Gives why it cannot be; empty when it was."""
        if why := self._tool.deaf(len(typed)):
            return why
        self._type(typed)
        return ""

    def interrupted(self) -> None:
        """Something was typed, or a signal sent."""
        self.watch.interrupted()
        self._log.tail.add(b"\n")

    def _type(self, typed: bytes) -> None:
        self.interrupted()
        self._tool.type(typed)
