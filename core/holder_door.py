"""The holder's socket: where clients of the same user ask, and some of them wait for their answer."""

import os
import selectors
import socket
import struct
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import msgspec

from core.hold import MESSAGE_LIMIT, Answer
from core.holder_log import complain

Later = Callable[[], Answer | None]
"""Gives the answer once there is one. Called again whenever something has changed."""
Obey = Callable[[bytes], Answer | Later]
"""Does what one message, a line without its end, says."""

_READ = 65536
_CHECK = 5.0
"""Seconds between looks whether our socket is still there: /run/user goes at log-out, /tmp is swept."""


class Door:
    """Part of the holder's loop: what it registers there carries the method to call with the events."""

    def __init__(self, path: Path, loop: selectors.BaseSelector, obey: Obey) -> None:
        self._path = path
        self._loop = loop
        self._obey = obey
        self._clients: dict[socket.socket, bytearray] = {}
        self._waiting: dict[socket.socket, Later] = {}
        """Who gets its answer later; until then it is not listened to, beyond noticing that it hangs up."""
        self._listening: socket.socket | None = None
        self._inode = 0
        self.next_check = 0.0
        """When `check` wants to be called (monotonic)."""

    def open(self) -> None:
        """Open the socket, in place of one that a dead holder of this directory left."""
        self.next_check = time.monotonic() + _CHECK
        if self._listening is not None:
            self._loop.unregister(self._listening)
            self._listening.close()
            self._listening = None
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path.unlink(missing_ok=True)
            before = os.umask(0o177)  # a moment in which anybody can connect is one too many
            try:
                listening.bind(str(self._path))
            finally:
                os.umask(before)
            listening.listen(16)
            self._inode = self._path.stat().st_ino
        except OSError as error:  # we can do without: signals and files tell the most important things
            listening.close()
            complain(f"no socket at {self._path}: {error.strerror}")
            return
        self._listening = listening
        self._loop.register(listening, selectors.EVENT_READ, self._accept)

    def check(self, now: float) -> None:
        """Open the socket anew where somebody removed it."""
        if now < self.next_check:
            return
        self.next_check = now + _CHECK
        if self._listening is None or not self._ours():
            self.open()

    def tell(self) -> None:
        """Something has changed: answer those who wait for that."""
        for client, later in list(self._waiting.items()):
            if (answer := later()) is not None:
                del self._waiting[client]
                if self._answer(client, answer):
                    self._obey_all(client)

    def hang_up(self) -> None:
        """On all clients: they look for themselves then."""
        for client in list(self._clients):
            self._drop(client)

    def remove(self) -> None:
        """The holder ends."""
        self.hang_up()
        if self._ours():
            self._path.unlink(missing_ok=True)

    def _ours(self) -> bool:
        try:
            return self._path.lstat().st_ino == self._inode
        except OSError:
            return False

    def _accept(self, _events: int) -> None:
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
        self._loop.register(client, selectors.EVENT_READ, partial(self._hear, client))

    def _hear(self, client: socket.socket, _events: int) -> None:
        if client not in self._clients:  # dropped since the loop saw that it has something to say
            return
        try:
            heard = client.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            heard = b""
        said = self._clients[client]
        said += heard
        if not heard or (len(said) > MESSAGE_LIMIT and (b"\n" not in said or client in self._waiting)):
            self._drop(client)
            return
        self._obey_all(client)

    def _obey_all(self, client: socket.socket) -> None:
        """Do what a client has said in whole lines, up to one whose answer has to wait."""
        said = self._clients[client]
        while b"\n" in said and client not in self._waiting:
            line, _, rest = bytes(said).partition(b"\n")
            said[:] = rest
            answer = self._obey(line)
            if not isinstance(answer, Answer):
                later, answer = answer, answer()
                if answer is None:
                    self._waiting[client] = later
                    return
            if not self._answer(client, answer):
                return

    def _answer(self, client: socket.socket, answer: Answer) -> bool:
        """False when it is gone, or does not read what it asks for."""
        try:
            client.send(msgspec.json.encode(answer) + b"\n")
        except OSError:
            self._drop(client)
            return False
        return True

    def _drop(self, client: socket.socket) -> None:
        self._loop.unregister(client)
        del self._clients[client]
        self._waiting.pop(client, None)
        client.close()
