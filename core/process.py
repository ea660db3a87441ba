"""The only place of ours that starts programs.

Always an argument list, never a shell string; a small explicit environment, never the caller's; a session of its own;
no inherited descriptor. A program is waited for by its exit, never by end-of-file: a grandchild (QEMU after Packer's
abort, an agent that daemonises) may hold the pipe open for ever. On cancel or time-out the whole process group is
ended, first politely, then by force.

Linux only: descriptors of processes (pidfd_open(2)) and of memory (memfd_create(2)).
"""

import contextlib
import errno
import os
import selectors
import shlex
import shutil
import signal
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fcntl import ioctl
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import msgspec

from core.errors import RefusedError, ToolError

if TYPE_CHECKING:
    import asyncio

Argument = str | os.PathLike[str]

PATIENCE = 2.0
"""Seconds between the polite end of a group (SIGTERM) and the other one (SIGKILL)."""

_KEPT = ("PATH", "HOME", "TMPDIR", "USER", "LOGNAME")
_LOWEST_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Finished(msgspec.Struct, frozen=True):
    """How a program ended and what it wrote."""

    code: int
    """Exit status; negative: the signal that ended it."""
    out: bytes
    err: bytes


def environment(*, extra: Mapping[str, str] | None = None, keep: Iterable[str] = ()) -> dict[str, str]:
    """The environment that programs get: nothing of the caller's but where things are and who asks.

    `keep` names variables that are passed on if they are set; `extra` is added last. The language is C.UTF-8, because
    we read what tools print; the terminal is `dumb`, because nothing behind it understands escape sequences.
    """
    given = {name: os.environ[name] for name in (*_KEPT, *keep) if name in os.environ}
    return {"PATH": _LOWEST_PATH} | given | {"LANG": "C.UTF-8", "TERM": "dumb"} | dict(extra or {})


def find(program: str) -> Path | None:
    """Where a program is, on the PATH that `environment` gives."""
    found = shutil.which(program)
    return Path(found) if found else None


def name_argument(value: str, what: str) -> str:
    """The value, unless a tool could take it for an option, or for more than one name.

    `what` says what it is a name of (`The branch`). Use it for each name or reference that others chose, and `--` as
    well where the tool has it. Raises RefusedError.
    """
    if not value:
        raise RefusedError(f"{what} is empty.", "Give it a name.")
    if value.startswith("-"):
        raise RefusedError(
            f"{what} {value!r} could be taken for an option.", "Rename it so that it does not begin with '-'."
        )
    if any(sign in value for sign in "\0\n\r"):
        raise RefusedError(f"{what} {value!r} holds a line break or a NUL.", "Rename it.")
    return value


async def run(
    argv: Sequence[Argument],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,  # noqa: A002 - the word that subprocess uses
    timeout: float | None = None,  # noqa: ASYNC109 - it ends a process group, which no cancel scope can
    check: bool = False,
) -> Finished:
    """Run a program and wait for its exit; the event loop goes on meanwhile.

    `env` is the whole environment (`environment()` when None). When the caller is cancelled, or `timeout` seconds have
    passed, the program's group is ended before this returns. Raises ToolError when it is missing, cannot be started,
    takes too long or, with `check`, ends with anything but 0.
    """
    import asyncio  # here: the holder and most commands do without it, and it takes long to load

    child = _Child.start(argv, cwd, env, input)
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    try:
        loop.add_reader(child.handle, ended.set)
        for pipe in child.pipes:

            def take(pipe: int = pipe) -> None:
                if not child.take(pipe):
                    loop.remove_reader(pipe)

            loop.add_reader(pipe, take)
        try:
            async with asyncio.timeout(timeout):
                await ended.wait()
        except TimeoutError:
            child.signal(signal.SIGTERM)
            await _ended_within(ended, PATIENCE)
            raise _took_too_long(argv, timeout) from None
        except asyncio.CancelledError:
            child.signal(signal.SIGTERM)
            await _ended_within(ended, PATIENCE)
            raise
        return child.finished(check=check)
    finally:
        for descriptor in (child.handle, *child.pipes):
            loop.remove_reader(descriptor)
        child.close()


async def _ended_within(ended: "asyncio.Event", seconds: float) -> None:
    import asyncio

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await ended.wait()


def run_blocking(
    argv: Sequence[Argument],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    input: bytes | None = None,  # noqa: A002 - the word that subprocess uses
    timeout: float | None = None,
    check: bool = False,
) -> Finished:
    """`run` for threads and commands. An interrupt (Ctrl-C) ends the program's group."""
    child = _Child.start(argv, cwd, env, input)
    try:
        try:
            if not child.wait(timeout):
                child.signal(signal.SIGTERM)
                child.wait(PATIENCE)
                raise _took_too_long(argv, timeout)
        except KeyboardInterrupt:
            child.signal(signal.SIGTERM)
            child.wait(PATIENCE)
            raise
        return child.finished(check=check)
    finally:
        child.close()


def start_detached(
    argv: Sequence[Argument], *, cwd: Path, env: Mapping[str, str], stdin: bytes | None = None, log: Path | None = None
) -> int:
    """Start a program that outlives us: its own session, nothing inherited. Gives its process id.

    `log` (made 0600) gets what it prints; without it that is thrown away. `stdin` travels through memory, never through
    a file: it may hold secrets. Raises ToolError when the program cannot be started.
    """
    with contextlib.ExitStack() as open_here:
        source = open_here.enter_context(_in_memory(stdin)) if stdin is not None else subprocess.DEVNULL
        sink = subprocess.DEVNULL
        if log is not None:
            sink = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            open_here.callback(os.close, sink)
        process = _popen(argv, cwd, env, stdin=source, stdout=sink, stderr=sink)
    # Somebody has to collect its exit status, or it stays behind as a zombie for as long as we live.
    threading.Thread(target=process.wait, name=f"waits for {process.pid}", daemon=True).start()
    return process.pid


def become(argv: Sequence[str]) -> NoReturn:
    """Put a program in our place: on the user's own terminal, with the user's own environment (the person's ssh, with
    its configuration and agent). Raises ToolError when it cannot be started."""
    try:
        os.execvp(argv[0], list(argv))  # noqa: S606 - this is the place for it
    except OSError as error:
        raise _not_started(argv, None, error) from error


@dataclass(slots=True)
class OnTerminal:
    """A program with a terminal of its own, and our side of that terminal."""

    pid: int
    terminal: int
    """The master side, non-blocking. Closing it hangs up on the program (SIGHUP)."""
    _theirs: int
    """The program's side, open here as well: it may close its own and open /dev/tty again later, and until it has ended
    that must not look like the end."""
    _process: "subprocess.Popen[bytes]"

    def collected(self, status: int) -> None:
        """Whoever collects children by waitpid(2) says so here, as `Popen` cannot know."""
        self._process.returncode = os.waitstatus_to_exitcode(status)

    def let_go(self) -> None:
        """From now on the terminal ends (EIO) when nobody else has the program's side open."""
        os.close(self._theirs)


def start_on_terminal(
    argv: Sequence[Argument], *, cwd: Path, env: Mapping[str, str], columns: int, rows: int, umask: int
) -> OnTerminal:
    """Start a program on a new pty, which becomes the controlling terminal of our own session, with it in front.

    We stay the leader of that session: the end of a leader hangs up on all in front (SIGHUP), and a machine that Packer
    let go of is among them. So only for a process that leads a session without a terminal (`start_detached`), ignores
    SIGHUP, and has a single thread: the holder.

    What it prints arrives as it is (no `\\n` to `\\r\\n`), and what it is sent is not echoed: an answer may be a
    password. The caller collects its exit status. Raises ToolError.
    """
    ours, theirs = os.openpty()
    try:
        modes = termios.tcgetattr(theirs)
        modes[1] &= ~termios.ONLCR
        modes[3] &= ~(termios.ECHO | termios.ECHONL | termios.ECHOCTL)
        termios.tcsetattr(theirs, termios.TCSANOW, modes)
        termios.tcsetwinsize(theirs, (rows, columns))

        ioctl(theirs, termios.TIOCSCTTY, 0)

        def come_to_the_front() -> None:
            os.setpgid(0, 0)
            signal.signal(signal.SIGTTOU, signal.SIG_IGN)  # what changes a terminal from behind is stopped by it
            os.tcsetpgrp(0, os.getpid())
            signal.signal(signal.SIGTTOU, signal.SIG_DFL)
            for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGTSTP):
                signal.signal(number, signal.SIG_DFL)  # what we ignore, or `nohup` did, a tool must not ignore
            signal.pthread_sigmask(signal.SIG_SETMASK, ())

        process = _popen(
            argv, cwd, env, stdin=theirs, stdout=theirs, stderr=theirs, umask=umask, before=come_to_the_front
        )
        os.set_blocking(ours, False)
    except BaseException:
        os.close(ours)
        os.close(theirs)
        raise
    return OnTerminal(process.pid, ours, theirs, process)


@dataclass(slots=True)
class _Child:
    """A running program whose output is collected in memory."""

    argv: Sequence[Argument]
    process: "subprocess.Popen[bytes]"
    handle: int
    """Readable once the program has ended (pidfd_open(2))."""
    pipes: tuple[int, int]
    written: dict[int, bytearray] = field(default_factory=dict[int, bytearray])

    @classmethod
    def start(
        cls, argv: Sequence[Argument], cwd: Path | None, env: Mapping[str, str] | None, given: bytes | None
    ) -> "_Child":
        with contextlib.ExitStack() as open_here:
            source = open_here.enter_context(_in_memory(given)) if given is not None else subprocess.DEVNULL
            process = _popen(argv, cwd, env, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdout is not None
        assert process.stderr is not None
        pipes = (process.stdout.fileno(), process.stderr.fileno())
        for pipe in pipes:
            os.set_blocking(pipe, False)
        return cls(argv, process, os.pidfd_open(process.pid), pipes, {pipe: bytearray() for pipe in pipes})

    def take(self, pipe: int) -> bool:
        """Read what is there now. False at the end of the pipe."""
        while True:
            try:
                chunk = os.read(pipe, 65536)
            except BlockingIOError:
                return True
            if not chunk:
                return False
            self.written[pipe] += chunk

    def wait(self, seconds: float | None) -> bool:
        """Collect output until the program has ended (True) or the time is up (False)."""
        deadline = None if seconds is None else time.monotonic() + seconds
        with selectors.DefaultSelector() as waiting:
            for descriptor in (self.handle, *self.pipes):
                waiting.register(descriptor, selectors.EVENT_READ)
            while True:
                left = None if deadline is None else deadline - time.monotonic()
                if left is not None and left <= 0:
                    return False
                for key, _ in waiting.select(left):
                    if key.fd == self.handle:
                        return True
                    if not self.take(key.fd):
                        waiting.unregister(key.fd)

    def signal(self, number: int) -> None:
        """To the whole group. The leader is not collected yet, so that the group's number cannot be another's."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, number)

    def finished(self, *, check: bool) -> Finished:
        for pipe in self.pipes:
            self.take(pipe)
        out, err = (bytes(self.written[pipe]) for pipe in self.pipes)
        code = self.process.wait()
        if check and code != 0:
            raise _ended_badly(self.argv, Finished(code, out, err))
        return Finished(code, out, err)

    def close(self) -> None:
        """Leave nothing behind: what still runs was cancelled or took too long, and ends now, with its group."""
        if self.process.returncode is None:
            self.signal(signal.SIGKILL)
            self.process.wait()
        os.close(self.handle)
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe is not None:
                pipe.close()


@contextlib.contextmanager
def _in_memory(content: bytes) -> Generator[int]:
    """A descriptor to read `content` from. Unlike a pipe it never blocks the writer, and nothing of it is on disk."""
    descriptor = os.memfd_create("ingot", os.MFD_CLOEXEC)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(descriptor, left) :]
        os.lseek(descriptor, 0, os.SEEK_SET)
        yield descriptor
    finally:
        os.close(descriptor)


def _popen(
    argv: Sequence[Argument],
    cwd: Path | None,
    env: Mapping[str, str] | None,
    *,
    stdin: int,
    stdout: int,
    stderr: int,
    umask: int = -1,
    before: Callable[[], None] | None = None,
) -> "subprocess.Popen[bytes]":
    """`before` is called in the new process, which then stays in our session; without it, it leads one of its own."""
    arguments = [os.fspath(argument) for argument in argv]
    try:
        return subprocess.Popen(  # noqa: S603 - an argument list, and this is the place for it
            arguments,
            cwd=cwd,
            env=dict(env) if env is not None else environment(),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            close_fds=True,
            start_new_session=before is None,
            umask=umask,
            preexec_fn=before,
        )
    except OSError as error:
        raise _not_started(arguments, cwd, error) from error
    except ValueError as error:  # a NUL in an argument or a variable
        raise ToolError(
            f"{arguments[0]!r} cannot be started: {error}.", "Look at the names that it was given."
        ) from error


def _not_started(arguments: Sequence[str], cwd: Path | None, error: OSError) -> ToolError:
    program = arguments[0]
    if cwd is not None and not cwd.is_dir():
        return ToolError(
            f"{program} cannot be started in {cwd}: there is no such directory.", "Look at who removed it."
        )
    if isinstance(error, FileNotFoundError):
        return ToolError(f"{program} was not found.", "`ingot doctor` says how to install it.")
    if error.errno == errno.E2BIG:
        return ToolError(f"{program} was given more arguments than the system takes.", "Give it fewer variables.")
    return ToolError(f"{program} cannot be started: {error.strerror}.", "`ingot doctor` says what it needs.")


def _took_too_long(argv: Sequence[Argument], seconds: float | None) -> ToolError:
    return ToolError(
        f"{os.fspath(argv[0])} did not end within {seconds:g} s and was ended.", "Try again, or run it by hand."
    )


def _ended_badly(argv: Sequence[Argument], finished: Finished) -> ToolError:
    words = [os.fspath(argument) for argument in argv]
    how = f"exit status {finished.code}" if finished.code > 0 else f"signal {-finished.code}"
    said = (finished.err.strip() or finished.out.strip()).decode(errors="replace").splitlines()
    why = [line for line in said if line.lower().startswith(("fatal:", "error:"))] or said
    return ToolError(
        f"{words[0]} ended with {how}{': ' + why[-1].strip() if why else '.'}", f"Run it by hand: {shlex.join(words)}"
    )
