"""The holder: keeps one running tool alive, whatever happens to those who asked for it.

`python -m core.holder DIRECTORY SOCKET`, the ToolSpec as JSON on standard input. It owns the tool's session and
terminal, writes its log (redacted, to disk first), keeps its time limit, answers on a socket for its user alone, ends
what the tool leaves behind, and writes the exit last. It starts one tool, once, and knows nothing of runs or stages.

One thread, one loop, no library that it could do without: it runs as long as the longest build, and everything it needs
is loaded before the tool starts, so that the program can be upgraded underneath it.
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import selectors
import signal
import socket
import struct
import sys
import time
from pathlib import Path

import msgspec

from core import process
from core.errors import IngotError
from core.hold import (
    EXIT_FILE,
    HOLDER_FILE,
    LOCK_FILE,
    MESSAGE_LIMIT,
    Answer,
    EndedBy,
    Exit,
    HolderRecord,
    Interrupt,
    Limit,
    Message,
    Redact,
    Send,
    ToolSpec,
    write_whole,
)
from core.holder_log import ToolLog
from core.living import HOLDER_MARK, RUN_MARK, Identity, command, descendants

_READ = 65536
_READ_AT_ONCE = 16
"""Reads from the terminal in one round of the loop: others want to be answered too."""
_QUIET = 0.05
"""Seconds without output after which an ended tool's terminal is taken to be read to its end. What a program wrote just
before its exit can arrive after that, as the kernel passes it on in its own time."""
_LEFTOVER_GRACE = 10.0
"""Seconds at most that what a tool left behind gets between SIGTERM and SIGKILL."""
_LEFTOVER_PATIENCE = 30.0
"""Seconds after which what even SIGKILL does not end (uninterruptible sleep) is named in the log and let be."""
_LOCK_ATTEMPTS = 20
"""At 50 ms each: a client that looks whether the directory has a holder takes the lock for a moment."""
_SOCKET_CHECK = 5.0
"""Seconds between looks whether our socket is still there: /run/user goes at log-out, /tmp is swept."""
_RECORD_AGAIN = 1.0
"""Seconds between attempts to write down what runs on a full disk."""
_INPUT_LIMIT = MESSAGE_LIMIT
_NOT_STARTED = 127
"""Exit status of a tool that could not be started, as shells give it."""

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
        self._clients: dict[socket.socket, bytearray] = {}
        self._listening: socket.socket | None = None
        self._socket_inode = 0
        self._next_socket_check = 0.0
        self._tool: process.OnTerminal | None = None
        self._terminal_open = False
        self._input = bytearray()
        self._started = time.time()
        self._exit: Exit | None = None
        self._ending: EndedBy = ""
        self._next_signals: list[tuple[float, int]] = []
        """What is still to be sent to the tool, and when (monotonic)."""
        self._deadline = time.monotonic() + spec.limit if spec.limit is not None else None
        self._children_changed = False
        self._record_again_at: float | None = None

    def run(self) -> None:
        """From before the tool's start until its exit is on disk and nothing of it is left."""
        self._watch_signals()
        self._listen()
        self._record(None)
        self._start_tool()
        while self._exit is None:
            self._turn(None)
        self._leave_nothing()
        self._finish()

    # Starting

    def _watch_signals(self) -> None:
        """Signals wake the loop. A hang-up means nothing to us; SIGTERM and SIGINT mean: end the tool, politely."""
        reading, writing = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
        self._loop.register(reading, selectors.EVENT_READ, "signal")
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, lambda _number, _frame: None)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)

    def _listen(self) -> None:
        """Open the socket, in place of one that a dead holder of this directory left."""
        self._next_socket_check = time.monotonic() + _SOCKET_CHECK
        if self._listening is not None:
            self._loop.unregister(self._listening)
            self._listening.close()
            self._listening = None
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._socket_path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._socket_path.unlink(missing_ok=True)
            before = os.umask(0o177)  # a moment in which anybody can connect is one too many
            try:
                listening.bind(str(self._socket_path))
            finally:
                os.umask(before)
            listening.listen(16)
            self._socket_inode = self._socket_path.stat().st_ino
        except OSError as error:  # we can do without: signals and files tell the most important things
            listening.close()
            print(f"no socket at {self._socket_path}: {error.strerror}", file=sys.stderr)  # noqa: T201 - our own log
            return
        self._listening = listening
        self._loop.register(listening, selectors.EVENT_READ, "listening")

    def _record(self, tool: Identity | None) -> None:
        record = HolderRecord(self._me, tool, str(self._socket_path), str(self._spec.log), self._spec.run_uid)
        record.write(self._directory)

    def _start_tool(self) -> None:
        spec = self._spec
        marks = {RUN_MARK: spec.run_uid, HOLDER_MARK: str(self._me)}
        self._started = time.time()
        try:
            tool = process.start_on_terminal(
                spec.argv,
                cwd=spec.cwd,
                env=spec.environment | marks,
                columns=spec.columns,
                rows=spec.rows,
                umask=self._tools_umask,
            )
        except IngotError as error:
            self._log.say(error.what)
            self._exit = Exit(_NOT_STARTED, None, self._started, time.time())
            return
        self._tool = tool
        self._terminal_open = True
        self._loop.register(tool.terminal, selectors.EVENT_READ, "terminal")
        self._record_tool()

    def _record_tool(self) -> None:
        """Write down what runs; later, where the disk is full: the tool must not end for that."""
        assert self._tool is not None
        try:
            # A tool that has ended already has no identity any more; its exit says all.
            self._record(Identity.of(self._tool.pid))
        except OSError as error:
            print(f"the record cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201 - our own log
            self._record_again_at = time.monotonic() + _RECORD_AGAIN
        else:
            self._record_again_at = None

    # The loop

    def _turn(self, longest: float | None) -> bool:
        """Wait for something to happen, and do what is due. Whether the tool said something."""
        said = False
        for key, events in self._loop.select(self._pause(longest)):
            if key.data == "terminal":
                if events & selectors.EVENT_WRITE:
                    self._type()
                if events & selectors.EVENT_READ:
                    said = self._read_terminal() or said
            elif key.data == "signal":
                self._note_signals(os.read(key.fd, 4096))
            elif key.data == "listening":
                self._accept()
            else:
                assert isinstance(key.fileobj, socket.socket)
                self._hear(key.fileobj)
        now = time.monotonic()
        self._log.due(now)
        if self._children_changed:
            self._collect()
        if self._deadline is not None and now >= self._deadline:
            self._deadline = None
            self._log.say(f"the time limit is up: ending {Path(self._spec.argv[0]).name}")
            self._end("limit")
        while self._next_signals and now >= self._next_signals[0][0]:
            self._signal_tool(self._next_signals.pop(0)[1])
        if now >= self._next_socket_check:
            self._keep_socket()
        if self._record_again_at is not None and now >= self._record_again_at:
            self._record_tool()
        return said

    def _pause(self, longest: float | None) -> float:
        now = time.monotonic()
        moments = [self._next_socket_check]
        if longest is not None:
            moments.append(now + longest)
        if self._deadline is not None:
            moments.append(self._deadline)
        if self._next_signals:
            moments.append(self._next_signals[0][0])
        if self._record_again_at is not None:
            moments.append(self._record_again_at)
        if (due := self._log.next_due) is not None:
            moments.append(due)
        return max(min(moments) - now, 0.0)

    def _read_terminal(self) -> bool:
        """What the tool said since. False when it said nothing."""
        assert self._tool is not None
        said = False
        for _ in range(_READ_AT_ONCE):
            try:
                chunk = os.read(self._tool.terminal, _READ)
            except BlockingIOError:
                break
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                chunk = b""
            if not chunk:  # nobody has the other side open any more
                self._loop.unregister(self._tool.terminal)
                self._terminal_open = False
                break
            self._log.take(chunk)
            said = True
        self._log.write()
        return said

    def _type(self) -> None:
        assert self._tool is not None
        with contextlib.suppress(BlockingIOError):
            try:
                del self._input[: os.write(self._tool.terminal, self._input)]
            except OSError as error:
                if error.errno != errno.EIO:
                    raise
                self._input.clear()
        if self._terminal_open:
            events = selectors.EVENT_READ | (selectors.EVENT_WRITE if self._input else 0)
            self._loop.modify(self._tool.terminal, events, "terminal")

    def _note_signals(self, numbers: bytes) -> None:
        if signal.SIGCHLD in numbers:
            self._children_changed = True
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self._end("cancel")

    def _collect(self) -> None:
        """Take the exit status of whoever ended: the tool, or an orphan of it that came to us."""
        self._children_changed = False
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if self._tool is not None and pid == self._tool.pid:
                self._tool.collected(status)
                self._tool.let_go()
                code = os.waitstatus_to_exitcode(status)
                by, ended = self._ending, time.time()
                self._exit = (
                    Exit(code, None, self._started, ended, by)
                    if code >= 0
                    else Exit(None, -code, self._started, ended, by)
                )
                self._next_signals.clear()
                self._deadline = None

    def _end(self, by: EndedBy) -> None:
        """Begin to end the tool. Asking again changes nothing: it has its time to clean up."""
        if self._ending:
            return
        self._ending = by
        now, grace = time.monotonic(), self._spec.grace
        self._next_signals = [
            (now, signal.SIGINT),
            (now + grace, signal.SIGTERM),
            (now + 2 * grace, signal.SIGKILL),
        ]

    def _signal_tool(self, number: int) -> None:
        """SIGINT as Ctrl-C gives it, to the whole group: Packer's outer process ignores it and leaves it to the inner
        one. SIGTERM to the tool alone: Packer's outer process passes it on, and its plugins must live to clean up
        (FACTS.md, Packer's prompts)."""
        if self._exit is not None or self._tool is None:
            return
        self._log.say(f"{signal.Signals(number).name} to {Path(self._spec.argv[0]).name}")
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if number == signal.SIGINT:
                os.killpg(self._tool.pid, number)
            else:
                os.kill(self._tool.pid, number)

    # Those who ask

    def _keep_socket(self) -> None:
        self._next_socket_check = time.monotonic() + _SOCKET_CHECK
        try:
            there = self._socket_path.lstat().st_ino == self._socket_inode and self._listening is not None
        except OSError:
            there = False
        if not there:
            self._listen()

    def _accept(self) -> None:
        assert self._listening is not None
        try:
            client, _ = self._listening.accept()
        except OSError:
            return
        credentials = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        if struct.unpack("3i", credentials)[1] != os.getuid():
            client.close()
            return
        client.setblocking(False)
        self._clients[client] = bytearray()
        self._loop.register(client, selectors.EVENT_READ, "client")

    def _hear(self, client: socket.socket) -> None:
        try:
            heard = client.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        waiting = self._clients[client]
        waiting += heard
        if not heard or (len(waiting) > MESSAGE_LIMIT and b"\n" not in waiting):
            self._drop(client)
            return
        while b"\n" in waiting:
            line, _, rest = bytes(waiting).partition(b"\n")
            waiting[:] = rest
            answer = msgspec.json.encode(self._obey(line)) + b"\n"
            try:
                client.send(answer)
            except OSError:  # gone, or it does not read what it asks for
                self._drop(client)
                return

    def _drop(self, client: socket.socket) -> None:
        self._loop.unregister(client)
        del self._clients[client]
        client.close()

    def _obey(self, line: bytes) -> Answer:
        try:
            message = msgspec.json.decode(line, type=Message)
            error = self._do(message)
        except (msgspec.MsgspecError, ValueError) as problem:
            error = f"The message is not understood: {problem}."
        runs = self._tool is not None and self._exit is None
        return Answer(
            error=error,
            tool=self._tool.pid if self._tool is not None and runs else 0,
            ending=self._ending,
            seconds_left=None if self._deadline is None else self._deadline - time.monotonic(),
            bytes_dropped=self._log.dropped,
            unwritten=self._log.unwritten,
        )

    def _do(self, message: Message) -> str:
        """Why it cannot be done; empty when it is."""
        if isinstance(message, Interrupt):
            self._end("cancel")
        elif isinstance(message, Redact):
            self._log.add_secrets(message.secrets)
        elif isinstance(message, (Send, Limit)) and self._exit is not None:
            return "The tool has ended."
        elif isinstance(message, Limit):
            self._deadline = None if message.seconds is None else time.monotonic() + message.seconds
        elif isinstance(message, Send):
            if not self._terminal_open:
                return "The tool has closed its terminal."
            if len(self._input) + len(message.raw) > _INPUT_LIMIT:
                return "The tool does not read what it is sent."
            self._input += message.raw
            self._type()
        return ""

    # The end

    def _leave_nothing(self) -> None:
        """Read the terminal to its end, and end what the tool left running.

        All that it started and did not wait for has become our child (PR_SET_CHILD_SUBREAPER), whatever session it made
        for itself.
        """
        self._read_until_quiet()
        if self._spec.keep and descendants((os.getpid(),)):
            self._write_exit()
            while descendants((os.getpid(),)) and not self._ending:
                self._turn(5.0)
        began = time.monotonic()
        force_at = began + min(self._spec.grace, _LEFTOVER_GRACE)
        asked: set[Identity] = set()
        forced: set[Identity] = set()
        while left := descendants((os.getpid(),)):
            now = time.monotonic()
            if now > began + _LEFTOVER_PATIENCE:
                names = ", ".join(f"{command(one.pid)} ({one.pid})" for one in left)
                self._log.say(f"these cannot be ended and are left behind: {names}")
                break
            for one in left:
                if now >= force_at and one not in forced:
                    forced.add(one)
                    one.signal(signal.SIGKILL)
                elif one not in asked:
                    asked.add(one)
                    one.signal(signal.SIGTERM)
                    one.signal(signal.SIGCONT)  # a stopped process would not hear it
            self._turn(0.05)
            self._collect()
        self._read_until_quiet()

    def _read_until_quiet(self) -> None:
        """Until nobody has the terminal open, or it has been quiet for a moment; never for long: a leftover may print
        for ever."""
        until = time.monotonic() + 20 * _QUIET
        while self._terminal_open and time.monotonic() < until:
            quiet_from = time.monotonic()
            if not self._turn(_QUIET) and time.monotonic() - quiet_from >= _QUIET:
                return

    def _write_exit(self) -> None:
        """The log first, then the exit, then the clients hear of it. Tries again for as long as the disk is full."""
        assert self._exit is not None
        self._log.flush()
        while self._log.unwritten:
            self._turn(1.0)
        while True:
            try:
                write_whole(self._directory / EXIT_FILE, msgspec.json.encode(self._exit))
                break
            except OSError as error:
                print(f"the exit cannot be written: {error.strerror}", file=sys.stderr)  # noqa: T201 - our own log
                self._turn(1.0)
        for client in list(self._clients):
            self._drop(client)

    def _finish(self) -> None:
        self._write_exit()
        self._log.close()
        with contextlib.suppress(OSError):
            if self._socket_path.lstat().st_ino == self._socket_inode:
                self._socket_path.unlink()


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
        print("cannot become the subreaper of what the tool starts", file=sys.stderr)  # noqa: T201 - our own log
        return 1
    try:
        (directory / HOLDER_FILE).unlink(missing_ok=True)  # of one that vanished
        Holder(directory, socket_path, spec, tools_umask).run()
    except IngotError as error:
        print(error.what, file=sys.stderr)  # noqa: T201 - our own log
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
