#!/usr/bin/python3
"""The shop's order service: takes orders as JSON and keeps them in one file.

GET  /api/health   "ok" and the image that it runs from
GET  /api/orders   all orders
POST /api/orders   {"item": "…", "count": 1}
"""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FILE = Path(os.environ["ORDERS_FILE"])
IMAGE = "{{ image_role }} {{ image_version }}"
LARGEST_BODY = 64 * 1024
writing = threading.Lock()


def orders():
    return json.loads(FILE.read_text()) if FILE.exists() else []


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, body):
        raw = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def do_GET(self):
        if self.path == "/api/health":
            self.answer(200, {"status": "ok", "image": IMAGE})
        elif self.path == "/api/orders":
            self.answer(200, orders())
        else:
            self.answer(404, {"error": "there is only /api/health and /api/orders"})

    def do_POST(self):
        if self.path != "/api/orders":
            self.answer(404, {"error": "orders go to /api/orders"})
            return
        length = int(self.headers.get("Content-Length") or 0)
        if length > LARGEST_BODY:
            self.answer(413, {"error": "too large"})
            return
        try:
            wanted = json.loads(self.rfile.read(length))
            order = {"item": str(wanted["item"]), "count": int(wanted.get("count", 1))}
        except (ValueError, KeyError, TypeError):
            self.answer(400, {"error": 'an order is {"item": "...", "count": 1}'})
            return
        with writing:
            kept = orders()
            order["number"] = len(kept) + 1
            new = FILE.with_suffix(".new")
            new.write_text(json.dumps([*kept, order]))
            new.replace(FILE)
        self.answer(201, order)


if __name__ == "__main__":
    ThreadingHTTPServer(("", int(os.environ["ORDERS_PORT"])), Handler).serve_forever()
