"""A way to a cloud (cloud_account.py) on which the first answer to each request of some kinds is lost, after what was
asked for was done: whoever asked gets what a server in trouble says (503), and may ask again."""

import contextlib
import urllib.error
import urllib.request
from collections.abc import Collection, Generator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import parse_qs


@contextlib.contextmanager
def lossy(endpoint: str, actions: Collection[str]) -> Generator[tuple[str, list[str]]]:
    """Gives its address, and the actions whose answers were lost so far."""
    lost: list[str] = []

    class Way(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            action = parse_qs(asked.decode())["Action"][0]
            headers = {name: value for name, value in self.headers.items() if name.lower() != "host"}
            to = urllib.request.Request(f"{endpoint}{self.path}", data=asked, headers=headers, method="POST")
            try:
                with urllib.request.urlopen(to) as said:
                    status, answer = said.status, said.read()
            except urllib.error.HTTPError as error:
                status, answer = error.code, error.read()
            if action in actions and action not in lost:
                lost.append(action)
                status, answer = 503, b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *_: object) -> None:  # noqa: A002 - the name that the server calls it by
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", lost
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
