"""A webhook on this computer, for tests."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any, NamedTuple


class Request(NamedTuple):
    method: str
    path: str
    headers: Message
    json: Any


@dataclass
class Receiver:
    """The URL of a webhook, its requests, and the statuses of its next answers, by default 200. None is an answer that is not HTTP."""

    url: str
    requests: list[Request] = field(default_factory=list)
    statuses: list[int | None] = field(default_factory=list)


@contextlib.contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a webhook while the context is active."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            found.requests.append(Request(self.command, self.path, self.headers, json.loads(body)))
            status = found.statuses.pop(0) if found.statuses else 200
            if status is None:
                self.wfile.write(b"s3cret\n")
                return
            self.send_response(status)
            self.send_header("Location", "/hooks/s3cret")
            self.end_headers()

        def log_message(self, *_arguments):
            """Print nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    found = Receiver(f"http://127.0.0.1:{server.server_port}/hooks/s3cret")
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
