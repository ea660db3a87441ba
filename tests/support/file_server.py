"""A web server whose files, faults and slowness a test chooses."""

import contextlib
import socket
import ssl
import threading
from collections.abc import Generator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class Server:
    """Serves `files`, with ranges; counts what was asked."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    asked: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    cut_after: int | None = None
    """Bytes after which the next answer breaks off, once."""
    answers: threading.Event = field(default_factory=threading.Event)
    """Cleared: whoever asks waits until it is set."""
    failures: int = 0
    """Answers of 503 that come first."""
    redirects: dict[str, str] = field(default_factory=dict[str, str])
    endless: frozenset[str] = frozenset()
    """Paths whose content never ends, and whose length is not said."""
    url: str = ""
    over: threading.Event = field(default_factory=threading.Event)


@contextlib.contextmanager
def file_server(certificate: Path | None = None) -> Generator[Server]:
    """Started for a test, and gone after it. With a certificate, whose key is in the same file, it speaks TLS."""
    state = Server()
    state.answers.set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.asked.append((self.path, self.headers.get("Range", "")))
            state.answers.wait()
            if state.failures:
                state.failures -= 1
                self.send_error(503)
                return
            if self.path in state.redirects:
                self.send_response(302)
                self.send_header("Location", state.redirects[self.path])
                self.end_headers()
                return
            if self.path in state.endless:
                self.send_response(200)
                self.end_headers()
                with contextlib.suppress(OSError):
                    while not state.over.is_set():
                        self.wfile.write(bytes(1024 * 1024))
                return
            content = state.files.get(self.path)
            if content is None:
                self.send_error(404)
                return
            start = int(self.headers["Range"][6:-1]) if "Range" in self.headers else 0
            if start >= len(content) and start:
                self.send_error(416)
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            end = len(content)
            if state.cut_after is not None:
                end, state.cut_after = min(end, start + state.cut_after), None
            with contextlib.suppress(OSError):  # who had enough has gone
                self.wfile.write(content[start:end])
            if end < len(content):
                self.connection.shutdown(socket.SHUT_RDWR)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            httpd.socket = context.wrap_socket(httpd.socket, server_side=True)
        thread = threading.Thread(target=httpd.serve_forever, args=(0.02,))
        thread.start()
        state.url = f"http{'s' if certificate else ''}://127.0.0.1:{httpd.server_address[1]}"
        yield state
        state.over.set()
        state.answers.set()
        httpd.shutdown()
        thread.join()
