"""The holder: keeps one running tool alive, whatever happens to those who asked for it.

`python -m core.holder DIRECTORY SOCKET`, the ToolSpec as JSON on standard input. It owns the tool's session and
terminal, writes its log (redacted, to disk first), holds its prompts until somebody answers, keeps its time limit,
answers on a socket for its user alone, ends what the tool leaves behind (or keeps it, where that is asked for), and
writes the exit last. It starts one tool, once, and knows nothing of runs or stages.

One thread, one loop, no library that it could do without: it runs as long as the longest build, and everything it needs
is loaded before the tool starts, so that the program can be upgraded underneath it.
"""

import ctypes
import fcntl
import os
import selectors
import signal
import sys
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import msgspec

from core.errors import IngotError, RefusedError
from core.hold import (
    EXIT_FILE,
    HOLDER_FILE,
    LOCK_FILE,
    Answer,
    Answered,
    EndedBy,
    HolderRecord,
    Interrupt,
    Limit,
    Message,
    Redact,
    Reply,
    Send,
    ToolSpec,
    WaitAnswered,
    WaitHeld,
    write_whole,
)
from core.holder_door import Door, Later
from core.holder_events import EventPipe
from core.holder_leftovers import end_leftovers, leftovers
from core.holder_limit import TimeLimit
from core.holder_log import ToolLog, complain
from core.holder_prompts import Prompting
from core.holder_tool import Tool
from core.living import HOLDER_MARK, RUN_MARK, Identity

_QUIET = 0.05
"""Seconds without output after which an ended tool's terminal is taken to be read to its end. What a program wrote just
before its exit can arrive after that, as the kernel passes it on in its own time."""
_KEPT_CHECK = 5.0
"""Seconds between looks whether anything is left of what is kept."""
_LOCK_ATTEMPTS = 20
"""At 50 ms each: a client that looks whether the directory has a holder takes the lock for a moment."""
_RECORD_AGAIN = 1.0
"""Seconds between attempts to write down what runs on a full disk."""

_PR_SET_DUMPABLE = 4
_PR_SET_CHILD_SUBREAPER = 36


class Holder:
    """The one holder of this process."""

    def __init__(self, directory: Path, socket_path: Path, spec: ToolSpec, tools_umask: int) -> None:
        self._directory = directory
        self._socket_path = socket_path
        self._spec = spec
        self._tools_umask = tools_umask
        me = Identity.of(os.getpid())
        assert me is not None
        self._me = me
        self._log = ToolLog(spec.log, spec.secrets)
        self._loop = selectors.DefaultSelector()
        """What is registered carries the method to call with the events."""
        self._events = EventPipe(directory, spec, self._loop) if spec.events is not None else None
        self._door = Door(socket_path, self._loop, self._obey)
        self._tool = Tool(spec, self._loop, self._printed)
        self._limit = TimeLimit(spec.limit, time.monotonic())
        self._prompting = Prompting(directory, spec, self._tool, self._log, self._limit, self._door.tell)
        self._said = False
        """Whether the tool said something in this round of the loop."""
        self._ending: EndedBy = ""
        self._next_signals: list[tuple[float, int]] = []
        """What is still to be sent to the tool, and when (monotonic)."""
        self._children_changed = False
        self._record_again_at: float | None = None
        self._exit_written = False
        self._keeping = False
        """The tool has ended, and what it left behind is kept."""

    def run(self) -> None:
        """From before the tool's start until its exit is on disk and nothing of it is left."""
        self._watch_signals()
        self._door.open()
        self._record(None)
        self._start_tool()
        while self._tool.exit is None:
            self._turn(None)
        self._leave_nothing()
        self._write_exit()
        if self._events is not None:
            self._events.close()
        self._log.close()
        self._door.remove()

    # Starting

    def _watch_signals(self) -> None:
        """Signals wake the loop. A hang-up means nothing to us; SIGTERM and SIGINT mean: end the tool, politely."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._loop.register(reading, selectors.EVENT_READ, partial(self._note_signals, reading))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _record(self, tool: Identity | None) -> None:
        record = HolderRecord(self._me, tool, str(self._socket_path), str(self._spec.log), self._spec.run_uid)
        record.write(self._directory)

    def _start_tool(self) -> None:
        try:
            marks = {RUN_MARK: self._spec.run_uid, HOLDER_MARK: str(self._me)}
            self._tool.start(marks | (self._events.marks if self._events else {}), self._tools_umask)
        except IngotError as error:
            self._log.say(error.what)
        else:
            self._record_tool()

    def _record_tool(self) -> None:
        """Write down what runs; later, where the disk is full: the tool must not end for that."""
        try:
            # A tool that has ended already has no identity any more; its exit says all.
            self._record(self._tool.identity)
        except OSError as error:
            complain(f"the record cannot be written: {error.strerror}")
            self._record_again_at = time.monotonic() + _RECORD_AGAIN
        else:
            self._record_again_at = None

    # The loop

    def _turn(self, longest: float | None) -> bool:
        """Wait for something to happen, and do what is due. Whether the tool said something."""
        self._said = False
        for key, events in self._loop.select(self._pause(longest)):
            key.data(events)
        self._log.write()
        if self._events is not None:
            self._events.write()
        now = time.monotonic()
        self._log.due(now)
        if self._children_changed:
            self._collect()
        if not self._said:
            self._prompting.look(now, ending=bool(self._ending))
        if self._limit.at is not None and now >= self._limit.at:
            self._end("limit")
        while self._next_signals and now >= self._next_signals[0][0]:
            self._signal_tool(self._next_signals.pop(0)[1])
        self._door.check(now)
        if self._record_again_at is not None and now >= self._record_again_at:
            self._record_tool()
        if (write_at := self._prompting.book.write_at) is not None and now >= write_at:
            self._prompting.book.write()
        return self._said

    def _pause(self, longest: float | None) -> float:
        now = time.monotonic()
        moments = [
            self._door.next_check,
            now + longest if longest is not None else None,
            self._limit.at,
            self._next_signals[0][0] if self._next_signals else None,
            self._record_again_at,
            self._prompting.book.write_at,
            self._prompting.watch.next_due,
            self._log.next_due,
            self._events.kept.next_due if self._events else None,
        ]
        return max(min(moment for moment in moments if moment is not None) - now, 0.0)

    def _printed(self, chunk: bytes) -> None:
        self._said = True
        self._log.take(chunk)
        self._prompting.watch.printed(chunk, time.monotonic())

    def _note_signals(self, pipe: int, _events: int) -> None:
        numbers = os.read(pipe, 4096)
        if signal.SIGCHLD in numbers:
            self._children_changed = True
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._end("cancel")

    def _collect(self) -> None:
        """Take the exit status of whoever ended."""
        self._children_changed = False
        if not self._tool.collect(self._ending):
            return
        self._next_signals.clear()
        if self._ending or not self._prompting.keep:
            self._limit.set(None, time.monotonic())
        if self._prompting.book.held is not None:
            self._prompting.over("", "the tool ended")

    def _end(self, by: EndedBy, answer: Reply | None = None) -> None:
        """Begin to end the tool, or what is kept of it. Asking again changes nothing: it has its time to clean up.
        `answer`: what a person answered the held prompt."""
        self._limit.set(None, time.monotonic())
        if self._ending:
            return
        self._ending = by
        has_ended, name = self._tool.exit is not None, self._tool.name
        if by == "limit":
            self._log.say(f"the time limit is up: ending {f'what {name} left running' if has_ended else name}")
        if has_ended:
            return
        now, grace = time.monotonic(), self._spec.grace
        self._next_signals = [(now + grace, signal.SIGTERM), (now + 2 * grace, signal.SIGKILL)]
        why = answer.what if answer else "time limit" if by == "limit" else "cancel"
        if not self._prompting.say_goodbye(why, answer.by if answer else ""):
            self._next_signals.insert(0, (now, signal.SIGINT))

    def _signal_tool(self, number: int) -> None:
        self._prompting.interrupted()
        self._log.say(f"{signal.Signals(number).name} to {self._tool.name}")
        self._tool.signal(number)

    # Those who ask

    def _obey(self, line: bytes) -> Answer | Later:
        book = self._prompting.book
        try:
            message = msgspec.json.decode(line, type=Message)
            if isinstance(message, WaitHeld):
                return self._when_held(message.after)
            if isinstance(message, WaitAnswered):
                return self._when_answered(message.number)
            if isinstance(message, Reply):
                return self._reply(message)
            return self._status(self._do(message), book.last)
        except RefusedError as error:
            return self._status(error.what, None, refused=True)
        except (msgspec.MsgspecError, ValueError) as problem:
            return self._status(f"The message is not understood: {problem}.", book.last)

    def _status(self, error: str, answered: Answered | None, *, refused: bool = False) -> Answer:
        return Answer(
            error=error,
            refused=refused,
            tool=self._tool.pid,
            ending=self._ending,
            seconds_left=self._limit.left(time.monotonic()),
            bytes_dropped=self._log.dropped,
            unwritten=self._log.unwritten,
            held=self._prompting.book.held,
            answered=answered,
            keeps=self._keeping,
        )

    def _reply(self, message: Reply) -> Answer:
        number, book = message.number, self._prompting.book
        try:
            if message.end:
                self._prompting.check(number)
                self._end("cancel", message)
                return self._status("", book.answered(number))
            return self._status(self._prompting.answer(message), book.answered(number))
        except RefusedError as error:
            return self._status(error.what, book.answered(number), refused=True)

    def _when_held(self, after: int) -> Later:
        book = self._prompting.book
        there = book.held is not None and book.held.number == after

        def later() -> Answer | None:
            newer = book.held is not None and book.held.number > after
            if newer or self._exit_written or (there and book.held is None):
                return self._status("", book.last)
            return None

        return later

    def _when_answered(self, number: int) -> Later:
        book = self._prompting.book

        def later() -> Answer | None:
            if book.held is None or book.held.number != number:
                return self._status("", book.answered(number))
            return None

        return later

    def _do(self, message: Message) -> str:
        """Why it cannot be done; empty when it is. Raises RefusedError."""
        if isinstance(message, Interrupt):
            self._end("cancel")
        elif isinstance(message, Redact):
            self._log.add_secrets(message.secrets)
            if self._events is not None:
                self._events.kept.add_secrets(message.secrets)
        elif isinstance(message, Limit):
            if self._tool.exit is not None and not self._keeping:
                return "The tool has ended."
            self._limit.set(message.seconds, time.monotonic())
        elif isinstance(message, Send):
            if (held := self._prompting.book.held) is not None:
                raise RefusedError(f"The tool waits at prompt {held.number}, which is answered by its number.")
            return self._prompting.type(message.raw)
        return ""

    # The end

    def _leave_nothing(self) -> None:
        """Read the terminal to its end, and end what the tool left running, at once or when it was kept long enough."""
        self._read_until_quiet()
        if self._prompting.keep and not self._ending and leftovers():
            self._keeping = True
            self._write_exit()
            while leftovers() and not self._ending:
                self._turn(_KEPT_CHECK)
            self._keeping = False
        if stubborn := end_leftovers(self._spec.grace, self._after_a_moment):
            self._log.say(f"these cannot be ended and are left behind: {', '.join(stubborn)}")
        self._read_until_quiet()

    def _after_a_moment(self) -> None:
        self._turn(0.05)
        self._collect()

    def _read_until_quiet(self) -> None:
        """Until nobody has the terminal open, or it has been quiet for a moment; never for long: a leftover may print
        for ever."""
        until = time.monotonic() + 20 * _QUIET
        while self._tool.terminal_open and time.monotonic() < until:
            quiet_from = time.monotonic()
            if not self._turn(_QUIET) and time.monotonic() - quiet_from >= _QUIET:
                return

    def _write_exit(self) -> None:
        """The log first, then how its prompts were over, then the exit, then the clients hear of it. Tries again for as
        long as the disk is full. Once: whoever has read the exit may remove the directory."""
        if self._exit_written:
            return
        assert self._tool.exit is not None
        ended = replace(self._tool.exit, kept=self._keeping)
        self._log.flush()
        if self._events is not None:
            self._events.flush()  # before the exit: who has read that finds all events
        while self._log.unwritten or self._prompting.book.write_at is not None:
            self._turn(1.0)
        while True:
            try:
                write_whole(self._directory / EXIT_FILE, msgspec.json.encode(ended))
                break
            except OSError as error:
                complain(f"the exit cannot be written: {error.strerror}")
                self._turn(1.0)
        self._exit_written = True
        self._door.hang_up()


def main() -> int:
    """Exit status 0 when the tool was held to its end, or when another holder has this directory already."""
    directory, socket_path = Path(sys.argv[1]), Path(sys.argv[2])
    spec = ToolSpec.from_json(sys.stdin.buffer.read())
    with open(os.devnull, "rb") as nothing:  # noqa: PTH123 - a descriptor is wanted
        os.dup2(nothing.fileno(), 0)  # what we were told holds secrets
    tools_umask = os.umask(0o077)
    lock = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(_LOCK_ATTEMPTS):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            time.sleep(0.05)
    else:
        return 0
    if (directory / EXIT_FILE).exists():
        return 0
    libc = ctypes.CDLL(None, use_errno=True)
    # No core dump, and no other program's look into our memory: secrets are in it. Tools are not affected (execve(2)).
    libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        complain("cannot become the subreaper of what the tool starts")
        return 1
    try:
        (directory / HOLDER_FILE).unlink(missing_ok=True)  # of one that vanished
        Holder(directory, socket_path, spec, tools_umask).run()
    except IngotError as error:
        complain(error.what)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
