"""The client of holders: starts a tool under one, finds it again after a crash, and sweeps up where a holder died.

A hold is known by its directory, and by nothing else: whoever knows that can adopt it, at any time, from any process.
Nothing here is needed to keep a tool alive.
"""

import asyncio
import base64
import contextlib
import fcntl
import os
import signal
import time
from hashlib import sha256
from pathlib import Path

import msgspec

from core import process
from core.errors import EngineError, RefusedError
from core.hold import (
    LOCK_FILE,
    OWN_LOG_FILE,
    Answer,
    Answered,
    Exit,
    Held,
    HolderRecord,
    Interrupt,
    Limit,
    Message,
    Prompt,
    PromptRecord,
    Redact,
    Reply,
    Send,
    Status,
    ToolSpec,
    WaitAnswered,
    WaitHeld,
    holder_command,
    read_exit,
)
from core.living import HOLDER_MARK, RUN_MARK, Identity, command, marked
from core.places import Places

__all__ = ["Answer", "Answered", "Exit", "Held", "Hold", "Prompt", "ToolSpec", "VanishedError", "sweep"]

_START_PATIENCE = 60.0
"""Seconds that a holder may take to start its tool: long, as the machine may be busy building."""
_CALM = 0.5
"""Seconds between looks at exit.json while nobody tells us."""
_ANSWER_PATIENCE = 10.0
"""Seconds that a holder may take to answer; it writes to the disk in between."""


class VanishedError(EngineError):
    """The holder died without a word (kill -9, power): how its tool ended will never be known."""


class Hold:
    """One tool and its holder, living or ended. It holds nothing open: let it go whenever you like."""

    def __init__(self, directory: Path, record: HolderRecord) -> None:
        self.directory = directory
        self._record = record

    @property
    def pid(self) -> int:
        """Of the holder."""
        return self._record.holder.pid

    @property
    def tool_pid(self) -> int | None:
        """None until the tool has started, or when it could not be."""
        return self._record.tool.pid if self._record.tool else None

    @property
    def log(self) -> Path:
        return Path(self._record.log)

    @property
    def exit(self) -> Exit | None:
        """How the tool ended; None as long as that is not known."""
        return read_exit(self.directory)

    @property
    def keeps(self) -> bool:
        """The tool has ended, and its holder stays for what it left behind (ToolSpec.keep)."""
        ended = self.exit
        return ended is not None and ended.kept and self._record.holder.lives

    @staticmethod
    async def start(directory: Path, spec: ToolSpec) -> "Hold":
        """Start the tool under a holder, or adopt the one that this directory has: living or ended, never a second one.

        Where an earlier holder vanished a new one starts; `sweep` before that. A tool that cannot be started is an Exit
        with code 127 and a line in the log. Raises EngineError when the holder does not start, ToolError when not even
        Python does.
        """
        if (there := await Hold.adopt(directory)) is not None:
            return there
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        directory.chmod(0o700)
        places = Places.of(os.environ)
        places.create()
        name = sha256(str(directory.absolute()).encode()).hexdigest()[:16]
        pid = process.start_detached(
            holder_command(directory.absolute(), places.runtime / f"hold-{name}.sock"),
            cwd=Path("/"),
            env=process.environment(keep=("PYTHONPATH", "INGOT_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")),
            stdin=spec.to_json(),
            log=directory / OWN_LOG_FILE,
        )
        started = Identity.of(pid)
        deadline = time.monotonic() + _START_PATIENCE
        pause = 0.005
        while time.monotonic() < deadline:
            gone = (started is None or not started.lives) and not _locked(directory)
            # The record may be that of another start of the same directory, which was faster: as good as ours.
            if (there := await Hold.adopt(directory)) is not None and (there.tool_pid or there.exit):
                return there
            if gone:
                break
            await asyncio.sleep(pause)
            pause = min(pause * 1.5, 0.02)
        if started is not None:
            started.signal(signal.SIGTERM)  # it must not start its tool when nobody waits for that any more
        raise EngineError(
            f"The holder of {spec.argv[0]} did not start{_last_words(directory)}",
            f"Its own log is {directory / OWN_LOG_FILE}.",
        )

    @staticmethod
    async def adopt(directory: Path) -> "Hold | None":
        """The hold of this directory, living or ended. None when there never was one, or it vanished (`vanished`)."""
        record = HolderRecord.read(directory)
        if record is None or not (record.holder.lives or read_exit(directory) is not None):
            return None
        return Hold(directory, record)

    @staticmethod
    def vanished(directory: Path) -> bool:
        """Whether a holder of this directory died without leaving its tool's exit. `sweep` the run then."""
        record = HolderRecord.read(directory)
        return record is not None and not record.holder.lives and read_exit(directory) is None

    async def wait(self) -> Exit:
        """Until the tool has ended and all its output is in the log. Cancelling this leaves the tool alone.

        Raises VanishedError when the holder dies without a word.
        """
        while (ended := self._exit_or_vanished()) is None:
            await self._until_told()
        return ended

    async def wait_gone(self) -> None:
        """Until the holder itself has ended: nothing of the tool is left, not even what was kept."""
        while self._record.holder.lives:  # noqa: ASYNC110 - of another process's end nobody tells us
            await asyncio.sleep(_CALM)

    def _exit_or_vanished(self) -> Exit | None:
        """The tool's exit, None while it runs. Raises VanishedError when nobody will ever know."""
        lives = self._record.holder.lives  # before the look at the exit, which is written before the holder ends
        ended = self.exit
        if ended is None and not lives:
            raise VanishedError(
                f"The holder of the tool that writes {self.log.name} was killed.",
                "Sweep the run to end what it left running, then build again.",
                kept="The log up to that moment is kept.",
            )
        return ended

    async def _until_told(self) -> None:
        """Until the holder hangs up, as it does when its tool has ended; at most a calm while."""
        try:
            async with asyncio.timeout(_CALM):
                reader, writer = await asyncio.open_unix_connection(self._record.socket)
        except (OSError, TimeoutError):
            await asyncio.sleep(_CALM)  # no socket (yet, or removed from /tmp): the files tell as well, only later
            return
        try:
            with contextlib.suppress(OSError, TimeoutError):
                async with asyncio.timeout(60 * _CALM):
                    await reader.read(1)
        finally:
            writer.close()

    async def interrupt(self) -> None:
        """End the tool: SIGINT, or at a held prompt its goodbye; after `grace` seconds SIGTERM, after as many again
        SIGKILL. When the tool has ended: end what is kept of it. Returns at once: `wait`, `wait_gone`."""
        try:
            await self._ask(Interrupt())
        except EngineError:
            # Without its socket the holder still knows what SIGTERM means: the same.
            if not self._record.holder.signal(signal.SIGTERM) and self.exit is None:
                raise

    async def send(self, data: bytes) -> None:
        """Type something at the tool. Packer's prompts take `\\r`, never `\\n`.

        Raises EngineError when the tool has ended, RefusedError at a held prompt: `answer` that.
        """
        await self._ask(Send.of(data))

    async def set_limit(self, seconds: float | None) -> None:
        """End the tool, or what is kept of it, in so many seconds from now; None: never. At a held prompt this is
        how long the prompt may wait: the tool's own limit counts on when it is answered."""
        await self._ask(Limit(seconds))

    async def add_secrets(self, secrets: tuple[str, ...]) -> None:
        """Redact these as well, from now on."""
        await self._ask(Redact(secrets))

    async def held(self) -> Held | None:
        """The prompt that the tool waits at. Needs no answer of the holder's: `prompt.json` will do."""
        try:
            return (await self.status()).held
        except EngineError:
            if self._exit_or_vanished() is not None:
                return None
            return PromptRecord.read(self.directory).held

    async def wait_held(self, after: int) -> Held | None:
        """Until a prompt with a number greater than `after` is held. None when the tool has ended, or when prompt
        `after` was held at the time of the call and is over now. Raises VanishedError."""
        answer = await self._waited(WaitHeld(after))
        return answer.held if answer and answer.held and answer.held.number > after else None

    async def wait_answered(self, number: int) -> Answered | None:
        """Until this prompt is held no more: at once where that is so already. Gives how it was over, None where no
        prompt of this number was ever held. Raises VanishedError."""
        answer = await self._waited(WaitAnswered(number))
        if answer is not None:
            return answer.answered
        answers = PromptRecord.read(self.directory).answers
        return next((one for one in answers if one.number == number), None)

    async def answer(
        self, number: int, typed: bytes, by: str, what: str, *, keep: bool = False, end: bool = False
    ) -> Answered:
        """Answer the held prompt of this number. Of several who answer, one does.

        `by` as in a commit (`Ada Example <ada@example.org>`); `what` in a word, for the log and for whoever is late.
        `keep`: from now on what the tool leaves behind stays (ToolSpec.keep), and so does the time limit. `end`: the
        answer is to end the tool, as `interrupt` does, and nothing is typed.

        Raises RefusedError, and nothing is typed, when it is not the prompt held now: the message says who answered,
        what and when. Raises EngineError when the holder does not answer: `last_answer` tells what became of it.
        """
        reply = Reply(number, base64.b64encode(typed).decode(), by, what, keep, end)
        try:
            answer = await self._ask(reply)
        except EngineError:
            # The tool may have ended meanwhile: then the record says how the prompt was over.
            if self._exit_or_vanished() is None:
                raise
            over = [one for one in PromptRecord.read(self.directory).answers if one.number == number]
            why = str(over[0]) if over else "The tool has ended."
            raise RefusedError(why, "Nothing was typed.") from None
        assert answer.answered is not None
        return answer.answered

    async def last_answer(self) -> Answered | None:
        """How the last held prompt was over; None before that. Also when the tool has ended."""
        try:
            return (await self.status()).answered
        except EngineError:
            return next(reversed(PromptRecord.read(self.directory).answers), None)

    async def status(self) -> Answer:
        """How it stands. Raises EngineError when the holder has ended."""
        return await self._ask(Status())

    async def _ask(self, message: Message) -> Answer:
        try:
            async with asyncio.timeout(_ANSWER_PATIENCE):
                reader, writer = await asyncio.open_unix_connection(self._record.socket)
                try:
                    writer.write(msgspec.json.encode(message) + b"\n")
                    await writer.drain()
                    line = await reader.readline()
                finally:
                    writer.close()
        except (OSError, TimeoutError) as error:
            raise self._unheard() from error
        if not line:
            raise self._unheard()
        answer = msgspec.json.decode(line, type=Answer)
        if answer.refused:
            # How it was over is told in the clock of whoever asks.
            raise RefusedError(str(answer.answered or answer.error), "Nothing was typed: look what it waits for now.")
        if answer.error:
            raise EngineError(answer.error)
        return answer

    async def _waited(self, message: WaitHeld | WaitAnswered) -> Answer | None:
        """The answer to a message that is answered in its time; None when the tool has ended."""
        while self._exit_or_vanished() is None:
            with contextlib.suppress(OSError):
                reader, writer = await asyncio.open_unix_connection(self._record.socket)
                try:
                    writer.write(msgspec.json.encode(message) + b"\n")
                    if not (line := await reader.readline()):
                        continue  # it hangs up when the tool has ended
                    if not (answer := msgspec.json.decode(line, type=Answer)).error:
                        return answer
                finally:
                    writer.close()
            # No socket now: it opens one anew. Or a holder from before an upgrade, which knows no prompts.
            await asyncio.sleep(_CALM)
        return None

    def _unheard(self) -> EngineError:
        if self.exit is not None:
            return EngineError("The tool has ended.")
        return EngineError(
            f"The holder (process {self.pid}) does not answer.",
            "It still writes the log if it lives; try again, or cancel the run.",
        )


async def sweep(run_uid: str, *, grace: float = 5.0) -> list[str]:
    """End what a run's dead holders left running: SIGTERM, and after `grace` seconds SIGKILL. Gives their names.

    Touches only processes that carry this run's mark and that of a holder which no longer lives, and what they started.
    """

    def orphaned(marks: dict[str, str]) -> bool:
        holder = Identity.parse(marks.get(HOLDER_MARK, ""))
        return marks.get(RUN_MARK) == run_uid and holder is not None and not holder.lives

    ended: dict[Identity, str] = {}
    force_at = time.monotonic() + grace
    give_up_at = force_at + 10.0
    while (left := await asyncio.to_thread(marked, orphaned)) and time.monotonic() < give_up_at:
        forced = time.monotonic() >= force_at
        for orphan in left:
            if orphan not in ended or forced:
                ended.setdefault(orphan, f"{command(orphan.pid) or 'process'} ({orphan.pid})")
                orphan.signal(signal.SIGKILL if forced else signal.SIGTERM)
        await asyncio.sleep(0.1)
    return list(ended.values())


def _locked(directory: Path) -> bool:
    """Whether some holder of this directory lives, even one that has not written its record yet."""
    with contextlib.suppress(FileNotFoundError), (directory / LOCK_FILE).open("rb") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _last_words(directory: Path) -> str:
    """The last line that a holder wrote before it broke, as the end of a sentence."""
    with contextlib.suppress(OSError):
        lines = (directory / OWN_LOG_FILE).read_text(errors="replace").strip().splitlines()
        if lines:
            return f": {lines[-1]}"
    return "."
