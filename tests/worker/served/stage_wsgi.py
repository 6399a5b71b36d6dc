"""The same for a server of WSGI, as far as its tests need it."""

from __future__ import annotations

import os
import time
from pathlib import Path

GATE = Path(os.environ["GATE"])

match Path(os.environ["RELEASE"]).read_text():
    case "not":
        raise RuntimeError("this release does not import")
    case "slowly":
        time.sleep(1)


def app(environ, start_response):
    content = str(os.getpid()).encode()
    match environ["PATH_INFO"]:
        case "/echo":
            content = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        case "/gate":
            while not GATE.exists():
                time.sleep(0.02)
            content = b"open"
        case "/hang":
            time.sleep(600)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(content)))])
    return [content]
